"""The plan: what a run will do and what to expect of it, before anything is trained."""

import time
from dataclasses import dataclass

from headstart.settings import Settings
from headstart.strategies.settings import TuneRecipe
from headstart.strategies.table import STRATEGIES

TIMED = 3  # training steps that the estimate is made from
BYTES_PER_PARAMETER = 4


@dataclass(frozen=True)
class Plan:
    """cells: trainings and solves of the grid. seconds: of computing, on this device. disk: bytes to be written."""

    cells: int
    seconds: float
    disk: int


def plan(settings: Settings, *, source_rows: int, target_rows: int, workers: int, device: str) -> Plan:
    """Estimates a whole run from a few timed steps of this backbone on this device.

    workers: cells that are trained at a time.
    """
    step, parameters = _timed_step(settings, device=device)
    finetune = settings.finetune
    budgets = 1 + len(finetune.curve_budgets)
    trained = [name for name in finetune.strategies if isinstance(settings.recipe(name), TuneRecipe)]
    steps = sum(finetune.seeds * settings.recipe(name).steps for name in trained)
    control = settings.recipe("scratch").steps
    candidates = [settings.recipe(name).steps for name in trained if STRATEGIES.get(name).role == "transfer"]
    steps += finetune.seeds * (control // 2 + (budgets - 1) * (control + max(candidates, default=0)) + control // 2)
    epoch = source_rows // settings.pretrain.batch_size
    pretraining = settings.pretrain.epochs * epoch * settings.pretrain.batch_size / 32
    cells = finetune.seeds * (len(finetune.strategies) + 2 + 2 * (budgets - 1))
    pixels = settings.data.image_size**2 * settings.data.channels
    disk = (source_rows + target_rows * (1 + settings.extract.views)) * pixels
    return Plan(
        cells=cells,
        seconds=step * (steps / workers + pretraining),
        disk=int(disk + cells * parameters * BYTES_PER_PARAMETER),
    )


def _timed_step(settings: Settings, *, device: str) -> tuple[float, int]:
    """Seconds of a training step of 32 images (the median of a few), and the network's number of parameters."""
    import torch

    from headstart.backbones.network import build
    from headstart.objectives import classification
    from headstart.training.accelerator import Accelerator

    accelerator = Accelerator(device)
    accelerator.start()
    network = accelerator.prepare(build(settings.backbone, channels=settings.data.channels, classes=10))
    side = settings.data.image_size
    images = accelerator.place(torch.zeros(32, settings.data.channels, side, side))
    labels = torch.zeros(32, dtype=torch.int64, device=device)
    seconds = []
    for _ in range(TIMED + 1):
        start = time.perf_counter()
        accelerator.backward(classification.loss(network(images), labels))
        seconds.append(time.perf_counter() - start)
    return sorted(seconds[1:])[TIMED // 2], sum(parameter.numel() for parameter in network.parameters())
