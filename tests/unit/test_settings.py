"""The settings: params.yaml is the defaults, every knob has its range, and every refusal says what to do."""

import json
import math
from pathlib import Path
from typing import Any

import annotated_types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from headstart.backbones.table import BACKBONES
from headstart.datasets.table import DATASETS
from headstart.errors import SettingsError
from headstart.settings import Settings, default_text, knobs, load, read, validate, write_default
from headstart.strategies.table import STRATEGIES

ROOT = Path(__file__).parents[2]
DEFAULT = Settings()


def nested(name: str, value: Any) -> dict[str, Any]:
    """{"a": {"b": value}} of "a.b"."""
    for part in reversed(name.split(".")):
        value = {part: value}
    return value


def refusal(values: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        validate(values, where="params.yaml")
    return str(caught.value)


def bounds(model: type[BaseModel], prefix: str = "") -> dict[str, tuple[type, dict[str, float], bool]]:
    """Of every numeric knob: its type, its bounds, and whether it is a list of such numbers."""
    found = {}
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= bounds(kind, f"{prefix}{name}.")
            continue
        limits = list(field.metadata)
        many = getattr(kind, "__origin__", None) is tuple
        if many:
            kind = kind.__args__[0]
            limits = [*getattr(kind, "__metadata__", ())]
            limits = [part for limit in limits for part in getattr(limit, "metadata", [limit])]
            kind = getattr(kind, "__origin__", kind)
        if kind in (int, float):
            pairs = {}
            for limit in limits:
                for key in ("gt", "ge", "lt", "le"):
                    if isinstance(limit, getattr(annotated_types, key.capitalize())):
                        pairs[key] = getattr(limit, key)
            found[prefix + name] = (kind, pairs, many)
    return found


NUMERIC = bounds(Settings)


def outside(kind: type, limits: dict[str, float]) -> st.SearchStrategy[Any]:
    """Numbers just outside of the range and far away, and what is no number of that kind at all."""
    choices: list[st.SearchStrategy[Any]] = [st.sampled_from(["many", None, [], {}, math.nan, math.inf, -math.inf])]
    numbers = st.integers if kind is int else (lambda **limits: st.floats(**limits, allow_nan=False))
    extra = {} if kind is int else {"allow_infinity": False}
    for key, bound in limits.items():
        below, strict = key in ("gt", "ge"), key in ("ge", "le")
        if kind is int:
            edge = int(bound) + ((-1 if below else 1) if strict else 0)
            choices.append(st.integers(max_value=edge) if below else st.integers(min_value=edge))
        else:
            side = {"max_value": bound, "exclude_max": strict} if below else {"min_value": bound, "exclude_min": strict}
            choices.append(numbers(**side, **extra))
    if kind is int:
        choices.append(st.floats(0.1, 0.9))
    return st.one_of(choices)


def test_every_number_has_a_lower_bound():
    """A knob without one accepts nonsense, and the property below could not fail for it."""
    assert {name for name, (_, limits, _) in NUMERIC.items() if not {"ge", "gt"} & set(limits)} == set()
    assert {"seed", "data.image_size", "pretrain.learning_rate", "finetune.curve_budgets"} <= set(NUMERIC)
    assert {"strategies.full.learning_rates", "strategies.frozen_blocks.fixed_blocks"} <= set(NUMERIC)
    assert len(NUMERIC) > 30


@pytest.mark.parametrize("name", NUMERIC)
def test_a_number_outside_of_its_range_is_refused_by_name(name):
    kind, limits, many = NUMERIC[name]

    @settings(deadline=None, max_examples=8)
    @given(outside(kind, limits))
    def check(value):
        message = refusal(nested(name, [value] if many else value))
        assert f"params.yaml: {name}" in message
        if not isinstance(value, dict):
            assert f"(given: {value!r})" in message

    check()


BESIDE = {  # other knobs that a bound goes with: frames and bands of sound hang together
    ("data.audio.seconds", "ge"): {"hop_ms": 5, "window_ms": 64},
    ("data.audio.seconds", "le"): {"hop_ms": 64, "window_ms": 64},
    ("data.audio.mels", "le"): {"window_ms": 500},
    ("data.audio.window_ms", "ge"): {"hop_ms": 1, "mels": 8, "sample_rate": 96_000, "lowest_hz": 2000},
    ("data.audio.hop_ms", "ge"): {"seconds": 0.5},
    ("data.audio.hop_ms", "le"): {"seconds": 60, "window_ms": 1000},
}


@pytest.mark.parametrize("name", NUMERIC)
def test_a_bound_is_inside_where_it_says_so_and_outside_where_it_does_not(name):
    kind, limits, many = NUMERIC[name]
    for key, bound in limits.items():
        values = nested(name, [kind(bound)] if many else kind(bound))
        if beside := BESIDE.get((name, key)):
            values["data"]["audio"] |= beside
        if key in ("gt", "lt"):
            assert f"params.yaml: {name}" in refusal(values)
        else:
            assert validate(values, where="x")


@pytest.mark.parametrize(
    ("name", "value", "stated"),
    [
        ("data.image_size", 1025, "Input should be less than or equal to 1024"),
        ("data.channels", 2, "Input should be 1 or 3"),
        ("finetune.keep_weights", "some", "Input should be 'chosen' or 'all'"),
        ("pretrain.augment", "perhaps", "valid boolean"),
        ("source.data", [""], "at least 1 character"),
        ("source.data", ["a;b"], "cannot be the name of a dataset"),
        ("target.data", "mine.test", "cannot be the name of a dataset"),
        ("source.data", "mnist5k", "a list of datasets, such as [mnist5k]"),
        ("strategies.scratch.learning_rates", [], "at least 1 item"),
        ("finetune.strategies", "full", "valid tuple"),
        ("finetune", 3, "valid dictionary"),
    ],
)
def test_other_wrong_values_are_refused_by_name(name, value, stated):
    message = refusal(nested(name, value))
    assert f"params.yaml: {name}" in message
    assert stated in message


def test_all_that_is_wrong_is_listed_at_once():
    message = refusal({"seed": -1, "data": {"image_size": 2, "colour": 1}})
    assert [line.split(":")[1].strip().split(" ")[0] for line in message.splitlines()] == [
        "seed",
        "data.image_size",
        "unknown",
    ]


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("sede", "unknown setting 'sede'; did you mean seed"),
        ("finetun", "unknown setting 'finetun'; did you mean finetune"),
        ("finetune.seed", "unknown setting 'finetune.seed'; did you mean seeds"),
        ("data.imagesize", "unknown setting 'data.imagesize'; did you mean image_size"),
        ("strategies.ful", "unknown setting 'strategies.ful'; did you mean full"),
        ("strategies.sourc", "unknown setting 'strategies.sourc'; did you mean source"),
        ("strategies.full.layerdecay", "unknown setting 'strategies.full.layerdecay'; did you mean layer_decay"),
        ("strategies.source.x", "unknown setting 'strategies.source.x'; there is nothing to set in it"),
        ("source.zzz", "unknown setting 'source.zzz'; allowed: data"),
    ],
)
def test_unknown_keys_suggest_the_nearest(name, stated):
    assert stated in refusal(nested(name, 1))


