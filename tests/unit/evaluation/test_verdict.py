"""The evaluation of whole runs: the document, its words, and what qualifies them."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from evaluation_simulator import Design, entrants, run_frames

from headstart.errors import DataError
from headstart.evaluation.document import Verdict
from headstart.evaluation.evaluate import Evaluation, evaluate
from headstart.evaluation.measures import RATE
from headstart.evaluation.outcomes import Outcomes
from headstart.evaluation.sentences import lines
from headstart.evaluation.settings import EvaluationSettings
from headstart.evaluation.verdict import Question, reach_verdict

ROWS = 200

BASES = {
    ("scratch", "", 5, 1.0): 0.7,
    ("scratch", "", 10, 0.5): 0.8,
    ("scratch", "", 10, 1.0): 1.2,
    ("scratch", "", 20, 1.0): 1.6,
    ("scratch", "half_steps", 10, 1.0): 1.2,
    ("scratch", "equal_compute", 10, 1.0): 0.8,
    ("source", "", 10, 1.0): 0.2,
    ("probe", "", 10, 1.0): 1.4,
    ("full", "", 10, 0.5): 1.3,
    ("full", "", 10, 1.0): 2.0,
    ("full", "", 20, 1.0): 2.2,
}


def tables(seeds: int = 5, rows: int = ROWS, **base) -> dict:
    """A run's outcomes; `base` changes the level of entrants at the headline budget: full=0.5."""
    changed = {"_".join(filter(None, key[:2])): key for key in BASES if key[2:] == (10, 1.0)}
    bases = BASES | {changed[name]: level for name, level in base.items()}
    drawn = entrants(np.random.default_rng(7), Design(rows=rows, seeds=seeds, seed_sd=0.01), list(bases.values()))
    return dict(zip(bases, drawn, strict=True))


def run(correct: dict | None = None, groups: np.ndarray | None = None, **change) -> dict:
    """The arguments of `evaluate`, by default of a run in which `full` is far better than scratch."""
    named = {"chosen": "full", "headline_budget": 10, "settings": EvaluationSettings(), "opened": 1}
    return run_frames(correct or tables(), groups) | named | change


def verdict(*args, **change) -> Verdict:
    """The verdict alone, without the tables."""
    given = run(*args, **change)
    inputs = {name: given[name] for name in ("predictions", "cells", "labelled", "truth", "classes")}
    question = Question(given["chosen"], given["headline_budget"], given["settings"])
    more = {name: given.get(name, ()) for name in ("rounds", "warnings")}
    return reach_verdict(Outcomes(**inputs), question, opened=given["opened"], **more)


@pytest.fixture(scope="module")
def helped() -> Evaluation:
    return evaluate(**run())


def as_json(evaluation: Evaluation) -> str:
    return json.dumps(evaluation.verdict.model_dump(mode="json"), allow_nan=False)


def test_the_document_has_what_was_promised(helped):
    document = json.loads(as_json(helped))
    promised = {"sentence", "metric", "resolution", "seeds", "against_scratch", "against_source", "rounds"}
    assert promised <= set(document)
    in_each = {
        "verdict", "strategy", "label_budget", "difference", "low", "high", "p_value", "wins", "losses",
        "labels_saved", "compute_saved", "gap",
    }  # fmt: skip
    assert in_each <= set(document["against_scratch"])
    assert in_each <= set(document["against_source"])
    assert set(document["against_scratch"]["labels_saved"]) == {"ratio", "low", "high", "censored", "bound"}
    assert set(document["against_scratch"]["compute_saved"]) == {"given_w", "with_pretraining"}
    assert (document["metric"], document["seeds"], document["rounds"], document["opened"]) == ("accuracy", 5, [], 1)


