"""The form of Prefect's UI: choices of the registries, ranges of the settings, values of params.yaml."""

import pytest
from prefect.utilities.callables import parameter_schema
from pydantic import ValidationError
from ruamel.yaml import YAML

from flows.overrides import overridden
from flows.serving.form import EVERYWHERE, OF_MODALITIES, flags_of, lines_of, make_form, project, spoken
from headstart.backbones.table import BACKBONES
from headstart.datasets.table import DATASETS
from headstart.errors import SettingsError
from headstart.modalities.table import IMAGE, MODALITIES, ModalityEntry
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
    of_maps = [entry.name for entry in BACKBONES if entry.takes == "maps"]
    assert fields["backbone"]["enum"] == [*of_maps, "timm:resnet10t"]
    assert fields["strategies"]["items"]["enum"] == [name for name in STRATEGIES.names() if name != "tfidf"]
    of_images = {entry.name for entry in DATASETS if entry.modality == "image"}
    assert set(fields["target"]["enum"]) == {"pets", *of_images}
    assert set(fields["sources"]["items"]["enum"]) == {"pets", *of_images}
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
    assert list(fields) == [*(line.name for line in lines_of(IMAGE)), "other"]
    assert len(fields) < 15
    assert [name for name, field in fields.items() if len(field["description"]) < 20 or not field["title"]] == []
    assert {line.knob for line in (*EVERYWHERE, *OF_MODALITIES)} <= set(knobs(Settings()))


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
    lines = [*EVERYWHERE, *OF_MODALITIES]
    assert [line.name for line in lines if line.spoken == "{}"] == ["target", "backbone"]
    assert len({line.spoken for line in lines}) == len(lines) - 1


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


# ---- rows of another kind ------------------------------------------------------------------------------

OWN = {
    "image": {"image_size": 28, "channels": 1},
    "text": {"length": 256, "tokens": "bytes"},
    "audio": {"sample_rate": 16_000, "seconds": 1.0, "mels": 64},
}
NETWORKS = {"image": "resnet8", "text": "text_cnn", "audio": "resnet8"}
EACH = pytest.mark.parametrize("kind", list(MODALITIES), ids=lambda kind: kind.name)


def project_of(folder, kind: ModalityEntry) -> Workspace:
    """A project of that kind with a source, a target and a way that are its own."""
    folder.joinpath("data").mkdir()
    for name in ("many", "few"):
        (folder / "data" / f"{name}.dvc").write_text("outs: []\n")
    settings = {
        "backbone": NETWORKS[kind.name], "built_in": [], "data": {"modality": kind.name},
        "source": {"data": ["many"]}, "target": {"data": "few"},
    }  # fmt: skip
    YAML().dump(settings, folder / "params.yaml")
    return Workspace(folder)


@EACH
def test_a_project_has_the_fields_of_its_own_rows_alone(tmp_path, kind):
    fields = properties(project_of(tmp_path, kind))
    own = {name: field["default"] for name, field in fields.items() if any(name in other for other in OWN.values())}
    assert own == OWN[kind.name]
    assert len(fields) < 15
    assert all(len(field["description"]) >= 20 and field["title"] for field in fields.values())
    others = {word for other in MODALITIES if other is not kind for word in (other.one, other.many)}
    words = {
        word.strip(".,:;") for name, field in fields.items() if name != "other" for word in field["description"].split()
    }
    assert not words & others
    assert kind.many in words


@EACH
def test_choices_are_those_that_its_rows_can_take(tmp_path, kind):
    fields = properties(project_of(tmp_path, kind))
    built_in = {entry.name for entry in DATASETS if entry.modality == kind.name}
    assert set(fields["target"]["enum"]) == {"few", "many", *built_in}
    assert set(fields["backbone"]["enum"]) == {entry.name for entry in BACKBONES if entry.takes == kind.gives}
    strategies = set(fields["strategies"]["items"]["enum"])
    assert ("tfidf" in strategies, "rotation" in strategies) == (kind.name == "text", kind.name == "image")


@EACH
def test_every_choice_is_one_that_the_settings_take(tmp_path, kind):
    workspace = project_of(tmp_path, kind)
    form = make_form(workspace)
    fields = form.model_json_schema()["properties"]
    for backbone in ("resnet8", "text_cnn"):
        if backbone in fields["backbone"]["enum"]:
            assert overridden(workspace, flags_of(form(backbone=backbone))).backbone == backbone
    for name in set(fields["target"]["enum"]) - {"many"}:
        assert overridden(workspace, flags_of(form(target=name))).target.data == name


def test_a_form_of_texts_becomes_flags_and_is_spoken(tmp_path):
    form = make_form(project_of(tmp_path, MODALITIES.get("text")))
    told = {"length": 64, "strategies": ["scratch", "full", "tfidf"]}
    assert flags_of(form(**told)) == {"data.text.length": "64", "finetune.strategies": "scratch,full,tfidf"}
    assert spoken(form, told) == ["by scratch, full, tfidf", "64 tokens"]
    with pytest.raises(ValidationError, match="image_size"):
        form(image_size=32)
    assert flags_of(form(other={"data.image_size": 32})) == {"data.image_size": "32"}, "it is no field here"


@EACH
def test_rows_of_another_kind_are_refused_in_words(tmp_path, kind):
    form = make_form(project_of(tmp_path, kind))
    assert flags_of(form(other={"data.modality": kind.name})) == {"data.modality": kind.name}
    other = "text" if kind.name == "image" else "image"
    words = f"other: data.modality is '{other}', and this form's datasets, networks and fields are for {kind.many}"
    with pytest.raises(SettingsError, match=words) as refused:
        flags_of(form(other={"data.modality": other}))
    assert "set data.modality in params.yaml" in str(refused.value)


def test_each_kind_of_rows_has_a_line_for_each_setting_that_it_shows():
    shown = [f"data.{name}" for kind in MODALITIES for name in kind.shown]
    assert shown == [line.knob for line in OF_MODALITIES]
