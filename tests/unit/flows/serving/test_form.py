"""The form of Prefect's UI: choices of the registries, ranges of the settings, values of params.yaml."""

import pytest
from prefect.utilities.callables import parameter_schema
from pydantic import ValidationError

from flows.serving.form import LINES, flags_of, make_form, project, spoken
from headstart.backbones.table import BACKBONES
from headstart.datasets.table import DATASETS
from headstart.errors import SettingsError
from headstart.settings import Settings, knobs, write_default
from headstart.strategies.table import STRATEGIES
from tasks.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    """A project with one dataset of its own, and settings that are not the defaults."""
    write_default(tmp_path / "params.yaml")
    text = (tmp_path / "params.yaml").read_text()
    text = text.replace("label_budget: 10 ", "label_budget: 4 ").replace(
        "backbone: resnet8 ", "backbone: timm:resnet10t "
    )
    (tmp_path / "params.yaml").write_text(text)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pets.dvc").write_text("outs: []\n")
    return Workspace(tmp_path)


def properties(workspace):
    return make_form(workspace).model_json_schema()["properties"]


def test_choices_are_the_registries_and_what_lies_below_data(workspace):
    fields = properties(workspace)
    assert fields["backbone"]["enum"] == [*BACKBONES.names(), "timm:resnet10t"]
    assert fields["strategies"]["items"]["enum"] == STRATEGIES.names()
    assert set(fields["target"]["enum"]) == {"pets", *DATASETS.names()}
    assert set(fields["sources"]["items"]["enum"]) == {"pets", *DATASETS.names()}
    assert fields["channels"]["enum"] == [1, 3]


def test_ranges_are_those_of_the_settings(workspace):
    fields = properties(workspace)
    assert (fields["seeds"]["minimum"], fields["seeds"]["maximum"]) == (1, 100)
    assert (fields["image_size"]["minimum"], fields["image_size"]["maximum"]) == (8, 1024)
    assert fields["labels_per_class"]["minimum"] == 2
    assert fields["more_labels_per_class"]["items"]["minimum"] == 2
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        make_form(workspace)(seeds=0)


def test_what_params_yaml_says_stands_in_the_fields(workspace):
    form = make_form(workspace)()
    assert form.labels_per_class == 4
    assert form.backbone == "timm:resnet10t"
    assert form.sources == ["mnist5k"]
    assert flags_of(form) == {}, "a field that nobody touched leaves the run's own params.yaml"


def test_a_newcomer_sees_few_fields_each_with_a_title_and_words(workspace):
    fields = properties(workspace)
    assert list(fields) == [*(line.name for line in LINES), "other"]
    assert len(fields) < 15
    assert [name for name, field in fields.items() if len(field["description"]) < 20 or not field["title"]] == []
    assert {line.knob for line in LINES} <= set(knobs(Settings()))


def test_a_filled_form_becomes_flags(workspace):
    form = make_form(workspace)(
        target="pets", strategies=["scratch", "full"], labels_per_class=6, other={"pretrain.learning_rate": 0.02}
    )
    assert flags_of(form) == {
        "target.data": "pets",
        "finetune.strategies": "scratch,full",
        "finetune.label_budget": "6",
        "pretrain.learning_rate": "0.02",
    }


def test_the_headline_is_no_point_of_its_own_curve(workspace):
    form = make_form(workspace)  # its curve is 5, 20
    assert flags_of(form(labels_per_class=5)) == {"finetune.label_budget": "5", "finetune.curve_budgets": "20"}
    assert flags_of(form(labels_per_class=6)) == {"finetune.label_budget": "6"}
    assert flags_of(form(more_labels_per_class=[4])) == {"finetune.curve_budgets": ""}, "params.yaml's headline is 4"


def test_a_point_of_the_curve_that_is_named_twice_counts_once(workspace):
    form = make_form(workspace)(more_labels_per_class=[20, 5, 20])
    assert flags_of(form) == {"finetune.curve_budgets": "20,5"}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"pretrain.learning_rat": 1}, "unknown setting 'pretrain.learning_rat'; did you mean pretrain.learning_rate"),
        ({"finetune.seeds": 3}, "finetune.seeds is a field of the form itself; set it there"),
        ({"source.weights": "mine.pth"}, "unknown setting 'source.weights'"),
    ],
)
def test_other_takes_settings_that_are_no_fields(workspace, other, words):
    with pytest.raises(SettingsError, match=words):
        flags_of(make_form(workspace)(other=other))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, []),
        ({"labels_per_class": 4, "backbone": "timm:resnet10t"}, []),  # as params.yaml has it
        ({"labels_per_class": 5, "backbone": "resnet18"}, ["resnet18", "5 labels a class"]),
        ({"target": "pets", "sources": ["glyphs", "mnist5k"]}, ["pets", "from glyphs, mnist5k"]),
        ({"seed": 3, "other": {"strategies.full.steps": 9}}, ["seed 3", "strategies.full.steps 9"]),
    ],
)
def test_a_run_is_called_by_what_its_form_has_otherwise(workspace, told, words):
    form = make_form(workspace)
    assert spoken(form, told) == words
    assert spoken(form, form(**told).model_dump()) == words, "the same where a page sends the untouched fields too"


def test_no_two_fields_are_spoken_alike_but_names_of_their_own():
    assert [line.name for line in LINES if line.spoken == "{}"] == ["target", "backbone"]


def test_a_broken_params_yaml_is_for_the_run_to_report(workspace):
    workspace.params.write_text("seed: many\n")
    assert make_form(workspace)().labels_per_class == 10


def test_outside_of_a_project_there_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project() is None
    assert make_form(None)().target == "digits"


def test_prefect_makes_a_form_of_it():
    from flows.serve import transfer

    schema = parameter_schema(transfer).model_dump_for_openapi()
    form = schema["definitions"]["TransferSettings"]["properties"]
    assert schema["properties"]["settings"]["default"]["strategies"] == form["strategies"]["default"]
    assert "enum" in form["backbone"]
    assert schema["properties"]["uncommitted"]["default"] is False
    assert "not committed" in schema["properties"]["uncommitted"]["description"]