def test_the_file_of_the_repository_is_the_defaults():
    """params.yaml is generated: `make params` writes it anew."""
    assert (ROOT / "params.yaml").read_text() == default_text()


def test_the_defaults_survive_a_round_trip(tmp_path):
    write_default(tmp_path / "params.yaml")
    assert load(tmp_path / "params.yaml") == DEFAULT
    assert read(tmp_path / "params.yaml")["data"]["image_size"] == 28


def test_every_knob_says_what_it_is():
    found = knobs(DEFAULT)
    assert {name for name, knob in found.items() if len(knob.line) < 10} == set()
    assert found["finetune.label_budget"].value == 10
    assert found["strategies.full.layer_decay"].value == 0.8
    assert found["backbone"].line.startswith("the network")
    lines = [line for line in default_text().splitlines() if line.strip()]
    assert [line for line in lines if "  # " not in line] == []


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        DEFAULT.seed = 1  # type: ignore[misc]


def test_an_image_smaller_than_the_backbone_takes_is_refused():
    message = refusal({"backbone": "vgg11", "data": {"image_size": 28}})
    assert "rows are of 28x28 pixels, but vgg11 needs at least 32 pixels" in message
    assert "set data.image_size to 32 or more, or choose another backbone" in message


@pytest.mark.parametrize("name", [entry.name for entry in BACKBONES if entry.takes == "tokens"])
def test_a_network_of_tokens_takes_texts_and_no_images(name):
    tokens = BACKBONES.get(name).tokens or "bytes"
    texts = {
        "backbone": name,
        "data": {"modality": "text", "text": {"tokens": tokens}},
        "built_in": ["reviews", "word_moods"],
        "source": {"data": ["reviews"]},
        "target": {"data": "word_moods"},
    }
    assert validate(texts, where="x").data.row_kind.many == "texts"
    assert "which takes tokens, and images (data.modality) are maps" in refusal({"backbone": name})
    assert "target.data is 'digits', whose modality is image" in refusal(
        texts | {"target": {"data": "digits"}, "built_in": ["reviews", "digits"]}
    )


