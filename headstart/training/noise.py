"""Dropout and stochastic depth of a part of a batch, drawn as for the whole of it.

So a batch gives the same result, to rounding, however it is shared out: over processes, or over pieces that fit into
memory one after the other.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import AlphaDropout, FeatureAlphaDropout, _DropoutNd

DEPTH = ("StochasticDepth", "DropPath")  # torchvision's and timm's: one draw a row


@contextmanager
def noise_of_part(network: nn.Module, part: slice, count: int) -> Iterator[None]:
    """In the block, modules that multiply by random numbers draw them for `count` rows and use those of `part`.

    The network is given the part's rows alone; a module may see several of its rows for each, such as windows.
    """
    with ExitStack() as stack:
        for module in network.modules():
            if _is_noise(module):
                own = _Part(part, count)
                stack.enter_context(module.register_forward_pre_hook(own.before))
                stack.enter_context(module.register_forward_hook(own.after))
        yield


class _Part:
    """Hooks of one module: it is given ones for the whole batch, and what it makes of them is the noise."""

    def __init__(self, part: slice, count: int):
        self.part, self.count = part, count
        self.inputs: list[Tensor] = []

    def before(self, module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if not module.training:
            return None
        inputs = given[0]
        self.inputs.append(inputs)
        shape = [1] * (inputs.dim() - 1) if type(module).__name__ in DEPTH else inputs.shape[1:]
        return (torch.ones(self.count * self._each(inputs), *shape, dtype=inputs.dtype, device=inputs.device),)

    def after(self, module: nn.Module, given: tuple[Tensor, ...], noise: Tensor) -> Tensor:
        if not module.training:
            return noise
        inputs = self.inputs.pop()
        each = self._each(inputs)
        return inputs * noise[self.part.start * each : self.part.stop * each]

    def _each(self, inputs: Tensor) -> int:
        return len(inputs) // int(self.part.stop - self.part.start)


def _is_noise(module: nn.Module) -> bool:
    if type(module).__name__ in DEPTH:
        return bool(getattr(module, "p", None) or getattr(module, "drop_prob", None))
    adds = isinstance(module, AlphaDropout | FeatureAlphaDropout)  # these do more than multiply
    return isinstance(module, _DropoutNd) and not adds and module.p > 0
