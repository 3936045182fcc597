"""A/A runs: scratch against scratch through the real cells and the real evaluation, where the truth is 'no difference'.

The statistics are tested on simulated data in tests/unit/evaluation; a simulation under one's own generator proves
little, so here the differences come from real trainings of a small network on noisy pictures.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headstart.cells.grid import Places, at_steps, budget_jobs, cells_table
from headstart.cells.job import PREDICTIONS, Job
from headstart.cells.run import run_cell
from headstart.datasets.pack import POOL, TEST, Card, read_test_labels, write_pack
from headstart.entrants import HALF_STEPS
from headstart.evaluation.document import Verdict
from headstart.evaluation.evaluate import evaluate
from headstart.settings import Settings, validate
from headstart.training.accelerator import Accelerator, seed_of

CLASSES = ("down", "left", "up")
ROWS, TEST_ROWS, SIDE = 360, 150, 8
TWIN = "full"  # the name under which the second arm enters; its cells are scratch's, from other random numbers


def settings(run: int) -> Settings:
    return validate(
        {
            "seed": run,
            "data": {"image_size": SIDE},
            "finetune": {"label_budget": 8, "curve_budgets": [], "seeds": 5},
            "strategies": {"scratch": {"steps": 24, "augment": False}},
        },
        where="test",
    )


def noisy_pack(directory: Path, run: int) -> None:
    """Ramps in three directions under so much noise that a small network is right on some 85% of the rows."""
    draw = np.random.default_rng(run)
    ramp = np.linspace(-1, 1, SIDE)
    shapes = {"down": ramp[:, None] + 0 * ramp, "up": -ramp[:, None] + 0 * ramp, "left": ramp + 0 * ramp[:, None]}
    labels = np.array(CLASSES)[draw.integers(0, 3, ROWS)]
    pictures = np.stack([shapes[label] for label in labels]) * 40 + draw.normal(0, 95, (ROWS, SIDE, SIDE)) + 128
    ids = [f"{row:06d}-0" for row in range(ROWS)]
    splits = [TEST] * TEST_ROWS + [POOL] * (ROWS - TEST_ROWS)
    examples = pd.DataFrame({"id": ids, "path": ids, "label": labels, "split": splits, "group": ids})
    counts = examples[TEST_ROWS:]["label"].value_counts().to_dict()
    card = Card(directory.name, CLASSES, counts, {}, {}, 0, 0, SIDE, 1, (0.5,), (0.35,))
    rejected = pd.DataFrame(columns=["path", "reason"])
    images = pictures.clip(0, 255).astype(np.uint8)[..., None]
    write_pack(directory, card=card, examples=examples, images=images, rejected=rejected)


def run_arms(folder: Path, run: int) -> Verdict:
    """Both arms on the same rows and labels; the twin's weights and data order come from seeds of their own."""
    noisy_pack(folder / "packs" / "noise", run)
    chosen = settings(run)
    places = Places(folder / "packs" / "noise", folder, folder, folder, folder / "cells")
    control = budget_jobs(chosen, "scratch", 8, places, {})
    control += [at_steps(job, HALF_STEPS, 12) for job in control]
    jobs = control + [replace(job, inputs={"twin": True}) for job in control[:5]]
    accelerator = Accelerator()
    summaries = [run_cell(job, accelerator) for job in control]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstart.cells.tuning.seed_of", lambda *key: seed_of("twin", *key))
        summaries += [run_cell(job, accelerator) for job in jobs[10:]]
    names = ["scratch"] * 10 + [TWIN] * 5
    predictions = pd.concat([_predictions(job, name) for job, name in zip(jobs, names, strict=True)])
    return evaluate(
        predictions=predictions,
        cells=cells_table(jobs, summaries).assign(strategy=names),
        labelled={(8, job.seed): [summary["labelled"]] for job, summary in zip(jobs, summaries, strict=True)},
        truth=read_test_labels(places.pack),
        classes=CLASSES,
        families={"scratch": "control", TWIN: "twin"},
        chosen=TWIN,
        headline_budget=8,
        settings=chosen.evaluate,
        opened=1,
    ).verdict


def _predictions(job: Job, name: str) -> pd.DataFrame:
    table = pd.read_parquet(job.directory / PREDICTIONS)
    own = {"strategy": name, "variant": job.variant, "label_budget": job.label_budget, "seed": job.seed}
    return table[table["progress"] == 1].assign(**own)


def test_a_few_a_a_runs_never_claim_that_transfer_helped(tmp_path: Path) -> None:
    verdicts = [run_arms(tmp_path / str(run), run) for run in range(2)]
    assert [verdict.against_scratch.verdict for verdict in verdicts].count("helped") == 0
    assert all(verdict.against_scratch.low < 0 < verdict.against_scratch.high for verdict in verdicts)
    assert all(verdict.against_scratch.disagreeing_units > 5 for verdict in verdicts)  # the arms do differ by row


@pytest.mark.slow
def test_200_a_a_runs_say_helped_in_at_most_five_percent(tmp_path: Path) -> None:
    verdicts = [run_arms(tmp_path / str(run), run) for run in range(200)]
    contrasts = [verdict.against_scratch for verdict in verdicts]
    share = {
        word: sum(contrast.verdict == word for contrast in contrasts) / len(contrasts)
        for word in ("helped", "hurt", "equivalent", "not settled")
    }
    excluded = sum(not contrast.low <= 0 <= contrast.high for contrast in contrasts) / len(contrasts)
    print(f"A/A, 200 runs: {share}; intervals that exclude 0: {excluded:.3f}")
    assert share["helped"] <= 0.05
    assert excluded <= 0.09  # 5% nominal; with 200 runs a true 5% stays below 9% in 99 of 100 cases
