"""The order of the bench: every contender in turn, then all of them again; each run is written down as it ends."""

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.speed.child import Spec
from benchmarks.speed.data import write_data
from benchmarks.speed.jobs import OURS, SHORT, STARTS, Extent, Job
from benchmarks.speed.measure import Measured, run_command, run_side

OUR_SIDE = "benchmarks.speed.ours"
DATA, PREPARED, SCRATCH, RUNS = "data", "prepared", "scratch", "runs.jsonl"


@dataclass(frozen=True)
class Run:
    """One process of the bench. target: empty where the job has none. repeat: which round, and the seed."""

    job: str
    target: str
    contender: str
    repeat: int
    cpu: float
    wall: float
    peak_mb: float
    figures: dict[str, Any]

    @property
    def place(self) -> tuple[str, str, str]:
        return self.job, self.target, self.contender


@dataclass(frozen=True)
class Sides:
    """Interpreters: Headstart's and the peers'."""

    ours: Path
    peers: Path

    def of(self, contender: str) -> Path:
        return self.ours if contender == OURS else self.peers


def prepare(folder: Path, extent: Extent, sides: Sides) -> Spec:
    """Draws the data and pretrains W, unless both are there; gives what all specs have in common."""
    write_data(folder / DATA, extent.sizes)
    spec = Spec(
        data=str(folder / DATA),
        prepared=str(folder / PREPARED),
        weights=str(folder / PREPARED / "weights" / "w.safetensors"),
        mean=(),
        std=(),
        scratch="",
        seed=0,
        epochs=extent.pretraining_epochs,
    )
    about = folder / PREPARED / "normalisation.json"
    if not about.is_file():
        (folder / PREPARED).mkdir(exist_ok=True)
        made = run_side(sides.ours, OUR_SIDE, "prepare", _fresh(spec, folder))
        about.write_text(json.dumps(made.figures))
    return replace(spec, **{name: tuple(values) for name, values in json.loads(about.read_text()).items()})


def run_all(folder: Path, spec: Spec, extent: Extent, sides: Sides, only: Iterable[str]) -> Iterator[Run]:
    """Runs what `folder` has no record of yet, job by job; within a job the contenders take turns."""
    known = {(*run.place, run.repeat): run for run in read_runs(folder)}
    for job in extent.jobs:
        if job.name not in only:
            continue
        for repeat in range(extent.repeats):
            for target in job.targets:
                for contender in (OURS, *job.peers):
                    first = known.get((job.name, target, contender, 0))
                    if (job.name, target, contender, repeat) in known or (first and first.wall > SHORT):
                        continue
                    measured = _run(folder, spec, sides, job, target, contender, repeat)
                    run = Run(job.name, target, contender, repeat, **asdict(measured))
                    known[(*run.place, repeat)] = run
                    with (folder / RUNS).open("a") as file:
                        file.write(json.dumps(asdict(run)) + "\n")
                    yield run


def read_runs(folder: Path) -> list[Run]:
    """What was run so far."""
    if not (folder / RUNS).is_file():
        return []
    return [Run(**json.loads(line)) for line in (folder / RUNS).read_text().splitlines()]


def _run(folder: Path, spec: Spec, sides: Sides, job: Job, target: str, contender: str, repeat: int) -> Measured:
    own = replace(
        _fresh(spec, folder), seed=repeat, target=target, images=job.images, singles=job.singles, epochs=job.epochs,
        batch=job.batch,
    )  # fmt: skip
    if job.name == "start":
        found = run_command([str(sides.of(contender)), *STARTS[contender]], Path(own.scratch, "log.txt"))
        return Measured(found.cpu, found.wall, found.peak_mb, {"job": found.cpu})
    module = OUR_SIDE if contender == OURS else f"benchmarks.peers.with_{contender}"
    return run_side(sides.of(contender), module, job.name, own)


def _fresh(spec: Spec, folder: Path) -> Spec:
    """The spec with an empty scratch folder."""
    scratch = folder / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    return replace(spec, scratch=str(scratch))
