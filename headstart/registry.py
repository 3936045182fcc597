"""Registries: torch-free tables of what there is to choose from, imported on use."""

import difflib
import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from headstart.errors import MOST_SAID, SettingsError, shown


@dataclass(frozen=True)
class Entry:
    """One choice: its name, one line about it, and where its code is (`module:attribute`)."""

    name: str
    line: str
    target: str

    def load(self) -> Any:
        """Imports the code behind the entry."""
        return load(self.target)


def load(target: str) -> Any:
    """Imports what stands at `module:attribute`."""
    module, attribute = target.split(":")
    return getattr(importlib.import_module(module), attribute)


E = TypeVar("E", bound=Entry)


class Registry(Generic[E]):
    """A table of entries of one kind, in the order in which they were added.

    libraries: entries that stand for all names of another library, each called "library:NAME". Any name that starts
    with "library:" is taken for one of them; whether it is there, only the library itself knows.
    """

    def __init__(self, kind: str, entries: list[E], *, libraries: tuple[E, ...] = ()):
        self.kind = kind
        self._libraries = {entry.name.partition(":")[0]: entry for entry in libraries}
        self._entries: dict[str, E] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: E) -> None:
        """Adds an entry.

        Raises:
            ValueError: the name is taken; a second meaning for one name is always a mistake.
        """
        if entry.name in self._entries:
            raise ValueError(f"{self.kind} {entry.name!r} is already registered as {self._entries[entry.name].target}")
        self._entries[entry.name] = entry

    def get(self, name: str) -> E:
        """Returns the entry of that name.

        Raises:
            SettingsError: there is none; the nearest names are listed.
        """
        library, _, rest = name.partition(":")
        if library in self._libraries and rest:
            return replace(self._libraries[library], name=name)
        if name not in self._entries:
            raise SettingsError(f"unknown {self.kind} {shown(name)}; {nearest(name[:MOST_SAID], self.names())}")
        return self._entries[name]

    def names(self) -> list[str]:
        """Names of the table itself; those of libraries are not known here."""
        return list(self._entries)

    def listing(self) -> list[E]:
        """All entries, those that stand for libraries last."""
        return [*self, *self._libraries.values()]

    def __iter__(self) -> Iterator[E]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries


SHOWN, MANY = 8, 60  # of a list of names that nobody would read, so many are shown


def similar(name: str, names: Iterable[str]) -> str:
    """ " (did you mean ...?)" where one of the other names is nearly the same; "" where none is."""
    found = difflib.get_close_matches(name, [other for other in names if other != name], n=1, cutoff=0.6)
    return f" (did you mean {found[0]!r}?)" if found else ""


def nearest(name: str, allowed: list[str]) -> str:
    """The closing words of a refusal: the names that were probably meant, or all that are allowed."""
    close = difflib.get_close_matches(name, allowed, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = f" and {len(allowed) - SHOWN} more" if len(allowed) > MANY else ""
    return f"allowed: {', '.join(allowed[:SHOWN] if more else allowed)}{more}"
