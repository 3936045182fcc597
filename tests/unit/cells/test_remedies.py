"""Remedies: when one is tried, which is next, what it starts from, and what is said of it."""

from dataclasses import replace

import pandas as pd
import pytest

from headstart.cells.remedies import Case, course_document, most_remedies, treat
from headstart.datasets.pack import Card
from headstart.evaluation.interim import HeldOut
from headstart.evaluation.measures import RATE
from headstart.settings import Settings, validate

HELD = HeldOut(rows=20, overlap=0.0, confidence=0.95, margin=0.01, measure=RATE)
SHORT = {"source": 0.3, "scratch": 0.8, "linear_probe": 0.6, "frozen_blocks": 0.7, "full": 0.8, "lp_ft": 0.75}


def card(name: str, *, pool: int = 500, classes: tuple[str, ...] = ("a", "b"), **changes) -> Card:
    counts = {label: pool // max(len(classes), 1) for label in classes}
    own = Card(name, classes, counts, {"pool": pool}, {}, 0, 0, "image", 1, (28, 28), {}, (0.5,), (0.3,))
    return replace(own, **changes)


def settings(*sources: str, enter: int = 0, rounds: int = 6, **finetune) -> Settings:
    return validate(
        {
            "built_in": [],
            "source": {"data": list(sources or ["photos"]), "enter": enter},
            "target": {"data": "sketches"},
            "finetune": finetune,
            "remedy": {"max_rounds": rounds},
        },
        where="test",
    )


def case(given: Settings | None = None, *, target: Card | None = None, blocks: int = 4, **sources: Card) -> Case:
    given = given or settings()
    cards = {name: card(name) for name in given.source.data} | sources
    return Case(given, target or card("sketches"), cards, sorted(given.source.data), blocks)


def cells(scores: dict[str, float]) -> pd.DataFrame:
    rows = [(name, "", seed, score + seed / 1000, 0.5) for name, score in scores.items() for seed in range(5)]
    return pd.DataFrame(rows, columns=["strategy", "variant", "seed", "validation_score", "validation_loss"])


def run(given: Case, first: dict[str, float], **scores: float):
    """The course where a remedy's cells score as stated by its strategy, 0.5 by default; and what was tried, in order.

    Keywords are strategies.
    """
    tried = []

    def attempt(remedy, number):
        assert number == len(tried) + 1
        tried.append(remedy.way)
        return cells({remedy.way.entrant: scores.get(remedy.way.strategy, 0.5)})

    return treat(given, cells(first), HELD, attempt=attempt), tried


def test_nothing_is_tried_where_the_best_way_is_ahead_of_both():
    course, tried = run(case(), SHORT | {"full": 0.9})
    assert (course.rounds, tried) == ((), [])
    assert course_document(course, HELD) == {
        "standing": "full on held-out labels: +10.0 points against scratch (95% CI +7.3..+12.7) and +60.0 points "
        "against source (95% CI +57.3..+62.7)",
        "rounds": [],
        "ways": {},
    }


def test_falling_short_of_the_source_alone_is_a_reason_too():
    course, tried = run(case(), SHORT | {"full": 0.9, "source": 0.95})
    assert len(tried) == 5
    assert [lead.against for lead in course.standing.short_of] == ["source"]


def test_all_are_tried_in_the_stated_order_where_none_is_enough():
    course, tried = run(case(), SHORT)
    assert [way.entrant for way in tried] == ["frozen_blocks:1_fixed", "l2_sp", "wise_ft", "rotation", "fixmatch"]
    assert [done.kept for done in course.rounds] == [False] * 5
    assert course.standing.entrant == "full"
    assert most_remedies(settings()) == [way.strategy for way in tried]


def test_it_stops_with_the_first_that_is_enough():
    course, tried = run(case(), SHORT, l2_sp=0.9)
    assert [way.strategy for way in tried] == ["frozen_blocks", "l2_sp"]
    assert course.standing.entrant == "l2_sp"
    assert [done.kept for done in course.rounds] == [False, True]
    assert course.rounds[1].before.entrant == "full"
    assert course.rounds[1].change.difference == pytest.approx(0.1)


def test_a_little_ahead_is_kept_but_is_not_enough():
    course, tried = run(case(), SHORT, l2_sp=0.805)
    assert len(tried) == 5
    assert course.standing.entrant == "l2_sp"
    assert [done.kept for done in course.rounds] == [False, True, False, False, False]
    assert course.rounds[2].change.against == "l2_sp", "what came after is held against the best by then"


@pytest.mark.parametrize("most", [0, 1, 3])
def test_no_more_rounds_than_are_allowed(most):
    _, tried = run(case(settings(rounds=most)), SHORT)
    assert len(tried) == most == len(most_remedies(settings(rounds=most)))


def test_where_training_nothing_does_better_more_blocks_are_fixed():
    course, tried = run(case(settings(rounds=1)), SHORT | {"linear_probe": 0.8, "full": 0.6})
    assert tried[0].changes == {"fixed_blocks": 3}
    assert course.rounds[0].remedy.why == (
        "another fixed depth: full does worse than linear_probe, so 3 instead of 2 blocks are fixed"
    )


def test_a_depth_that_the_network_does_not_have_is_not_tried():
    deep = SHORT | {"linear_probe": 0.8, "full": 0.6}
    course, tried = run(case(settings(rounds=1), blocks=3), deep)
    assert tried[0].changes == {"fixed_blocks": 1}
    assert "so" not in course.rounds[0].remedy.why.split(), "it is no reason for the other direction"
    assert run(case(settings(rounds=1), blocks=1), deep)[1][0].strategy == "l2_sp"


def test_what_entered_is_not_tried_again_and_what_did_not_is():
    _, tried = run(
        case(settings(strategies=["scratch", "l2_sp", "fixmatch"])), {"scratch": 0.8, "l2_sp": 0.7, "fixmatch": 0.8}
    )
    assert [way.entrant for way in tried] == ["frozen_blocks", "wise_ft", "rotation"]
    assert tried[0].changes == {}


def test_what_has_no_meaning_here_is_not_tried():
    values = card("sketches", classes=(), kind="value")
    _, tried = run(case(target=values), SHORT)
    assert [way.strategy for way in tried] == ["frozen_blocks", "l2_sp", "wise_ft", "rotation", "fixmatch"]
    folds = card("sketches", pool=240, folds=5)
    assert run(case(target=folds), SHORT)[0].rounds[-1].remedy.why.startswith("172 rows without a label ")
    full = card("sketches", pool=20)  # all of them are labelled at 10 a class
    assert "fixmatch" not in [way.strategy for way in run(case(target=full), SHORT)[1]]


def test_another_source_is_the_best_ranked_that_did_not_enter_and_takes_the_best_way():
    given = replace(case(settings("photos", "icons", "maps", enter=1)), ranking=["photos", "maps", "icons"])
    first = {name if name == "scratch" else f"{name}@photos": score for name, score in SHORT.items()}
    course, tried = run(given, first, frozen_blocks=0.805)
    assert [way.entrant for way in tried] == [
        "frozen_blocks:1_fixed@photos",
        "l2_sp@photos",
        "wise_ft@photos",
        "frozen_blocks:1_fixed@maps",
        "rotation@photos",
        "fixmatch@photos",
    ]
    assert tried[3].changes == {"fixed_blocks": 1}
    assert course.rounds[3].remedy.why == "another source: maps is ranked first of those that did not enter"
    assert most_remedies(given.settings)[3] == "full"


def test_where_the_best_way_has_no_meaning_there_it_is_full_from_the_other_source():
    given = settings("photos", "icons", enter=1, strategies=["scratch", "co_tuning"])
    weights = card("icons", classes=(), pool=0)
    _, tried = run(case(given, icons=weights), {"scratch": 0.8, "co_tuning@photos": 0.8})
    assert "full@icons" in [way.entrant for way in tried]


def test_with_all_sources_entered_there_is_no_other():
    given = settings("photos", "icons")
    first = {name if name == "scratch" else f"{name}@{s}": v for name, v in SHORT.items() for s in ("photos", "icons")}
    _, tried = run(case(given), first)
    assert {way.source for way in tried} == {"photos"}
    assert len(tried) == 5


def test_the_rows_of_the_report_and_what_cells_are_made_from():
    course, tried = run(case(settings(rounds=2)), SHORT)
    document = course_document(course, HELD)
    first = document["rounds"][0]
    assert (first["round"], first["tried"], first["kept"]) == (1, "frozen_blocks:1_fixed", False)
    assert first["because"].startswith("another fixed depth: ")
    assert first["before"].startswith("full on held-out labels: +0.0 points against scratch (95% CI ")
    assert first["change"].startswith("-30.0 points against full (95% CI ")
    assert document["ways"] == {
        "frozen_blocks:1_fixed": {
            "strategy": "frozen_blocks",
            "source": "",
            "altered": "1_fixed",
            "changes": {"fixed_blocks": 1},
        },
        "l2_sp": {"strategy": "l2_sp", "source": "", "altered": "", "changes": {}},
    }
