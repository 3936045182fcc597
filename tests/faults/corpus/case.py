"""What a case of bad input is: how it is made, and what must come out of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["X", "Q", "N"]
# X: refused before training: exit code 2, naming file, row or setting, and what to do.
# Q: set aside in rejected.csv with a code; the run goes on.
# N: taken, and made like the others where it has to be; what was done is counted.


@dataclass(frozen=True)
class Case:
    """One bad input.

    name: for the test's id. what: in a line. outcome: X, Q or N. says: of X words that the message has, of Q the
    reason's beginning, of N what is counted ("" for nothing). make: makes it; what it takes and gives differs by kind.
    """

    name: str
    what: str
    outcome: Outcome
    says: str | tuple[str, ...]
    make: Callable[..., Any]

    @property
    def words(self) -> tuple[str, ...]:
        return (self.says,) if isinstance(self.says, str) else self.says
