"""The plan in words: printed before anything is trained, and all that `headstart run --plan` does."""

from flows.console import show
from flows.overrides import as_text
from headstart.cells.budget import fit
from headstart.cells.plan import estimate, measure_speed, plan
from headstart.datasets.pack import TEST, UNLABELLED, read_pack_card
from headstart.datasets.read import list_dataset
from headstart.datasets.table import get_built_in, is_built_in
from headstart.datasets.weights_folder import find_weights
from headstart.evaluation.measures import RATE, Measure, measure_of
from headstart.evaluation.resolution import planned_resolution
from headstart.evaluation.sentences import resolution_line
from headstart.settings import Settings
from tasks.devices import Device, available
from tasks.versioning import versioning_of
from tasks.workers import cores
from tasks.workspace import Workspace


def plan_lines(workspace: Workspace, settings: Settings) -> list[str]:
    """Steps to run, cells, estimated time and disk, and the resolution to expect of the verdict."""
    versioning = versioning_of(workspace.root)
    steps = versioning.affected()
    sources = _source_rows(workspace, settings)
    target, test = _rows(workspace, settings.target.data, settings)
    device = available()[0]
    workers = _workers(device)
    found = plan(
        settings,
        source_rows=sources,
        target_rows=target,
        test_rows=test,
        workers=workers,
        device=device.torch_name,
    )
    measure = target_measure(workspace, settings)
    expected = planned_resolution(settings.evaluate, units=max(test, 2), seeds=settings.finetune.seeds, measure=measure)
    return [
        f"plan: up to {len(steps)} of {len(versioning.stages())} steps to run: {', '.join(steps) or 'none'}",
        f"plan: at most {found.cells} cells on {device.name}, {workers} at a time; about "
        f"{_duration(found.seconds)} of training and {found.disk / 2**20:,.0f} MiB on disk, if none is cached",
        f"plan: {resolution_line(expected, measure=measure)}",
    ]


def target_measure(workspace: Workspace, settings: Settings) -> Measure:
    """What the verdict will be measured in, by the target's pack; before there is one, rates are taken for granted."""
    pack = workspace.pack(settings.target.data)
    return measure_of(read_pack_card(pack)) if pack.is_dir() else RATE


def fit_minutes(workspace: Workspace, settings: Settings, minutes: float) -> dict[str, str]:
    """The overrides that make the grid fit into `minutes` on this device; says what is dropped.

    Raises:
        UserError: not even the smallest grid fits.
    """
    device = available()[0]
    speed = measure_speed(settings, device=device.torch_name)
    sources = _source_rows(workspace, settings)
    target, test = _rows(workspace, settings.target.data, settings)

    def seconds(proposed: Settings) -> float:
        return estimate(
            proposed, speed, source_rows=sources, target_rows=target, test_rows=test, workers=_workers(device)
        ).seconds

    fitted = fit(settings, seconds=minutes * 60, estimate=seconds)
    if not fitted.dropped:
        show(f"fits: about {_duration(fitted.seconds)} of computing on {device.name}, {minutes:g} min are allowed")
        return {}
    show(
        f"too long: about {_duration(seconds(settings))} of computing on {device.name}, {minutes:g} min are allowed",
        *(f"dropped: {what}" for what in fitted.dropped),
        f"now about {_duration(fitted.seconds)}",
    )
    before, after = settings.finetune, fitted.settings.finetune
    return {
        f"finetune.{name}": as_text(getattr(after, name))
        for name in ("curve_budgets", "strategies", "seeds")
        if getattr(after, name) != getattr(before, name)
    }


def _workers(device: Device) -> int:
    return cores() if device.kind == "cpu" else 1


def _source_rows(workspace: Workspace, settings: Settings) -> list[int]:
    return [_rows(workspace, name, settings)[0] for name in settings.source.data]


def _rows(workspace: Workspace, dataset: str, settings: Settings) -> tuple[int, int]:
    """(rows, test rows) of a dataset: from its pack, its files, or what a built-in is known to have."""
    if workspace.pack(dataset).is_dir():
        splits = read_pack_card(workspace.pack(dataset)).splits
        return sum(count for split, count in splits.items() if split != UNLABELLED), splits.get(TEST, 0)
    if workspace.data(dataset).is_dir() and find_weights(workspace.data(dataset)):
        return 0, 0
    if is_built_in(dataset) and not workspace.data(dataset).is_dir():
        entry = get_built_in(dataset)
        return entry.rows, entry.test_rows or round(entry.rows * settings.data.test_fraction)
    given = list_dataset(workspace.data(dataset), settings.data).splits
    rows = sum(split != UNLABELLED for split in given)
    return rows, given.count(TEST) or round(rows * settings.data.test_fraction)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
