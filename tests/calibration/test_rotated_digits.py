"""The angle of a rotated digit, end to end: packs, W, features, every strategy, verdict and page, on real digits.

Its printed lines are those of docs/howto/regression.md.
"""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headstart.cells.grid import Places, budget_jobs, cells_table, equal_compute_jobs, headline_jobs
from headstart.cells.job import PREDICTIONS, Job
from headstart.cells.run import run_cell
from headstart.cells.select import choose
from headstart.datasets.pack import POOL, TEST, Card, Pack, read_test_labels, write_pack
from headstart.datasets.splits import split_test
from headstart.datasets.table import DATASETS
from headstart.evaluation.evaluate import Evaluation, evaluate
from headstart.evaluation.measures import measure_of
from headstart.evaluation.sentences import lines
from headstart.features.extract import extract
from headstart.objectives.kinds import VALUE
from headstart.report.inputs import ReportInputs
from headstart.report.page import render
from headstart.settings import Settings, validate
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.pretrain import pretrain

pytestmark = pytest.mark.scenario

SOURCE, TARGET = "mnist5k_angle", "digits_angle"
STILL = {"augment": False}  # an augmented digit is a turned one, and its value would no longer be right
SETTINGS = validate(
    {
        "built_in": [SOURCE, TARGET],
        "source": {"data": SOURCE},
        "target": {"data": TARGET},
        "pretrain": STILL,
        "finetune": {"label_budget": 50, "curve_budgets": [25, 100]},
        "strategies": {"scratch": STILL, "frozen_blocks": STILL, "full": STILL},
    },
    where="test",
)
ACCELERATOR = Accelerator()


def ignore(*args: Any) -> None:
    """Neither progress nor log is wanted here."""


def write_value_pack(directory: Path, name: str, *, test_fraction: float) -> None:
    """A built-in of values as a pack, as ingest makes one."""
    images, values = DATASETS.get(name).load()()
    ids = [f"{row:06d}-0" for row in range(len(values))]
    test = split_test([""] * len(ids), ids, fraction=test_fraction, seed=0) if test_fraction else np.zeros(len(ids))
    split = np.where(test.astype(bool), TEST, POOL)
    examples = pd.DataFrame({"id": ids, "path": ids, "value": values, "split": split, "group": ids})
    known = examples.loc[split == POOL, "value"]
    pixels = images[split == POOL] / 255
    card = Card(
        name=name,
        classes=(),
        counts={},
        splits=examples["split"].value_counts().to_dict(),
        rejected={},
        duplicates=0,
        removed_overlap=0,
        image_size=28,
        channels=1,
        mean=(round(float(pixels.mean()), 6),),
        std=(round(float(pixels.std()), 6),),
        kind="value",
        unit="degrees",
        target_mean=round(float(known.mean()), 6),
        target_std=round(float(known.std(ddof=0)), 6),
    )
    rejected = pd.DataFrame(columns=["path", "reason"])
    write_pack(directory / name, card=card, examples=examples, images=images[..., None], rejected=rejected)


def run_all(jobs: list[Job]) -> list[dict[str, Any]]:
    with ProcessPoolExecutor() as pool:
        return list(pool.map(partial(run_cell, accelerator=ACCELERATOR), jobs))


