"""What every step is given and what it gives back. A step's file holds one function of a Context."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from headstart.cells.job import Job
from headstart.settings import Settings
from tasks.devices import Device
from tasks.workspace import Workspace

log = logging.getLogger("headstart")

Metrics = Callable[[Mapping[str, float], int], None]
Progress = Callable[[str, int, int], None]


class Machines(Protocol):
    """Machines that run cells in the place of this one. name: such as "3 machines". workers: cells at a time."""

    @property
    def name(self) -> str: ...

    @property
    def workers(self) -> int: ...

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
        """Runs cells; yields each with its summary once it stands under its key here, in the order they come in."""
        ...


@dataclass(frozen=True)
class Context:
    """Workspace, settings and device of a step, and where its words and numbers go.

    device: None for a step that needs none. beside: the further ones of a training over several. metrics: (values,
    step) go to the tracker. progress: (what, done, of). code: gives the digest of the code that a step's cells run, of
    what dvc.yaml declares. machines: that run its cells, None where this one does.
    """

    workspace: Workspace
    settings: Settings
    device: Device | None
    metrics: Metrics
    progress: Progress
    code: Callable[[str], str]
    beside: tuple[Device, ...] = ()
    machines: Machines | None = None

    @property
    def devices(self) -> list[str]:
        """torch's names of the devices that a training is spread over."""
        return [device.torch_name for device in (self.device, *self.beside) if device]


@dataclass(frozen=True)
class Outcome:
    """What a step has to say when it is done; tasks/tracking records it.

    line: one sentence for the log. params, metrics: final values. artifacts: files and folders to keep.
    datasets: names of the packs that it read. parts: what is worth a run of its own in the tracker, by name.
    spent: folders that go once DVC has the result; until then a kill would cost what they hold.
    """

    line: str
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    artifacts: tuple[Path, ...] = ()
    datasets: tuple[str, ...] = ()
    parts: Mapping[str, "Outcome"] = field(default_factory=dict)
    spent: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Step:
    """A step's name, one line, where its function is, whether it needs a device, and whether it trains networks."""

    name: str
    line: str
    target: str
    needs_device: bool
    trains: bool = False

    def device_count(self, settings: Settings) -> int:
        """How many devices it takes: several only for training, 0 where it needs none."""
        return (settings.devices if self.trains else 1) if self.needs_device else 0

    def datasets(self, settings: Settings, item: str = "") -> list[str]:
        """Those that it reads file by file, and that are looked through before."""
        return {"ingest_target": [settings.target.data], "ingest_source": [item]}.get(self.name, [])

    def load(self) -> Callable[..., Outcome]:
        """Imports the step's function; torch comes in here, not before."""
        import importlib

        module, function = self.target.split(":")
        loaded: Callable[..., Outcome] = getattr(importlib.import_module(module), function)
        return loaded


def figures(verdict: Mapping[str, Any]) -> dict[str, float]:
    """A verdict's numbers under dotted names, for MLflow's comparison of runs."""
    contrasts = {name: verdict.get(name) or {} for name in ("against_scratch", "against_source")}
    contrasts |= {f"against_{found['against']}": found for found in verdict.get("baselines", ())}
    return {
        f"{contrast}.{key}": float(value)
        for contrast, found in contrasts.items()
        for key, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


STEPS = {
    step.name: step
    for step in (
        Step("fetch", "a built-in dataset becomes a folder below data/", "tasks.fetch:fetch", False),
        Step(
            "ingest_target",
            "the target is decoded once; test rows are split off",
            "tasks.ingest_target:ingest_target",
            False,
        ),
        Step(
            "ingest_source",
            "a source is decoded once, without the target's test rows",
            "tasks.ingest_source:ingest_source",
            False,
        ),
        Step("pretrain", "the source model W is trained", "tasks.pretrain:pretrain", True, trains=True),
        Step("extract", "what W computes of source and target is written once", "tasks.extract:extract", True),
        Step("explore", "do the source's features already separate the target", "tasks.explore:explore", False),
        Step(
            "quality",
            "labels that may be wrong, and how far sources lie",
            "tasks.quality:quality",
            False,
        ),
        Step("rank", "which source's W tells the target's labels apart best", "tasks.rank:rank", False),
        Step("finetune", "one strategy's cells at the headline budget", "tasks.finetune:finetune", True, trains=True),
        Step("remedy", "where the target falls short, other ways are tried", "tasks.remedy:remedy", True, trains=True),
        Step(
            "select",
            "the strategy of the verdict is named; its curve is trained",
            "tasks.select:select",
            True,
            trains=True,
        ),
        Step("evaluate", "test labels are opened: comparison and verdict", "tasks.evaluate:evaluate", False),
        Step("report", "the page to look at", "tasks.report:report", False),
    )
}
