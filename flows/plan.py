"""The plan in words: printed before anything is trained, and all that `headstart run --plan` does."""

from collections.abc import Sequence

from flows.cluster import machines
from flows.console import show
from flows.overrides import as_text
from headstart.cells.budget import duration, fit
from headstart.cells.combinations import check_combinations
from headstart.cells.effective import effective, lowered, settings_for
from headstart.cells.plan import estimate, measure_speed, plan
from headstart.datasets.foreseen import foresee, foresee_target
from headstart.datasets.pack import Card, read_pack_card
from headstart.datasets.read import list_dataset
from headstart.datasets.size import Size, size_of_built_in, size_of_files, size_of_pack
from headstart.datasets.table import get_built_in, is_built_in, units_of
from headstart.datasets.weights_folder import find_weights
from headstart.evaluation.measures import RATE, Measure, measure_of
from headstart.evaluation.resolution import Resolution, planned_resolution
from headstart.evaluation.sentences import in_folds, resolution_line
from headstart.objectives.kinds import Kind
from headstart.settings import Settings, knobs
from tasks.devices import Device, available, check_count
from tasks.versioning import versioning_of
from tasks.workers import cores
from tasks.workspace import Workspace

CUT = ("remedy.max_rounds", "finetune.curve_budgets", "finetune.strategies", "finetune.seeds")  # to fit into minutes


def plan_lines(workspace: Workspace, settings: Settings) -> list[str]:
    """Steps to run, cells, estimated time and disk, and the resolution to expect of the verdict."""
    versioning = versioning_of(workspace.root)
    steps = versioning.affected()
    check_foreseen(workspace, settings, steps)
    sources = [size_of(workspace, name, settings).rows for name in settings.source.data]
    target = size_of(workspace, settings.target.data, settings)
    device = available()[0]
    workers = _workers(device, settings)
    where = elsewhere.name if (elsewhere := machines.get()) else device.name
    found = plan(
        effective(settings, largest=target.largest_label_budget, most=target.most_labels),
        source_rows=sources,
        target_rows=target.rows,
        test_rows=target.test_rows,
        workers=workers,
        device=device.torch_name,
        folds=target.folds,
    )
    measure = target_measure(workspace, settings)
    kind = measure.kind
    at_a_time = f"{workers} at a time" if settings.devices == 1 else f"each over {settings.devices} devices"
    lines = [
        f"plan: up to {len(steps)} of {len(versioning.stages())} steps to run: {', '.join(steps)}"
        if steps
        else "plan: nothing changed since the last run, so no step is to run; the whole would be",
        f"plan: at most {found.cells} cells on {where}, {at_a_time}; about "
        f"{duration(found.seconds)} of training and {found.disk / 2**20:,.0f} MiB on disk, if none is cached",
    ]
    if found.remedies:
        lines.append(
            f"plan: where the best way falls short on held-out labels, up to {found.remedies} remedies more, about "
            f"{duration(found.remedy_seconds)} (remedy.max_rounds)"
        )
    lines += [f"plan: {line}" for line in small_data_lines(settings, target, kind)]
    return [*lines, f"plan: {expected_resolution(settings, target, measure)[1]}"]


def check_foreseen(workspace: Workspace, settings: Settings, steps: Sequence[str]) -> None:
    """Refuses what the run would refuse once the datasets are packed, as far as packs or files tell it already.

    steps: that are to run; a pack that one of them makes anew is not asked. A dataset that is not there yet is passed
    over.

    Raises:
        DataError: the target's files have no class or value, or what is said of its classes is wrong.
        SettingsError: see `check_meaning`; or the label budget is more than there is.
    """
    check_devices(settings)
    name, data = settings.target.data, workspace.data(settings.target.data)
    if _is_packed(workspace, name, "ingest_target", steps):
        target = read_pack_card(workspace.pack(name))
        settings_for(settings, workspace.pack(name))  # which refuses more labels than there are
    elif data.is_dir():
        target = foresee_target(data, settings.data, units=units_of(name, settings.target.unit))
    else:
        return
    cards = {source: _source_card(workspace, source, settings, steps) for source in settings.source.data}
    known = {source: card for source, card in cards.items() if card}
    check_combinations(target, known, settings, settings.finetune.strategies)


def check_devices(settings: Settings) -> None:
    """Refuses a training over more devices than there are, or of a backbone that cannot be shared out on them.

    Raises:
        SettingsError: see `check_count`, and the accelerator's `check_batch_norm`.
    """
    if settings.devices == 1:
        return
    import torch

    from headstart.backbones.network import build
    from headstart.training.accelerator import Accelerator, has_batch_norm

    check_count(available(), settings.devices)
    with torch.device("meta"):
        network = build(settings.backbone, channels=settings.data.channels, classes=2)
    if has_batch_norm(network):
        Accelerator(available()[0].torch_name, world=settings.devices).check_batch_norm()


