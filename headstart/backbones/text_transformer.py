"""Transformer encoders of text as ordered blocks: the embeddings, then layer by layer; the mean over tokens at the end.

Layers are BERT's (Devlin 2018, 1810.04805), their tensors named as in its files, so that pretrained weights match by
name. minilm_l6 gives what sentence-transformers gives before its normalisation, to 1e-5 (tests).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from headstart.backbones.network import Network
from headstart.backbones.padding import MeanOfReal, masked, real

INITIAL = 0.02  # standard deviation of fresh weights, as BERT's


BERT = {  # the parts of a layer, as its files name them, and our names
    "encoder.layer.{}.attention.self.query": "attention.query",
    "encoder.layer.{}.attention.self.key": "attention.key",
    "encoder.layer.{}.attention.self.value": "attention.value",
    "encoder.layer.{}.attention.output.dense": "joined",
    "encoder.layer.{}.attention.output.LayerNorm": "joined_norm",
    "encoder.layer.{}.intermediate.dense": "wide",
    "encoder.layer.{}.output.dense": "narrow",
    "encoder.layer.{}.output.LayerNorm": "norm",
}
DISTILBERT = {
    "transformer.layer.{}.attention.q_lin": "attention.query",
    "transformer.layer.{}.attention.k_lin": "attention.key",
    "transformer.layer.{}.attention.v_lin": "attention.value",
    "transformer.layer.{}.attention.out_lin": "joined",
    "transformer.layer.{}.sa_layer_norm": "joined_norm",
    "transformer.layer.{}.ffn.lin1": "wide",
    "transformer.layer.{}.ffn.lin2": "narrow",
    "transformer.layer.{}.output_layer_norm": "norm",
}


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoder. symbols: different tokens, padding (0) among them. positions: the longest text.

    first_position: number of the first one in the table of positions. segments: rows of the table of token types.
    """

    symbols: int
    width: int
    layers: int
    heads: int
    inner: int
    positions: int
    segments: int = 0
    first_position: int = 0
    epsilon: float = 1e-12
    dropout: float = 0.1


SMALL = {"text_transformer": (96, 3, 4, 384, 1024)}  # width, layers, heads, inner width, longest text
MINILM = (384, 6, 12, 1536, 512)  # nreimers/MiniLM-L6-H384-uncased


def text_transformer(name: str, *, channels: int, classes: int) -> Network:
    """channels: different tokens, padding (0) among them."""
    return encoder(Shape(channels, *SMALL[name]), classes=classes)


def minilm(name: str, *, channels: int, classes: int) -> Network:
    """The architecture of all-MiniLM-L6-v2, whose weights a pip package carries."""
    return encoder(Shape(channels, *MINILM, segments=2), classes=classes)


def encoder(shape: Shape, *, classes: int, parts: Mapping[str, str] | None = None) -> Network:
    """An encoder of any size, with fresh weights. parts: what another library calls a layer's parts, and we."""
    last = nn.Sequential(Layer(shape), MeanOfReal())
    blocks: list[tuple[str, nn.Module]] = [("embeddings", Embeddings(shape))]
    blocks += [(f"layer{number}", Layer(shape)) for number in range(1, shape.layers)]
    network = Network([*blocks, (f"layer{shape.layers}", last)], nn.Linear(shape.width, classes))
    for module in network.blocks.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=INITIAL)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
    network.original_keys = original_keys(shape, parts or BERT)
    return network


class Embeddings(nn.Module):
    """(batch, length) int64 -> (batch, length, width): the sum of token, position and the first token type."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.word_embeddings = nn.Embedding(shape.symbols, shape.width)
        self.position_embeddings = nn.Embedding(shape.positions, shape.width)
        self.token_type_embeddings = nn.Embedding(shape.segments, shape.width) if shape.segments else None
        self.LayerNorm = nn.LayerNorm(shape.width, eps=shape.epsilon)
        self.dropout = nn.Dropout(shape.dropout)
        self.first_position = shape.first_position

    def forward(self, rows: Tensor) -> Tensor:
        places = torch.arange(rows.shape[1], device=rows.device) + self.first_position
        found = self.word_embeddings(rows) + self.position_embeddings(places)
        if self.token_type_embeddings is not None:
            found = found + self.token_type_embeddings.weight[0]
        return masked(self.dropout(self.LayerNorm(found)), rows != 0)


class Attention(nn.Module):
    """Every real position looks at every real one; (batch, positions, width) to the same."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(shape.width, shape.width) for _ in range(3))
        self.heads = shape.heads
        self.dropout = shape.dropout

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        query, key, value = (
            part(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )  # (batch, heads, positions, width / heads)
        dropout = self.dropout if self.training else 0.0
        seen = mask[:, None, None, :]
        found = scaled_dot_product_attention(query, key, value, attn_mask=seen, dropout_p=dropout)
        return found.transpose(1, 2).flatten(2)


class Layer(nn.Module):
    """Attention and two linear layers, each added to what came before and normalised."""

    def __init__(self, shape: Shape):
        super().__init__()
        width = shape.width
        self.attention = Attention(shape)
        self.joined, self.joined_norm = nn.Linear(width, width), nn.LayerNorm(width, eps=shape.epsilon)
        self.wide, self.narrow = nn.Linear(width, shape.inner), nn.Linear(shape.inner, width)
        self.norm = nn.LayerNorm(width, eps=shape.epsilon)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = real(tokens)
        none = ~mask.any(1, keepdim=True)  # a row of padding alone looks at itself, or it would be of no numbers
        found = self.attention(tokens, mask | none)
        found = self.joined_norm(tokens + self.dropout(self.joined(found)))
        found = self.norm(found + self.dropout(self.narrow(gelu(self.wide(found)))))
        return masked(found, mask)


def original_keys(shape: Shape, parts: Mapping[str, str]) -> dict[str, str]:
    """Names of another library's tensors -> names in our state dict."""
    tables = ["word_embeddings.weight", "position_embeddings.weight", "LayerNorm.weight", "LayerNorm.bias"]
    tables += ["token_type_embeddings.weight"] if shape.segments else []
    found = {f"embeddings.{table}": f"blocks.0.{table}" for table in tables}
    for layer in range(shape.layers):
        inside = ".0" if layer == shape.layers - 1 else ""
        for theirs, ours in parts.items():
            for kind in ("weight", "bias"):
                found[f"{theirs.format(layer)}.{kind}"] = f"blocks.{layer + 1}{inside}.{ours}.{kind}"
    return found


def for_our_tokens(state: Mapping[str, Tensor], padding: int) -> dict[str, Tensor]:
    """A file's tensors with the rows of its embedding as our tokens are numbered: 0 and padding's number swapped."""
    found = dict(state)
    for name, tensor in state.items():
        if padding and name.endswith("word_embeddings.weight") and padding < len(tensor):
            order = torch.arange(len(tensor))
            order[0], order[padding] = padding, 0
            found[name] = tensor[order]
    return found
