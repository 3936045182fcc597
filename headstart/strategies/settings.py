"""Knobs of finetune: the grid of cells, and each strategy's recipe."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from headstart.datasets.settings import FEWEST_LABELS, MOST_SEEDS
from headstart.knobs import Knobs
from headstart.training.settings import Rate, Recipe

Budget = Annotated[int, Field(ge=FEWEST_LABELS)]
Count = Annotated[int, Field(ge=1)]
Alpha = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Penalty = Annotated[float, Field(gt=0)]


WEAK_AND_STRONG = 4 / 3  # work of a row in both its views: the weak one is only run forward, a third of a training's


class FinetuneSettings(Knobs):
    """The grid: which strategies, with how many labels, how often."""

    strategies: tuple[str, ...] = ("source", "scratch", "linear_probe", "frozen_blocks", "full", "lp_ft")
    """the entrants; `headstart list strategies` shows all. scratch is the control and must be among them"""

    label_budget: Budget = 10
    """labels a class (values: in all) at which the verdict is given (the headline), those for validation included"""

    curve_budgets: tuple[Budget, ...] = (5, 20)
    """further labels a class (values: in all) at which scratch and the chosen strategy are trained, for the curve"""

    seeds: int = Field(5, ge=1, le=MOST_SEEDS)
    """repeats of each cell; each seed draws its own labels, initial weights and data order"""

    validation_fraction: float = Field(0.2, gt=0, lt=0.5)
    """share of a budget's labels that is held out to choose with"""

    keep_weights: Literal["chosen", "all"] = "chosen"
    """whether the weights of every cell are kept beside the delivered ones"""

    @model_validator(mode="after")
    def _control_is_there(self) -> "FinetuneSettings":
        if len(set(self.strategies)) != len(self.strategies):
            raise ValueError("strategies must not name one twice")
        self._curve_is_apart()
        return self

    def _curve_is_apart(self) -> None:
        """Where the headline went to a number of the curve, the default headline is proposed in its place."""
        repeated = next((one for one in self.curve_budgets if self.curve_budgets.count(one) > 1), None)
        if self.label_budget in self.curve_budgets:
            said = f"label_budget is {self.label_budget}, which curve_budgets has as well"
        elif repeated is not None:
            said = f"curve_budgets has {repeated} more than once"
        else:
            return
        default = {int(type(self).model_fields["label_budget"].default)} if repeated is None else set()
        apart = sorted({*self.curve_budgets, *default} - {self.label_budget})
        flag = ",".join(map(str, apart)) or "''"
        raise ValueError(
            f"{said}; each point of the curve is another number. Give --finetune.curve_budgets {flag} "
            f"(in params.yaml: curve_budgets: {apart})"
        )


class RemedySettings(Knobs):
    """What is tried where the target falls short."""

    max_rounds: int = Field(7, ge=0)
    """ways tried one after the other where no entrant is ahead of scratch and source on held-out labels; 0: none"""


class NoKnobs(Knobs):
    """A strategy that has nothing to set."""


class ProbeRecipe(Knobs):
    """A ridge head in closed form."""

    smallest_penalty: float = Field(1e-4, gt=0)
    """lower end of the ridge penalties tried, relative to the features' mean square"""

    largest_penalty: float = Field(1e4, gt=0)
    """upper end of the ridge penalties tried"""


class TuneRecipe(Recipe):
    """A recipe whose rate is tried out inside the label budget."""

    steps: int = Field(600, ge=4)
    """optimizer steps"""

    learning_rates: tuple[Rate, ...] = Field((0.01,), min_length=1)
    """peak rates to try, the best on validation is kept; scratch must try at least as many as the others"""

    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """share of a label that all classes get alike (Szegedy 2016, 1512.00567); values have nothing to smooth"""

    @property
    def work(self) -> float:
        """How long a cell takes, in steps of labelled rows alone: each rate is a training of its own."""
        return self.steps * len(self.learning_rates) * (1 + self.rows_beside / self.batch_size)

    @property
    def rows_beside(self) -> float:
        """Rows that are trained on in each step beside the labelled ones."""
        return 0


class FrozenRecipe(TuneRecipe):
    """The first blocks fixed to W."""

    steps: int = Field(200, ge=4)
    """optimizer steps"""

    learning_rates: tuple[Rate, ...] = Field((0.004,), min_length=1)
    """peak rates to try, the best on validation is kept"""

    fixed_blocks: int = Field(2, ge=1)
    """how many of the first blocks stay as they are in W"""


class FullRecipe(TuneRecipe):
    """All blocks trained on from W."""

    steps: int = Field(200, ge=4)
    """optimizer steps"""

    learning_rates: tuple[Rate, ...] = Field((0.004,), min_length=1)
    """peak rates to try, the best on validation is kept"""

    layer_decay: float = Field(0.8, gt=0, le=1)
    """factor on the rate for each block further from the head (ULMFiT's discriminative rates, 1801.06146)"""


