"""A network of two blocks with all that a training has to bring back: BatchNorm, dropout, a bias, a norm's weight."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headstart.backbones.network import Network, Pooled
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints, State
from headstart.training.loop import Plan, train
from headstart.training.rows import InputRows, Normalisation

COUNT = 10
LABELS = torch.arange(COUNT) % 2
NOWHERE = Path("/nowhere/to/resume/from")


def network(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    second = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), Pooled(), nn.Dropout(0.2))
    return Network([("first", first), ("second", second)], nn.Linear(6, 2))


def images(*, augmented: bool = True) -> InputRows:
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 1, 6, 6), dtype=np.uint8)
    return InputRows(pixels, Normalisation((0.5,), (0.3,)), "image", augmented)


def plan(**changes: Any) -> Plan:
    values: dict[str, Any] = {
        "steps": 6,
        "batch_size": 4,
        "learning_rate": 0.05,
        "weight_decay": 0.05,
        "warmup": 0.4,
        "marks": (2, 4, 6),
    }
    return Plan(**(values | changes))


def fit(
    net: Network,
    rows: Any = None,
    *,
    seed: int = 0,
    checkpoints: Checkpoints | None = None,
    observe: Any = None,
    term: Any = None,
    **changes: Any,
) -> State:
    """Trains on COUNT rows without checkpoints, unless told otherwise."""
    return train(
        net,
        images() if rows is None else rows,
        LABELS,
        plan=plan(**changes),
        seed=seed,
        accelerator=Accelerator(),
        checkpoints=checkpoints or Checkpoints(NOWHERE, every=math.inf),
        observe=observe or record,
        term=term,
    )


def record(step: int, loss: float) -> dict[str, Tensor]:
    return {f"{step}": torch.tensor([loss], dtype=torch.float64)}


def same_bytes(one: Any, other: Any) -> bool:
    """Of two dicts of tensors, to the bit."""
    return list(one) == list(other) and all(torch.equal(one[key], other[key]) for key in one)
