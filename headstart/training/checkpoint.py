"""Checkpoints: everything a training needs to go on as if it had never stopped, without pickle.

Sample order and augmentation are functions of (seed, epoch, step), so no loader or generator state is kept.
"""

import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn, optim

from headstart.errors import IntegrityError
from headstart.storage.publish import publishing, verify, withdraw, write_json

log = logging.getLogger("headstart")

KEPT = 2
EVERY = 20.0  # seconds of work that a kill may cost


@dataclass
class State:
    """Where a training stands: steps done, the losses so far, and what was recorded on the way.

    pieces: that a step's rows are split into to fit into memory. halvings: of the rate, after a loss was not finite.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    records: dict[str, Tensor] = field(default_factory=dict)
    pieces: int = 1
    halvings: int = 0


class Checkpoints:
    """The checkpoints of one training, in a folder of its own that its key names; None: none are kept."""

    def __init__(self, directory: Path | None, *, every: float = EVERY):
        self.directory = directory
        self.every = every
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether the time has come; when it comes has no influence on the results."""
        return self.directory is not None and time.monotonic() - self._last >= self.every

    def save(
        self, state: State, network: nn.Module, optimizer: optim.Optimizer, beside: nn.Module | None = None
    ) -> None:
        """Publishes step-<n>; the newest two are kept. beside: what is trained with the network, if anything is."""
        assert self.directory is not None
        with publishing(self.directory / f"step-{state.step:08d}") as draft:
            tensors = {f"network.{key}": value.contiguous() for key, value in network.state_dict().items()}
            own = beside.state_dict() if beside is not None else {}
            tensors |= {f"beside.{key}": value.contiguous() for key, value in own.items()}
            tensors |= {f"optimizer.{key}": value.contiguous() for key, value in _flatten(optimizer).items()}
            tensors |= {f"records.{key}": value.contiguous() for key, value in state.records.items()}
            save_file(tensors, draft / "state.safetensors")
            meta = {"step": state.step, "losses": state.losses}
            meta |= {"pieces": state.pieces} if state.pieces > 1 else {}
            meta |= {"halvings": state.halvings} if state.halvings else {}
            write_json(draft / "meta.json", meta)
        for old in self._newest_first()[KEPT:]:
            withdraw(old)
        self._last = time.monotonic()

    def restore(self, network: nn.Module, optimizer: optim.Optimizer, beside: nn.Module | None = None) -> State:
        """Loads the newest checkpoint that verifies into network and optimizer; a fresh state where there is none."""
        for path in self._newest_first():
            try:
                verify(path)
            except IntegrityError as error:
                log.warning("a checkpoint is left out: %s", str(error).partition(";")[0])
                continue
            tensors = load_file(path / "state.safetensors")
            meta = json.loads((path / "meta.json").read_text())
            network.load_state_dict(_under("network.", tensors))
            if beside is not None:
                beside.load_state_dict(_under("beside.", tensors))
            _unflatten(optimizer, _under("optimizer.", tensors))
            pieces, halvings = meta.get("pieces", 1), meta.get("halvings", 0)
            return State(meta["step"], meta["losses"], _under("records.", tensors), pieces, halvings)
        return State()

    def clear(self) -> None:
        """Removes all of them: the training is done and published elsewhere."""
        if self.directory is not None:
            withdraw(self.directory)

    def _newest_first(self) -> list[Path]:
        return sorted(self.directory.glob("step-*"), reverse=True) if self.directory is not None else []


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _flatten(optimizer: optim.Optimizer) -> dict[str, Tensor]:
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {f"{number}.{key}": value for number, values in state.items() for key, value in values.items()}


def _unflatten(optimizer: optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Moments take the memory layout of their parameters again, so that the next step is the same to the bit."""
    document = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for name, value in tensors.items():
        number, key = name.split(".")
        like = parameters[int(number)]
        laid_out = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
        document["state"].setdefault(int(number), {})[key] = laid_out
    optimizer.load_state_dict(document)