@pytest.mark.parametrize("name", [entry.name for entry in BACKBONES if entry.takes == "maps"])
def test_the_smallest_image_of_each_backbone_is_allowed(name):
    smallest = BACKBONES.get(name).smallest
    assert validate({"backbone": name, "data": {"image_size": smallest}}, where="x").backbone == name
    assert "image_size" in refusal({"backbone": name, "data": {"image_size": smallest - 1}})


@pytest.mark.parametrize("side", [28, 223, 225, 448])
def test_a_backbone_of_one_size_takes_no_other(side):
    message = refusal({"backbone": "vit_b_16", "data": {"image_size": side}})
    assert f"rows are of {side}x{side} pixels, but vit_b_16 takes maps of 224 pixels a side alone" in message
    assert "set data.image_size to 224, or choose another backbone" in message


def test_a_backbone_of_timm_is_allowed_by_any_name():
    """Whether there is one, and what size it takes, is found when it is built: timm takes seconds to import."""
    found = validate({"backbone": "timm:vit_tiny_patch16_224", "data": {"image_size": 8}}, where="x")
    assert found.backbone == "timm:vit_tiny_patch16_224"
    assert "unknown backbone 'timm:'" in refusal({"backbone": "timm:"})
    assert "unknown backbone 'other:resnet18'" in refusal({"backbone": "other:resnet18"})


def test_source_and_target_must_be_two():
    message = refusal({"source": {"data": ["digits"]}})
    assert "source.data and target.data are both 'digits'; transfer needs two different datasets" in message


def test_a_source_is_named_once():
    assert "source.data names 'mnist5k' twice" in refusal({"source": {"data": ["mnist5k", "mnist5k"]}})


@pytest.mark.parametrize(("role", "left"), [("source", "digits"), ("target", "mnist5k")])
def test_a_built_in_that_is_used_must_be_fetched(role, left):
    name = {"source": "mnist5k", "target": "digits"}[role]
    message = refusal({"built_in": [left]})
    assert f"{role}.data is the built-in {name!r}; add it to the list built_in" in message


def test_one_s_own_data_needs_no_built_in():
    found = validate({"built_in": [], "source": {"data": ["mine"]}, "target": {"data": "yours"}}, where="x")
    assert found.built_in == ()


