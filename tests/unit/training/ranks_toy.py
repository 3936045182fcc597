"""Trainings that ranks run in tests: what they are given is picklable, what they come to is told as NumPy arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from headstart.backbones.network import Network, build
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.loop import Plan, predict, train
from headstart.training.rows import InputRows, Normalisation

ROWS = 11


@dataclass(frozen=True)
class Training:
    """A training of a backbone on noise. fixed: BatchNorm stays in evaluation mode. term: makes one of the network."""

    backbone: str
    side: int = 32
    fixed: bool = False
    steps: int = 4
    batch_size: int = 5
    plan: dict[str, Any] = field(default_factory=dict)
    term: Any = None
    objective: Any = None
    checkpoints: str = "/nowhere"
    every: float = 1e9

    def network(self) -> Network:
        torch.manual_seed(1)
        network = build(self.backbone, channels=1, classes=3)
        for module in network.modules():
            if self.fixed and isinstance(module, _BatchNorm):
                module.eval()
                module.train = lambda mode=True, own=module: own  # type: ignore[method-assign,misc]
            if hasattr(module, "layer_scale"):  # ConvNeXt's residuals begin at a millionth: nothing in them would show
                nn.init.constant_(module.layer_scale, 0.5)
        return network

    def run(self, accelerator: Accelerator) -> dict[str, np.ndarray]:
        """Weights, losses and predictions after it."""
        network = self.network()
        draw = np.random.default_rng(0)
        pixels = draw.integers(0, 256, (ROWS, 1, self.side, self.side), dtype=np.uint8)
        rows = InputRows(pixels, Normalisation((0.5,), (0.3,)), "image")
        settings = {"learning_rate": 1e-4, "weight_decay": 0.05, "warmup": 0.4, "marks": (2,)} | self.plan
        more = {} if self.objective is None else {"objective": self.objective}
        state = train(
            network,
            rows,
            self.targets(),
            plan=Plan(self.steps, self.batch_size, **settings),
            seed=3,
            accelerator=accelerator,
            checkpoints=Checkpoints(Path(self.checkpoints), every=self.every),
            observe=lambda step, loss: {str(step): torch.tensor([loss])},
            term=self.term(network) if self.term else None,
            **more,
        )
        found = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
        found["losses"] = np.array(state.losses)
        found["predictions"] = predict(network, rows, accelerator=Accelerator(), **more).numpy()
        return found

    def targets(self) -> torch.Tensor:
        return torch.arange(ROWS) % 3


def tell_trainings(trainings: Sequence[Training], accelerator: Accelerator, tell: Any) -> None:
    """What a rank is given to do, one training after the other."""
    for training in trainings:
        tell(training.run(accelerator))


class Widths:
    """Like deep CORAL, a term that is no mean over rows; with a head of its own, which is trained."""

    def __init__(self, network: Network):
        torch.manual_seed(5)
        self.module = nn.Linear(network.feature_dim, 2)

    def loss(self, network: Network, features: torch.Tensor, targets: torch.Tensor, step: int) -> torch.Tensor:
        spread = torch.cov(self.module(features).T)
        pull = torch.stack([(parameter**2).sum() for parameter in network.blocks.parameters()]).sum()
        return (spread**2).sum() + 1e-4 * pull
