"""Planted transfer on the real digits: a W that helps, and three that cannot, through real trainings and evaluation.

wrong: W under a normalisation that it was not trained with. Training on undoes that, for BatchNorm takes the batch's
own statistics: `full` was measured to lose nothing. What uses W as it is has nothing to undo it with.
shuffled: trained on the same pictures under labels that were dealt out at random. unrelated: trained to tell how smooth
a noise is. Nothing undoes these.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from headstart.cells.grid import Places, budget_jobs, cells_table
from headstart.cells.job import PREDICTIONS
from headstart.cells.run import run_cell
from headstart.datasets.builtin import materialise
from headstart.datasets.ingest import ingest_source, ingest_target
from headstart.datasets.pack import Pack, read_test_labels, write_pack
from headstart.evaluation.document import ContrastVerdict
from headstart.evaluation.evaluate import evaluate
from headstart.features.extract import extract
from headstart.settings import validate
from headstart.storage.publish import publishing
from headstart.strategies.table import STRATEGIES
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
WAYS = [entry.name for entry in STRATEGIES if entry.role == "transfer" and not entry.needs_attributes]
NOTHING = pd.DataFrame(columns=["path", "reason"])


def ignore(*args: Any) -> None:
    """Neither progress nor log is wanted here."""


@pytest.fixture(scope="module")
def workers() -> Iterator[Executor]:
    with ProcessPoolExecutor() as pool:
        yield pool


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory, workers: Executor) -> Path:
    """Packs of digits and of three sources, and each W, as a run on the embedded default makes them."""
    root = tmp_path_factory.mktemp("digits")
    for name in ("mnist5k", "digits"):
        materialise(name, root / "data" / name)
    decoding = {"settings": SETTINGS.data, "workers": workers, "progress": ignore}
    ingest_target(root / "data" / "digits", root / "packs" / "digits", seed=0, **decoding)
    ingest_source(root / "data" / "mnist5k", root / "packs" / "right", excluded=(), **decoding)
    plant_shuffled(root / "packs")
    plant_unrelated(root / "packs")
    for name in ("right", "shuffled", "unrelated"):
        pretrain(
            Pack(root / "packs" / name),
            root / name / "weights",
            backbone=SETTINGS.backbone,
            settings=SETTINGS.pretrain,
            seed=0,
            accelerator=ACCELERATOR,
            checkpoints=Checkpoints(root / "checkpoints"),
            log=ignore,
        )
    shutil.copytree(root / "packs" / "right", root / "packs" / "wrong")
    card, tensors = read_weights(root / "right" / "weights")
    with publishing(root / "wrong" / "weights") as draft:  # black comes in at -1, where W has seen -0.4
        write_weights(draft, replace(card, normalisation=Normalisation((1.0,), (1.0,))), tensors)
    return root


def plant_shuffled(packs: Path) -> None:
    """The right source with its labels dealt out at random."""
    right = Pack(packs / "right")
    labels = np.random.default_rng(0).permutation(right.examples["label"].to_numpy())
    images = np.asarray(right.inputs)
    write_pack(
        packs / "shuffled",
        card=replace(right.card, name="shuffled"),
        examples=right.examples.assign(label=labels),
        inputs=images,
        rejected=NOTHING,
    )


def plant_unrelated(packs: Path) -> None:
    """As many pictures of noise in ten classes of smoothness."""
    right, draw = Pack(packs / "right"), np.random.default_rng(0)
    smoothness = np.arange(len(right.examples)) % 10
    noise = np.stack([gaussian_filter(draw.normal(size=(28, 28)), 0.3 * (1 + k)) for k in smoothness])
    noise /= noise.std(axis=(1, 2), keepdims=True)
    images = (128 + 50 * noise).clip(0, 255).astype(np.uint8)[:, None]
    names = [f"smoothness {k}" for k in range(10)]
    card = replace(
        right.card,
        name="unrelated",
        classes=tuple(names),
        counts=dict.fromkeys(names, len(noise) // 10),
        mean=(float(images.mean() / 255),),
        std=(float(images.std() / 255),),
    )
    examples = right.examples.assign(label=[names[k] for k in smoothness])
    write_pack(packs / "unrelated", card=card, examples=examples, inputs=images, rejected=NOTHING)


def against_scratch(root: Path, w: str, strategy: str) -> ContrastVerdict:
    """The strategy against scratch, at 10 labels a class."""
    places = Places(
        root / "packs" / "digits",
        root / w / "weights",
        root / w / "target",
        root / w / "source",
        root / "cells",
        source_pack=root / "packs" / w,
    )
    if not places.features.exists():
        extract(
            Pack(root / "packs" / w),
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


@pytest.mark.parametrize("strategy", ["full", "l2_sp"])
def test_what_helps_is_found_to_help(digits: Path, strategy: str) -> None:
    found = against_scratch(digits, "right", strategy)
    print(f"right, {strategy}: {found.sentence}")
    assert found.verdict == "helped"


def test_a_wrong_normalisation_hurts_what_uses_w_as_it_is(digits: Path) -> None:
    right, wrong = (against_scratch(digits, w, "linear_probe") for w in ("right", "wrong"))
    print(f"wrong normalisation, linear_probe: {wrong.sentence}; right: {100 * right.difference:+.1f} points")
    assert right.verdict != "hurt"
    assert wrong.verdict == "hurt"
    assert wrong.sentence.startswith("transfer hurt: linear_probe -")


def test_nor_does_it_help_what_fixes_the_first_blocks(digits: Path) -> None:
    found = against_scratch(digits, "wrong", "frozen_blocks")
    print(f"wrong normalisation, frozen_blocks: {found.sentence}")
    assert found.verdict != "helped"


@pytest.mark.parametrize("w", ["shuffled", "unrelated"])
@pytest.mark.parametrize("strategy", WAYS)
def test_what_cannot_help_never_does(digits: Path, w: str, strategy: str) -> None:
    if strategy == "coral" and w == "unrelated":
        pytest.skip("refused: no class is shared")
    found = against_scratch(digits, w, strategy)
    print(f"{w}, {strategy}: {found.sentence}")
    assert found.verdict == "hurt"