@pytest.mark.parametrize(
    ("values", "stated"),
    [
        ({"backbone": "resnet9"}, "unknown backbone 'resnet9'; did you mean "),
        (
            {"built_in": ["mnist5k", "digits", "digit"]},
            "unknown built-in dataset 'digit'; did you mean digits or digits_pose or digits_angle?",
        ),
        ({"finetune": {"strategies": ["scratch", "ful"]}}, "unknown strategy 'ful'; did you mean full?"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(values, stated):
    assert stated in refusal(values)


@pytest.mark.parametrize("name", ["full", "frozen_blocks"])
def test_a_control_with_fewer_trials_than_an_entrant_is_refused(name):
    values = {"strategies": {name: {"learning_rates": [0.001, 0.01, 0.1]}, "scratch": {"learning_rates": [0.01, 0.02]}}}
    message = refusal(values)
    assert f"strategies.{name}.learning_rates has 3 rates but scratch only 2" in message
    assert "give strategies.scratch.learning_rates at least as many" in message
    values["strategies"]["scratch"]["learning_rates"].append(0.05)
    assert validate(values, where="x")


def test_an_entrant_that_is_not_asked_for_may_have_any_number_of_trials():
    values = {
        "strategies": {"full": {"learning_rates": [0.1, 0.2]}},
        "finetune": {"strategies": ["scratch", "linear_probe"]},
    }
    assert validate(values, where="x")


@pytest.mark.parametrize(
    ("finetune", "stated"),
    [
        ({"strategies": ["full"]}, "finetune.strategies must include scratch: it is the control"),
        (
            {"strategies": ["scratch", "source"]},
            "names no way to transfer, so there is nothing to compare with scratch",
        ),
        (
            {"strategies": ["scratch", "full", "tfidf"]},
            "finetune.strategies names tfidf, which is for texts, and data.modality is image; take tfidf out of "
            "finetune.strategies",
        ),
        ({"strategies": ["scratch", "full", "full"]}, "finetune: strategies must not name one twice"),
        (
            {"label_budget": 5},
            "finetune: label_budget is 5, which curve_budgets has as well; each point of the curve is another number. "
            "Give --finetune.curve_budgets 10,20 (in params.yaml: curve_budgets: [10, 20])",
        ),
        (
            {"curve_budgets": [10]},
            "label_budget is 10, which curve_budgets has as well; each point of the curve is another number. Give "
            "--finetune.curve_budgets '' (in params.yaml: curve_budgets: [])",
        ),
        (
            {"curve_budgets": [5, 20, 5]},
            "curve_budgets has 5 more than once; each point of the curve is another number. Give "
            "--finetune.curve_budgets 5,20 (in params.yaml: curve_budgets: [5, 20])",
        ),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(finetune, stated):
    assert stated in refusal({"finetune": finetune})


def test_a_strategy_is_for_the_rows_that_it_takes():
    texts = {"backbone": "text_cnn", "data": {"modality": "text"}}
    assert validate(texts | {"finetune": {"strategies": ["scratch", "full", "tfidf"]}}, where="x")
    said = refusal(texts | {"finetune": {"strategies": ["scratch", "full", "rotation"]}})
    assert "finetune.strategies names rotation, which is for images, and data.modality is text" in said
    controls = refusal(texts | {"finetune": {"strategies": ["scratch", "tfidf"]}})
    assert "names no way to transfer" in controls


@pytest.mark.parametrize("finetune", [{"label_budget": 5}, {"curve_budgets": [10]}, {"curve_budgets": [5, 20, 5]}])
def test_the_curve_that_is_proposed_is_one_that_is_taken(finetune):
    proposed = refusal({"finetune": finetune}).rpartition("curve_budgets: ")[2].removesuffix(")")
    assert validate({"finetune": finetune | {"curve_budgets": json.loads(proposed)}}, where="x")


def test_a_quoted_word_is_a_word_like_any(tmp_path):
    """What is read keeps its quotes for the file's sake; settings are plain."""
    path = tmp_path / "params.yaml"
    path.write_text("backbone: 'resnet8'\ntarget:\n  unit: \"degrees\"\n  unseen: ['a', \"b\"]\n")
    found = load(path)
    assert (found.backbone, found.target.unit, found.target.unseen) == ("resnet8", ("degrees",), ("a", "b"))
    assert {type(word) for word in (found.backbone, *found.target.unit, *found.target.unseen)} == {str}


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(
        SettingsError, match=r"params\.yaml is missing; `headstart run --preset default` writes it anew"
    ):
        load(tmp_path / "params.yaml")


@pytest.mark.parametrize("content", [b"a: [1", b"a: 1\na: 2", b"\xff\xfe\x00", b"a:\n\t- 1"])
def test_a_file_that_is_not_yaml_is_refused(tmp_path, content):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(SettingsError, match=r"params\.yaml is not valid YAML: "):
        load(tmp_path / "params.yaml")


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(SettingsError, match=r"params\.yaml must be a mapping of sections"):
        load(tmp_path / "params.yaml")


def test_a_wrong_value_in_the_file_is_named_with_the_file(tmp_path):
    (tmp_path / "params.yaml").write_text("seed: -1\n")
    with pytest.raises(
        SettingsError, match=r"^params\.yaml: seed: Input should be greater than or equal to 0 \(given: -1\)$"
    ):
        load(tmp_path / "params.yaml")


def test_what_the_file_leaves_out_is_the_default(tmp_path):
    (tmp_path / "params.yaml").write_text("seed: 3\nfinetune:\n  seeds: 2\n")
    found = load(tmp_path / "params.yaml")
    assert (found.seed, found.finetune.seeds, found.finetune.label_budget) == (3, 2, 10)


def test_there_is_a_recipe_for_each_strategy():
    assert list(type(DEFAULT.strategies).model_fields) == STRATEGIES.names()
    for entry in STRATEGIES:
        assert type(DEFAULT.recipe(entry.name)) is entry.recipe
    assert list(DEFAULT.finetune.strategies) == STRATEGIES.names()[: len(DEFAULT.finetune.strategies)]
    assert set(DEFAULT.built_in) < set(DATASETS.names())  # the angles are fetched where they are asked for


def test_names_that_yaml_takes_for_numbers_are_names():
    """Classes may be called 7, and columns 2026."""
    found = validate({"target": {"unseen": [7, "b"]}, "data": {"attribute_columns": [2026, 1.5]}}, where="x")
    assert (found.target.unseen, found.data.attribute_columns) == (("7", "b"), ("2026", "1.5"))
    assert "target.unseen.0" in refusal({"target": {"unseen": [True]}})
