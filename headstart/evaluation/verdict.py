"""The verdict: the contrasts named beforehand, what they saved, and whether the control can be trusted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from pydantic import JsonValue

from headstart.entrants import CONTROL, SOURCE, Entrant, source_as_it_is
from headstart.errors import DataError
from headstart.evaluation.choice import crossed, scores_by_seed
from headstart.evaluation.contrasts import Contrast, contrast
from headstart.evaluation.control import check_control, curve_warning, overtrained_warning
from headstart.evaluation.decision import Ruling, decide, holm
from headstart.evaluation.document import (
    Baseline,
    ChoiceCheck,
    ComputeSaved,
    ContrastVerdict,
    ControlCheck,
    Exploratory,
    Gap,
    Saving,
    ToSettle,
    Verdict,
)
from headstart.evaluation.each_value import each_value
from headstart.evaluation.gap import gap
from headstart.evaluation.intervals import Floats, Sampling
from headstart.evaluation.measures import Measure
from headstart.evaluation.outcomes import EQUAL_COMPUTE, HALF_STEPS, Outcomes
from headstart.evaluation.overlap import ALL_SHARED
from headstart.evaluation.resolution import planned_resolution
from headstart.evaluation.savings import compute_saved, labels_saved
from headstart.evaluation.sentences import (
    baseline_sentence,
    choice_words,
    contrast_sentence,
    equal_compute_sentence,
    settling_words,
    withheld_words,
)
from headstart.evaluation.settings import EvaluationSettings
from headstart.evaluation.settling import to_settle
from headstart.evaluation.sureness import intervals, probabilities


@dataclass(frozen=True)
class Question:
    """What was named before the test rows were opened.

    expected_overlap: share of labels that two seeds were expected to have in common, as the plan had it. shown:
    strategies that could not have been chosen. baselines: of them the controls without a network, with what each is
    called in words.
    """

    chosen: str
    headline_budget: int
    settings: EvaluationSettings
    folds: int = 0
    expected_overlap: float = 0.0
    shown: tuple[str, ...] = ()
    baselines: Mapping[str, str] = field(default_factory=dict)

    def margin(self, measure: Measure) -> float:
        """Differences below this count as equivalent."""
        return measure.margin(self.settings)


def reach_verdict(
    outcomes: Outcomes,
    question: Question,
    *,
    opened: int,
    interim: str | None = None,
    rounds: Sequence[dict[str, JsonValue]] = (),
    warnings: Sequence[str] = (),
) -> Verdict:
    """Answers the question, with everything that qualifies the answer. interim, rounds, warnings: see evaluate.

    Raises:
        DataError: the chosen strategy or the control was not run at the headline budget, the chosen one is the
            control, or the two (or the source) were run with different seeds.
    """
    settings = question.settings
    named, measure = _named_contrasts(outcomes, question), outcomes.measure
    adjusted = dict(zip(named, holm([measured.p_value for measured in named.values()]), strict=True))
    check, baselines = _control_check(outcomes, question), tuple(_baselines(outcomes, question))
    scratch = _against_scratch(outcomes, question, named[CONTROL], adjusted[CONTROL], check)
    own = source_as_it_is(question.chosen)
    source = _against_source(outcomes, question, named[own], adjusted[own]) if own in named else None
    return Verdict(
        sentence=scratch.sentence,
        metric=measure.kind.metric,
        resolution=planned_resolution(
            settings,
            units=max(named[CONTROL].units, 2),
            seeds=named[CONTROL].seeds,
            overlap=question.expected_overlap,
            measure=measure,
        ).half_width,
        seeds=named[CONTROL].seeds,
        folds=question.folds,
        confidence=settings.confidence,
        margin=question.margin(measure),
        against_scratch=scratch,
        against_source=source,
        equal_compute=_equal_compute(outcomes, question),
        control=check,
        to_settle=_to_settle(question, outcomes, scratch, named[CONTROL], contrasts=len(named)),
        exploratory=tuple(_exploratory(outcomes, question)),
        baselines=baselines,
        interim=interim,
        rounds=tuple(rounds),
        warnings=(
            *warnings,
            *_warnings(outcomes, question, named[CONTROL], check, opened),
            *_better_baselines(question, baselines),
        ),
        opened=opened,
        unit=measure.unit,
        rmse=_rmse(outcomes, question),
        probabilities=probabilities(outcomes, question.chosen, question.headline_budget),
        intervals=intervals(outcomes, question.chosen, question.headline_budget, settings),
        values=each_value(outcomes, question.chosen, question.headline_budget, settings),
    )


def _named_contrasts(outcomes: Outcomes, question: Question) -> dict[str, Contrast]:
    """Chosen against scratch, and against its own source where that is another entrant of this budget."""
    chosen, budget = question.chosen, question.headline_budget
    if chosen == CONTROL:
        raise DataError(f"the chosen strategy is {CONTROL}, the control itself; choose one that transfers")
    for entrant in (chosen, CONTROL):
        if budget not in outcomes.budgets(entrant):
            raise DataError(
                f"{entrant} has no predictions at the headline budget of {outcomes.measure.kind.labels(budget)}, only"
                f" at {outcomes.budgets(entrant)}; run {entrant} at {budget}"
            )
    opponents = [CONTROL]
    own = source_as_it_is(chosen)
    if chosen != own and budget in outcomes.budgets(own):
        opponents.append(own)
    for opponent in opponents:
        ours, theirs = outcomes.seeds(chosen, budget), outcomes.seeds(opponent, budget)
        if ours != theirs:
            raise DataError(
                f"at {outcomes.measure.kind.labels(budget)} {chosen} has seeds {ours} and {opponent} has {theirs};"
                " a paired comparison needs the same: run the missing ones"
            )
    return {opponent: _measure(outcomes, question, chosen, opponent, budget) for opponent in opponents}


def _measure(outcomes: Outcomes, question: Question, entrant: str, opponent: str, budget: int) -> Contrast:
    """The contrast of two entrants over the seeds that both have."""
    seeds = _common_seeds(outcomes, [(entrant, budget), (opponent, budget)])
    measured = contrast(
        outcomes.scores(entrant, budget, seeds),
        outcomes.scores(opponent, budget, seeds),
        units=outcomes.units,
        overlap=outcomes.overlap(budget, seeds),
        confidence=question.settings.confidence,
        measure=outcomes.measure,
    )
    return replace(measured, folds=question.folds)


def _common_seeds(outcomes: Outcomes, runs: Sequence[tuple[str, int]]) -> list[int]:
    return sorted(set.intersection(*(set(outcomes.seeds(entrant, budget)) for entrant, budget in runs)))


def _against_scratch(
    outcomes: Outcomes,
    question: Question,
    measured: Contrast,
    p_holm: float,
    check: ControlCheck | None,
) -> ContrastVerdict:
    choice = _choice(outcomes, question, lambda entrant: CONTROL)
    ruling = _checked(_decide(outcomes, question, measured, p_holm), choice, outcomes.measure)
    if check is not None and check.still_improves:
        ruling = replace(
            ruling, verdict="not settled", reason="withheld", withheld=withheld_words(check, outcomes.measure)
        )
    labels = _labels_saved(outcomes, question)
    return _describe(
        question,
        CONTROL,
        measured,
        ruling,
        sentence=_sentence(outcomes, question, CONTROL, measured, ruling, labels),
        labels=labels,
        compute=_compute_saved(outcomes, question),
        train_test_gap=_gap(outcomes, question, CONTROL),
        choice=choice,
    )


def _against_source(outcomes: Outcomes, question: Question, measured: Contrast, p_holm: float) -> ContrastVerdict:
    choice = _choice(outcomes, question, source_as_it_is)
    ruling = _checked(_decide(outcomes, question, measured, p_holm), choice, outcomes.measure)
    return _describe(
        question,
        SOURCE,
        measured,
        ruling,
        sentence=_sentence(outcomes, question, SOURCE, measured, ruling, None),
        train_test_gap=_gap(outcomes, question, source_as_it_is(question.chosen)),
        choice=choice,
    )


def _to_settle(
    question: Question, outcomes: Outcomes, ruled: ContrastVerdict, measured: Contrast, *, contrasts: int
) -> ToSettle | None:
    """None where it is settled, or something else than rows and seeds is in the way."""
    if ruled.verdict != "not settled" or ruled.reason in ("withheld", "corrected", "choice"):
        return None
    margin = question.margin(outcomes.measure)
    level = (1 - question.settings.confidence) / contrasts  # as Holm leaves the smaller of the p-values
    needed = to_settle(measured, margin=margin, confidence=1 - level)
    return ToSettle(sentence=settling_words(needed, measured), **asdict(needed)) if needed else None


def _choice(outcomes: Outcomes, question: Question, opponent_of: Callable[[str], str]) -> ChoiceCheck | None:
    """The contrast of each seed's own way, with its own opponent."""
    budget = question.headline_budget
    found = crossed(outcomes, question.chosen, budget, question.shown)
    if found is None:
        return None
    seeds = outcomes.seeds(question.chosen, budget)
    opponents = [opponent_of(entrant) for entrant in found.entrants]
    if any(seed not in outcomes.seeds(name, budget) for name, seed in zip(opponents, seeds, strict=True)):
        return None  # a source that did not enter as it is
    measured = contrast(
        scores_by_seed(outcomes, found.entrants, budget, seeds),
        scores_by_seed(outcomes, opponents, budget, seeds),
        units=outcomes.units,
        overlap=outcomes.overlap(budget, seeds),
        confidence=question.settings.confidence,
        measure=outcomes.measure,
    )
    interval = measured.interval
    return ChoiceCheck(difference=interval.estimate, low=interval.low, high=interval.high, seeds=found.counts)


