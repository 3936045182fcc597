"""A folded network for prediction on a CPU: weights of convolutions laid out for oneDNN once, not anew at each call.

What adds another map, or is a ReLU, right after a convolution is done in the same pass. The operators are those that
torch's own compiler puts in when it freezes a network for inference (torch._inductor.fx_passes.mkldnn_fusion); nothing
is compiled here. Of one image of ResNet-18 at 64 pixels it takes off half the time (docs/decisions/016).
"""

import operator
import platform
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, fx, nn

from headstart.backbones.network import Network

LARGE = 2**15  # weights of a convolution, from which packing them pays: below it, the call itself takes longer
ADDITIONS = (operator.add, operator.iadd, torch.add)
RECTIFIERS = (torch.relu, nn.functional.relu)


def can_pack() -> bool:
    """Whether this torch has the operators; they were measured on x86 alone."""
    return platform.machine().lower() in ("x86_64", "amd64") and bool(torch._C._has_mkldnn)


def packed(network: Network, row: Tensor) -> Network:
    """A network that computes the same in float32, to rounding, without gradients; the one given stays as it is.

    network: as headstart.backbones.folded gives it, on the CPU. row: a batch of one, any; oneDNN lays
    weights out for the maps that a convolution takes in, and every number of rows does well with those of one.
    What is given back cannot be saved or moved. A block that is no torch.fx graph has its convolutions packed, and
    nothing done in their pass.
    """
    shapes = _shapes(network, row)
    blocks = zip(network.block_names, (_packed(block, shapes) for block in network.blocks), strict=True)
    return Network(blocks, network.head).eval()


@torch.inference_mode()
def _shapes(network: Network, row: Tensor) -> dict[nn.Module, list[int]]:
    """Of what each convolution that is packed takes in, if it is run at all."""
    found: dict[nn.Module, list[int]] = {}
    seeing = [
        module.register_forward_pre_hook(lambda module, given: found.update({module: list(given[0].shape)}))
        for module in network.blocks.modules()
        if isinstance(module, nn.Conv2d) and _pays(module)
    ]
    network(row)
    for handle in seeing:
        handle.remove()
    return found


class _Convolution(nn.Module):
    """conv(maps), or rectified(conv(maps) + others). shape: of the maps."""

    def __init__(self, convolution: nn.Conv2d, shape: list[int]):
        super().__init__()
        self.geometry = (
            list(convolution.padding), list(convolution.stride), list(convolution.dilation), convolution.groups
        )  # fmt: skip
        weight = convolution.weight.detach()
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(weight, *self.geometry, shape)
        self.bias = None if convolution.bias is None else convolution.bias.detach()
        self.rectified = False

    def forward(self, maps: Tensor, others: Tensor | None = None) -> Tensor:
        run = torch.ops.mkldnn._convolution_pointwise
        given = (self.weight, self.bias, *self.geometry)
        if others is None:
            alone: Tensor = run(maps, *given, "relu" if self.rectified else "none", [], "")
            return alone
        added: Tensor = run.binary(maps, others, *given, "add", 1.0, "relu" if self.rectified else None, [], "")
        return added


def _packed(block: nn.Module, shapes: Mapping[nn.Module, list[int]]) -> nn.Module:
    if block in shapes:
        return _Convolution(block, shapes[block])  # type: ignore[arg-type]
    places = {name: shapes[module] for name, module in block.named_modules() if module in shapes}
    same = {id(tensor): tensor for tensor in (*block.parameters(), *block.buffers())}
    block = deepcopy(block, same)  # of the modules alone
    for place, shape in places.items():
        parent, _, own = place.rpartition(".")
        setattr(block.get_submodule(parent), own, _Convolution(block.get_submodule(place), shape))  # type: ignore[arg-type]
    if isinstance(block, fx.GraphModule):
        _join(block)
    return block


def _pays(convolution: nn.Conv2d) -> bool:
    """Whether it is large, and one that the operators know."""
    plain = convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
    return plain and convolution.weight.numel() >= LARGE


def _join(block: fx.GraphModule) -> None:
    """Takes additions and ReLUs that alone read a convolution's result into its pass."""
    for node in list(block.graph.nodes):
        convolution = _convolution(block, node)
        if convolution is None:
            continue
        if (addition := _only_user(node)) and addition.op == "call_function" and addition.target in ADDITIONS:
            others = [given for given in addition.args if given is not node]
            if len(addition.args) == 2 and not addition.kwargs and len(others) == 1 and _comes_before(others[0], node):
                node.args = (*node.args, others[0])
                _drop(block, addition, node)
        if (last := _only_user(node)) and _is_relu(block, last):
            convolution.rectified = True
            _drop(block, last, node)
    block.graph.lint()
    block.recompile()


def _convolution(block: fx.GraphModule, node: fx.Node) -> _Convolution | None:
    """The packed convolution that a node calls, if it is called there alone."""
    if node.op != "call_module" or sum(other.target == node.target for other in block.graph.nodes) > 1:
        return None
    module = block.get_submodule(str(node.target))
    return module if isinstance(module, _Convolution) else None


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _comes_before(given: Any, node: fx.Node) -> bool:
    """Whether what is added is known when the convolution is done."""
    return isinstance(given, fx.Node) and given < node


def _is_relu(block: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return type(block.get_submodule(str(node.target))) is nn.ReLU
    return (node.op == "call_function" and node.target in RECTIFIERS) or (
        node.op == "call_method" and node.target == "relu"
    )


def _drop(block: fx.GraphModule, node: fx.Node, into: fx.Node) -> None:
    node.replace_all_uses_with(into)
    block.graph.erase_node(node)
