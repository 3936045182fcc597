"""One job in a process of its own: reads what to do from a file, measures itself after its imports, writes figures.

The standard library alone: Headstart and every peer begin with it.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Figures = dict[str, Any]

PEAK = "peak_mb"


@dataclass(frozen=True)
class Spec:
    """What a contender is given: the same for all of them.

    data: where the images lie. prepared: what Headstart made of the source before the bench. weights: W as torchvision
    names its tensors; mean, std: its normalisation. target: empty where the job has none. seed: of training images,
    initial head, order and augmentation. images, singles, epochs: how much there is to do. scratch: an empty folder.
    ways, seeds, labels: of a sweep's cells, ways by the bench's names and labels a class; a peer is given one cell.
    """

    data: str
    prepared: str
    weights: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scratch: str
    seed: int
    target: str = ""
    images: int = 0
    singles: int = 0
    epochs: int = 0
    batch: int = 32
    side: int = 64
    ways: tuple[str, ...] = ()
    seeds: int = 0
    labels: tuple[int, ...] = ()

    @property
    def source(self) -> Path:
        return Path(self.data, "source")

    @property
    def train(self) -> Path:
        return Path(self.data, self.target, f"train-{self.seed}")

    @property
    def test(self) -> Path:
        return Path(self.data, self.target, "test")


@dataclass
class Taken:
    """CPU and wall seconds of a block, once it is left."""

    cpu: float = 0.0
    wall: float = 0.0


@contextmanager
def timed() -> Iterator[Taken]:
    """Measures a block by the CPU time of this process, all its threads, and by the wall."""
    taken = Taken()
    begun, wall = time.process_time(), time.perf_counter()
    yield taken
    taken.cpu, taken.wall = time.process_time() - begun, time.perf_counter() - wall


def singly(predict: Callable[[Path], object], files: Sequence[Path]) -> Figures:
    """Milliseconds of predicting one file at a time, median and 99th percentile of the wall; the first 5 warm up."""
    taken = []
    for number, path in enumerate([*files[:5], *files]):
        begun = time.perf_counter()
        predict(path)
        if number >= 5:
            taken.append(1e3 * (time.perf_counter() - begun))
    taken.sort()
    return {"p50": taken[len(taken) // 2], "p99": taken[int(len(taken) * 0.99)]}


def main(jobs: dict[str, Callable[[Spec], Figures]]) -> None:
    """`python -m <side> JOB SPEC.json OUT.json`."""
    job, given, out = sys.argv[1:]
    fields = json.loads(Path(given).read_text())
    spec = Spec(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})
    figures = jobs[job](spec)
    Path(out).write_text(json.dumps(figures | _peak()))


def _peak() -> Figures:
    """Its own peak memory, where the system tells: what the parent is told of it contains the parent's, before exec."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    kibibytes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return {PEAK: kibibytes[0] / 1024} if kibibytes else {}


def files_below(folder: Path, most: int) -> list[Path]:
    """The first files of a folder of class folders, evenly of its classes."""
    classes = [sorted(own.iterdir()) for own in sorted(folder.iterdir()) if own.is_dir()]
    return [path for rank in zip(*classes, strict=True) for path in rank][:most]