def test_a_run_in_which_transfer_helped(helped):
    scratch = helped.verdict.against_scratch
    assert scratch.verdict == "helped"
    difference = helped.comparison.query("split == 'test' and metric == 'accuracy' and label_budget == 10")
    means = difference.groupby("strategy")["value"].mean()
    assert scratch.difference == pytest.approx(means["full"] - means["scratch"])
    assert (scratch.wins - scratch.losses) / 5 / ROWS == pytest.approx(scratch.difference)
    assert scratch.wins_per_seed == scratch.wins / 5
    assert (scratch.units, scratch.rows, scratch.overlap) == (ROWS, ROWS, 0.0)
    assert scratch.row_part + scratch.seed_part == pytest.approx(scratch.standard_error**2)
    assert helped.verdict.control.still_improves is False
    assert helped.verdict.warnings == ()


def test_its_lines(helped):
    assert lines(helped.verdict) == [
        "transfer helped: full +11.0 points over training from scratch (95% CI +7.3..+14.7; from this W),"
        " at least 2.0x fewer labels for the same accuracy",
        "transfer helped: full +44.4 points over the source model as it is (95% CI +37.8..+51.0; from this W)",
        "at equal compute: full +21.5 points over training from scratch (95% CI +16.4..+26.6; from this W)",
        "test rows won and lost against training from scratch, a seed: 23.8 and 1.8",
        "test rows won and lost against the source model as it is, a seed: 88.8 and 0.0",
        "labels saved: at least 2x",
        "compute saved: 2x (2x or more) given W, 0.5x (0.5x or more) with pretraining"
        " (below 1x it costs more than it saves)",
        "train-test gap: -11.0 points against training from scratch (95% CI -14.7..-7.3)",
        "control: doubling the steps of training from scratch gained -0.1 points (95% CI -4.0..+3.8):"
        " taken as converged",
        "resolution expected before training: +-4.8 points",
    ]


def test_warnings_are_printed():
    assert lines(verdict(opened=2))[-1] == (
        "warning: these test rows were opened 2 times; each look makes a chance result likelier: confirm on fresh rows"
    )


def test_swapping_the_entrants_turns_the_verdict_round():
    correct = tables()
    own, other = ("full", "", 10, 1.0), ("scratch", "", 10, 1.0)
    swapped = correct | {own: correct[other], other: correct[own]}
    one, back = verdict(correct).against_scratch, verdict(swapped).against_scratch
    assert (back.difference, back.low, back.high) == pytest.approx((-one.difference, -one.high, -one.low))
    assert (back.wins, back.losses, back.p_value) == (one.losses, one.wins, pytest.approx(one.p_value))
    # scratch now beats its own half-steps variant by far, which is a reason of its own
    assert (back.verdict, back.reason) == ("not settled", "withheld")


def test_hurt():
    scratch = verdict(tables(full=0.5)).against_scratch
    assert scratch.verdict == "hurt"
    assert scratch.sentence.startswith("transfer hurt: full -")
    assert scratch.high < 0


def test_equivalent_is_the_same_model_with_many_flips_and_rows():
    design = Design(rows=9000, seeds=3)
    names = [("scratch", "", 10, 1.0), ("full", "", 10, 1.0)]
    own = entrants(np.random.default_rng(0), design, [1.2])[0]
    other = own.copy()
    other[:, :20], other[:, 20:40] = own[:, 20:40], own[:, :20]
    scratch = verdict(dict(zip(names, [own, other], strict=True))).against_scratch
    assert (scratch.verdict, scratch.difference) == ("equivalent", 0.0)


def test_no_disagreement_at_all_is_not_certainty():
    correct = tables()
    same = correct | {("full", "", 10, 1.0): correct["scratch", "", 10, 1.0]}
    scratch = verdict(same).against_scratch
    assert (scratch.verdict, scratch.reason) == ("not settled", "few flips")
    assert (scratch.wins, scratch.losses, scratch.p_value) == (0, 0, 1.0)
    assert scratch.low < 0 < scratch.high


def test_withheld_while_the_control_still_improves():
    document = verdict(tables(scratch_half_steps=0.7))
    scratch = document.against_scratch
    assert (scratch.verdict, scratch.reason) == ("not settled", "withheld")
    assert document.control.still_improves
    assert document.sentence.startswith("not settled whether transfer helped: training from scratch still improves (+")
    assert "raise strategies.scratch.steps" in scratch.withheld
    assert document.against_source.verdict == "helped"  # says nothing about scratch, so nothing is withheld


