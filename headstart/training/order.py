"""The order of rows that are too many for memory: blocks in a random order, rows shuffled within windows of them.

Blocks of neighbouring rows are what a disk reads fast. A pack's rows lie in the order of their contents' digests, which
knows nothing of classes, so a window is as mixed as the whole.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import torch
from torch import Tensor

from headstart.training.accelerator import generator

BLOCK_BYTES = 8_000_000  # read at once: a disk of 150 MB a second that seeks for 10 ms then loses a sixth
FEWEST_BLOCKS = 8  # in a window, where memory allows for no more


@dataclass(frozen=True)
class Windows:
    """The rows of each step, a function of seed and step alone: each epoch is a permutation of its own.

    count: rows in all. batch: rows of a step; what does not fill one is left out of the epoch. block: rows that are
    read at once, blocks: of them in a window, which have a batch even where the last, short one is among them.
    """

    count: int
    batch: int
    block: int
    blocks: int
    seed: int

    def rows(self, step: int) -> Tensor:
        """The rows of a step."""
        epoch, start, stop = self._place(step)
        starts = _starts(self, epoch)
        parts = [
            _shuffled(self, epoch, window)[max(0, start - starts[window]) : stop - starts[window]]
            for _, window in self.needed(step)
        ]
        return torch.cat(parts)

    def needed(self, step: int) -> list[tuple[int, int]]:
        """(epoch, window) of each window that the rows of a step are in."""
        epoch, start, stop = self._place(step)
        starts = _starts(self, epoch)
        return [(epoch, w) for w in range(len(starts) - 1) if starts[w] < stop and starts[w + 1] > start]

    def after(self, epoch: int, window: int) -> tuple[int, int]:
        """The window that is read after this one."""
        return (epoch, window + 1) if window + 2 < len(_starts(self, epoch)) else (epoch + 1, 0)

    def blocks_of(self, epoch: int, window: int) -> list[int]:
        """Numbers of the blocks in a window, ascending: as a disk reads them."""
        return sorted(_blocks(self, epoch)[window * self.blocks : (window + 1) * self.blocks])

    def rows_of(self, block: int) -> tuple[int, int]:
        """The first row of a block, and the one behind its last."""
        return block * self.block, min((block + 1) * self.block, self.count)

    def _place(self, step: int) -> tuple[int, int, int]:
        size = min(self.batch, self.count)
        epoch, place = divmod(step, self.count // size)
        return epoch, place * size, (place + 1) * size


def make_windows(count: int, *, row_bytes: int, batch: int, memory: float, seed: int) -> Windows:
    """Windows of half of `memory` bytes each, for the next is read while one is trained on; no smaller than a batch."""
    size = memory / 2
    block = max(1, int(min(BLOCK_BYTES, size / FEWEST_BLOCKS) // row_bytes))
    blocks = max(int(size // (block * row_bytes)), -(-batch // block) + 1)
    return Windows(count, batch, block, blocks, seed)


@lru_cache(maxsize=2)
def _blocks(order: Windows, epoch: int) -> list[int]:
    """All blocks in an epoch's order."""
    count = -(-order.count // order.block)
    found: list[int] = torch.randperm(count, generator=generator(order.seed, "blocks", epoch)).tolist()
    return found


@lru_cache(maxsize=2)
def _starts(order: Windows, epoch: int) -> list[int]:
    """Where each window begins in an epoch, and where the last one ends."""
    blocks = _blocks(order, epoch)
    sizes = [stop - start for start, stop in map(order.rows_of, blocks)]
    windows = (sum(sizes[first : first + order.blocks]) for first in range(0, len(sizes), order.blocks))
    return [0, *accumulate(windows)]


@lru_cache(maxsize=2)
def _shuffled(order: Windows, epoch: int, window: int) -> Tensor:
    """The rows of a window, as they are trained on."""
    rows = torch.cat([torch.arange(*order.rows_of(block)) for block in order.blocks_of(epoch, window)])
    return rows[torch.randperm(len(rows), generator=generator(order.seed, "window", epoch, window))]
