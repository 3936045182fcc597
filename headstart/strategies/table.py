"""The strategies there are: the one place that lists them. Torch-free; the code is imported on use."""

from dataclasses import dataclass
from typing import Literal

from headstart.knobs import Knobs
from headstart.registry import Entry, Registry
from headstart.strategies.settings import (
    BagRecipe,
    CoralRecipe,
    CoTuneRecipe,
    FixMatchRecipe,
    FrozenRecipe,
    FullRecipe,
    GradualRecipe,
    InterpolateRecipe,
    JointAttributesRecipe,
    JointRecipe,
    NeighboursRecipe,
    NoKnobs,
    ProbeRecipe,
    ProbeTuneRecipe,
    RotationRecipe,
    StartingPointRecipe,
    TuneRecipe,
    UnseenRecipe,
)

Read = Literal["weights", "pooled", "boundary", "rows"]


@dataclass(frozen=True)
class Strategy(Entry):
    """A way to transfer.

    family: which of the families of transfer it belongs to, as the report groups them.
    role: the control, the source as it is, a way to transfer that may be chosen, or one that is only shown beside them,
    as what it validates on is not what they do. A baseline is a control beside the control, without a network: it is
    never chosen, and the verdict says how the chosen way does against it.
    recipe: the model of its knobs in params.yaml.
    reads: what it reads of a source: of W, or "rows", what W was trained on; a change of anything else does not rerun
    it.
    kinds: of the targets that it has a meaning for.
    needs_head: whether W must be a classifier, whose head is part of it.
    needs_shared: whether the source's targets must mean the same as the target's, for one class at least.
    needs_attributes: whether the source's rows must have attributes in place of classes or values.
    needs_unseen: whether it does without the labels of some classes, which must be described.
    learns_unlabelled: whether it is fitted to rows of the target without their labels, too.
    modalities: of rows that it has a meaning for; all where none is named.
    words: of a baseline, as the verdict calls it.
    """

    family: str
    role: Literal["control", "source", "transfer", "shown", "baseline"]
    recipe: type[Knobs]
    reads: tuple[Read, ...]
    kinds: tuple[str, ...] = ("class", "value")
    needs_head: bool = False
    needs_shared: bool = False
    needs_attributes: bool = False
    needs_unseen: bool = False
    learns_unlabelled: bool = False
    modalities: tuple[str, ...] = ()
    words: str = ""

    def takes(self, modality: str) -> bool:
        """Whether it has a meaning for rows of that kind."""
        return not self.modalities or modality in self.modalities


