"""Remedies (the article's last step): what is tried where the target falls short of scratch, or of the source.

Each round tries one way more, the next of REMEDIES that has a meaning here, and asks the budget's held-out labels
again. The order is that of expected gain for cost. Test rows have no part in it: however many rounds there are, the
verdict is one contrast on rows that nothing was chosen by.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from headstart.cells.combinations import meaningless
from headstart.cells.results import rank_entrants, with_remedies
from headstart.cells.select import candidates
from headstart.cells.ways import Way
from headstart.datasets.pack import POOL, UNLABELLED, Card
from headstart.datasets.table import get_built_in, is_built_in
from headstart.entrants import Entrant
from headstart.evaluation.interim import HeldOut, Lead, Standing, lead, lead_words, standing, standing_words
from headstart.settings import Settings


@dataclass(frozen=True)
class Remedy:
    """One more way, and why it is tried, in words."""

    way: Way
    why: str


@dataclass(frozen=True)
class Round:
    """What was tried, how things stood before, what it changed against the best by then, and whether it is the best."""

    remedy: Remedy
    before: Standing
    change: Lead
    kept: bool


@dataclass(frozen=True)
class Case:
    """What remedies are chosen by. sources: all there are. ranking: their names, the best first. blocks: W's."""

    settings: Settings
    target: Card
    sources: Mapping[str, Card]
    ranking: Sequence[str]
    blocks: int


@dataclass(frozen=True)
class Course:
    """How far things have come: the cells so far, where the best entrant of them stands, the rounds."""

    cells: pd.DataFrame
    standing: Standing
    rounds: tuple[Round, ...] = ()

    @property
    def best(self) -> Entrant:
        return Entrant.parse(self.standing.entrant)


Attempt = Callable[[Remedy, int], pd.DataFrame]
Say = Callable[[int, Round], None]


def _say_nothing(number: int, done: Round) -> None:
    """What a caller hears who does not ask."""


def treat(case: Case, cells: pd.DataFrame, held: HeldOut, *, attempt: Attempt, say: Say = _say_nothing) -> Course:
    """Tries remedies until the best way is ahead of control and source by more than the margin, or none is left.

    cells: those of finetune, at the headline budget. attempt: trains a remedy's cells in the round of that number, from
    1 on, and returns them, with those of another entrant where they ask for one. say: is told of each round.
    """
    course = Course(cells, _standing(case, cells, (), held))
    for next_remedy in REMEDIES:
        if not course.standing.short_of or len(course.rounds) == case.settings.remedy.max_rounds:
            break
        if remedy := next_remedy(case, course):
            course = _tried(case, course, remedy, held, attempt)
            say(len(course.rounds), course.rounds[-1])
    return course


def _tried(case: Case, course: Course, remedy: Remedy, held: HeldOut, attempt: Attempt) -> Course:
    before, entrant = course.standing, remedy.way.entrant
    cells = pd.concat([course.cells, attempt(remedy, len(course.rounds) + 1)], ignore_index=True)
    after = _standing(case, cells, [*(done.remedy for done in course.rounds), remedy], held)
    done = Round(remedy, before, lead(cells, entrant, before.entrant, held), kept=after.entrant == entrant)
    return Course(cells, after, (*course.rounds, done))


def _standing(case: Case, cells: pd.DataFrame, remedies: Sequence[Remedy], held: HeldOut) -> Standing:
    strategies = with_remedies(case.settings.finetune.strategies, [remedy.way.strategy for remedy in remedies])
    return standing(cells, rank_entrants(candidates(cells, strategies), strategies)[0], held)


def most_remedies(settings: Settings) -> list[str]:
    """The strategies of the remedies that are tried where all of them have a meaning and none is enough."""
    entered, held = settings.finetune.strategies, len(settings.source.data) > len(settings.entering)
    source = ["full"] * held
    described = any(is_built_in(name) and get_built_in(name).attributes for name in settings.source.data)
    attributes = ["joint_attributes"] * bool(described or settings.data.attribute_columns)
    first, last = ["l2_sp", "wise_ft"], ["rotation", *attributes, "fixmatch"]
    others = [
        *(name for name in first if name not in entered),
        *source,
        *(name for name in last if name not in entered),
    ]
    return ["frozen_blocks", *others][: settings.remedy.max_rounds]


