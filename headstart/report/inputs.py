"""What a report is made of: plain tables and arrays, given; the report opens no other file and trains nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.entrants import source_as_it_is
from headstart.evaluation.clusters import Clusters
from headstart.evaluation.measures import RATE, Measure
from headstart.evaluation.quality import Quality
from headstart.evaluation.ranking import Ranking
from headstart.report.amounts import Amounts, amounts_of
from headstart.report.words import counted, percent

Picture: TypeAlias = NDArray[np.uint8] | str
"""What is shown of a row: an image, (height, width) grey or (height, width, 3) RGB; or words."""


@dataclass(frozen=True)
class ReportInputs:
    """Everything on the page. Rates and differences are fractions (of values: errors in their unit), compute is in
    FLOPs, times in seconds.

    A label budget is a number of labels a class (of values: in all). A class in a table is its name, or its index in
    `classes`.
    A null, a NaN or an empty table leaves a dash or a sentence on the page, never an error.
    """

    verdict: Mapping[str, Any]
    """verdict.json as a dict (headstart/evaluation/document.py). Any field may be missing or null; `seeds` may be
    a number or a list, and `withheld` stand at the top or inside against_scratch."""

    comparison: pd.DataFrame
    """strategy, family, label_budget, seed, split (test, validation, train), metric, value, seconds."""

    differences: pd.DataFrame
    """strategy, difference, low, high: each strategy minus scratch at the headline budget, exploratory."""

    predictions: pd.DataFrame
    """id, strategy, label_budget, seed, truth, prediction; also of "scratch:half_steps", "scratch:equal_compute"."""

    convergence: pd.DataFrame
    """strategy, variant ("" for the strategy itself), label_budget, seed, progress (of that training, up to 1),
    compute (spent by then, without pretraining), accuracy, mae or scaled_mae (on the test rows)."""

    cells: pd.DataFrame
    """strategy, variant, label_budget, seed, seconds, compute, pretraining_compute, labels (all that it saw)."""

    classes: Sequence[str]
    chosen: str
    headline_budget: int

    images: Mapping[str, Picture]
    """The test rows' pictures by id."""

    source_samples: Sequence[Sequence[tuple[str, Picture]]]
    target_samples: Sequence[tuple[str, Picture]]
    """(label, picture), a few for each data card; the sources' in the order of source_cards."""

    target_features: NDArray[np.floating[Any]]
    """(n, d): features of target rows under the W that the chosen strategy starts from."""

    target_raw: NDArray[np.floating[Any]]
    """(n, p): the same rows' raw inputs, flattened."""

    target_labels: Sequence[str]
    """n class names, or values, of the same rows."""

    source_cards: Sequence[Mapping[str, Any]]
    target_card: Mapping[str, Any]
    """name, rows, classes {name: count}, splits {name: count}, rejected {reason: count}, duplicates,
    removed_overlap, modality, size (in words), channels (0: not said), preparation, digest, description."""

    settings_yaml: str
    reproduce: Mapping[str, Any] = field(default_factory=dict)
    """revision, commands (list), versions {package: version}, threads, device, seeds (list)."""

    measure: Measure = RATE
    """What the comparison is in. Of values, classes are empty, and truths and predictions numbers in the unit; of
    several they are in <name>_truth and <name>, and target_labels (n, values)."""

    clusters: Clusters | None = None
    """Clusters of target rows outside of the test rows, as W sees them and as they are given."""

    cluster_images: Mapping[str, Picture] = field(default_factory=dict)
    """The pictures of the clusters' examples by id."""

    quality: Quality | None = None
    """What of the data someone should look at."""

    quality_images: Mapping[str, Picture] = field(default_factory=dict)
    """The pictures of the rows whose labels may be wrong, by id."""

    ranking: Ranking | None = None
    """The sources by what their W knows of the target, before anything was fine-tuned."""

    @property
    def source(self) -> str:
        """The entrant that is the source model as it is, of the chosen strategy's W."""
        return source_as_it_is(self.chosen)

    @property
    def sources(self) -> str:
        """The sources' names, in a row."""
        return ", ".join(str(card.get("name", "source")) for card in self.source_cards)

    @property
    def metric(self) -> str:
        """The headline metric's name."""
        return str(self.verdict.get("metric") or "accuracy")

    @property
    def amounts(self) -> Amounts:
        """How the page says scores and differences."""
        return amounts_of(self.measure, self.metric)

    @property
    def labels(self) -> str:
        """The headline budget in words: "10 labels a class"."""
        return f"{counted(self.headline_budget, 'label')}{self.measure.kind.each}"

    @property
    def confidence(self) -> str:
        """The level of the verdict's intervals: "95%"."""
        return percent(self.verdict.get("confidence") or 0.95, digits=0)

    @property
    def seeds(self) -> int:
        """How many trainings are behind the headline contrast; 0 where nobody said."""
        given = self.verdict.get("seeds") or self.reproduce.get("seeds") or 0
        return given if isinstance(given, int) else len(given)

    @property
    def withheld(self) -> str | None:
        """Why no verdict is given though the figures would allow one."""
        inner = (self.verdict.get("against_scratch") or {}).get("withheld")
        return self.verdict.get("withheld") or inner
