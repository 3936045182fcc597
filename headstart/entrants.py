"""Names of what is compared: a strategy, a variant of the control, and where a run has several sources, whose W it is.

    full        scratch:half_steps        full@mnist5k        source@mnist5k

Torch-free. The strategy names the step and the folder; the entrant is what tables, verdict and report speak of.
"""

from dataclasses import dataclass

CONTROL = "scratch"
SOURCE = "source"  # the source model as it is
HALF_STEPS = "half_steps"  # variants of the control
EQUAL_COMPUTE = "equal_compute"


@dataclass(frozen=True)
class Entrant:
    """The parts of a name; variant and source are empty where there is nothing to tell apart."""

    strategy: str
    variant: str = ""
    source: str = ""

    @staticmethod
    def parse(name: str) -> "Entrant":
        """Of "scratch:half_steps" or "full@mnist5k"; a dataset may have any character in its name."""
        whole, _, source = name.partition("@")
        strategy, _, variant = whole.partition(":")
        return Entrant(strategy, variant, source)

    @property
    def name(self) -> str:
        """As tables have it."""
        return f"{self.strategy}{':' * bool(self.variant)}{self.variant}{'@' * bool(self.source)}{self.source}"

    @property
    def words(self) -> str:
        """As sentences have it: "full from mnist5k", "scratch, half steps"."""
        variant = f", {self.variant.replace('_', ' ')}" if self.variant else ""
        return f"{self.strategy}{variant}{' from ' * bool(self.source)}{self.source}"


def source_as_it_is(name: str) -> str:
    """The entrant that is the source model as it is, of the same W as this one."""
    return Entrant(SOURCE, source=Entrant.parse(name).source).name


def words(name: str) -> str:
    """An entrant's name as sentences have it."""
    return Entrant.parse(name).words
