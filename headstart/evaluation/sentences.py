"""The verdict in words: the first thing that a reader sees. measures.py knows what amounts are called."""

from headstart.entrants import CONTROL, SOURCE, words
from headstart.evaluation.contrasts import Contrast
from headstart.evaluation.control import state_of
from headstart.evaluation.decision import FEWEST_FLIPS, FEWEST_UNITS, Ruling
from headstart.evaluation.document import (
    ChoiceCheck,
    ComputeSaved,
    ContrastVerdict,
    ControlCheck,
    Exploratory,
    Saving,
    Verdict,
)
from headstart.evaluation.measures import RATE, Measure
from headstart.evaluation.overlap import ALL_SHARED
from headstart.evaluation.resolution import Resolution
from headstart.evaluation.settling import Needed

OPPONENTS = {CONTROL: "training from scratch", SOURCE: "the source model as it is"}
NOTABLE = 1.05  # a saving nearer to 1 than this is not worth a clause


def contrast_sentence(
    ruling: Ruling,
    measured: Contrast,
    *,
    strategy: str,
    against: str,
    confidence: float,
    margin: float,
    labels_saved: Saving | None,
    measure: Measure = RATE,
) -> str:
    """One contrast in words: the verdict, the difference with its interval and conditions, and what follows."""
    difference = _difference(strategy, against, measured, confidence, measure)
    if ruling.verdict == "helped":
        return f"transfer helped: {difference}{_fewer_labels(labels_saved, measure)}"
    if ruling.verdict == "hurt":
        return f"transfer hurt: {difference}{_as_good_as(labels_saved, measure)}"
    if ruling.verdict == "equivalent":
        return f"transfer made no difference (equivalent within {measure.size(margin)}): {difference}"
    if ruling.withheld is not None:
        return f"not settled whether transfer helped: {ruling.withheld}; so far {difference}"
    why = _why_not_settled(ruling, measured, confidence=confidence, margin=measure.size(margin))
    return f"not settled whether transfer helped: {difference}{why}"


def equal_compute_sentence(strategy: str, measured: Contrast, *, confidence: float, measure: Measure = RATE) -> str:
    """The second figure, beside the verdict: the control trained for as much compute as the strategy."""
    return f"at equal compute: {_difference(strategy, CONTROL, measured, confidence, measure)}"


def baseline_sentence(
    strategy: str, baseline: str, measured: Contrast, *, confidence: float, measure: Measure = RATE
) -> str:
    """The strategy against a control without a network, and plainly where that one does better.

    baseline: in words, such as "a linear model on TF-IDF".
    """
    difference = _difference(strategy, baseline, measured, confidence, measure)
    return f"{baseline} does better than transfer: {difference}" if measured.interval.high < 0 else difference


def withheld_words(check: ControlCheck, measure: Measure = RATE) -> str:
    """Why the verdict on scratch is withheld, and the remedy."""
    return (
        f"training from scratch still improves ({measure.amount(check.gain)} from doubling its steps),"
        " so the verdict is withheld: raise strategies.scratch.steps"
    )


def choice_words(check: ChoiceCheck, measure: Measure = RATE) -> str:
    """Why `helped` is not said of a way that was chosen by chance."""
    interval = f"{measure.signed(check.low)}..{measure.signed(check.high)}"
    return (
        "it hangs on the choice (where each seed takes the way that the other seeds choose, the gain is"
        f" {measure.amount(check.difference)}, {interval}): more seeds, or more labels, would tell the ways apart"
    )


def resolution_line(expected: Resolution, *, unit: str = "rows", measure: Measure = RATE, folds: int = 0) -> str:
    """The plan's line, before anything is trained. folds: of cross-validation, 0 where there is a test set."""
    expectation = measure.expectation(expected.disagreement, unit)
    spread = (
        f" and a seed s.d. of {measure.about(expected.seed_sd * measure.scale)}"
        if expected.seeds > 1
        else "; with one seed, of these two models only"
    )
    tested = f"{expected.units:,} {unit} {in_folds(folds, expected.seeds)}"
    tested = tested if folds else f"{expected.units:,} test {unit} and {_count(expected.seeds, 'seed')}"
    return (
        f"resolution: {tested} give a"
        f" {_percent(expected.confidence)} interval of about +-{measure.about(expected.half_width)}"
        f" ({expectation}{spread})"
    )