def _checked(ruling: Ruling, choice: ChoiceCheck | None, measure: Measure) -> Ruling:
    """Help that is not there with the ways that the other seeds choose is not called help."""
    if ruling.verdict != "helped" or choice is None or choice.low > 0:
        return ruling
    return replace(ruling, verdict="not settled", reason="choice", withheld=choice_words(choice, measure))


def _equal_compute(outcomes: Outcomes, question: Question) -> ContrastVerdict | None:
    """The second figure: the run's verdict does not hang on it, so its p-value stands alone."""
    chosen, budget = question.chosen, question.headline_budget
    if not _common_seeds(outcomes, [(chosen, budget), (EQUAL_COMPUTE, budget)]):
        return None
    measured = _measure(outcomes, question, chosen, EQUAL_COMPUTE, budget)
    ruling = _decide(outcomes, question, measured, measured.p_value)
    sentence = equal_compute_sentence(
        chosen, measured, confidence=question.settings.confidence, measure=outcomes.measure
    )
    return _describe(question, EQUAL_COMPUTE, measured, ruling, sentence=sentence)


def _decide(outcomes: Outcomes, question: Question, measured: Contrast, p_holm: float) -> Ruling:
    return decide(
        measured.interval,
        p_holm=p_holm,
        confidence=question.settings.confidence,
        margin=question.margin(outcomes.measure),
        units=measured.units,
        disagreeing_units=measured.flips.disagreeing_units,
    )


