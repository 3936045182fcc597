"""The plan: what a run will do and what to expect of it, before anything is trained."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from headstart.cells.remedies import most_remedies
from headstart.modalities.table import fields_of, row_bytes, row_shape, unknown_moments
from headstart.settings import Settings
from headstart.strategies.settings import TuneRecipe
from headstart.strategies.table import STRATEGIES

TIMED = 5  # training steps that the estimate is made from
SNAPSHOTS = 4  # predictions of the test rows in a headline cell; one in the others
BYTES_PER_PARAMETER = 4


@dataclass(frozen=True)
class Plan:
    """cells: trainings and solves of the grid. seconds: of computing, on this device. disk: bytes to be written.

    remedies: how many may be tried beside, where the target falls short; remedy_seconds: what all of them take.
    """

    cells: int
    seconds: float
    disk: int
    remedies: int = 0
    remedy_seconds: float = 0.0


@dataclass(frozen=True)
class Speed:
    """Seconds of a training step of 32 rows and of predicting a row, and the network's parameters.

    activation: bytes of a row at the boundary that frozen_blocks starts from.
    """

    step: float
    prediction: float
    parameters: int
    activation: int = 0


def plan(
    settings: Settings,
    *,
    source_rows: Sequence[int],
    target_rows: int,
    test_rows: int,
    workers: int,
    device: str,
    folds: int = 0,
) -> Plan:
    """Estimates a whole run from a few timed steps of this backbone on this device.

    settings: with the label budgets that the target has. source_rows: of each source. test_rows: of the target_rows;
    all of them where they are predicted in `folds`. workers: cells that are trained at a time.

    Raises:
        SettingsError: more blocks are to be fixed than the backbone has.
    """
    speed = measure_speed(settings, device=device)
    return estimate(
        settings,
        speed,
        source_rows=source_rows,
        target_rows=target_rows,
        test_rows=test_rows,
        workers=workers,
        folds=folds,
    )


def estimate(
    settings: Settings,
    speed: Speed,
    *,
    source_rows: Sequence[int],
    target_rows: int,
    test_rows: int,
    workers: int,
    folds: int = 0,
) -> Plan:
    """The plan by arithmetic, from a speed that was measured once.

    Each fold of each seed is a training, and each strategy is trained once more on all rows, to be delivered.
    """
    finetune, parts = settings.finetune, max(folds, 1)
    trainings, refits = finetune.seeds * parts, int(folds > 0)
    budgets = 1 + len(finetune.curve_budgets)
    trained = [name for name in finetune.strategies if isinstance(settings.recipe(name), TuneRecipe)]
    entering = len(settings.entering)
    entrances = {name: entering if STRATEGIES.get(name).reads else 1 for name in finetune.strategies}
    work = {name: settings.recipe(name).work for name in trained}
    steps = sum((trainings + refits) * entrances[name] * work[name] for name in trained)
    control = work["scratch"]
    candidates = [work[name] for name in trained if STRATEGIES.get(name).role == "transfer"]
    steps += trainings * (control / 2 + (budgets - 1) * (control + max(candidates, default=0)) + control / 2)
    size = settings.pretrain.batch_size
    pretraining = sum(settings.pretrain.epochs * (rows // size) * size / 32 for rows in source_rows)
    cells = trainings * (sum(entrances.values()) + 2 + 2 * (budgets - 1)) + refits * sum(entrances.values())
    row = row_bytes(settings.data)
    snapshots = (SNAPSHOTS - 1) * trainings * sum(entrances[name] for name in trained)
    predicted = test_rows / parts * (cells + snapshots)
    views = target_rows * (1 + settings.extract.views)
    extracted = sum(source_rows) + len(source_rows) * views
    kept = views * speed.activation
    kept *= kept <= settings.extract.activations_gb * 1e9
    disk = (sum(source_rows) + target_rows) * row + len(source_rows) * kept
    remedies = most_remedies(settings)
    remedy_steps = (trainings + refits) * sum(settings.recipe(name).work for name in remedies)
    return Plan(
        cells=cells,
        seconds=speed.step * (steps / workers + pretraining) + speed.prediction * (predicted / workers + extracted),
        disk=int(disk + cells * speed.parameters * BYTES_PER_PARAMETER),
        remedies=len(remedies),
        remedy_seconds=speed.step * remedy_steps / workers,
    )


def measure_speed(settings: Settings, *, device: str) -> Speed:
    """Trains this backbone for a few steps on noise, as a cell does it, and predicts with it.

    Raises:
        SettingsError: more blocks are to be fixed than the backbone has.
    """
    import numpy as np
    import torch

    from headstart.backbones.network import build, check_size
    from headstart.features.extract import check_boundary
    from headstart.training.accelerator import Accelerator
    from headstart.training.checkpoint import Checkpoints
    from headstart.training.flops import work_of
    from headstart.training.loop import Plan as Training
    from headstart.training.loop import predict, train
    from headstart.training.rows import InputRows, Normalisation

    accelerator = Accelerator(device, precision=settings.precision)
    accelerator.start()
    fields = fields_of(settings.data)
    channels, size = fields["channels"], fields["size"]
    check_size(settings.backbone, channels=channels, size=size)
    network = build(settings.backbone, channels=channels, classes=10)
    boundary = settings.recipe("frozen_blocks").fixed_blocks
    check_boundary(boundary, network)
    modality, shape = settings.data.modality, row_shape(settings.data.modality, channels, size)
    largest = np.iinfo(np.uint8).max + 1 if len(shape) > 1 else channels
    noise = np.random.default_rng(0).integers(0, largest, (64, *shape), dtype=settings.data.row_kind.load().dtype)
    rows = InputRows(noise, Normalisation(*unknown_moments(modality, channels)), modality)
    work = work_of(settings.backbone, channels=channels, size=size)
    ends: list[float] = []

    def observe(step: int, loss: float) -> dict[str, torch.Tensor]:
        ends.append(time.perf_counter())
        return {}

    train(
        network,
        rows,
        torch.arange(len(rows)) % 10,
        plan=Training(TIMED + 1, 32, 1e-3, 0.0, 0.0, marks=tuple(range(1, TIMED + 2)), work=work),
        seed=0,
        accelerator=accelerator,
        checkpoints=Checkpoints(None),
        observe=observe,
    )
    steps = sorted(after - before for before, after in zip(ends, ends[1:], strict=False))
    with torch.no_grad():
        activation = network.run(accelerator.place(rows.plain(torch.arange(1))), 0, boundary)
    start = time.perf_counter()
    predict(network, rows, accelerator=accelerator)
    return Speed(
        step=steps[TIMED // 2],
        prediction=(time.perf_counter() - start) / len(rows),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        activation=activation.numel() * BYTES_PER_PARAMETER,
    )
