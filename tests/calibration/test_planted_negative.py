"""Planted negative transfer on the real digits: W under a normalisation that it was not trained with.

Training on undoes it, for BatchNorm takes the batch's own statistics: `full` was measured to lose nothing, and
`frozen_blocks` 3.5 points. What uses W as it is has nothing to undo it with.
"""

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from headstart.cells.grid import Places, budget_jobs, cells_table
from headstart.cells.job import PREDICTIONS
from headstart.cells.run import run_cell
from headstart.datasets.builtin import materialise
from headstart.datasets.ingest import ingest_source, ingest_target
from headstart.datasets.pack import Pack, read_test_labels
from headstart.evaluation.document import ContrastVerdict
from headstart.evaluation.evaluate import evaluate
from headstart.features.extract import extract
from headstart.settings import validate
from headstart.storage.publish import publishing
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.pretrain import pretrain
from headstart.training.rows import Normalisation
from headstart.training.weights import read_weights, write_weights

pytestmark = pytest.mark.scenario

SETTINGS = validate(
    {
        "finetune": {"curve_budgets": [], "seeds": 5},
        "pretrain": {"epochs": 4},
        "strategies": {"scratch": {"steps": 300}},
    },
    where="test",
)
ACCELERATOR = Accelerator()


def ignore(*args: Any) -> None:
    """Neither progress nor log is wanted here."""


@pytest.fixture(scope="module")
def workers() -> Iterator[Executor]:
    with ProcessPoolExecutor() as pool:
        yield pool


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory, workers: Executor) -> Path:
    """Packs of mnist5k and digits, and W, as a run on the embedded default makes them."""
    root = tmp_path_factory.mktemp("digits")
    for name in ("mnist5k", "digits"):
        materialise(name, root / "data" / name)
    decoding = {"settings": SETTINGS.data, "workers": workers, "progress": ignore}
    ingest_target(root / "data" / "digits", root / "packs" / "digits", seed=0, **decoding)
    ingest_source(root / "data" / "mnist5k", root / "packs" / "mnist5k", excluded=(), **decoding)
    pretrain(
        Pack(root / "packs" / "mnist5k"),
        root / "right" / "weights",
        backbone=SETTINGS.backbone,
        settings=SETTINGS.pretrain,
        seed=0,
        accelerator=ACCELERATOR,
        checkpoints=Checkpoints(root / "checkpoints"),
        log=ignore,
    )
    card, tensors = read_weights(root / "right" / "weights")
    with publishing(root / "wrong" / "weights") as draft:  # black comes in at -1, where W has seen -0.4
        write_weights(draft, replace(card, normalisation=Normalisation((1.0,), (1.0,))), tensors)
    return root


def against_scratch(root: Path, w: str, strategy: str) -> ContrastVerdict:
    """The strategy against scratch, at 10 labels a class."""
    places = Places(
        root / "packs" / "digits", root / w / "weights", root / w / "target", root / w / "source", root / "cells"
    )
    if not places.features.exists():
        extract(
            Pack(root / "packs" / "mnist5k"),
            Pack(places.pack),
            weights=places.weights,
            directories=(places.source_features, places.features),
            settings=SETTINGS.extract,
            boundary=2,
            seed=0,
            accelerator=ACCELERATOR,
            progress=ignore,
        )
    jobs = budget_jobs(SETTINGS, "scratch", 10, places, {}) + budget_jobs(SETTINGS, strategy, 10, places, {"W": w})
    summaries = [run_cell(job, ACCELERATOR) for job in jobs]
    tables = [pd.read_parquet(job.directory / PREDICTIONS).query("progress == 1") for job in jobs]
    named = [
        table.assign(strategy=job.strategy, variant="", label_budget=10, seed=job.seed)
        for table, job in zip(tables, jobs, strict=True)
    ]
    return evaluate(
        predictions=pd.concat(named),
        cells=cells_table(jobs, summaries),
        labelled={(10, job.seed): [summary["labelled"]] for job, summary in zip(jobs, summaries, strict=True)},
        truth=read_test_labels(places.pack),
        classes=Pack(places.pack).card.classes,
        families={"scratch": "control", strategy: "fine-tuning"},
        chosen=strategy,
        headline_budget=10,
        settings=SETTINGS.evaluate,
        opened=1,
    ).verdict.against_scratch


def test_a_probe_on_w_is_found_to_hurt_under_a_wrong_normalisation_alone(digits: Path) -> None:
    right, wrong = (against_scratch(digits, w, "linear_probe") for w in ("right", "wrong"))
    print(f"linear_probe: {100 * right.difference:+.1f} points, wrongly normalised {100 * wrong.difference:+.1f}")
    assert right.verdict != "hurt"
    assert wrong.verdict == "hurt"
    assert wrong.sentence.startswith("transfer hurt: linear_probe -")
