"""The bench's table: which jobs, who does them, what is measured of each and what is to be reached. Torch-free."""

from dataclasses import dataclass, field

from benchmarks.speed.data import TARGETS, Sizes

OURS = "headstart"
BEST = "best"  # of the peers
SHORT = 60.0  # CPU seconds of a process, up to which it is run again
MARGIN = 0.01  # of accuracy: a lower one by less does not count as lower


@dataclass(frozen=True)
class Job:
    """A piece of work. peers: who does it beside Headstart. targets: which it is done on, one after the other.

    images, singles, epochs, batch: see child.py's Spec.
    """

    name: str
    peers: tuple[str, ...]
    images: int = 0
    singles: int = 0
    epochs: int = 0
    batch: int = 32
    targets: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class Measure:
    """A figure of a job, less is better. reach: least ratio to a peer, or to the best of them."""

    job: str
    figure: str
    title: str
    unit: str
    reach: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Extent:
    """How much the bench does. repeats: of a process that takes no longer than SHORT; others run once.

    pretraining_epochs: of W, before the bench.
    """

    sizes: Sizes
    jobs: tuple[Job, ...]
    repeats: int
    pretraining_epochs: int


STARTS = {  # what is run by the interpreter of each side, for the job "start"
    OURS: ("-m", "flows.cli", "--help"),
    "torchvision": ("-c", "import torchvision"),
    "timm": ("-c", "import timm"),
    "lightning": ("-c", "import lightning"),
    "fastai": ("-c", "import fastai.vision.all"),
    "sklearn": ("-c", "import sklearn.linear_model"),
}
TRAINERS = ("torchvision", "timm", "lightning", "fastai")
READERS = ("torchvision", "timm", "fastai")


def jobs(*, images: int, singles: int, probe: int, frozen: int, targets: tuple[str, ...]) -> tuple[Job, ...]:
    """All jobs, in the order that they are done in."""
    return (
        Job("start", tuple(STARTS)[1:]),
        Job("ingest", READERS, images=images),
        Job("pretrain", TRAINERS, images=images, batch=64),
        Job("extraction", ("torchvision", "timm"), images=images, batch=64),
        Job("predict", READERS, singles=singles, batch=64, targets=targets[:1]),
        Job("probe", (*TRAINERS, "sklearn"), epochs=probe, targets=targets),
        Job("frozen", TRAINERS, epochs=frozen, targets=targets),
    )


WHOLE = Extent(
    Sizes(source=500, train=40, test=100, seeds=3),
    jobs(images=1200, singles=200, probe=20, frozen=10, targets=TARGETS),
    repeats=3,
    pretraining_epochs=4,
)
QUICK = Extent(
    Sizes(source=40, train=10, test=20, seeds=1),
    jobs(images=240, singles=40, probe=3, frozen=2, targets=TARGETS[:1]),
    repeats=1,
    pretraining_epochs=4,
)

MEASURES = (
    Measure("ingest", "first", "ingest of a JPEG folder, first epoch", "ms an image", {BEST: 1.8}),
    Measure("ingest", "first_augmented", "first epoch, augmented", "ms an image"),
    Measure("ingest", "later", "later epochs of it", "ms an image", {BEST: 6.0}),
    Measure("ingest", "later_augmented", "later epochs, augmented", "ms an image", {BEST: 6.0}),
    Measure("pretrain", "image", "source pretraining, forward and backward", "ms an image", {BEST: 1.2}),
    Measure("probe", "job", "linear probe", "s", {"timm": 20.0, "fastai": 40.0, "sklearn": 1.3}),
    Measure("frozen", "job", "first two of four stages fixed", "s", {"timm": 2.0, "torchvision": 2.0, "fastai": 2.0}),
    Measure("extraction", "image", "feature extraction", "ms an image", {BEST: 1.5}),
    Measure("predict", "batch", "prediction from files, all at once", "ms an image", {BEST: 1.4}),
    Measure("predict", "p50", "one file alone, median", "ms", {"fastai": 2.5, "torchvision": 1.8}),
    Measure("predict", "p99", "one file alone, 99th percentile", "ms", {"fastai": 2.5, "torchvision": 1.8}),
    Measure("start", "job", "start: `headstart --help`, a peer's import", "s"),
)
SHARE_TO_REACH = 0.58  # of the sgemm rate, in pretraining
HELP_TO_REACH = 0.5  # CPU seconds of `headstart --help`