def course_document(course: Course, held: HeldOut) -> dict[str, Any]:
    """rounds.json: how things stand in the end, and a row a round, as verdict.json and the report have them.

    Differences are on held-out labels. ways: by entrant, what the cells of the rounds are made from.
    """
    rounds = [
        {
            "round": number,
            "tried": done.remedy.way.entrant,
            "because": done.remedy.why,
            "before": standing_words(done.before, held),
            "change": lead_words(done.change, held),
            "difference": done.change.difference,
            "low": done.change.low,
            "high": done.change.high,
            "kept": done.kept,
        }
        for number, done in enumerate(course.rounds, start=1)
    ]
    ways = {done.remedy.way.entrant: asdict(done.remedy.way) for done in course.rounds}
    return {"standing": standing_words(course.standing, held), "rounds": rounds, "ways": ways}


def _other_depth(case: Case, course: Course) -> Remedy | None:
    """Fewer fixed blocks where training all of them does no worse than training none, else more."""
    if "frozen_blocks" not in case.settings.finetune.strategies:
        return _as_it_is("frozen_blocks", "the first blocks fixed to W were not tried yet", case, course)
    fixed = case.settings.recipe("frozen_blocks").fixed_blocks
    all_trained, none_trained = (_score(course, name) for name in ("full", "linear_probe"))
    known = all_trained is not None and none_trained is not None
    fewer = not known or all_trained >= none_trained  # type: ignore[operator]
    order = (fixed - 1, fixed + 1) if fewer else (fixed + 1, fixed - 1)
    depths = [depth for depth in order if 1 <= depth < case.blocks]
    if not depths:
        return None
    hint = (
        f"full does {'no worse' if fewer else 'worse'} than linear_probe, so "
        if known and depths[0] == order[0]
        else ""
    )
    return Remedy(
        Way("frozen_blocks", _source(case, course), f"{depths[0]}_fixed", {"fixed_blocks": depths[0]}),
        f"another fixed depth: {hint}{depths[0]} instead of {fixed} blocks are fixed",
    )


def _l2_sp(case: Case, course: Course) -> Remedy | None:
    return _as_it_is("l2_sp", "a pull back to W keeps what few labels would undo", case, course)


def _wise_ft(case: Case, course: Course) -> Remedy | None:
    return _as_it_is("wise_ft", "between the probe and what tuning made of it may be better than either", case, course)


def _other_source(case: Case, course: Course) -> Remedy | None:
    """The best way so far from the best-ranked source that did not enter; `full` where it has no meaning there."""
    held = [name for name in case.ranking if name not in case.settings.entering]
    if not held:
        return None
    best, source = course.best, held[0]
    why = f"another source: {source} is ranked first of those that did not enter"
    if meaningless(best.strategy, case.target, {source: case.sources[source]}):
        return Remedy(Way("full", source), why)
    tried = {done.remedy.way.entrant: done.remedy.way.changes for done in course.rounds}
    return Remedy(Way(best.strategy, source, best.variant, tried.get(best.name, {})), why)


def _rotation(case: Case, course: Course) -> Remedy | None:
    why = "another task, which needs no labels: how far the target's rows were turned"
    return _as_it_is("rotation", why, case, course)


def _joint_attributes(case: Case, course: Course) -> Remedy | None:
    why = "another task: what the source says of its rows, learned beside the labels"
    return _as_it_is("joint_attributes", why, case, course)


def _fixmatch(case: Case, course: Course) -> Remedy | None:
    labels = case.settings.finetune.label_budget * max(len(case.target.classes), 1)
    pool = case.target.splits.get(POOL, 0)
    outside = pool - pool // case.target.folds if case.target.folds else pool  # of what a cell predicts
    rows = outside - labels + case.target.splits.get(UNLABELLED, 0)
    return (
        _as_it_is("fixmatch", f"{rows:,} rows without a label can be learned from", case, course) if rows > 0 else None
    )


REMEDIES: tuple[Callable[[Case, Course], Remedy | None], ...] = (
    _other_depth,
    _l2_sp,
    _wise_ft,
    _other_source,
    _rotation,
    _joint_attributes,
    _fixmatch,
)


def _as_it_is(strategy: str, why: str, case: Case, course: Course) -> Remedy | None:
    """A strategy by its own recipe; None where it entered, or has no meaning here."""
    name = course.best.source or case.settings.source.data[0]
    if strategy in case.settings.finetune.strategies or meaningless(strategy, case.target, {name: case.sources[name]}):
        return None
    return Remedy(Way(strategy, _source(case, course)), why)


def _source(case: Case, course: Course) -> str:
    """Whose W a remedy starts from: the best entrant's, so far."""
    return course.best.source if len(case.settings.source.data) > 1 else ""


def _score(course: Course, strategy: str) -> float | None:
    """Mean held-out score of a strategy from the best one's source; None where it did not enter."""
    name = Entrant(strategy, source=course.best.source).name
    own = course.cells[(course.cells["strategy"] == name) & (course.cells["variant"] == "")]
    return float(own["validation_score"].mean()) if len(own) else None
