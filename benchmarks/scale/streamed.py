"""Training from a sharded pack that is larger than the memory that it may use, against plain reading of its files.

Before each round the system's cache is told to drop the files, and `mincore` says how much of them it still has. What
the disk below keeps of them is not seen from here.
"""

import ctypes
import mmap
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.scale.memory import peak
from headstart.backbones.network import build
from headstart.datasets.pack import POOL, Pack
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.loop import Plan, train
from headstart.training.order import Windows, make_windows
from headstart.training.rows import InputRows, Normalisation
from headstart.training.stream import streaming

MEMORY_GB = 0.1  # a twelfth of the pack
BATCH = 64
ROUNDS = 3
STEPS = 400  # of training
CHUNK = 8_000_000  # bytes that plain reading asks for at a time
MB = 1e6


@dataclass
class Taken:
    """Wall seconds of a block."""

    seconds: float = 0.0


@contextmanager
def _timed() -> Iterator[Taken]:
    taken, begun = Taken(), time.perf_counter()
    yield taken
    taken.seconds = time.perf_counter() - begun


def measure_stream(directory: Path, accelerator: Accelerator) -> dict[str, Any]:
    """Figures: MB/s of plain sequential reading, of the windows alone and of normalised batches; then a training."""
    with _timed() as opening:
        pack = Pack(directory)
    files = sorted(directory.glob("images*.npy"))
    places = pack.rows(POOL)
    size = len(places) * pack.inputs.row_bytes / MB
    order = make_windows(len(places), row_bytes=pack.inputs.row_bytes, batch=BATCH, memory=MEMORY_GB * 1e9, seed=0)
    left: list[float] = []
    rates: dict[str, list[float]] = {"plain": [], "windows": [], "batches": []}
    with peak() as memory:
        for _ in range(ROUNDS):
            for name, read in (("plain", _plain), ("windows", _windows), ("batches", _batches)):
                left.append(drop(files))
                with _timed() as taken:
                    read(pack, places, order, files)
                rates[name].append(size / taken.seconds)
        left.append(drop(files))
        training = _train(pack, places, order, accelerator)
    return {
        "size_mb": size,
        "rows": len(places),
        "files": len(files),
        "memory_mb": MEMORY_GB * 1000,
        "block_mb": order.block * pack.inputs.row_bytes / MB,
        "blocks": order.blocks,
        "open": opening.seconds,
        "left_in_cache": max(left),
        "rates": rates,
        "share_of_plain": median(rates["windows"]) / median(rates["plain"]),
        "before": memory.before,
        "resident": memory.resident,
        "anonymous": memory.anonymous,
        **training,
    }


def _plain(pack: Pack, places: Any, order: Windows, files: Sequence[Path]) -> None:
    """The files from end to end into one buffer, nothing done with it."""
    into = bytearray(CHUNK)
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(into):
                pass


def _windows(pack: Pack, places: Any, order: Windows, files: Sequence[Path]) -> None:
    """An epoch's batches of pixels as they are."""
    with streaming(pack.inputs, places, order) as stream:
        for step in range(len(places) // BATCH):
            stream[stream.at(step).numpy()]


def _batches(pack: Pack, places: Any, order: Windows, files: Sequence[Path]) -> None:
    """The same, normalised, as a network gets them; not augmented."""
    with streaming(pack.inputs, places, order) as stream:
        rows = InputRows(stream, Normalisation(pack.card.mean, pack.card.std), "image", augmented=False)
        for step in range(len(places) // BATCH):
            rows.plain(stream.at(step))


def _train(pack: Pack, places: Any, order: Windows, accelerator: Accelerator) -> dict[str, Any]:
    """Steps with the disk cold, and the same steps from an array in memory: what reading costs a training."""
    normalisation = Normalisation(pack.card.mean, pack.card.std)
    labels = torch.from_numpy(pack.class_numbers(places))

    def steps(images: Any, at: Any) -> dict[str, float]:
        torch.manual_seed(0)
        network = build("resnet8", channels=pack.card.channels, classes=len(pack.card.classes))
        watched = _Watched(images)
        begun = time.process_time()
        with _timed() as taken:
            train(
                network, InputRows(watched, normalisation, "image"), labels,
                plan=Plan(STEPS, BATCH, 0.01, 0.05, 0.2), seed=0,
                accelerator=accelerator, checkpoints=Checkpoints(Path("none"), every=1e9),
                observe=lambda step, loss: {}, order=at,
            )  # fmt: skip
        cpu = time.process_time() - begun
        return {"cpu_ms": 1e3 * cpu / STEPS, "wall_ms": 1e3 * taken.seconds / STEPS,
                "got_ms": 1e3 * watched.seconds / STEPS}  # fmt: skip

    with streaming(pack.inputs, places, order) as stream:
        cold = steps(stream, stream.at)
    first = np.concatenate([order.rows(step).numpy() for step in range(STEPS)])
    return {"steps": STEPS, "streamed": cold, "in_memory": steps(_Kept(pack.inputs[places[first]], first), order.rows)}


class _Watched:
    """Images, and the wall seconds that getting them took: waiting for the disk, and copying."""

    def __init__(self, images: Any):
        self._images, self.seconds = images, 0.0

    def __len__(self) -> int:
        return len(self._images)

    @property
    def nbytes(self) -> int:
        return sys.maxsize

    def __getitem__(self, rows: Any) -> Any:
        with _timed() as taken:
            found = self._images[rows]
        self.seconds += taken.seconds
        return found


class _Kept:
    """Images in memory under their numbers among the rows that are trained on."""

    def __init__(self, images: Any, rows: Any):
        self._images = images
        self._order = np.argsort(rows)
        self._sorted = rows[self._order]

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, rows: Any) -> Any:
        return self._images[self._order[np.searchsorted(self._sorted, rows)]]


def drop(files: Sequence[Path]) -> float:
    """Tells the system to forget the files' pages; the share of them that it has nevertheless."""
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return max(cached(path) for path in files)


def cached(path: Path) -> float:
    """The share of a file's pages that are in the system's cache."""
    libc = ctypes.CDLL(None, use_errno=True)
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    found = (ctypes.c_ubyte * pages)()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        address = ctypes.addressof(view := ctypes.c_char.from_buffer(mapped))
        failed = libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), found)
        del view
    if failed:
        raise OSError(ctypes.get_errno(), f"mincore failed on {path}")
    return sum(byte & 1 for byte in found) / pages