def _sentence(
    outcomes: Outcomes, question: Question, against: str, measured: Contrast, ruling: Ruling, labels: Saving | None
) -> str:
    return contrast_sentence(
        ruling,
        measured,
        strategy=question.chosen,
        against=against,
        confidence=question.settings.confidence,
        margin=question.margin(outcomes.measure),
        labels_saved=labels,
        measure=outcomes.measure,
    )


def _describe(
    question: Question,
    against: str,
    measured: Contrast,
    ruling: Ruling,
    *,
    sentence: str,
    labels: Saving | None = None,
    compute: ComputeSaved | None = None,
    train_test_gap: Gap | None = None,
    choice: ChoiceCheck | None = None,
) -> ContrastVerdict:
    interval, flips = measured.interval, measured.flips
    return ContrastVerdict(
        sentence=sentence,
        verdict=ruling.verdict,
        reason=ruling.reason,
        withheld=ruling.withheld,
        strategy=question.chosen,
        against=against,
        label_budget=question.headline_budget,
        difference=interval.estimate,
        low=interval.low,
        high=interval.high,
        p_value=measured.p_value,
        p_holm=ruling.p_holm,
        wins=flips.wins,
        losses=flips.losses,
        wins_per_seed=flips.wins / measured.seeds,
        losses_per_seed=flips.losses / measured.seeds,
        disagreeing_units=flips.disagreeing_units,
        seeds=measured.seeds,
        units=measured.units,
        rows=measured.rows,
        overlap=measured.overlap,
        standard_error=interval.standard_error,
        df=interval.df,
        row_part=interval.row_part,
        seed_part=interval.seed_part,
        choice=choice,
        labels_saved=labels,
        compute_saved=compute,
        gap=train_test_gap,
    )