def in_folds(folds: int, seeds: int) -> str:
    """How scores came about without a test set: "by 5-fold cross-validation repeated 5 times"."""
    return f"by {folds}-fold cross-validation{f' repeated {seeds} times' if seeds > 1 else ''}"


def lines(verdict: Verdict, measure: Measure = RATE) -> list[str]:
    """What is printed at the end of a run: the sentence, the second contrast, the figures, the warnings."""
    scratch, source = verdict.against_scratch, verdict.against_source
    printed = [verdict.sentence]
    printed += [source.sentence] if source else []
    printed += [verdict.equal_compute.sentence] if verdict.equal_compute else []
    printed += [f"exploratory: {baseline.sentence}" for baseline in verdict.baselines]
    printed += [_flips_line(contrast) for contrast in (scratch, source) if contrast]
    printed += [f"labels saved: {saving_words(scratch.labels_saved)}"] if scratch.labels_saved else []
    printed += [_compute_line(scratch.compute_saved)] if scratch.compute_saved else []
    printed += [_gap_line(scratch, verdict.confidence, measure)] if scratch.gap else []
    printed += [_control_line(verdict.control, verdict.confidence, verdict.margin, measure)] if verdict.control else []
    printed += [_rmse_line(verdict.rmse, verdict.confidence, measure)] if verdict.rmse else []
    printed += [own.sentence for own in verdict.values]
    printed += [sure.sentence for sure in (verdict.probabilities, verdict.intervals) if sure]
    if verdict.to_settle:
        printed.append(verdict.to_settle.sentence)
    printed.append(f"resolution expected before training: +-{measure.about(verdict.resolution)}")
    return printed + [f"warning: {warning}" for warning in verdict.warnings]


def settling_words(needed: Needed, now: Contrast) -> str:
    """Such as "to settle a difference of this size, at even odds: about 2,400 labelled test rows (719 now)"."""
    noun = "group" if now.grouped else "row"
    ways = [f"about {_rounded_up(needed.units):,} labelled test {noun}s ({now.units:,} now)"] if needed.units else []
    ways += [f"{needed.seeds} seeds ({now.seeds} now), each with labels of its own"] if needed.seeds else []
    if needed.times:
        both = f"{now.units:,} and {now.seeds} now"
        ways = [f"about {needed.times} times the test {noun}s and the seeds ({both})"]
    return f"to settle a difference of this size, at even odds: {', or '.join(ways)}"


