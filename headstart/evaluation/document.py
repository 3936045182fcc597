"""verdict.json as frozen models: fractions (of values: amounts in their unit), null where undefined."""

from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue, SerializerFunctionWrapHandler, model_serializer

from headstart.evaluation.decision import Reason, Word
from headstart.evaluation.record import Number, Record

if TYPE_CHECKING:
    from headstart.evaluation.contrasts import Contrast

Bound = Literal["=", ">=", "<="]


class Saving(Record):
    """A ratio, above 1 where transfer saves. null bounds: beyond what was measured.

    bound says how to read `ratio`: "=" as it stands, ">=" at least that, "<=" at most that; censored is bound != "=".
    """

    ratio: Number | None
    low: Number | None
    high: Number | None
    censored: bool
    bound: Bound


class ComputeSaved(Record):
    """Compute (FLOPs) that scratch needs for its final accuracy over what the strategy needs for the same."""

    given_w: Saving
    with_pretraining: Saving


class Gap(Record):
    """Train-test gap of the strategy minus its opponent's; negative means that transfer overfits less."""

    difference: Number
    low: Number
    high: Number
    strategy: Number
    opponent: Number


class ChoiceCheck(Record):
    """A contrast where each seed takes the way that the other seeds choose.

    seeds: how many have which entrant.
    """

    difference: Number
    low: Number
    high: Number
    seeds: dict[str, int]


class ContrastVerdict(Record):
    """One contrast: the strategy against an opponent at one label budget. Positive means transfer is better.

    Of values, differences are of mean absolute errors, in the unit; a row is won where the error is smaller.

    p_value belongs to the interval (to McNemar's exact test with one seed), p_holm is corrected for the contrasts.
    wins and losses are test rows, summed over seeds; disagreeing_units counts each test unit once.
    overlap is the share of labelled rows that two seeds have in common: 1 means "for these labels".
    row_part and seed_part sum to standard_error squared. choice: null where the other seeds choose the same for each
    seed, or there is one seed.
    """

    sentence: str
    verdict: Word
    reason: Reason | None
    withheld: str | None
    strategy: str
    against: str
    label_budget: int
    difference: Number
    low: Number
    high: Number
    p_value: Number
    p_holm: Number
    wins: int
    losses: int
    wins_per_seed: Number
    losses_per_seed: Number
    disagreeing_units: int
    seeds: int
    units: int
    rows: int
    overlap: Number | None
    standard_error: Number
    df: Number
    row_part: Number
    seed_part: Number
    choice: ChoiceCheck | None = None
    labels_saved: Saving | None
    compute_saved: ComputeSaved | None
    gap: Gap | None


class ControlCheck(Record):
    """What doubling the control's steps still gained; p_value is one-sided, of 'no gain'."""

    gain: Number
    low: Number
    high: Number
    p_value: Number
    seeds: int
    still_improves: bool


class ToSettle(Record):
    """What a difference of this size asks: so many test units alone, or seeds alone; null where alone they do not do.

    times: where neither does, how many times as many of both.
    """

    sentence: str
    units: int | None
    seeds: int | None
    times: int | None


class Exploratory(Record):
    """A contrast that nobody named beforehand: an interval and a raw p-value to look at, never a verdict."""

    strategy: str
    against: str
    label_budget: int
    seeds: int
    difference: Number
    low: Number
    high: Number
    p_value: Number

    @staticmethod
    def of(measured: "Contrast", entrant: str, opponent: str, budget: int) -> "Exploratory":
        return Exploratory(
            strategy=entrant,
            against=opponent,
            label_budget=budget,
            seeds=measured.seeds,
            difference=measured.interval.estimate,
            low=measured.interval.low,
            high=measured.interval.high,
            p_value=measured.p_value,
        )


class Baseline(Exploratory):
    """The chosen strategy against a control without a network, at the headline budget: exploratory, in words as well.

    Positive means that transfer is better. against: the strategy's name.
    """

    sentence: str


class Probabilities(Record):
    """How sure the chosen strategy's probabilities are, on test rows, before and after calibration; means over seeds.

    error: the expected calibration error, a fraction; log_loss: in nats.
    """

    sentence: str
    error: Number
    error_before: Number
    log_loss: Number
    log_loss_before: Number
    temperature: Number
    seeds: int


class Intervals(Record):
    """The intervals around the chosen strategy's values: the share of test rows that they hold; null: none is given.

    low, high: Wilson's interval of that share. lowest, highest: of the seeds. width: whole, in the unit.
    """

    sentence: str
    level: Number
    coverage: Number | None = None
    low: Number | None = None
    high: Number | None = None
    lowest: Number | None = None
    highest: Number | None = None
    width: Number | None = None
    seeds: int = 0


class EachValue(Record):
    """One of several values at the headline budget, in its own unit: means over seeds on the test rows.

    against_scratch: of the MAE, exploratory. intervals: of this value alone.
    """

    sentence: str
    name: str
    unit: str | None
    mae: Number
    rmse: Number
    r2: Number | None
    scratch_mae: Number
    against_scratch: Exploratory
    intervals: Intervals | None = None


class Verdict(Record):
    """The whole of verdict.json. Of values it also has their unit and the contrast on RMSE, exploratory.

    Of several values the unit is their s.d., each is in `values` in its own unit, and intervals are of all at once.

    probabilities (of classes), intervals (of values): of the chosen strategy at the headline budget.

    resolution: half-width that was to be expected before training; seeds: trainings behind the headline contrast.
    folds: of cross-validation, 0 where there is a test set.
    control is null where the control with half the steps was not run, against_source where there is no source entrant.
    baselines: the chosen strategy against each control without a network that was run; not there where none was.
    to_settle: of the verdict on scratch, where the rows or seeds are what leaves it open.
    interim: how things stood on held-out labels before a test row was opened, in words; rounds: the remedies tried.
    opened: how often these test rows were opened, this time included.
    """

    sentence: str
    metric: Literal["accuracy", "mae", "scaled_mae"]
    resolution: Number
    seeds: int
    folds: int = 0
    confidence: Number
    margin: Number
    against_scratch: ContrastVerdict
    against_source: ContrastVerdict | None
    equal_compute: ContrastVerdict | None
    control: ControlCheck | None
    to_settle: ToSettle | None = None
    exploratory: tuple[Exploratory, ...]
    baselines: tuple[Baseline, ...] = ()
    interim: str | None = None
    rounds: tuple[dict[str, JsonValue], ...]
    warnings: tuple[str, ...]
    opened: int
    unit: str | None = None
    rmse: Exploratory | None = None
    probabilities: Probabilities | None = None
    intervals: Intervals | None = None
    values: tuple[EachValue, ...] = ()

    @model_serializer(mode="wrap")
    def _without_what_classes_lack(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        document: dict[str, object] = handler(self)
        lacking = {
            "accuracy": {"unit", "rmse", "intervals", "values"},
            "mae": {"probabilities", "values"},
            "scaled_mae": {"probabilities", "rmse"},
        }[self.metric]
        lacking |= set() if self.baselines else {"baselines"}
        return {key: value for key, value in document.items() if key not in lacking}
