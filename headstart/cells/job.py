"""A job: the plain description of a cell, small enough to be sent to a worker process. Torch-free."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.entrants import Entrant, words
from headstart.knobs import Knobs
from headstart.objectives.kinds import KINDS
from headstart.storage.publish import digest
from headstart.training.settings import Precision

REFIT = "refit"
ALL_ROWS = -1  # the fold of a cell that leaves none out

PREDICTIONS = "predictions.parquet"  # files of a finished cell, and of what is published of several
HISTORY = "history.csv"
SUMMARY = "cell.json"


@dataclass(frozen=True)
class Job:
    """Which cell, from which files, by which recipe.

    variant: "" for the strategy itself; HALF_STEPS and EQUAL_COMPUTE are the control at other lengths, REFIT is what
    is delivered where there is no test set.
    stride: labelled rows of a class (or of all, for values) that each seed owns: the largest budget of the grid, or
    in folds all.
    levels: levels of the pooled features it reads, 0 where it reads none.
    inputs: digests of all that the cell reads; with the settings they are its key.
    snapshots: whether the test rows are also predicted on the way.
    kind: of the target, for the words alone: the pack says it too.
    source_pack: the source's rows, for strategies that learn from them.
    boundary, views: fixed blocks whose activations extract wrote, in how many augmented views of a row.
    altered: what is different from the strategy's own recipe, for the words alone; empty where nothing is.
    unseen: classes whose labels it does without.
    source: whose W it starts from, for the words alone; empty where a run has one source, or it reads nothing of W.
    interval_level: of the intervals around values, 0 for classes.
    devices: processes that train it together; more than one only where it is trained by gradients. precision: see
    training/policy.py.
    fold: what it predicts in cross-validation, with labels from outside of it; ALL_ROWS where it is trained on all
    labelled rows and predicts none; None where there is a test set.
    """

    strategy: str
    variant: str
    label_budget: int
    seed: int
    run_seed: int
    stride: int
    validation_fraction: float
    backbone: str
    recipe: Knobs
    pack: str
    weights: str
    features: str
    source_features: str
    cells: str
    levels: int
    inputs: dict[str, Any]
    snapshots: bool
    kind: str = "class"
    source: str = ""
    fold: int | None = None
    source_pack: str = ""
    boundary: int = 0
    views: int = 0
    altered: str = ""
    unseen: tuple[str, ...] = ()
    interval_level: float = 0.0
    devices: int = 1
    precision: Precision = "auto"

    @property
    def entrant(self) -> str:
        """The strategy as the comparison calls it: with what was altered, and the source where there are several."""
        return Entrant(self.strategy, variant=self.altered, source=self.source).name

    @property
    def key(self) -> str:
        """Digest of everything that the cell's bytes follow from; paths are not part of it."""
        return digest(
            {
                "cell": [self.strategy, self.label_budget, self.seed, self.run_seed, self.stride, self.fold],
                "validation_fraction": self.validation_fraction,
                "backbone": self.backbone,
                "recipe": self.recipe.model_dump(mode="json"),
                "levels": self.levels,
                "inputs": self.inputs,
                "snapshots": self.snapshots,
                "calibrated": self.interval_level,
                **({"unseen": sorted(self.unseen)} if self.unseen else {}),
                **({"devices": self.devices} if self.devices > 1 else {}),
                **({"precision": self.precision} if self.precision != "auto" else {}),
            }
        )

    @property
    def directory(self) -> Path:
        """Where the finished cell lies."""
        return Path(self.cells) / self.key

    @property
    def name(self) -> str:
        """How logs and errors call it: "scratch, 10 labels a class, seed 3, fold 1"."""
        variant = f" ({self.variant.replace('_', ' ')})" if self.variant else ""
        strategy = words(self.entrant)
        if self.fold == ALL_ROWS:
            return f"{strategy}, all labels"
        fold = "" if self.fold is None else f", fold {self.fold}"
        return f"{strategy}{variant}, {KINDS[self.kind].labels(self.label_budget)}, seed {self.seed}{fold}"