def run(root: Path, settings: Settings) -> Evaluation:
    """What the steps of a run do, in process."""
    write_value_pack(root / "packs", SOURCE, test_fraction=0.0)
    write_value_pack(root / "packs", TARGET, test_fraction=settings.data.test_fraction)
    places = Places(
        root / "packs" / TARGET, root / "w", root / "features" / TARGET, root / "features" / SOURCE, root / "cells",
        kind="value",
    )  # fmt: skip
    source, target = Pack(root / "packs" / SOURCE), Pack(places.pack)
    pretrain(
        source,
        places.weights,
        backbone=settings.backbone,
        settings=settings.pretrain,
        seed=0,
        accelerator=ACCELERATOR,
        checkpoints=Checkpoints(root / "checkpoints"),
        log=lambda epoch, epochs, loss, error: print(f"W, epoch {epoch}: loss {loss:.3f}, validation MAE {error:.2f}"),
    )
    extract(
        source,
        target,
        weights=places.weights,
        directories=(places.source_features, places.features),
        settings=settings.extract,
        boundary=2,
        seed=0,
        accelerator=ACCELERATOR,
        progress=ignore,
    )
    jobs = [job for name in settings.finetune.strategies for job in headline_jobs(settings, name, places, {})]
    summaries = run_all(jobs)
    cells = cells_table(jobs, summaries)
    choice = choose(cells, settings.finetune.strategies, VALUE)
    chosen = choice["strategy"]
    further = [
        job
        for budget in settings.finetune.curve_budgets
        for name in ("scratch", chosen)
        for job in budget_jobs(settings, name, budget, places, {})
    ]
    compute = cells[cells["variant"] == ""].groupby("strategy")["compute"].mean()
    headline = [job for job in jobs if job.strategy == "scratch" and not job.variant]
    further += equal_compute_jobs(headline, control=compute["scratch"], chosen=compute[chosen])
    jobs, summaries = jobs + further, summaries + run_all(further)
    predictions = [
        pd.read_parquet(job.directory / PREDICTIONS).assign(
            strategy=job.strategy, variant=job.variant, label_budget=job.label_budget, seed=job.seed
        )
        for job in jobs
    ]
    measure = measure_of(target.card)
    evaluation = evaluate(
        predictions=pd.concat(predictions, ignore_index=True),
        cells=cells_table(jobs, summaries),
        labelled={(job.label_budget, job.seed): s["labelled"] for job, s in zip(jobs, summaries, strict=True)},
        truth=read_test_labels(places.pack),
        classes=(),
        families={name: STRATEGIES.get(name).family for name in settings.finetune.strategies},
        chosen=chosen,
        headline_budget=settings.finetune.label_budget,
        settings=settings.evaluate,
        opened=1,
        measure=measure,
    )
    print(f"chosen on validation: {choice}")
    print("\n".join(lines(evaluation.verdict, measure)))
    return evaluation


def page(root: Path, evaluation: Evaluation) -> Path:
    """The report, as the step of that name makes it."""
    pack, verdict = Pack(root / "packs" / TARGET), evaluation.verdict.model_dump(mode="json")
    rows = pack.rows(TEST)
    truth = evaluation.predictions.drop_duplicates("id").set_index("id")["truth"]
    chosen, budget = verdict["against_scratch"]["strategy"], verdict["against_scratch"]["label_budget"]
    looks = [row for row in verdict["exploratory"] if (row["against"], row["label_budget"]) == ("scratch", budget)]
    cells = evaluation.comparison.drop_duplicates(["strategy", "label_budget", "seed"])
    names = cells["strategy"].str.partition(":")
    card = {"name": TARGET, "values": "-0.4 ± 34.0 degrees", "splits": pack.card.splits, "rows": len(pack.examples)}
    pool = pack.rows(POOL)[:20]
    return render(
        ReportInputs(
            verdict=verdict,
            comparison=evaluation.comparison,
            differences=pd.DataFrame([verdict["against_scratch"], *looks])[["strategy", "difference", "low", "high"]],
            predictions=evaluation.predictions,
            convergence=evaluation.snapshots,
            cells=cells.assign(strategy=names[0], variant=names[2], compute=1e12, pretraining_compute=0.0, labels=50),
            classes=(),
            chosen=chosen,
            headline_budget=budget,
            images=dict(zip(pack.ids(rows), pack.images[rows][:, 0], strict=True)),
            source_samples=[],
            target_samples=list(zip(pack.values(pool).astype(str), pack.images[pool][:, 0], strict=True)),
            target_features=np.load(root / "features" / TARGET / "pooled.npy")[rows],
            target_raw=pack.images[rows].reshape(len(rows), -1) / 255.0,
            target_labels=list(truth.loc[pack.ids(rows)]),
            source_card=card | {"name": SOURCE},
            target_card=card,
            settings_yaml="",
            measure=measure_of(pack.card),
        ),
        root / "reports",
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("angles")


@pytest.fixture(scope="module")
def evaluation(root: Path) -> Evaluation:
    return run(root, SETTINGS)


def test_a_source_of_angles_helps_with_angles(evaluation: Evaluation) -> None:
    verdict = evaluation.verdict
    assert (verdict.metric, verdict.unit) == ("mae", "degrees")
    assert verdict.against_scratch.verdict == "helped"

    assert verdict.against_source is not None
    assert verdict.against_source.verdict == "helped"
    assert 3 < verdict.against_scratch.difference < 8


def test_its_page_speaks_of_degrees(root: Path, evaluation: Evaluation) -> None:
    text = page(root, evaluation).read_text()
    assert "degrees lower than training from scratch" in text
    assert "Predicted against true values" in text
    assert "points of" not in text
