"""The grid: which cells a step runs, and what it publishes of them. Torch-free, so that a plan can be shown at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from headstart.cells.job import Job
from headstart.entrants import CONTROL, EQUAL_COMPUTE, HALF_STEPS
from headstart.settings import Settings
from headstart.strategies.settings import TuneRecipe
from headstart.strategies.table import STRATEGIES


@dataclass(frozen=True)
class Places:
    """Where the grid's inputs and cells lie; kind: of the target; source: the W's, where there are several."""

    pack: Path
    weights: Path
    features: Path
    source_features: Path
    cells: Path
    kind: str = "class"
    source: str = ""


def headline_jobs(settings: Settings, strategy: str, places: Places, inputs: dict[str, Any]) -> list[Job]:
    """A strategy's cells at the headline budget; of the control also those with half its steps."""
    jobs = budget_jobs(settings, strategy, settings.finetune.label_budget, places, inputs)
    jobs = [replace(job, snapshots=True) for job in jobs]
    if strategy == CONTROL:
        jobs += [at_steps(job, HALF_STEPS, job.recipe.steps // 2) for job in jobs]  # type: ignore[attr-defined]
    return jobs


def budget_jobs(settings: Settings, strategy: str, budget: int, places: Places, inputs: dict[str, Any]) -> list[Job]:
    """A strategy's cells at one label budget, one a seed."""
    finetune = settings.finetune
    reads = STRATEGIES.get(strategy).reads
    return [
        Job(
            strategy=strategy,
            variant="",
            label_budget=budget,
            seed=seed,
            run_seed=settings.seed,
            stride=max(finetune.label_budget, *finetune.curve_budgets, 0),
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
        )
        for seed in range(finetune.seeds)
    ]


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
    """One row a cell: strategy (the entrant), variant, label_budget, seed, and its summary without labelled ids."""
    return pd.DataFrame(
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