def _control_check(outcomes: Outcomes, question: Question) -> ControlCheck | None:
    budget = question.headline_budget
    if not _common_seeds(outcomes, [(CONTROL, budget), (HALF_STEPS, budget)]):
        return None
    doubling = _measure(outcomes, question, CONTROL, HALF_STEPS, budget)
    return check_control(doubling, margin=question.margin(outcomes.measure))


def _labels_saved(outcomes: Outcomes, question: Question) -> Saving | None:
    """Over the seeds that every budget of scratch has; budgets with none of the headline's seeds are left out.

    None at a headline budget of 0, which has no ratio, and where scratch was trained at one budget: nothing can be
    read off one point.
    """
    if question.headline_budget == 0:
        return None
    headline = (question.chosen, question.headline_budget)
    curve = [
        (CONTROL, budget)
        for budget in outcomes.budgets(CONTROL)
        if budget > 0 and _common_seeds(outcomes, [headline, (CONTROL, budget)])
    ]
    seeds = _common_seeds(outcomes, [headline, *curve]) or _common_seeds(outcomes, [headline])
    curve = [run for run in curve if set(seeds) <= set(outcomes.seeds(*run))]
    if len(curve) < 2:
        return None
    return labels_saved(
        _by_scale(outcomes, outcomes.scores(*headline, seeds)),
        {budget: _by_scale(outcomes, outcomes.scores(CONTROL, budget, seeds)) for _, budget in curve},
        headline_budget=question.headline_budget,
        sampling=_sampling(outcomes, question, seeds, budgets=[budget for _, budget in curve]),
    )


def _by_scale(outcomes: Outcomes, scores: Floats) -> Floats:
    """Savings are ratios: they are read off scores without a unit."""
    return scores / outcomes.measure.scale


def _sampling(outcomes: Outcomes, question: Question, seeds: Sequence[int], budgets: Sequence[int]) -> Sampling:
    """With the largest overlap of the budgets involved; where all share all labels, it holds for these labels."""
    overlaps = [outcomes.overlap(budget, seeds) or 0.0 for budget in budgets]
    partial = [overlap for overlap in overlaps if overlap < ALL_SHARED]
    return Sampling(
        units=outcomes.units,
        overlap=max(partial, default=ALL_SHARED),
        confidence=question.settings.confidence,
    )


def _compute_saved(outcomes: Outcomes, question: Question) -> ComputeSaved:
    chosen, budget = question.chosen, question.headline_budget
    seeds = outcomes.seeds(chosen, budget)
    return compute_saved(
        {p: _by_scale(outcomes, scores) for p, scores in outcomes.by_progress(chosen, budget, seeds).items()},
        {p: _by_scale(outcomes, scores) for p, scores in outcomes.by_progress(CONTROL, budget, seeds).items()},
        strategy_compute=float(outcomes.column("compute", chosen, budget, seeds).mean()),
        scratch_compute=float(outcomes.column("compute", CONTROL, budget, seeds).mean()),
        pretraining_compute=float(outcomes.column("pretraining_compute", chosen, budget, seeds).mean()),
        sampling=_sampling(outcomes, question, seeds, budgets=[budget]),
    )


def _gap(outcomes: Outcomes, question: Question, opponent: str) -> Gap | None:
    chosen, budget = question.chosen, question.headline_budget
    seeds = outcomes.seeds(chosen, budget)
    return gap(
        entrant=outcomes.scores(chosen, budget, seeds),
        opponent=outcomes.scores(opponent, budget, seeds),
        entrant_train=outcomes.column("train_score", chosen, budget, seeds),
        opponent_train=outcomes.column("train_score", opponent, budget, seeds),
        sampling=replace(
            _sampling(outcomes, question, seeds, budgets=[budget]),
            scale=outcomes.measure.scale,
            largest=outcomes.measure.largest,
        ),
    )


