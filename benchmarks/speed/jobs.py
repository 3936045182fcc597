"""The bench's table: which jobs, who does them, what is measured of each and what is to be reached. Torch-free."""

from dataclasses import dataclass, field

from benchmarks.speed.data import TARGETS, Sizes

OURS = "headstart"
BEST = "best"  # of the peers
SHORT = 60.0  # CPU seconds of a process, up to which it is run again
SEEDS = 5  # of what is trained
MARGIN = 0.01  # of accuracy: a lower one by less does not count as lower


@dataclass(frozen=True)
class Job:
    """A piece of work. peers: who does it beside Headstart. targets: which it is done on, one after the other.

    images, singles, epochs, batch: see child.py's Spec. ways, seeds, labels: of a sweep, each of whose cells is a
    process of its own for a peer. rounds: how often at most, each time with another seed.
    """

    name: str
    peers: tuple[str, ...]
    images: int = 0
    singles: int = 0
    epochs: int = 0
    batch: int = 32
    targets: tuple[str, ...] = ("",)
    ways: tuple[str, ...] = ()
    seeds: int = 0
    labels: tuple[int, ...] = ()
    rounds: int = 3


@dataclass(frozen=True)
class Measure:
    """A figure of a job, less is better. reach: least ratio to a peer, or to the best of them.

    accuracy: the figure that says how well what took so long predicts.
    """

    job: str
    figure: str
    title: str
    unit: str
    reach: dict[str, float] = field(default_factory=dict)
    accuracy: str = "accuracy"


@dataclass(frozen=True)
class Recipe:
    """How Headstart trains on where the first two stages are fixed. views: augmented versions of a row."""

    epochs: int
    learning_rate: float
    batch_size: int
    views: int
    label_smoothing: float


# Chosen on images that no bench sees: benchmarks/recipe.json.
RECIPE = Recipe(epochs=10, learning_rate=0.004, batch_size=64, views=4, label_smoothing=0.2)


@dataclass(frozen=True)
class Extent:
    """How much the bench does. repeats: at most, of a process that takes no longer than SHORT; others run once.

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
SWEEPERS = ("timm", "fastai")
RARELY = {"lightning": 2}  # rounds of a peer that nothing is to be reached against


def jobs(
    *, images: int, singles: int, probe: int, frozen: int, targets: tuple[str, ...], labels: tuple[int, ...]
) -> tuple[Job, ...]:
    """All jobs, in the order that they are done in."""
    return (
        Job("start", tuple(STARTS)[1:]),
        Job("pipeline", (), rounds=1),
        Job("ingest", READERS, images=images),
        Job("pretrain", TRAINERS, images=images, batch=64),
        Job("extraction", ("torchvision", "timm"), images=images, batch=64),
        Job("predict", READERS, singles=singles, batch=64, targets=targets[:1]),
        Job(
            "sweep",
            SWEEPERS,
            epochs=frozen,
            targets=targets[:1],
            ways=("probe", "full"),
            seeds=2,
            labels=labels,
            rounds=1,
        ),  # fmt: skip
        Job("probe", (*TRAINERS, "sklearn"), epochs=probe, targets=targets, rounds=SEEDS),
        Job("frozen", TRAINERS, epochs=frozen, targets=targets, rounds=SEEDS),
    )


WHOLE = Extent(
    Sizes(source=500, train=40, test=100, seeds=SEEDS),
    jobs(images=1200, singles=200, probe=20, frozen=10, targets=TARGETS, labels=(10, 40)),
    repeats=SEEDS,
    pretraining_epochs=4,
)
QUICK = Extent(
    Sizes(source=40, train=10, test=20, seeds=2),
    jobs(images=240, singles=40, probe=3, frozen=2, targets=TARGETS[:1], labels=(5, 10)),
    repeats=1,
    pretraining_epochs=4,
)

MEASURES = (
    Measure("ingest", "first", "ingest of a JPEG folder, first epoch", "ms an image", {BEST: 1.8}),
    Measure("ingest", "first_augmented", "first epoch, augmented", "ms an image"),
    Measure("ingest", "later", "later epochs of it", "ms an image", {BEST: 6.0}),
    Measure("ingest", "later_augmented", "later epochs, augmented", "ms an image", {BEST: 6.0}),
    Measure(
        "pretrain",
        "image",
        "source pretraining, an epoch (of the pack; peers of the files)",
        "ms an image",
        {BEST: 1.2},
    ),
    Measure("probe", "job", "linear probe", "s", {"timm": 20.0, "fastai": 40.0, "sklearn": 1.3}),
    Measure("frozen", "job", "first two of four stages fixed", "s", {"timm": 2.0, "torchvision": 2.0, "fastai": 2.0}),
    Measure(
        "sweep",
        "job",
        "two ways, two seeds, two label budgets: all cells, whole processes",
        "s",
        {"timm": 2.0, "fastai": 2.0},
    ),
    Measure(
        "sweep",
        "linear",
        "those of them that are linear, whole processes",
        "s",
        {"timm": 20.0, "fastai": 20.0},
        "linear_accuracy",
    ),
    Measure("extraction", "image", "feature extraction", "ms an image", {BEST: 1.5}),
    Measure("predict", "batch", "prediction from files, all at once", "ms an image", {BEST: 1.4}),
    Measure("predict", "p50", "one file alone, median", "ms", {"fastai": 2.5, "torchvision": 1.8}),
    Measure("predict", "p99", "one file alone, 99th percentile", "ms", {"fastai": 2.5, "torchvision": 1.8}),
    Measure("start", "job", "start: `headstart --help`, a peer's import", "s"),
)


@dataclass(frozen=True)
class Absolute:
    """A figure of Headstart's that stands beside no peer's. least, most: what is to be reached, if anything is."""

    job: str
    figure: str
    title: str
    least: float | None = None
    most: float | None = None


ABSOLUTES = (
    Absolute("ingest", "floor", "of a first epoch: JPEG decoding at an eighth of the size, ms an image, which all do"),
    Absolute("pretrain", "share", "pretraining in float32: share of the rate of a 1,024 x 1,024 sgemm", least=0.58),
    Absolute("pretrain", "float32", "pretraining in float32, ms an image"),
    Absolute("extraction", "share", "feature extraction in float32: the same share"),
    Absolute("extraction", "float32", "feature extraction in float32, ms an image"),
    Absolute("start", "job", "CPU seconds of `headstart --help`", most=0.5),
    Absolute("pipeline", "nothing", "seconds of a run that has nothing to do", most=3.0),
    Absolute("pipeline", "outside", "seconds of a first run that are no step's own: Prefect, DVC, MLflow", most=25.0),
    Absolute("pipeline", "between", "seconds from one step to the next", most=0.3),
)
