"""Strategies without a meaning for a target or a source are refused, with the reason, before anything is trained."""

from dataclasses import replace

import pytest

from headstart.cells.combinations import check_combination, check_combinations, check_unseen, meaningless
from headstart.datasets.pack import Attribute, Card
from headstart.datasets.settings import DataSettings
from headstart.datasets.values import Value
from headstart.datasets.weights_pack import pack_weights
from headstart.errors import SettingsError
from headstart.settings import validate
from headstart.strategies.table import STRATEGIES
from tasks.grid import check_meaning
from tasks.workspace import Workspace

CLASSES = Card(
    name="pets", classes=("cat", "dog"), counts={}, splits={"pool": 10}, rejected={}, duplicates=0, removed_overlap=0,
    modality="image", channels=1, size=(8, 8), preparation={"image_size": 8, "channels": 1}, mean=(0.5,), std=(0.2,),
)  # fmt: skip
VALUES = replace(CLASSES, name="angles", classes=(), kind="value", values=(Value("value", "degrees"),))
OTHERS = replace(CLASSES, classes=("oak", "elm"))
WEIGHTS = replace(CLASSES, splits={})


ATTRIBUTES = replace(CLASSES, classes=(), kind="attribute", attributes=(Attribute("round", "yes/no"),))


OF_IMAGES = [s for s in STRATEGIES if s.takes("image")]


@pytest.mark.parametrize("strategy", [s.name for s in OF_IMAGES if not s.needs_attributes and not s.needs_unseen])
def test_every_strategy_has_a_meaning_for_classes_that_are_the_sources(strategy):
    check_combination(strategy, CLASSES, {"photos": CLASSES})


NEEDY = [s.name for s in STRATEGIES if s.needs_shared or s.needs_head or s.needs_attributes or s.needs_unseen]


@pytest.mark.parametrize("strategy", [s.name for s in OF_IMAGES if s.name not in NEEDY])
def test_most_have_one_whatever_the_source_has(strategy):
    sources = {"photos": CLASSES, "trees": OTHERS, "turned": VALUES, "described": ATTRIBUTES}
    check_combination(strategy, CLASSES, sources)


@pytest.mark.parametrize("target", [CLASSES, VALUES])
def test_attributes_of_the_source_are_for_targets_of_both_kinds(target):
    check_combination("joint_attributes", target, {"described": ATTRIBUTES})


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
        ("coral", CLASSES, ATTRIBUTES, "coral needs classes that both have"),
        ("coral", VALUES, ATTRIBUTES, r"w \(attributes\) and angles \(degrees\)"),
        ("co_tuning", CLASSES, ATTRIBUTES, "co_tuning needs W's own classes, and w has none that are known"),
        ("joint_attributes", CLASSES, CLASSES, r"whose rows have attributes, and those of w have classes: its table"),
        (
            "joint_attributes",
            VALUES,
            VALUES,
            r"those of w have values: .* data\.attribute_columns names the attributes",
        ),
        ("joint_attributes", CLASSES, WEIGHTS, "learns from the source's rows, and w is weights without any"),
        ("coral", VALUES, replace(VALUES, values=(Value("value", "turns"),)), r"w \(turns\) and angles \(degrees\)"),
        (
            "coral",
            replace(VALUES, values=(Value("value"),)),
            replace(VALUES, values=(Value("value"),)),
            r"w \(no unit\) and angles \(no unit\)",
        ),
    ],
)
def test_what_has_no_meaning_is_refused_with_the_reason(strategy, target, source, words):
    with pytest.raises(SettingsError, match=words):
        check_combination(strategy, target, {"w": source})


DESCRIBED = replace(CLASSES, classes=("cat", "dog", "elk", "owl"), signatures=("holes", "round"))


def test_texts_are_not_turned():
    texts = replace(CLASSES, modality="text", channels=257, size=(64,), preparation={})
    assert meaningless("rotation", CLASSES, {"s": CLASSES}) == ""
    assert meaningless("rotation", texts, {"s": texts}) == "is for images, and pets has texts"
    assert meaningless("tfidf", texts, {"s": texts}) == ""
    assert meaningless("tfidf", CLASSES, {"s": CLASSES}) == "is for texts, and pets has images"


def test_described_classes_can_be_done_without():
    check_combination("eszsl", DESCRIBED, {"w": CLASSES, "trees": WEIGHTS}, ("owl",))


@pytest.mark.parametrize(
    ("target", "unseen", "words"),
    [
        (CLASSES, ("dog",), r"needs to know what the classes of pets are like: a class_attributes\.csv in its folder"),
        (DESCRIBED, (), r"needs classes to do without, and target\.unseen names none: --target\.unseen A,B"),
        (DESCRIBED, ("owl", "elk"), r"needs 3 classes with labels or more, and target\.unseen leaves 2"),
        (VALUES, (), "eszsl is for classes, and angles has values"),
    ],
)
def test_what_cannot_be_done_without_is_refused(target, unseen, words):
    with pytest.raises(SettingsError, match=words):
        check_combination("eszsl", target, {"w": CLASSES}, unseen)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (
            DESCRIBED,
            r"target\.unseen names 'owls', which is no class of pets; did you mean owl\? .*--target\.unseen \"\"",
        ),
        (VALUES, "'owls', which is no class of angles; it has values"),
    ],
)
def test_a_class_that_the_target_has_not_is_refused(target, words):
    check_unseen(DESCRIBED, ("owl", "cat"))
    with pytest.raises(SettingsError, match=words):
        check_unseen(target, ("owls",))


def test_one_of_several_sources_is_enough_to_refuse():
    with pytest.raises(SettingsError, match="trees and pets share"):
        check_combination("coral", CLASSES, {"photos": CLASSES, "trees": OTHERS})


def test_the_grid_asks_it_of_the_packs_that_are_there(domain):
    """As the flow does after ingest, and finetune before its first cell."""
    workspace = Workspace(domain.root)
    symbols = domain.settings.target.model_copy(update={"data": "symbols", "unseen": ()})
    settings = domain.settings.model_copy(update={"target": symbols})
    check_meaning(workspace, settings, ["scratch", "knn", "full"])
    with pytest.raises(SettingsError, match="coral needs classes that both have, and shapes and symbols share no name"):
        check_meaning(workspace, settings, ["scratch", "coral"])
    with pytest.raises(SettingsError, match="target.unseen names 'eye', which is no class of sketches"):
        check_meaning(workspace, domain.settings, ["scratch"])


def test_weights_whose_classes_have_names_have_a_head_for_co_tuning(tmp_path):
    card = pack_weights(tmp_path / "w", settings=DataSettings(), classes=("cat", "dog"))
    check_combination("co_tuning", CLASSES, {"w": card})
    nameless = pack_weights(tmp_path / "v", settings=DataSettings(), classes=())
    with pytest.raises(SettingsError, match="co_tuning needs W's own classes, and v has none that are known"):
        check_combination("co_tuning", CLASSES, {"v": nameless})


@pytest.mark.parametrize("strategy", ["lda", "joint_attributes"])
def test_a_source_that_is_not_known_yet_is_passed_over(strategy):
    """The target's kind is asked all the same: `headstart run --plan`, before anything is fetched."""
    settings = validate({"target": {"data": "pets"}}, where="test")
    check_combinations(CLASSES, {}, settings, ["scratch", strategy])
    with pytest.raises(SettingsError, match="lda is for classes, and angles has values"):
        check_combinations(VALUES, {}, settings, ["scratch", "joint_attributes", "lda"])
