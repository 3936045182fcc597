"""The order of the bench: every contender in turn, then all of them again; each run is written down as it ends."""

import json
import shutil
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.speed.child import Spec
from benchmarks.speed.data import DONE, write_data
from benchmarks.speed.jobs import OURS, RARELY, RECIPE, SHORT, STARTS, Extent, Job
from benchmarks.speed.measure import Measured, run_command, run_side
from benchmarks.speed.pipeline import run_pipeline
from headstart.storage.publish import digest

OUR_SIDE = "benchmarks.speed.ours"
DATA, PREPARED, SCRATCH, RUNS = "data", "prepared", "scratch", "runs.jsonl"


@dataclass(frozen=True)
class Run:
    """One process of the bench. target: empty where the job has none. repeat: which round, and the seed.

    of: digest of what was asked of it; a run of anything else is as if it were not there.
    """

    job: str
    target: str
    contender: str
    repeat: int
    cpu: float
    wall: float
    peak_mb: float
    figures: dict[str, Any]
    of: str = ""

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
    """Draws the data and pretrains W on them, unless both are there; gives what all specs have in common."""
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
    about, done = folder / PREPARED / "normalisation.json", folder / PREPARED / DONE
    drawn = (folder / DATA / DONE).read_text()
    if not done.is_file() or done.read_text() != drawn:
        shutil.rmtree(folder / PREPARED, ignore_errors=True)
        (folder / PREPARED).mkdir()
        made = run_side(sides.ours, OUR_SIDE, "prepare", _fresh(spec, folder))
        about.write_text(json.dumps(made.figures))
        done.write_text(drawn)
    return replace(spec, **{name: tuple(values) for name, values in json.loads(about.read_text()).items()})


def run_all(
    folder: Path, spec: Spec, extent: Extent, sides: Sides, *, jobs: Collection[str], contenders: Collection[str]
) -> Iterator[Run]:
    """Runs what `folder` has no record of yet, job by job; within a job the contenders take turns.

    jobs, contenders: only these.
    """
    cpu = {(*run.place, run.repeat): run.cpu for run in read_runs(folder, extent)}
    for job, repeat, target, contender in _order(extent):
        place = (job.name, target, contender)
        is_long = cpu.get((*place, 0), 0.0) > SHORT
        if job.name not in jobs or contender not in contenders or (*place, repeat) in cpu or is_long:
            continue
        measured = _run(folder, spec, sides, job, target, contender, repeat)
        run = Run(*place, repeat, **asdict(measured), of=asked(job, extent))
        cpu[(*place, repeat)] = run.cpu
        with (folder / RUNS).open("a") as file:
            file.write(json.dumps(asdict(run)) + "\n")
        yield run


def _order(extent: Extent) -> Iterator[tuple[Job, int, str, str]]:
    """(job, round, target, contender)."""
    for job in extent.jobs:
        for repeat, target in product(range(min(extent.repeats, job.rounds)), job.targets):
            for contender in (OURS, *job.peers):
                if repeat < RARELY.get(contender, extent.repeats):
                    yield job, repeat, target, contender


def read_runs(folder: Path, extent: Extent) -> list[Run]:
    """What was run so far of these jobs, as they are now."""
    if not (folder / RUNS).is_file():
        return []
    wanted = {job.name: asked(job, extent) for job in extent.jobs}
    runs = [Run(**json.loads(line)) for line in (folder / RUNS).read_text().splitlines()]
    return [run for run in runs if run.of == wanted.get(run.job)]


def asked(job: Job, extent: Extent) -> str:
    """Digest of a job, of the data that it is done on, and of Headstart's recipe. Code and versions are not in it."""
    what = asdict(job) | {"peers": None, "targets": None, "rounds": None}
    return digest([what, asdict(extent.sizes) | {"seeds": None}, extent.pretraining_epochs, asdict(RECIPE)])


def _run(folder: Path, spec: Spec, sides: Sides, job: Job, target: str, contender: str, repeat: int) -> Measured:
    own = replace(
        _fresh(spec, folder), seed=repeat, target=target, images=job.images, singles=job.singles, epochs=job.epochs,
        batch=job.batch, ways=job.ways, seeds=job.seeds, labels=job.labels,
    )  # fmt: skip
    if job.name == "start":
        found = run_command([str(sides.of(contender)), *STARTS[contender]], Path(own.scratch, "log.txt"))
        return Measured(found.cpu, found.wall, found.peak_mb, {"job": found.cpu})
    if job.name == "pipeline":
        return run_pipeline(sides.ours, Path(own.scratch))
    module = OUR_SIDE if contender == OURS else f"benchmarks.peers.with_{contender}"
    if job.ways and contender != OURS:
        return _cells(sides.of(contender), module, own)
    return run_side(sides.of(contender), module, job.name, own)


def _cells(python: Path, module: str, spec: Spec) -> Measured:
    """A sweep as a peer's user runs it: a process a cell, one after the other; their CPU seconds are added up."""
    done = [
        (way, run_side(python, module, "cell", replace(spec, ways=(way,), seed=seed, labels=(labels,))))
        for way, seed, labels in product(spec.ways, range(spec.seeds), spec.labels)
    ]
    linear = [own for way, own in done if way == "probe"]
    figures = {
        "job": sum(own.cpu for _, own in done),
        "linear": sum(own.cpu for own in linear),
        "accuracy": mean(own.figures["accuracy"] for _, own in done),
        "linear_accuracy": mean(own.figures["accuracy"] for own in linear),
    }
    wall, peak = sum(own.wall for _, own in done), max(own.peak_mb for _, own in done)
    return Measured(figures["job"], wall, peak, figures)


def _fresh(spec: Spec, folder: Path) -> Spec:
    """The spec with an empty scratch folder."""
    scratch = folder / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    return replace(spec, scratch=str(scratch))
