"""Vision Transformers of torchvision as ordered blocks: the embedding of patches, then layer by layer.

Boundaries are tokens (batch, 1 + patches, width), the class token first. The table of positions fits one image size.
"""

from typing import Any

import torch
from torch import Tensor, nn

from headstart.backbones.network import Network
from headstart.backbones.original import torchvision_net


class Embedding(nn.Module):
    """(batch, channels, h, w) -> (batch, 1 + patches, width): patches behind the class token, positions added."""

    def __init__(self, patches: nn.Module, class_token: nn.Parameter, positions: nn.Parameter, dropout: nn.Module):
        super().__init__()
        self.patches = patches
        self.class_token = class_token
        self.positions = positions
        self.dropout = dropout

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patches(images).flatten(2).transpose(1, 2)  # (batch, patches, width)
        tokens = torch.cat([self.class_token.expand(len(images), -1, -1), patches], dim=1)
        return self.dropout(tokens + self.positions)  # type: ignore[no-any-return]


class ClassToken(nn.Module):
    """(batch, tokens, width) -> (batch, width): the first token."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens[:, 0]


def vit(name: str, *, channels: int, classes: int) -> Network:
    return vit_blocks(torchvision_net(name, channels=channels, classes=classes))


def vit_blocks(net: Any) -> Network:
    """The blocks of a torchvision.models.VisionTransformer of any size."""
    encoder = net.encoder
    *layers, last = encoder.layers
    embedding = Embedding(net.conv_proj, net.class_token, encoder.pos_embedding, encoder.dropout)
    blocks = [
        ("embedding", embedding),
        *((f"layer{number}", layer) for number, layer in enumerate(layers, start=1)),
        (f"layer{len(layers) + 1}", nn.Sequential(last, encoder.ln, ClassToken())),
    ]
    return Network(blocks, net.heads.head, original=net)
