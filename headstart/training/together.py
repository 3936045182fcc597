"""What several processes do to a step: features of all are brought together, and gradients become the mean of all.

The part of the accelerator object that knows torch's DistributedDataParallel.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn


class Together:
    """How a step's forward passes are run, so that its gradients become those of all processes."""

    def __call__(self, compute: Callable[[], Tensor]) -> Tensor:
        """What `compute` gives; a backward pass from it brings the gradients so far of all processes together."""
        raise NotImplementedError

    def not_yet(self) -> AbstractContextManager[Any]:
        """In the block gradients are added up in this process alone; more of the step is to come."""
        raise NotImplementedError


class Alone(Together):
    """One process: nothing is wrapped."""

    def __call__(self, compute: Callable[[], Tensor]) -> Tensor:
        return compute()

    def not_yet(self) -> AbstractContextManager[Any]:
        return nullcontext()


class Several(Together):
    """Several processes: torch's DistributedDataParallel around whatever a step computes with the modules.

    It looks for parameters that a step does not use, such as those of blocks that are not thawed yet. It also keeps
    its buckets as they are then; else they were sorted anew after the first step, and with more than two processes
    sums would be rounded otherwise in a training that was resumed.
    """

    def __init__(self, trained: nn.Module):
        self._wrapped = nn.parallel.DistributedDataParallel(
            _Computing(trained), find_unused_parameters=True, forward_sync_buffers=False
        )

    def __call__(self, compute: Callable[[], Tensor]) -> Tensor:
        return cast(Tensor, self._wrapped(compute))

    def not_yet(self) -> AbstractContextManager[Any]:
        return cast(AbstractContextManager[Any], self._wrapped.no_sync())


class _Computing(nn.Module):
    """DistributedDataParallel wraps a module; what is computed with its parameters comes as a function."""

    def __init__(self, trained: nn.Module):
        super().__init__()
        self.trained = trained

    def forward(self, compute: Callable[[], Tensor]) -> Tensor:
        return compute()


class _Gather(torch.autograd.Function):
    """Rows of all processes; every process computes the same loss of them, so none is asked for its gradient."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, share: slice, count: int, world: int) -> Tensor:
        ctx.share, ctx.world = share, world
        rows = mine.new_zeros(count, *mine.shape[1:])
        rows[share] = mine
        torch.distributed.all_reduce(rows)  # each row is added to zeros: the sum is exact
        return rows

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Times the number of processes, for gradients of parameters are then averaged over them."""
        return gradients[0][ctx.share] * ctx.world, None, None, None


def gathered(mine: Tensor, share: slice, count: int, world: int) -> Tensor:
    """Rows (count, ...) of all processes, in each of them, from its share of them."""
    return cast(Tensor, _Gather.apply(mine, share, count, world))