class ProbeTuneRecipe(FullRecipe, ProbeRecipe):
    """A ridge head in closed form, then all blocks trained on under it: a low rate is enough."""

    steps: int = Field(100, ge=4)
    """optimizer steps"""

    learning_rates: tuple[Rate, ...] = Field((0.001,), min_length=1)
    """peak rates to try, the best on validation is kept"""


class NeighboursRecipe(Knobs):
    """Nearest labelled rows."""

    neighbours: tuple[Count, ...] = Field((1, 3, 10, 20, 100), min_length=1)
    """numbers of neighbours to try, the best on training rows left out is kept; those beyond the rows count as all"""


class UnseenRecipe(Knobs):
    """One matrix between vectors and what classes are like."""

    row_penalties: tuple[Penalty, ...] = Field((0.01, 0.1, 1.0, 10.0, 100.0), min_length=1)
    """ridge penalties on the side of the vectors to try, by their mean square; chosen on classes and rows left out"""

    class_penalties: tuple[Penalty, ...] = Field((0.01, 0.1, 1.0, 10.0, 100.0), min_length=1)
    """the same on the side of what classes are like"""


class BagRecipe(Knobs):
    """TF-IDF and a linear head."""

    penalties: tuple[Penalty, ...] = Field((0.01, 0.1, 1.0, 10.0), min_length=1)
    """weights of the head's squared norm to try, the one with the least loss on training rows left out is kept"""


class CoralRecipe(ProbeRecipe):
    """Source vectors mapped into the target's space, and a ridge head on both domains."""

    target_shares: tuple[Share, ...] = Field((0.0, 0.5, 0.9), min_length=1)
    """shares of the rows' weight to try for the target's labels, the best on validation is kept; 0: none is used"""


class StartingPointRecipe(TuneRecipe):
    """All blocks trained on from W and pulled back to it."""

    steps: int = Field(200, ge=4)
    """optimizer steps"""

    learning_rates: tuple[Rate, ...] = Field((0.004,), min_length=1)
    """peak rates to try, the best on validation is kept"""

    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decoupled weight decay; the pull to W takes its place"""

    alpha: float = Field(0.01, ge=0)
    """weight of the blocks' squared distance from W, halved (Li 2018)"""

    beta: float = Field(0.01, ge=0)
    """weight of the new head's squared norm, halved (Li 2018)"""


class GradualRecipe(FullRecipe):
    """Blocks thawed one by one."""

    thawed_by: float = Field(0.5, gt=0, le=1)
    """share of the steps after which all blocks are trained"""


class InterpolateRecipe(ProbeTuneRecipe):
    """Between the probe and what it became."""

    alphas: tuple[Alpha, ...] = Field((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), min_length=1)
    """places between the probe (0) and the tuned weights (1) to try, the best on validation is kept"""


class CoTuneRecipe(FullRecipe):
    """All blocks trained on from W with W's own head beside the new one."""

    weight: float = Field(2.3, ge=0)
    """weight of the old head's loss (2.3 as in You 2020)"""


class SourceRowsRecipe(FullRecipe):
    """All blocks trained on from W with the source's rows beside."""

    source_batch: int = Field(32, ge=2)
    """source rows a step"""

    source_rows: int = Field(0, ge=0)
    """source rows that may be used; 0: all"""

    source_weight: float = Field(0.5, ge=0)
    """weight of the source's loss"""

    @property
    def rows_beside(self) -> float:
        return self.source_batch


class JointRecipe(SourceRowsRecipe):
    """One extractor trained on source and target rows together."""

    align: float = Field(1.0, ge=0)
    """weight of deep CORAL's distance between the domains' features"""


class FixMatchRecipe(FullRecipe):
    """All blocks trained on from W with rows that have no label."""

    unlabelled_batch: int = Field(64, ge=2)
    """unlabelled rows a step"""

    weight: float = Field(1.0, ge=0)
    """weight of their loss"""

    threshold: float = Field(0.95, gt=0, le=1)
    """probability from which a class is believed; values are always"""

    @property
    def rows_beside(self) -> float:
        return self.unlabelled_batch * WEAK_AND_STRONG


class JointAttributesRecipe(FixMatchRecipe, SourceRowsRecipe):
    """One representation from the source's attributes, the target's labels and its rows without one."""

    @property
    def rows_beside(self) -> float:
        return self.source_batch + self.unlabelled_batch * WEAK_AND_STRONG


class RotationRecipe(FullRecipe):
    """All blocks trained on from W with another task beside the labels."""

    unlabelled_batch: int = Field(32, ge=2)
    """rows of the other task a step"""

    weight: float = Field(0.5, ge=0)
    """weight of its loss"""

    @property
    def rows_beside(self) -> float:
        return self.unlabelled_batch
