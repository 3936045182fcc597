"""Headstart's side of the sweep: a grid of ways, seeds and label budgets in one process, as a run's steps have it."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copyfile

import pandas as pd

from benchmarks.speed.child import Figures, Spec
from headstart.cells.grid import Places, at_steps, budget_jobs
from headstart.cells.job import PREDICTIONS, Job
from headstart.cells.run import run_cell
from headstart.datasets.ingest import ingest_target
from headstart.datasets.pack import Pack, pack_digest, read_test_labels
from headstart.features.extract import write_pooled
from headstart.features.files import POOLED
from headstart.settings import Settings
from headstart.storage.publish import publishing
from headstart.strategies.settings import TuneRecipe
from headstart.training.accelerator import Accelerator
from headstart.training.flops import work_of
from headstart.training.rows import InputRows
from headstart.training.weights import read_network

STRATEGY = {"probe": "linear_probe", "full": "full"}  # of the bench's names for ways to transfer


def sweep(spec: Spec, settings: Settings) -> Figures:
    """The target is ingested once, its features are computed once, and each cell reads them.

    Returns CPU seconds of this process, imports included: up to the last of the closed-form cells, and whole.
    settings: label_budget is the largest of the grid's, seeds are its seeds.
    """
    accelerator, root = Accelerator(), Path(spec.scratch)
    accelerator.start()
    pack = root / "packs" / spec.target
    with ThreadPoolExecutor(1) as workers:
        folder = _with_test(spec, root / "data" / spec.target)
        ingest_target(folder, pack, settings=settings.data, seed=0, workers=workers, progress=lambda *_: None)
    places = Places(
        pack=pack,
        weights=Path(spec.prepared, "W"),
        features=root / "features",
        source_features=root / "none",
        cells=root / "cells",
    )
    _write_features(places, accelerator, levels=settings.extract.levels)
    scores: dict[str, list[float]] = {}
    seconds = {}
    for way in spec.ways:
        for labels in spec.labels:
            for job in _jobs(settings, STRATEGY[way], labels, places, spec):
                run_cell(job, accelerator)
                scores.setdefault(way, []).append(_accuracy(job, pack))
        seconds[way] = time.process_time()
    every = [score for own in scores.values() for score in own]
    return {
        "linear": seconds["probe"],
        "job": time.process_time(),
        "accuracy": sum(every) / len(every),
        "linear_accuracy": sum(scores["probe"]) / len(scores["probe"]),
    }


def _with_test(spec: Spec, folder: Path) -> Path:
    """One dataset of all seeds' training images, each seed's under names of its own, and the test images."""
    parts = [(f"{seed}-", "train", Path(spec.data, spec.target, f"train-{seed}")) for seed in range(spec.seeds)]
    for before, split, origin in (*parts, ("", "test", spec.test)):
        for path in origin.glob("*/*.jpg"):
            copy = folder / split / path.parent.name / f"{before}{path.name}"
            copy.parent.mkdir(parents=True, exist_ok=True)
            copyfile(path, copy)
    return folder


def _write_features(places: Places, accelerator: Accelerator, *, levels: int) -> None:
    card, network = read_network(places.weights)
    rows = InputRows(Pack(places.pack).inputs, card.normalisation, "image")
    accelerator.prepare(network).eval()
    with publishing(places.features) as draft:
        write_pooled(
            draft / POOLED,
            network,
            rows,
            levels=levels,
            accelerator=accelerator,
            advance=lambda count: None,
            work=work_of(card.backbone, channels=card.channels, size=card.size),
        )


def _jobs(settings: Settings, strategy: str, labels: int, places: Places, spec: Spec) -> list[Job]:
    """A cell for each seed, trained for as many epochs of its labelled rows as a peer's."""
    jobs = budget_jobs(settings, strategy, labels, places, {"pack": pack_digest(places.pack)})
    if not isinstance(settings.recipe(strategy), TuneRecipe):
        return jobs
    classes = len(Pack(places.pack).card.classes)
    return [at_steps(job, "", spec.epochs * labels * classes // spec.batch) for job in jobs]


def _accuracy(job: Job, pack: Path) -> float:
    """Of the cell's predictions of the test rows."""
    found = pd.read_parquet(job.directory / PREDICTIONS).set_index("id")["prediction"]
    known = read_test_labels(pack).set_index("id")["label"]
    return float((found.loc[known.index] == known).mean())
