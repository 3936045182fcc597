"""A way to transfer: a strategy from one source, by its recipe or with knobs that are others. Torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headstart.cells.grid import Places, budget_jobs
from headstart.cells.job import Job
from headstart.entrants import Entrant
from headstart.settings import Settings


@dataclass(frozen=True)
class Way:
    """source: empty where a run has one. altered: names the knobs that are others, which changes has."""

    strategy: str
    source: str = ""
    altered: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def entrant(self) -> str:
        return Entrant(self.strategy, variant=self.altered, source=self.source).name


def way_jobs(
    settings: Settings, way: Way, budget: int, places: Places, inputs: dict[str, Any], *, snapshots: bool
) -> list[Job]:
    """A way's cells at one label budget. snapshots: whether the test rows are also predicted on the way."""
    return [
        replace(
            job,
            recipe=job.recipe.model_copy(update=dict(way.changes)),
            altered=way.altered,
            source=way.source,
            snapshots=snapshots,
        )
        for job in budget_jobs(settings, way.strategy, budget, places, inputs)
    ]