def test_a_control_that_was_not_checked_is_a_warning():
    correct = {key: table for key, table in tables().items() if key[1] != "half_steps"}
    document = verdict(correct)
    assert document.control is None
    assert document.warnings == (
        "scratch:half_steps was not run, so whether training from scratch has reached its plateau is unknown;"
        " run it with half of strategies.scratch.steps",
    )


def test_a_label_curve_that_falls_is_a_warning():
    correct = tables()
    correct["scratch", "", 20, 1.0] = correct["scratch", "", 5, 1.0]
    assert verdict(correct).warnings[0].startswith("training from scratch falls from ")


def test_equal_compute_is_the_second_figure(helped):
    document = helped.verdict
    assert document.equal_compute.difference > document.against_scratch.difference
    assert document.equal_compute.against == "scratch:equal_compute"
    assert document.equal_compute.sentence.startswith("at equal compute: full +")
    assert document.sentence == document.against_scratch.sentence
    without = {key: table for key, table in tables().items() if key[1] != "equal_compute"}
    assert verdict(without).equal_compute is None


def test_holm_is_over_the_two_named_contrasts():
    document = verdict(tables(source=1.15, full=1.55))
    p_values = sorted((v.p_value, v.p_holm) for v in (document.against_scratch, document.against_source))
    (small, small_holm), (large, large_holm) = p_values
    assert small_holm == pytest.approx(2 * small)
    assert large_holm == pytest.approx(max(large, 2 * small))


def test_without_a_source_there_is_one_contrast():
    without = {key: table for key, table in tables().items() if key[0] != "source"}
    document = verdict(without)
    assert document.against_source is None
    assert document.against_scratch.p_holm == document.against_scratch.p_value


def test_the_source_chosen_is_compared_with_scratch_alone():
    document = verdict(chosen="source")
    assert document.against_source is None
    assert document.against_scratch.verdict == "hurt"


def test_everything_else_is_exploratory(helped):
    looks = [(e.strategy, e.against, e.label_budget) for e in helped.verdict.exploratory]
    assert looks == [
        ("full", "scratch", 20),
        ("probe", "scratch", 10),
        ("probe", "source", 10),
        ("source", "scratch", 10),
    ]


def test_one_seed_is_about_these_two_models():
    scratch = verdict(tables(seeds=1)).against_scratch
    assert (scratch.seeds, scratch.overlap, scratch.seed_part) == (1, None, 0.0)
    assert "; for these two models, from this W)" in scratch.sentence
    assert scratch.df == ROWS - 1


def test_two_seeds_are_a_warning():
    assert verdict(tables(seeds=2)).warnings == (
        "two seeds hardly show how much seeds differ: the interval is wide for that reason; use five",
    )


def test_labels_that_all_seeds_share():
    labelled = {(budget, seed): [["a", "b"]] for budget in (5, 10, 20) for seed in range(5)}
    scratch = verdict(labelled=labelled).against_scratch
    assert scratch.overlap == 1.0
    assert "; for these labels, from this W)" in scratch.sentence


def test_overlapping_labels_widen_the_seed_part(helped):
    labelled = {(b, s): [[*"abc", *(f"{s}-{i}" for i in range(9))]] for b in (5, 10, 20) for s in range(5)}
    apart, overlapping = helped.verdict.against_scratch, verdict(labelled=labelled).against_scratch
    assert overlapping.overlap == 0.25
    assert overlapping.seed_part == pytest.approx(apart.seed_part * (1 + 5 * 0.25 / 0.75))
    assert "seeds share 25% of their labels" in overlapping.sentence


