"""Strategies without a meaning for a target or a source are refused, with the reason, before anything is trained."""

from dataclasses import replace

import pytest

from headstart.cells.combinations import check_combination
from headstart.datasets.pack import Card
from headstart.errors import SettingsError
from headstart.strategies.table import STRATEGIES

CLASSES = Card(
    name="pets", classes=("cat", "dog"), counts={}, splits={"pool": 10}, rejected={}, duplicates=0, removed_overlap=0,
    image_size=8, channels=1, mean=(0.5,), std=(0.2,),
)  # fmt: skip
VALUES = replace(CLASSES, name="angles", classes=(), kind="value", unit="degrees")
OTHERS = replace(CLASSES, classes=("oak", "elm"))
WEIGHTS = replace(CLASSES, splits={})


@pytest.mark.parametrize("strategy", STRATEGIES.names())
def test_every_strategy_has_a_meaning_for_classes_that_are_the_sources(strategy):
    check_combination(strategy, CLASSES, {"photos": CLASSES})


@pytest.mark.parametrize("strategy", [s.name for s in STRATEGIES if not s.needs_shared and not s.needs_head])
def test_most_have_one_whatever_the_sources_classes_are(strategy):
    check_combination(strategy, CLASSES, {"photos": CLASSES, "trees": OTHERS, "turned": VALUES})


@pytest.mark.parametrize(
    ("strategy", "target", "source", "words"),
    [
        ("lda", VALUES, VALUES, r"lda is for classes, and angles has values; take lda out of finetune\.strategies"),
        ("nearest_mean", VALUES, CLASSES, "nearest_mean is for classes, and angles has values"),
        ("co_tuning", CLASSES, VALUES, "co_tuning needs W's own classes, and w has none that are known"),
        ("coral", CLASSES, WEIGHTS, "coral learns from the source's rows, and w is weights without any"),
        ("coral", CLASSES, OTHERS, "coral needs classes that both have, and w and pets share no name of one"),
        ("coral", CLASSES, VALUES, "share no name"),
        ("coral", VALUES, CLASSES, r"values of one named unit .* w \(classes\) and angles \(degrees\)"),
        ("coral", VALUES, replace(VALUES, unit="turns"), r"w \(turns\) and angles \(degrees\)"),
        ("coral", replace(VALUES, unit=""), replace(VALUES, unit=""), r"w \(no unit\) and angles \(no unit\)"),
    ],
)
def test_what_has_no_meaning_is_refused_with_the_reason(strategy, target, source, words):
    with pytest.raises(SettingsError, match=words):
        check_combination(strategy, target, {"w": source})


def test_one_of_several_sources_is_enough_to_refuse():
    with pytest.raises(SettingsError, match="trees and pets share"):
        check_combination("coral", CLASSES, {"photos": CLASSES, "trees": OTHERS})
