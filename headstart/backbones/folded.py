"""A network for prediction alone: each BatchNorm that follows a convolution is folded into it, which saves its pass.

Scores agree with the plain network's to rounding (tests/unit/backbones/test_folded.py states how closely).
"""

from copy import deepcopy

import torch
from torch import nn

from headstart.backbones.network import Network


def folded(network: Network) -> Network:
    """A network in evaluation mode that computes the same, block by block; the one given stays as it is.

    A block that torch.fx cannot trace, or that has nothing to fold, is taken over as it is.
    """
    network.eval()
    blocks = zip(network.block_names, (_folded(block) for block in network.blocks), strict=True)
    return Network(blocks, network.head).eval()


def with_rounded_products(network: Network) -> Network:
    """A copy, the weights of whose convolutions and linear layers are bfloat16: for use under autocast.

    Autocast would round them anew for every batch, a sixth of the time at 64 rows of ResNet-18.
    """
    same = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    network = deepcopy(network, same)  # of the modules alone: it shares all tensors that are not replaced
    for module in network.blocks.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(module, name, nn.Parameter(parameter.detach().to(torch.bfloat16), requires_grad=False))
    return network


def _folded(block: nn.Module) -> nn.Module:
    if not any(isinstance(module, nn.BatchNorm2d) for module in block.modules()):
        return block
    from torch.fx.experimental.optimization import fuse
    from torch.fx.proxy import TraceError

    try:
        return fuse(block)  # copies the block and folds by torch.nn.utils.fuse_conv_bn_eval
    except (TraceError, TypeError):  # its forward asks for values or sizes, which tracing has not
        return block
