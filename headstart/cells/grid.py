"""The grid: which cells a step runs, and what it publishes of them. Torch-free, so that a plan can be shown at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from headstart.cells.job import ALL_ROWS, REFIT, Job
from headstart.entrants import CONTROL, EQUAL_COMPUTE, HALF_STEPS
from headstart.objectives.kinds import VALUE, VALUES
from headstart.settings import Settings
from headstart.strategies.settings import TuneRecipe
from headstart.strategies.table import STRATEGIES

CELL = ["strategy", "variant", "label_budget", "seed"]


@dataclass(frozen=True)
class Places:
    """Where the grid's inputs and cells lie, and what its cells need to know of the target.

    source: the W's, where there are several. folds, largest_label_budget: of the target's cross-validation, 0 where
    there is a test set.
    """

    pack: Path
    weights: Path
    features: Path
    source_features: Path
    cells: Path
    kind: str = "class"
    source: str = ""
    folds: int = 0
    largest_label_budget: int = 0
    source_pack: Path = Path()


def headline_jobs(settings: Settings, strategy: str, places: Places, inputs: dict[str, Any]) -> list[Job]:
    """A strategy's cells at the headline budget; of the control also those with half its steps."""
    jobs = budget_jobs(settings, strategy, settings.finetune.label_budget, places, inputs)
    jobs = [replace(job, snapshots=True) for job in jobs]
    if strategy == CONTROL:
        jobs += [at_steps(job, HALF_STEPS, job.recipe.steps // 2) for job in jobs]  # type: ignore[attr-defined]
    return jobs


def budget_jobs(settings: Settings, strategy: str, budget: int, places: Places, inputs: dict[str, Any]) -> list[Job]:
    """A strategy's cells at one label budget: one a seed, or one a seed and fold.

    In folds a seed owns all rows outside of its fold: seeds that were to share none would share some after all, as
    their folds are others (false alarms of 6.3% where these are 4.5%: docs/statistics.md).
    """
    finetune = settings.finetune
    entry = STRATEGIES.get(strategy)
    reads = entry.reads
    return [
        Job(
            strategy=strategy,
            variant="",
            label_budget=budget,
            seed=seed,
            run_seed=settings.seed,
            stride=places.largest_label_budget or max(finetune.label_budget, *finetune.curve_budgets, 0),
            validation_fraction=finetune.validation_fraction,
            backbone=settings.backbone,
            recipe=settings.recipe(strategy),
            pack=str(places.pack),
            weights=str(places.weights),
            features=str(places.features),
            source_features=str(places.source_features),
            cells=str(places.cells),
            levels=settings.extract.levels if "pooled" in reads else 0,
            inputs=inputs,
            snapshots=False,
            kind=places.kind,
            source=places.source if reads else "",
            fold=fold,
            source_pack=str(places.source_pack) if "rows" in reads else "",
            boundary=settings.recipe("frozen_blocks").fixed_blocks,
            views=settings.extract.views,
            unseen=settings.target.unseen if entry.needs_unseen else (),
            interval_level=settings.evaluate.interval_level if places.kind in (VALUE.name, VALUES.name) else 0.0,
            precision=settings.precision,
            devices=settings.devices if isinstance(settings.recipe(strategy), TuneRecipe) else 1,
        )
        for seed in range(finetune.seeds)
        for fold in (range(places.folds) if places.folds else (None,))
    ]


def refit_jobs(headline: Sequence[Job]) -> list[Job]:
    """The cell of a cross-validated strategy that is delivered, trained on all labelled rows; none with a test set.

    Budget and stride are 0: neither has a say in it.
    """
    first = headline[0]
    if first.fold is None:
        return []
    return [replace(first, variant=REFIT, fold=ALL_ROWS, label_budget=0, stride=0, snapshots=False)]


def at_steps(job: Job, variant: str, steps: int) -> Job:
    """The same cell at another length; equal lengths are the same cell, whatever the variant is called."""
    recipe = job.recipe.model_copy(update={"steps": max(steps, 1)})
    return replace(job, variant=variant, recipe=recipe, snapshots=False)


def equal_compute_jobs(headline: Sequence[Job], *, control: float, chosen: float) -> list[Job]:
    """The control's cells cut to the compute that the chosen strategy took, given W.

    control, chosen: FLOPs of one cell of each.
    """
    whole = headline[0].recipe
    assert isinstance(whole, TuneRecipe)
    steps = min(whole.steps, max(1, round(whole.steps * chosen / control)))
    return [at_steps(job, EQUAL_COMPUTE, steps) for job in headline]


def cells_table(jobs: Sequence[Job], summaries: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One row a cell: strategy (the entrant), variant, label_budget, seed, and its summary without the labelled ids.

    The folds of a seed are one row, with the means of their numbers: what one training took, and how it scored.
    """
    table = pd.DataFrame(
        [
            {
                "strategy": job.entrant,
                "variant": job.variant,
                "label_budget": job.label_budget,
                "seed": job.seed,
                **{key: value for key, value in summary.items() if key != "labelled"},
                "labels": len(summary["labelled"]),
            }
            for job, summary in zip(jobs, summaries, strict=True)
        ]
    )
    if all(job.fold is None for job in jobs):
        return table
    numbers = table.columns[len(CELL) :]
    table[numbers] = table[numbers].astype(float)
    return table.groupby(CELL, sort=False, as_index=False).mean()