STRATEGIES: Registry[Strategy] = Registry(
    "strategy",
    [
        Strategy(
            "source",
            "the source model as it is: its own head where the targets match, else what is nearest",
            "headstart.strategies.source:fit",
            "feature vector",
            "source",
            NoKnobs,
            ("pooled", "weights"),
        ),
        Strategy(
            "scratch",
            "the control: the same architecture from random weights, trained to its plateau",
            "headstart.strategies.scratch:fit",
            "control",
            "control",
            TuneRecipe,
            (),
        ),
        Strategy(
            "linear_probe",
            "a ridge head in closed form on W's features",
            "headstart.strategies.linear_probe:fit",
            "fully supervised",
            "transfer",
            ProbeRecipe,
            ("pooled", "weights"),
        ),
        Strategy(
            "frozen_blocks",
            "the first blocks fixed to W, the rest trained on",
            "headstart.strategies.frozen_blocks:fit",
            "fully supervised",
            "transfer",
            FrozenRecipe,
            ("boundary", "weights"),
        ),
        Strategy(
            "full",
            "all blocks trained on from W, the early ones at lower rates",
            "headstart.strategies.full:fit",
            "fully supervised",
            "transfer",
            FullRecipe,
            ("weights",),
        ),
        Strategy(
            "lp_ft",
            "probe, then all: a ridge head on W's features, then all blocks trained on at a low rate",
            "headstart.strategies.lp_ft:fit",
            "fully supervised",
            "transfer",
            ProbeTuneRecipe,
            ("pooled", "weights"),
        ),
        Strategy(
            "l2_sp",
            "all blocks trained on from W and pulled back to it",
            "headstart.strategies.l2_sp:fit",
            "fully supervised",
            "transfer",
            StartingPointRecipe,
            ("weights",),
        ),
        Strategy(
            "gradual",
            "blocks trained on from W one after the other, the last ones first",
            "headstart.strategies.gradual:fit",
            "fully supervised",
            "transfer",
            GradualRecipe,
            ("weights",),
        ),
        Strategy(
            "wise_ft",
            "between the probe and what tuning made of it, as validation says",
            "headstart.strategies.wise_ft:fit",
            "fully supervised",
            "transfer",
            InterpolateRecipe,
            ("pooled", "weights"),
        ),
        Strategy(
            "co_tuning",
            "all blocks trained on from W with W's own head beside the new one",
            "headstart.strategies.co_tuning:fit",
            "fully supervised",
            "transfer",
            CoTuneRecipe,
            ("pooled", "weights"),
            kinds=("class",),
            needs_head=True,
        ),
        Strategy(
            "joint_supervised",
            "one extractor trained on source and target rows together, two heads, aligned",
            "headstart.strategies.joint_supervised:fit",
            "fully supervised",
            "transfer",
            JointRecipe,
            ("weights", "rows"),
        ),
        Strategy(
            "fixmatch",
            "all blocks trained on from W, with rows that have no label",
            "headstart.strategies.fixmatch:fit",
            "semi-supervised",
            "transfer",
            FixMatchRecipe,
            ("weights",),
            learns_unlabelled=True,
        ),
        Strategy(
            "rotation",
            "all blocks trained on from W, with another task beside: how far a row was turned",
            "headstart.strategies.rotation:fit",
            "semi-supervised",
            "transfer",
            RotationRecipe,
            ("weights",),
            learns_unlabelled=True,
            modalities=("image",),
        ),
        Strategy(
            "joint_attributes",
            "one representation from the source's attributes and the target's rows, labelled or not",
            "headstart.strategies.joint_attributes:fit",
            "semi-supervised",
            "transfer",
            JointAttributesRecipe,
            ("weights", "rows"),
            needs_attributes=True,
            learns_unlabelled=True,
        ),
        Strategy(
            "nearest_mean",
            "the class whose mean vector under W is nearest; no task model",
            "headstart.strategies.nearest_mean:fit",
            "feature vector",
            "transfer",
            NoKnobs,
            ("pooled", "weights"),
            kinds=("class",),
        ),
        Strategy(
            "knn",
            "the labelled rows whose vectors under W are nearest; no task model",
            "headstart.strategies.knn:fit",
            "feature vector",
            "transfer",
            NeighboursRecipe,
            ("pooled", "weights"),
        ),
        Strategy(
            "lda",
            "linear discriminants of W's vectors under a shrunk covariance",
            "headstart.strategies.lda:fit",
            "feature vector",
            "transfer",
            NoKnobs,
            ("pooled", "weights"),
            kinds=("class",),
        ),
        Strategy(
            "coral",
            "the source's vectors mapped into the target's space, and a ridge head on both",
            "headstart.strategies.coral:fit",
            "feature vector",
            "transfer",
            CoralRecipe,
            ("pooled", "weights", "rows"),
            needs_shared=True,
            learns_unlabelled=True,
        ),
        Strategy(
            "eszsl",
            "classes without a label (target.unseen) told by what they are like; never chosen",
            "headstart.strategies.eszsl:fit",
            "semi-supervised",
            "shown",
            UnseenRecipe,
            ("pooled", "weights"),
            kinds=("class",),
            needs_unseen=True,
        ),
        Strategy(
            "tfidf",
            "a control for texts: TF-IDF of runs of tokens and a linear head, no network; never chosen",
            "headstart.strategies.tfidf:fit",
            "control",
            "baseline",
            BagRecipe,
            (),
            modalities=("text",),
            words="a linear model on TF-IDF",
        ),
    ],
)