def _rounded_up(count: int) -> int:
    """To two digits that count."""
    step: int = 10 ** max(len(str(count)) - 2, 0)
    return -(-count // step) * step


def saving_words(saving: Saving) -> str:
    """A saving with its interval: "4.1x (2.2x..7.9x)", "at least 2.0x (1.4x or more)", "at most 0.5x"."""
    if saving.ratio is None:
        return f"below {_times(saving.high)}" if saving.high is not None else "unknown"
    # a bound that is the curve's end says nothing that "at least" has not said
    low = "" if saving.low is None or (saving.censored and saving.low == saving.ratio) else _times(saving.low)
    high = "" if saving.high is None or (saving.censored and saving.high == saving.ratio) else _times(saving.high)
    if low and high:
        interval = f" ({low}..{high})"
    else:
        interval = f" ({low} or more)" if low else f" ({high} or less)" if high else ""
    return f"{_bound(saving)}{_times(saving.ratio)}{interval}"


def _difference(strategy: str, against: str, measured: Contrast, confidence: float, measure: Measure) -> str:
    interval = measured.interval
    groups = f" over {_count(measured.units, 'group')}" if measured.grouped else ""
    said, first = measure.compared(words(strategy), OPPONENTS.get(against, against), interval.estimate)
    return (
        f"{said} ({first}{_percent(confidence)} CI"
        f" {measure.signed(interval.low)}..{measure.signed(interval.high)}{groups};"
        f" {', '.join(_conditions(measured))})"
    )


def _conditions(measured: Contrast) -> list[str]:
    """What the interval does not cover, or was corrected for."""
    conditions = []
    if measured.seeds == 1:
        conditions.append("for these two models")
    if measured.overlap == ALL_SHARED:
        conditions.append("for these labels")
    conditions.append("from this W")
    if measured.folds:
        conditions.append(in_folds(measured.folds, measured.seeds))
    if measured.overlap and measured.overlap < ALL_SHARED:
        conditions.append(f"seeds share {_share(measured.overlap)} of their labels")
    return conditions


def _why_not_settled(ruling: Ruling, measured: Contrast, *, confidence: float, margin: str) -> str:
    noun = "group" if measured.grouped else "row"
    flips = measured.flips.disagreeing_units
    if ruling.reason == "few units":
        return f"; {_count(measured.units, f'test {noun}')} cannot settle it, at least {FEWEST_UNITS} are needed"
    if ruling.reason == "few flips":
        return (
            f"; within {margin}, but only {_count(flips, f'test {noun}')} told the two apart:"
            f" at least {FEWEST_FLIPS} are needed to call them equivalent"
        )
    if ruling.reason == "corrected" and measured.p_value > 1 - confidence:
        return f", but p = {measured.p_value:.3f} by the exact McNemar test"
    if ruling.reason == "corrected":
        return f", but p = {ruling.p_holm:.3f} after Holm's correction for two comparisons"
    if measured.seeds == 1:
        return "; more seeds are needed to say more (1 seed now)"
    if measured.seeds == 2:
        return "; more seeds would narrow it most (2 seeds now)"
    if measured.folds:  # seeds share the rows, so that more of them say little
        return f"; more {noun}s would narrow it most ({measured.units:,} now)"
    if measured.interval.seed_part > measured.interval.row_part:
        return f"; more seeds would narrow it most ({_count(measured.seeds, 'seed')} now)"
    return f"; more test {noun}s would narrow it most ({measured.units:,} now)"


def _fewer_labels(saving: Saving | None, measure: Measure) -> str:
    if saving is None or saving.ratio is None or saving.ratio < NOTABLE or saving.bound == "<=":
        return ""
    return f", {_bound(saving)}{saving.ratio:.1f}x fewer labels for the same {measure.kind.word}"


def _as_good_as(saving: Saving | None, measure: Measure) -> str:
    if saving is None or saving.ratio is None or saving.ratio > 1 / NOTABLE or saving.bound == ">=":
        return ""
    word = measure.kind.word
    return f", an {word} that training from scratch reaches with {_bound(saving)}{_times(saving.ratio)} the labels"


def _flips_line(contrast: ContrastVerdict) -> str:
    return (
        f"test rows won and lost against {OPPONENTS[contrast.against]}, a seed:"
        f" {contrast.wins_per_seed:.1f} and {contrast.losses_per_seed:.1f}"
    )


def _compute_line(saved: ComputeSaved) -> str:
    whole = saved.with_pretraining
    loss = "" if whole.ratio is None or whole.ratio >= 1 else " (below 1x it costs more than it saves)"
    return f"compute saved: {saving_words(saved.given_w)} given W, {saving_words(whole)} with pretraining{loss}"


def _control_line(check: ControlCheck, confidence: float, margin: float, measure: Measure) -> str:
    state = state_of(check, margin=margin)
    return (
        f"control: doubling the steps of training from scratch gained {measure.amount(check.gain)}"
        f" ({_percent(confidence)} CI {measure.signed(check.low)}..{measure.signed(check.high)}): {state}"
    )


def _gap_line(contrast: ContrastVerdict, confidence: float, measure: Measure) -> str:
    gap = contrast.gap
    assert gap is not None
    return (
        f"train-test gap: {measure.amount(gap.difference)} against {OPPONENTS[contrast.against]}"
        f" ({_percent(confidence)} CI {measure.signed(gap.low)}..{measure.signed(gap.high)})"
    )


def _rmse_line(look: Exploratory, confidence: float, measure: Measure) -> str:
    return (
        f"RMSE, exploratory: {measure.amount(look.difference)} against {OPPONENTS[look.against]}"
        f" ({_percent(confidence)} CI {measure.signed(look.low)}..{measure.signed(look.high)})"
    )


def _bound(saving: Saving) -> str:
    return {"=": "", ">=": "at least ", "<=": "at most "}[saving.bound]


def _times(ratio: float) -> str:
    """Two digits that count: 0.36x, 4.1x, 1,200x."""
    return f"{float(f'{ratio:.2g}'):,.10g}x"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.4g}%"


def _share(overlap: float) -> str:
    return "under 1%" if overlap < 0.01 else f"{overlap:.0%}"


def _count(number: float, noun: str) -> str:
    return f"{number:,g} {noun}" if number == 1 else f"{number:,g} {noun}s"