def test_groups_are_the_units():
    scratch = verdict(groups=np.arange(ROWS) // 10).against_scratch
    assert (scratch.units, scratch.rows) == (20, ROWS)
    assert " over 20 groups; from this W)" in scratch.sentence


def test_fewer_than_ten_groups_settle_nothing():
    scratch = verdict(groups=np.arange(ROWS) // 50).against_scratch
    assert (scratch.verdict, scratch.reason) == ("not settled", "few units")
    assert scratch.sentence.endswith("; 4 test groups cannot settle it, at least 10 are needed")


def test_one_group_alone_stays_finite():
    scratch = verdict(groups=np.zeros(ROWS, dtype=int)).against_scratch
    assert math.isfinite(scratch.low)
    assert (scratch.verdict, scratch.low, scratch.high) == ("not settled", -1.0, 1.0)


def test_what_earlier_steps_warn_of_stands_first():
    document = verdict(opened=2, warnings=["W tells nothing"])
    assert document.warnings[0] == "W tells nothing"
    assert document.warnings[1].startswith("these test rows were opened 2 times")
    assert "warning: W tells nothing" in lines(document)


def test_an_opened_test_set_is_counted_and_warned_about():
    document = verdict(opened=3)
    assert document.opened == 3
    assert document.warnings == (
        "these test rows were opened 3 times; each look makes a chance result likelier: confirm on fresh rows",
    )


def test_classes_that_are_uneven_are_a_warning():
    """A model that has learned nothing but the largest class scores well then."""
    given = run()
    given["truth"]["label"] = ["cat"] * 120 + ["owl"] * (ROWS - 120)
    inputs = {name: given[name] for name in ("predictions", "cells", "labelled", "truth", "classes")}
    found = reach_verdict(Outcomes(**inputs), Question("full", 10, EvaluationSettings()), opened=1)
    assert found.warnings[-1] == (
        "classes are uneven: always answering 'cat' is right in 60.0% of the test rows, and labels are drawn evenly;"
        " look at macro_f1 in reports/comparison.csv too"
    )


@pytest.mark.parametrize(("counts", "found"), [([30, 30, 40], None), ([10, 50, 40], ("b", 0.5)), ([40, 60], None)])
def test_an_even_share_and_a_half_more_is_uneven(counts, found):
    truth = np.repeat(np.arange(len(counts)), counts)
    assert RATE.best_constant(truth, "abc"[: len(counts)]) == found


def test_what_would_settle_it_counts_both_contrasts():
    """Holm asks twice as much of the smaller p-value where the source is a second contrast."""
    level = {"full": 1.35}
    both = verdict(tables(**level))
    alone = verdict({key: table for key, table in tables(**level).items() if key[0] != "source"})
    assert both.against_scratch.verdict == alone.against_scratch.verdict == "not settled"
    assert both.to_settle.units > 1.2 * alone.to_settle.units


def test_rounds_are_handed_through():
    assert verdict(rounds=[{"name": "remedy@1", "kept": True}]).rounds == ({"name": "remedy@1", "kept": True},)


def test_equal_inputs_in_any_order_give_equal_bytes(helped):
    given = run_frames(tables())
    shuffled = {name: given[name].sample(frac=1, random_state=3) for name in ("predictions", "cells", "truth")}
    labelled = {key: [list(reversed(ids)) for ids in draws] for key, draws in reversed(given["labelled"].items())}
    one, other = helped, evaluate(**run(**shuffled, labelled=labelled))
    assert as_json(one) == as_json(other)
    pd.testing.assert_frame_equal(one.comparison, other.comparison)
    pd.testing.assert_frame_equal(one.predictions, other.predictions)


def test_the_document_reads_back(helped):
    assert Verdict.model_validate_json(as_json(helped)) == helped.verdict


def test_seeds_that_differ_are_refused():
    correct = tables()
    correct["scratch", "", 10, 1.0] = correct["scratch", "", 10, 1.0][:3]
    correct["scratch", "", 10, 0.5] = correct["scratch", "", 10, 0.5][:3]
    with pytest.raises(DataError) as error:
        verdict(correct)
    assert str(error.value) == (
        "at 10 labels a class full has seeds [0, 1, 2, 3, 4] and scratch has [0, 1, 2];"
        " a paired comparison needs the same: run the missing ones"
    )


def test_a_strategy_that_was_not_run_is_refused():
    with pytest.raises(DataError) as error:
        verdict(chosen="full", headline_budget=5)
    assert str(error.value) == (
        "full has no predictions at the headline budget of 5 labels a class, only at [10, 20]; run full at 5"
    )


def test_choosing_the_control_is_refused():
    with pytest.raises(DataError) as error:
        verdict(chosen="scratch")
    assert str(error.value) == ("the chosen strategy is scratch, the control itself; choose one that transfers")


def test_fewer_seeds_of_other_budgets_leave_a_curve():
    correct = tables()
    for key in (("scratch", "", 5, 1.0), ("scratch", "", 20, 1.0)):
        correct[key] = correct[key][:3]
    assert verdict(correct).against_scratch.labels_saved.ratio == 2.0


def test_what_was_never_trained_has_no_gap():
    cells = run_frames(tables())["cells"]
    cells.loc[cells["strategy"] == "source", "train_score"] = np.nan
    document = verdict(cells=cells)
    assert document.against_source.gap is None
    assert document.against_scratch.gap is not None


def test_where_there_are_several_sources_the_chosen_one_is_compared_with_its_own():
    """The other source's entrants are looked at, against scratch and their own source, and no verdict is given."""
    correct = tables()
    for name, level in (("source", -1), ("full", -1)):
        key = next(key for key in correct if key[:3] == (name, "", 10) and key[3] == 1.0)
        correct[(f"{name}@drawings", *key[1:])] = correct[key][::level]  # the rows in another order
    correct = {
        (f"{key[0]}@photos" if key[0] in ("source", "full", "probe") else key[0], *key[1:]): value
        for key, value in correct.items()
        if "@" not in key[0]
    } | {k: v for k, v in correct.items() if "@" in k[0]}
    given = run(correct, chosen="full@photos")
    found = evaluate(**given)
    assert found.verdict.against_source is not None
    assert (found.verdict.against_source.strategy, found.verdict.against_source.against) == ("full@photos", "source")
    assert found.verdict.sentence.startswith("transfer helped: full from photos +")
    pairs = {(look.strategy, look.against) for look in found.verdict.exploratory}
    assert ("full@drawings", "source@drawings") in pairs
    assert not {("full@drawings", "source@photos"), ("source@drawings", "source@drawings")} & pairs
    one = evaluate(**run())
    assert found.verdict.against_source.difference == one.verdict.against_source.difference
    families = dict(zip(found.comparison["strategy"], found.comparison["family"], strict=True))
    assert families["full@drawings"] == families["full@photos"]


@pytest.mark.parametrize(("level", "better"), [(1.4, "full"), (3.4, "probe")])
def test_a_control_without_a_network_has_a_line_of_its_own(level, better):
    """It is looked at in words, whichever way it comes out, and a warning says where it does better."""
    correct = tables(probe=level)
    found = evaluate(**run(correct), baselines={"probe": "a linear model on TF-IDF"}, shown=["probe"]).verdict
    (look,) = found.baselines
    assert (look.strategy, look.against, look.label_budget, look.seeds) == ("full", "probe", 10, 5)
    against = next(one for one in found.exploratory if (one.strategy, one.against) == ("probe", "scratch"))
    assert look.difference == pytest.approx(found.against_scratch.difference - against.difference)
    beginnings = {
        "full": "full +7.9 points over a linear model on TF-IDF (95% CI +",
        "probe": "a linear model on TF-IDF does better than transfer: full -4.5 points against a linear model on ",
    }
    assert look.sentence.startswith(beginnings[better])
    assert f"exploratory: {look.sentence}" in lines(found)
    warned = [warning for warning in found.warnings if "take it before transfer" in warning]
    assert len(warned) == (better == "probe")
    assert all("a linear model on TF-IDF (probe) does better than full" in warning for warning in warned)
    assert Verdict.model_validate_json(found.model_dump_json()) == found


def test_where_no_such_control_was_run_the_document_says_nothing_of_it(helped):
    assert "baselines" not in json.loads(as_json(helped))
    none = evaluate(**run(), baselines={"words": "a linear model on TF-IDF"}).verdict
    assert none.baselines == ()
