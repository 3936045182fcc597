"""A/A runs: scratch against scratch through the real cells and the real evaluation, where the truth is 'no difference'.

The statistics are tested on simulated data in tests/unit/evaluation; a simulation under one's own generator proves
little, so here the differences come from real trainings of a small network on noisy pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headstart.cells.grid import Places, at_steps, budget_jobs, cells_table
from headstart.cells.job import PREDICTIONS, Job
from headstart.cells.remedies import Case, course_document, treat
from headstart.cells.run import run_cell
from headstart.datasets.pack import POOL, TEST, Card, read_pack_card, read_test_labels, write_pack
from headstart.entrants import HALF_STEPS
from headstart.evaluation.document import Verdict
from headstart.evaluation.evaluate import evaluate
from headstart.evaluation.interim import HeldOut
from headstart.evaluation.measures import RATE
from headstart.evaluation.overlap import average_overlap
from headstart.settings import Settings, validate
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator, seed_of

TWIN = "full"  # the name under which the second arm enters; its cells are scratch's, from other random numbers
CLASSES = ("down", "left", "up")
ROWS, TEST_ROWS, SIDE = 360, 150, 8


def settings(run: int) -> Settings:
    return validate(
        {
            "seed": run,
            "data": {"image_size": SIDE},
            "finetune": {"label_budget": 8, "curve_budgets": [], "seeds": 5, "strategies": ["scratch", TWIN]},
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
    card = Card(
        directory.name,
        CLASSES,
        counts,
        {},
        {},
        0,
        0,
        "image",
        1,
        (SIDE, SIDE),
        {"image_size": SIDE, "channels": 1},
        (0.5,),
        (0.35,),
    )
    rejected = pd.DataFrame(columns=["path", "reason"])
    images = pictures.clip(0, 255).astype(np.uint8)[:, None]
    write_pack(directory, card=card, examples=examples, inputs=images, rejected=rejected)


@dataclass
class Arms:
    """Arms of one run on the same rows and labels; all but the control's train from seeds of their own."""

    folder: Path
    run: int

    def __post_init__(self) -> None:
        noisy_pack(self.folder / "packs" / "noise", self.run)
        self.settings = settings(self.run)
        self.places = Places(self.folder / "packs" / "noise", *[self.folder] * 3, self.folder / "cells")
        self.jobs: list[Job] = []
        self.names: list[str] = []
        self.summaries: list[dict[str, Any]] = []
        control = budget_jobs(self.settings, "scratch", 8, self.places, {})
        self._add("scratch", control + [at_steps(job, HALF_STEPS, 12) for job in control])

    def twin(self, name: str) -> pd.DataFrame:
        """One more arm, which is scratch by another name; returns its cells."""
        jobs = [
            replace(job, inputs={"twin": name}) for job in budget_jobs(self.settings, "scratch", 8, self.places, {})
        ]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("headstart.cells.tuning.seed_of", lambda *key: seed_of("twin", name, *key))
            self._add(name, jobs)
        return self.cells[self.cells["strategy"] == name]

    @property
    def cells(self) -> pd.DataFrame:
        return cells_table(self.jobs, self.summaries).assign(strategy=self.names)

    @property
    def labelled(self) -> dict[tuple[int, int], list[list[str]]]:
        return {(8, job.seed): [own["labelled"]] for job, own in zip(self.jobs, self.summaries, strict=True)}

    def verdict(self, chosen: str, rounds: Sequence[dict[str, Any]] = ()) -> Verdict:
        return evaluate(
            predictions=pd.concat([_predictions(job, name) for job, name in zip(self.jobs, self.names, strict=True)]),
            cells=self.cells,
            labelled=self.labelled,
            truth=read_test_labels(self.places.pack),
            classes=CLASSES,
            families={name: "twin" for name in ("scratch", *STRATEGIES.names())},
            chosen=chosen,
            headline_budget=8,
            settings=self.settings.evaluate,
            opened=1,
            rounds=rounds,
        ).verdict

    def _add(self, name: str, jobs: list[Job]) -> None:
        self.summaries += [run_cell(job, Accelerator()) for job in jobs]
        self.jobs += jobs
        self.names += [name] * len(jobs)


def run_arms(folder: Path, run: int) -> Verdict:
    """Scratch against its twin."""
    arms = Arms(folder, run)
    arms.twin(TWIN)
    return arms.verdict(TWIN)


def run_with_remedies(folder: Path, run: int) -> Verdict:
    """The same where the twin may fall short on held-out labels, and further twins come in as remedies."""
    arms = Arms(folder, run)
    arms.twin(TWIN)
    draws = [arms.labelled[8, seed] for seed in range(5)]
    held = HeldOut(round(0.2 * len(draws[0][0])), average_overlap(draws), 0.95, 0.01, RATE)
    case = Case(arms.settings, read_pack_card(arms.places.pack), {"mnist5k": read_pack_card(arms.places.pack)}, [], 4)
    course = treat(case, arms.cells, held, attempt=lambda remedy, number: arms.twin(remedy.way.entrant))
    return arms.verdict(course.standing.entrant, course_document(course, held)["rounds"])


def _predictions(job: Job, name: str) -> pd.DataFrame:
    table = pd.read_parquet(job.directory / PREDICTIONS)
    own = {"strategy": name, "variant": job.variant, "label_budget": job.label_budget, "seed": job.seed}
    return table[table["progress"] == 1].assign(**own)


def test_a_few_a_a_runs_never_claim_that_transfer_helped(tmp_path: Path) -> None:
    verdicts = [run_arms(tmp_path / str(run), run) for run in range(2)]
    assert [verdict.against_scratch.verdict for verdict in verdicts].count("helped") == 0
    assert all(verdict.against_scratch.low < 0 < verdict.against_scratch.high for verdict in verdicts)
    assert all(verdict.against_scratch.disagreeing_units > 5 for verdict in verdicts)  # the arms do differ by row


def test_a_run_with_remedies_does_not_either(tmp_path: Path) -> None:
    verdict = run_with_remedies(tmp_path, 0)
    assert [row["tried"] for row in verdict.rounds] == ["frozen_blocks", "l2_sp", "wise_ft", "rotation"]
    assert verdict.against_scratch.verdict == "not settled"


@pytest.mark.slow
def test_200_a_a_runs_with_remedies_say_helped_in_at_most_five_percent(tmp_path: Path) -> None:
    verdicts = [run_with_remedies(tmp_path / str(run), run) for run in range(200)]
    words = [verdict.against_scratch.verdict for verdict in verdicts]
    rounds = [len(verdict.rounds) for verdict in verdicts]
    print(
        f"A/A with remedies, 200 runs: helped {words.count('helped') / 200:.3f}, hurt {words.count('hurt') / 200:.3f}; "
        f"{np.mean(rounds):.1f} remedies a run, {np.mean(np.array(rounds) > 0):.0%} of the runs had any"
    )
    assert words.count("helped") / 200 <= 0.05


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