def _is_packed(workspace: Workspace, dataset: str, step: str, steps: Sequence[str]) -> bool:
    return step not in steps and workspace.pack(dataset).is_dir()


def _source_card(workspace: Workspace, source: str, settings: Settings, steps: Sequence[str]) -> Card | None:
    """As its pack has it, or as its files tell; None where neither is there, or it is weights that no pack is of."""
    data = workspace.data(source)
    if _is_packed(workspace, source, f"ingest_source@{source}", steps):
        return read_pack_card(workspace.pack(source))
    if not data.is_dir() or find_weights(data):
        return None
    return foresee(data, settings.data, units=units_of(source, settings.source.unit))


def small_data_lines(settings: Settings, target: Size, kind: Kind) -> list[str]:
    """That cross-validation takes the place of a test set and why, and which budgets are lowered or left out."""
    if not target.folds:
        return lowered(settings, kind, largest=0, most=target.most_labels)
    data, seeds = settings.data, settings.finetune.seeds
    return [
        f"too few rows for a test set ({data.test_fraction:.0%} of {target.units:,} {target.unit} are fewer than "
        f"data.smallest_test, {data.smallest_test}): each is predicted {in_folds(target.folds, seeds)}, and what is "
        "delivered is trained once more on all of them",
        *lowered(settings, kind, largest=target.largest_label_budget),
    ]


def expected_resolution(settings: Settings, target: Size, measure: Measure) -> tuple[Resolution, str]:
    """The half-width to expect of the verdict, and its line."""
    budget = effective(settings, largest=target.largest_label_budget, most=target.most_labels).finetune.label_budget
    expected = planned_resolution(
        settings.evaluate,
        units=max(target.units, 2),
        seeds=settings.finetune.seeds,
        overlap=target.overlap(budget),
        measure=measure,
    )
    return expected, resolution_line(expected, unit=target.unit, measure=measure, folds=target.folds)


def grid_words(workspace: Workspace, settings: Settings) -> str:
    """A strategy's headline cells in words: "10 labels a class, 5 seeds", "9 labels a class, 5 seeds of 5 folds"."""
    pack = workspace.pack(settings.target.data)
    card = read_pack_card(pack) if pack.is_dir() else None
    grid = (settings_for(settings, pack) if card else settings).finetune
    folds = f" of {card.folds} folds" if card and card.folds else ""
    kind = measure_of(card).kind if card else RATE.kind
    return f"{kind.labels(grid.label_budget)}, {grid.seeds} seeds{folds}"


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
    sources = [size_of(workspace, name, settings).rows for name in settings.source.data]
    target = size_of(workspace, settings.target.data, settings)
    settings = effective(settings, largest=target.largest_label_budget, most=target.most_labels)

    def seconds(proposed: Settings) -> float:
        found = estimate(
            proposed,
            speed,
            source_rows=sources,
            target_rows=target.rows,
            test_rows=target.test_rows,
            workers=_workers(device, settings),
            folds=target.folds,
        )
        return found.seconds + found.remedy_seconds

    fitted = fit(settings, seconds=minutes * 60, estimate=seconds)
    if not fitted.dropped:
        show(f"fits: about {duration(fitted.seconds)} of computing on {device.name}, {minutes:g} min are allowed")
        return {}
    show(
        f"too long: about {duration(seconds(settings))} of computing on {device.name}, {minutes:g} min are allowed",
        *(f"dropped: {what}" for what in fitted.dropped),
        f"now about {duration(fitted.seconds)}",
    )
    before, after = knobs(settings), knobs(fitted.settings)
    return {name: as_text(after[name].value) for name in CUT if after[name].value != before[name].value}


def _workers(device: Device, settings: Settings) -> int:
    """Cells that are trained in the time of one: side by side, or one after the other by several devices each."""
    if elsewhere := machines.get():
        return elsewhere.workers
    if settings.devices > 1:
        return settings.devices
    return cores() if device.kind == "cpu" else 1


def size_of(workspace: Workspace, dataset: str, settings: Settings) -> Size:
    """Of a dataset: from its pack, its files, or what a built-in is known to have."""
    data = settings.data
    if workspace.pack(dataset).is_dir():
        return size_of_pack(read_pack_card(workspace.pack(dataset)))
    if workspace.data(dataset).is_dir() and find_weights(workspace.data(dataset)):
        return Size(0, 0, 0)
    if is_built_in(dataset) and not workspace.data(dataset).is_dir():
        return size_of_built_in(get_built_in(dataset), settings=data)
    return size_of_files(list_dataset(workspace.data(dataset), data), settings=data, seed=settings.seed)
