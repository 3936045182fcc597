"""text_cnn: a small convolutional encoder of bytes, which can be trained from nothing on a CPU.

An embedding of tokens and of runs of them, hashed as fastText has them (Bojanowski 2017, 1607.04606): without the runs
it stayed at chance on 8,471 sentences of reviews. Three stages of residual units follow; each halves the positions. The
mean and the maximum over positions go to the head. LayerNorm over channels, not BatchNorm: no row depends on another,
nor on how much padding it has.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from headstart.backbones.network import Network
from headstart.backbones.padding import masked, mean_of_real, real

WIDTHS = (64, 96, 128, 192)  # of the embedding and of each stage
RUNS = (3, 4, 5, 6)  # tokens that count together: of bytes, parts of words and short ones
BUCKETS = 1 << 14
FACTOR, PRIME = 1_000_003, (1 << 31) - 1  # of the hash: no product is beyond 64 bits
INITIAL = 0.02  # standard deviation of fresh tables: a run is seen seldom, and from 1.0 would stay where it began
REACH = 5  # positions that a convolution sees
WINDOW = 2  # positions that a stage makes one of


def text_cnn(name: str, *, channels: int, classes: int) -> Network:
    """channels: different tokens, padding (0) among them."""
    stages = [Stage(before, width) for before, width in zip(WIDTHS, WIDTHS[1:], strict=False)]
    blocks: list[tuple[str, nn.Module]] = [("embedding", Embedding(channels, WIDTHS[0]))]
    blocks += [(f"stage{number}", stage) for number, stage in enumerate(stages[:-1], start=1)]
    blocks.append((f"stage{len(stages)}", nn.Sequential(stages[-1], MeanAndMaximum())))
    return Network(blocks, nn.Linear(2 * WIDTHS[-1], classes))


class Embedding(nn.Module):
    """(batch, length) int64 -> (batch, length, width): each token, and the runs of tokens that begin with it."""

    def __init__(self, symbols: int, width: int):
        super().__init__()
        self.table = nn.Embedding(symbols, width)
        self.runs = nn.EmbeddingBag(BUCKETS, width, mode="sum")
        self.norm = nn.LayerNorm(width)
        for table in (self.table, self.runs):
            nn.init.normal_(table.weight, std=INITIAL)

    def forward(self, rows: Tensor) -> Tensor:
        mask = rows != 0
        numbers, whole = hashed_runs(rows)
        runs = self.runs(numbers.flatten(0, 1), per_sample_weights=whole.flatten(0, 1).to(self.runs.weight))
        return masked(self.norm(self.table(rows) + runs.unflatten(0, rows.shape)), mask)


def hashed_runs(rows: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, length, RUNS): the bucket of each run of tokens that begins at a position, and whether it is whole."""
    padded = pad(rows, (0, max(RUNS) - 1))
    key, numbers, whole = torch.zeros_like(rows), [], []
    inside = torch.ones_like(rows, dtype=torch.bool)
    for place in range(max(RUNS)):
        token = padded[:, place : place + rows.shape[1]]
        key = (key * FACTOR + token) % PRIME
        inside = inside & (token != 0)
        if place + 1 in RUNS:
            numbers.append((key + (place + 1) * 7919) % BUCKETS)
            whole.append(inside)
    return torch.stack(numbers, 2), torch.stack(whole, 2)


class Along(nn.Module):
    """A convolution along the positions of (batch, positions, channels); padding is zeros and comes in as nothing."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.convolution = nn.Conv1d(before, after, REACH, padding=REACH // 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.convolution(tokens.transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]


class Stage(nn.Module):
    """(batch, positions, before) -> (batch, positions / 2, width): a mean over real neighbours, and a residual unit."""

    def __init__(self, before: int, width: int):
        super().__init__()
        self.widen = nn.Linear(before, width)
        self.first, self.second = Along(width, width), Along(width, width)
        self.before, self.between, self.after = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        halved = _halved(tokens)
        mask = real(halved)
        found = masked(self.before(self.widen(halved)), mask)
        inner = masked(gelu(self.between(self.first(found))), mask)
        return masked(self.after(found + self.second(inner)), mask)


class MeanAndMaximum(nn.Module):
    """(batch, positions, channels) -> (batch, 2 * channels), over positions that are no padding."""

    def forward(self, tokens: Tensor) -> Tensor:
        lowest = torch.finfo(tokens.dtype).min
        peak = tokens.masked_fill(~real(tokens)[..., None], lowest).amax(1)
        return torch.cat([mean_of_real(tokens), peak.clamp_min(lowest / 2)], dim=1)


def _halved(tokens: Tensor) -> Tensor:
    """The mean of each two positions, of the real one where one is padding. An odd one at the end stays alone."""
    if tokens.shape[1] % WINDOW:
        tokens = torch.cat([tokens, torch.zeros_like(tokens[:, :1])], dim=1)
    batch, positions, width = tokens.shape
    pairs = tokens.reshape(batch, positions // WINDOW, WINDOW, width)
    count = (pairs != 0).any(3).sum(2).clamp_min(1)
    found: Tensor = pairs.sum(2) / count[..., None].to(tokens)
    return found
