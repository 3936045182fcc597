"""The strategies there are: the one place that lists them. Torch-free; the code is imported on use."""

from dataclasses import dataclass
from typing import Literal

from headstart.knobs import Knobs
from headstart.registry import Entry, Registry
from headstart.strategies.settings import FrozenRecipe, FullRecipe, NoKnobs, ProbeRecipe, ProbeTuneRecipe, TuneRecipe

Read = Literal["weights", "pooled", "boundary"]


@dataclass(frozen=True)
class Strategy(Entry):
    """A way to transfer.

    family: which of the families of transfer it belongs to, as the report groups them.
    role: the control, the source as it is, or a way to transfer that may be chosen.
    recipe: the model of its knobs in params.yaml.
    reads: what it reads of W; a change of anything else of the source does not rerun it.
    """

    family: str
    role: Literal["control", "source", "transfer"]
    recipe: type[Knobs]
    reads: tuple[Read, ...]


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
    ],
)
