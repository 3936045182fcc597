"""What the bench of scale varies, and at which values. Torch-free."""

from dataclasses import dataclass
from itertools import product

CLASSES = 10
SIDE = 32  # pixels
SOURCE_IMAGES = 1000  # of the source whose W cells start from
LABELS = 10  # a class
STREAMED = "stream"

DEFAULT = ("source", "scratch", "linear_probe", "frozen_blocks", "full", "lp_ft")
OTHERS = ("l2_sp", "gradual", "wise_ft", "co_tuning", "joint_supervised", "fixmatch", "rotation", "nearest_mean", "knn",
          "lda", "coral")  # fmt: skip
ON_SOURCE = ("ingest", "pretrain", "extract")
CELLS = ("linear_probe", "full")


@dataclass(frozen=True)
class Point:
    """One process: a job at one value of what its curve varies.

    job: ingest, pretrain (an epoch), extract (pooled features), boundary (activations), a strategy (one cell), or
    stream. images: of the source, or of the target where the job is a cell or its activations.
    """

    curve: str
    job: str
    value: int
    images: int
    classes: int = CLASSES
    side: int = SIDE
    labels: int = LABELS

    @property
    def is_cell(self) -> bool:
        return self.job in (*DEFAULT, *OTHERS)

    @property
    def name(self) -> str:
        return f"{self.curve} {self.value:,}: {self.job}"


@dataclass(frozen=True)
class Extent:
    """The values of each curve, and how many images each has where these are not what is varied."""

    images: tuple[int, ...]
    target_images: tuple[int, ...]
    boundary_images: tuple[int, ...]
    classes: tuple[int, ...]
    sides: tuple[int, ...]
    labels: tuple[int, ...]
    images_of_classes: int
    images_of_sides: int
    images_of_labels: int
    streamed: int
    others: tuple[str, ...] = OTHERS

    @property
    def points(self) -> list[Point]:
        """All of them, curve by curve."""
        by_class, by_side, by_label = self.images_of_classes, self.images_of_sides, self.images_of_labels
        most = self.labels[-1]
        return [
            *(Point("images", job, n, n) for n, job in product(self.images, ON_SOURCE)),
            *(Point("target images", job, n, n) for n, job in product(self.target_images, CELLS)),
            *(Point("target images", "boundary", n, n) for n in self.boundary_images),
            *(Point("classes", job, n, by_class, classes=n) for n, job in product(self.classes, (*ON_SOURCE, *CELLS))),
            *(Point("image size", job, n, by_side, side=n) for n, job in product(self.sides, (*ON_SOURCE, *CELLS))),
            *(Point("label budget", job, n, by_label, labels=n) for n, job in product(self.labels, DEFAULT)),
            *(Point("strategies", job, most, by_label, labels=LABELS) for job in (*DEFAULT, *self.others)),
            Point(STREAMED, STREAMED, self.streamed, self.streamed, side=2 * SIDE),
        ]


WHOLE = Extent(
    images=(1_000, 3_000, 10_000, 30_000, 100_000),
    target_images=(1_000, 3_000, 10_000, 30_000),
    boundary_images=(500, 1_000, 3_000),
    classes=(2, 5, 10, 20, 50, 100),
    sides=(16, 32, 64, 128),
    labels=(2, 5, 10, 20, 50, 100),
    images_of_classes=5_000,
    images_of_sides=2_000,
    images_of_labels=3_000,
    streamed=100_000,
)
QUICK = Extent(
    images=(500, 1_000, 2_000),
    target_images=(500, 1_000),
    boundary_images=(500,),
    classes=(2, 10),
    sides=(16, 32),
    labels=(2, 10),
    images_of_classes=1_000,
    images_of_sides=500,
    images_of_labels=500,
    streamed=2_000,
    others=("knn",),
)
