"""One contender at one case, in a process of its own: `python -m benchmarks.gpu.child CONTENDER CASE.json OUT.json`.

All train on the same noise with the same steps. Peers get float images that lie on the device already; Headstart starts
from bytes and augments them, as it does in a run.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.gpu.cases import CLASSES, OURS, Case

PRODUCT = 8192  # side of the square matrices that the device's rate is measured by

Figures = dict[str, float | str]


def ours(case: Case) -> Figures:
    """The core's loop under the policy that a run would have."""
    from headstart.backbones.network import build
    from headstart.training.accelerator import Accelerator
    from headstart.training.checkpoint import Checkpoints
    from headstart.training.flops import block_flops, training_flops
    from headstart.training.loop import Plan, train
    from headstart.training.policy import policy_of, properties_of
    from headstart.training.rows import InputRows, Normalisation

    accelerator = Accelerator(case.device)
    accelerator.start()
    pixels = np.random.default_rng(0).integers(0, 256, (case.rows, 3, case.side, case.side), dtype=np.uint8)
    total = case.warmup + case.steps
    ends: dict[int, float] = {}

    def observe(step: int, loss: float) -> dict[str, torch.Tensor]:
        _wait(case.device)
        ends[step] = time.perf_counter()
        return {}

    train(
        build(case.backbone, channels=3, classes=CLASSES),
        InputRows(pixels, Normalisation((0.5,) * 3, (0.25,) * 3), "image"),
        torch.arange(case.rows) % CLASSES,
        plan=Plan(total, case.batch, 1e-3, 0.05, 0.2, marks=(case.warmup, total)),
        seed=0,
        accelerator=accelerator,
        checkpoints=Checkpoints(Path("/nowhere"), every=float("inf")),
        observe=observe,
    )
    policy = policy_of(properties_of(case.device), steps=total, input_bytes=pixels.nbytes)
    precision = policy.autocast or ("tf32" if policy.tf32 else "float32")
    blocks = block_flops(case.backbone, channels=3, size=(case.side, case.side), classes=CLASSES)
    return {
        "images_a_second": case.steps * case.batch / (ends[total] - ends[case.warmup]),
        "precision": precision,
        "flops": training_flops(blocks, examples=1),
        "product_rate": _product_rate(case.device, precision),
        "policy": str(policy),
    }


def torchvision(case: Case) -> Figures:
    """The loop of its references (references/classification, --amp --channels-last): SGD with momentum."""
    from torchvision.models import get_model

    net = get_model(case.backbone, weights=None, num_classes=CLASSES)
    return _peer(case, net, lambda net: torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-4))


def timm(case: Case) -> Figures:
    """Its train.py with --amp --amp-dtype bfloat16 --channels-last: create_model, its AdamW."""
    from timm import create_model
    from timm.optim import create_optimizer_v2

    net = create_model(case.backbone, num_classes=CLASSES)
    return _peer(case, net, lambda net: create_optimizer_v2(net, opt="adamw", lr=1e-3, weight_decay=0.05))


CONTENDERS: dict[str, Callable[[Case], Figures]] = {OURS: ours, "torchvision": torchvision, "timm": timm}


def _peer(case: Case, net: nn.Module, optimizer_of: Callable[[nn.Module], torch.optim.Optimizer]) -> Figures:
    kind = case.device.partition(":")[0]
    if kind == "cuda":
        torch.backends.cudnn.benchmark = True  # as both do
    torch.manual_seed(0)
    images = torch.randn(case.batch, 3, case.side, case.side, device=case.device).to(memory_format=torch.channels_last)
    labels = torch.arange(case.batch, device=case.device) % CLASSES
    net = net.to(case.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = optimizer_of(net)
    begun = 0.0
    for step in range(case.warmup + case.steps):
        if step == case.warmup:
            _wait(case.device)
            begun = time.perf_counter()
        with torch.autocast(kind, dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    _wait(case.device)
    return {"images_a_second": case.steps * case.batch / (time.perf_counter() - begun), "precision": "bfloat16"}


def _product_rate(device: str, precision: str) -> float:
    """FLOPs a second of one large product in the precision, the best of five."""
    side = PRODUCT if device.startswith("cuda") else 256
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    left, right = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    rates = []
    for _ in range(6):
        _wait(device)
        begun = time.perf_counter()
        left @ right
        _wait(device)
        rates.append(2.0 * side**3 / (time.perf_counter() - begun))
    return max(rates[1:])


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def main() -> None:
    contender, given, out = sys.argv[1:]
    fields: dict[str, Any] = json.loads(Path(given).read_text())
    Path(out).write_text(json.dumps(CONTENDERS[contender](Case(**fields))))


if __name__ == "__main__":
    main()
