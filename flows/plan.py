"""The plan in words: printed before anything is trained, and all that `headstart run --plan` does."""

import json

from headstart.cells.plan import plan
from headstart.datasets.folder import list_folder
from headstart.datasets.pack import Pack
from headstart.datasets.table import DATASETS
from headstart.evaluation.measures import RATE, Measure, measure_of
from headstart.evaluation.resolution import planned_resolution
from headstart.evaluation.sentences import resolution_line
from headstart.settings import Settings
from headstart.storage.publish import MANIFEST
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
    measure = target_measure(workspace, settings)
    expected = planned_resolution(settings.evaluate, units=max(test, 2), seeds=settings.finetune.seeds, measure=measure)
    return [
        f"plan: up to {len(steps)} of {len(versioning.stages())} steps to run: {', '.join(steps) or 'none'}",
        f"plan: at most {estimate.cells} cells on {device.name}, {workers} at a time; about "
        f"{_duration(estimate.seconds)} of training and {estimate.disk / 2**20:,.0f} MiB on disk, if none is cached",
        f"plan: {resolution_line(expected, measure=measure)}",
    ]


def target_measure(workspace: Workspace, settings: Settings) -> Measure:
    """What the verdict will be measured in, by the target's pack; before there is one, rates are taken for granted."""
    pack = workspace.pack(settings.target.data)
    return measure_of(Pack(pack).card) if (pack / MANIFEST).is_file() else RATE


def _rows(workspace: Workspace, dataset: str, settings: Settings) -> tuple[int, int]:
    """(rows, test rows) of a dataset: from its pack, its files, or what a built-in is known to have."""
    card = workspace.pack(dataset) / "card.json"
    if card.is_file():
        splits = json.loads(card.read_text())["pack"]["splits"]
        return sum(splits.values()), splits.get("test", 0)
    known = dataset in DATASETS and not workspace.data(dataset).is_dir()
    rows = DATASETS.get(dataset).rows if known else len(list_folder(workspace.data(dataset)).paths)
    return rows, round(rows * settings.data.test_fraction)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
