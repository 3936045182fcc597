"""The plan in words: printed before anything is trained, and all that `headstart run --plan` does."""

import json

from headstart.cells.plan import plan
from headstart.datasets.pack import TEST, UNLABELLED
from headstart.datasets.read import list_dataset
from headstart.datasets.table import get_built_in, is_built_in
from headstart.datasets.weights_folder import find_weights
from headstart.evaluation.resolution import resolution
from headstart.evaluation.sentences import resolution_line
from headstart.settings import Settings
from tasks.devices import available
from tasks.versioning import versioning_of
from tasks.workers import cores
from tasks.workspace import Workspace


def plan_lines(workspace: Workspace, settings: Settings) -> list[str]:
    """Steps to run, cells, estimated time and disk, and the resolution to expect of the verdict."""
    versioning = versioning_of(workspace.root)
    steps = versioning.affected()
    source, _ = _rows(workspace, settings.source.data, settings)
    target, test = _rows(workspace, settings.target.data, settings)
    device = available()[0]
    workers = cores() if device.kind == "cpu" else 1
    estimate = plan(
        settings,
        source_rows=source,
        target_rows=target,
        test_rows=test,
        workers=workers,
        device=device.torch_name,
    )
    expected = resolution(
        units=max(test, 2),
        seeds=settings.finetune.seeds,
        disagreement=settings.evaluate.expected_disagreement,
        seed_sd=settings.evaluate.expected_seed_sd,
        confidence=settings.evaluate.confidence,
    )
    return [
        f"plan: up to {len(steps)} of {len(versioning.stages())} steps to run: {', '.join(steps) or 'none'}",
        f"plan: at most {estimate.cells} cells on {device.name}, {workers} at a time; about "
        f"{_duration(estimate.seconds)} of training and {estimate.disk / 2**20:,.0f} MiB on disk, if none is cached",
        f"plan: {resolution_line(expected)}",
    ]


def _rows(workspace: Workspace, dataset: str, settings: Settings) -> tuple[int, int]:
    """(rows, test rows) of a dataset: from its pack, its files, or what a built-in is known to have."""
    card = workspace.pack(dataset) / "card.json"
    if card.is_file():
        splits = json.loads(card.read_text())["pack"]["splits"]
        return sum(count for split, count in splits.items() if split != UNLABELLED), splits.get(TEST, 0)
    if workspace.data(dataset).is_dir() and find_weights(workspace.data(dataset)):
        return 0, 0
    if is_built_in(dataset) and not workspace.data(dataset).is_dir():
        entry = get_built_in(dataset)
        return entry.rows, entry.test_rows or round(entry.rows * settings.data.test_fraction)
    splits = list_dataset(workspace.data(dataset), settings.data).splits
    rows = sum(split != UNLABELLED for split in splits)
    return rows, splits.count(TEST) or round(rows * settings.data.test_fraction)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