def _exploratory(outcomes: Outcomes, question: Question) -> Iterator[Exploratory]:
    """Every other strategy and budget against scratch and its own source, in the order of their names."""
    for entrant in outcomes.entrants():
        for opponent in (CONTROL, source_as_it_is(entrant)):
            if Entrant.parse(entrant).strategy == CONTROL or entrant == opponent:
                continue
            for budget in outcomes.budgets(entrant):
                named = (entrant, budget) == (question.chosen, question.headline_budget)
                if not named and _common_seeds(outcomes, [(entrant, budget), (opponent, budget)]):
                    yield _look(outcomes, question, entrant, opponent, budget)


def _look(outcomes: Outcomes, question: Question, entrant: str, opponent: str, budget: int) -> Exploratory:
    return Exploratory.of(_measure(outcomes, question, entrant, opponent, budget), entrant, opponent, budget)


def _baselines(outcomes: Outcomes, question: Question) -> Iterator[Baseline]:
    """The chosen strategy against each control without a network that was run with its seeds."""
    chosen, budget, measure = question.chosen, question.headline_budget, outcomes.measure
    for name, words in question.baselines.items():
        if not _common_seeds(outcomes, [(chosen, budget), (name, budget)]):
            continue
        measured = _measure(outcomes, question, chosen, name, budget)
        said = baseline_sentence(chosen, words, measured, confidence=question.settings.confidence, measure=measure)
        look = Exploratory.of(measured, chosen, name, budget)
        yield Baseline(**look.model_dump(), sentence=said)


def _better_baselines(question: Question, baselines: Sequence[Baseline]) -> Iterator[str]:
    for found in baselines:
        if found.high is not None and found.high < 0:
            yield (
                f"{question.baselines[found.against]} ({found.against}) does better than {found.strategy}, with neither"
                " a source nor a network: take it before transfer"
            )


def _rmse(outcomes: Outcomes, question: Question) -> Exploratory | None:
    """The chosen strategy against scratch on RMSE; None of classes, and of several values, which have one each."""
    if outcomes.measure.exact or outcomes.measure.parts:
        return None
    budget = question.headline_budget
    seeds = outcomes.seeds(question.chosen, budget)
    measured = contrast(
        rmse_scores(outcomes.scores(question.chosen, budget, seeds)),
        rmse_scores(outcomes.scores(CONTROL, budget, seeds)),
        units=outcomes.units,
        overlap=outcomes.overlap(budget, seeds),
        confidence=question.settings.confidence,
        measure=outcomes.measure,
    )
    return Exploratory.of(measured, question.chosen, CONTROL, budget)


def rmse_scores(errors: Floats) -> Floats:
    """(seeds, rows): scores whose mean over the rows of a seed is minus its RMSE, by the delta method.

    errors: (seeds, rows). With m the mean square of a seed, a row's score is -(sqrt(m) + (error^2 - m) / (2 sqrt(m))).
    """
    squares = errors**2
    means = squares.mean(axis=1, keepdims=True)
    roots = np.sqrt(np.maximum(means, np.finfo(np.float64).tiny))
    scores: Floats = -(roots + (squares - means) / (2 * roots))
    return scores


def _warnings(
    outcomes: Outcomes, question: Question, measured: Contrast, check: ControlCheck | None, opened: int
) -> Iterator[str]:
    if check is None:
        yield (
            f"{HALF_STEPS} was not run, so whether training from scratch has reached its plateau is unknown;"
            " run it with half of strategies.scratch.steps"
        )
    margin, measure = question.margin(outcomes.measure), outcomes.measure
    if check and (worse := overtrained_warning(check, margin=margin, measure=measure)):
        yield worse
    curve = {
        budget: float(outcomes.scores(CONTROL, budget, outcomes.seeds(CONTROL, budget)).mean())
        for budget in outcomes.budgets(CONTROL)
    }
    if tell_tale := curve_warning(curve, margin=margin, measure=measure):
        yield tell_tale
    if measured.seeds == 2:
        yield "two seeds hardly show how much seeds differ: the interval is wide for that reason; use five"
    if constant := measure.best_constant(outcomes.truth, outcomes.classes):
        yield (
            f"classes are uneven: always answering {constant[0]!r} is right in {measure.level(constant[1])} of the test"
            " rows, and labels are drawn evenly; look at macro_f1 in reports/comparison.csv too"
        )
    if opened > 1:
        yield (
            f"these test rows were opened {opened} times; each look makes a chance result likelier:"
            " confirm on fresh rows"
        )
