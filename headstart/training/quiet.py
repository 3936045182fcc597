"""Rows that pass through a network in training without leaving a trace in its running statistics."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def without_statistics(network: nn.Module) -> Iterator[None]:
    """BatchNorm normalises by the batch as in training, but does not update what it predicts with."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
