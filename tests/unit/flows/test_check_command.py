"""`headstart check` and the registration of data, on a project without DVC: nothing is written where none should be."""

import json
import shutil
from pathlib import Path

import pytest

from flows.cli import run_command
from flows.overrides import apply_overrides
from headstart.errors import UserError
from headstart.settings import load

ROOT = Path(__file__).parents[3]
SMALL = [
    "--finetune.label_budget",
    "4",
    "--finetune.curve_budgets",
    "2",
    "--data.image_size",
    "12",
    "--data.smallest_test",
    "0",
]


@pytest.fixture
def pets(draw_pictures, tmp_path) -> Path:
    return draw_pictures(tmp_path / "pets", per_class=10)


def files(root: Path) -> dict[str, bytes]:
    return {path.as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_it_says_what_a_run_would_make_of_a_folder_and_writes_nothing(workspace, pets, capsys) -> None:
    before = files(workspace.root)
    assert run_command(["check", str(pets), *SMALL]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        f"{pets}: 30 rows in 3 classes",
        "split: 18 rows in the pool, 12 test rows (drawn by the seed)",
        "class bar: 6 pool, 4 test",
    ]
    assert "label budget: at most 6 a class; up to 1 each seed has labels of its own" in lines
    assert any(
        line.startswith("resolution: 12 test rows and 5 seeds give a 95% interval of about +-") for line in lines
    )
    assert lines[-1] == "a run would take it; nothing was written"
    assert files(workspace.root) == before


def test_json_holds_the_same(workspace, pets, capsys) -> None:
    assert run_command(["check", str(pets), "--json", *SMALL]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["accepted"] is True
    assert found["splits"] == {"pool": 18, "test": 12}
    assert 0 < found["resolution"]["half_width"] < 1


def test_what_a_run_would_refuse_exits_with_2_after_the_findings(workspace, pets, capsys) -> None:
    large = ["--data.smallest_test", "0", "--finetune.label_budget", "20", "--finetune.curve_budgets", "5"]
    assert run_command(["check", str(pets), *large]) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{pets}: 30 rows in 3 classes\n")
    assert captured.err.startswith("error: a label budget of 20 a class needs 20 labelled rows")
    assert run_command(["check", str(pets), "--json", *large]) == 2
    assert json.loads(capsys.readouterr().out)["accepted"] is False


def test_too_few_rows_for_a_test_set_are_said_to_be_cross_validated(workspace, pets, capsys) -> None:
    """With the settings as they are: budgets are lowered to what a class of 10 has outside of a fold."""
    assert run_command(["check", str(pets)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:8] == [
        "split: too few rows for a test set (40% of 30 rows are fewer than data.smallest_test, 150): each is predicted"
        " by 5-fold cross-validation repeated 5 times, and what is delivered is trained once more on all of them",
        "split: label budget 5 instead of 10: two thirds of the 8 rows that every class has outside each fold, so that"
        " seeds differ in their labels",
        "split: left out of the curve: 5, 20 (finetune.curve_budgets)",
        "class bar: 10",
        "class cross: 10",
        "class disc: 10",
        "label budget: at most 8 a class",
    ]
    assert lines[8].startswith(
        "resolution: 30 rows by 5-fold cross-validation repeated 5 times give a 95% interval of about +-"
    )
    assert run_command(["check", str(pets), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["folds"], found["test_rows"], found["largest_label_budget"]) == (5, 30, 8)


@pytest.mark.parametrize(
    ("arguments", "stated"),
    [
        (["/no/such"], "/no/such is not a folder"),
        (["pets"], "data/pets is not a folder"),
        (["digits"], "digits is a built-in dataset that is not fetched yet; a run fetches it"),
        (["torchvision:MNIST"], "torchvision-mnist is a built-in dataset that is not fetched yet"),
        ([".", "--data.colour", "1"], "unknown flag '--data.colour'"),
        ([".", "--target.test_data", "x"], "--target.test_data goes with `headstart run`"),
    ],
)
def test_what_cannot_be_checked_is_refused(workspace, capsys, arguments, stated) -> None:
    assert run_command(["check", *arguments]) == 2
    assert stated in capsys.readouterr().err


def test_as_json_a_refusal_of_ingest_is_an_object(workspace, tmp_path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    assert run_command(["check", str(tmp_path / "empty"), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["accepted"] is False
    assert "holds images in 0 class folder(s)" in found["error"]


def test_torchvision_s_names_become_folder_names(workspace) -> None:
    settings = apply_overrides(workspace, {"source.data": "torchvision:CIFAR10"})
    assert settings.source.data == ("torchvision-cifar10",)
    assert settings.built_in == ("torchvision-cifar10", "digits")
    assert load(workspace.params) == settings


@pytest.mark.parametrize(
    ("overrides", "stated"),
    [
        ({"target.test_data": "x"}, "--target.test_data goes with --target.data PATH, whose part it becomes"),
        ({"target.data": "digits", "target.unlabelled": "x"}, "digits is a dataset of the project already, and stays"),
        ({"source.data": "torchvision:IMAGENOT"}, "unknown torchvision dataset 'IMAGENOT'"),
    ],
)
def test_extras_without_a_new_dataset_are_refused(workspace, overrides, stated) -> None:
    before = files(workspace.root)
    with pytest.raises(UserError, match=stated):
        apply_overrides(workspace, overrides)
    assert files(workspace.root) == before


def test_a_dataset_is_not_registered_where_another_flag_is_wrong(workspace, pets) -> None:
    with pytest.raises(UserError, match="seeds"):
        apply_overrides(workspace, {"target.data": str(pets), "finetune.seeds": "0"})
    assert not (workspace.root / "data" / "pets").exists()


def describe(pets: Path, *rows: str) -> None:
    (pets / "class_attributes.csv").write_text("\n".join(["class,round", *rows]) + "\n")


@pytest.mark.parametrize(
    ("rows", "stated"),
    [
        (["bar,no", "cross,no"], r"class_attributes\.csv has no row for 1 of 3 classes, such as 'disc'"),
        (["bar,no", "cross,no", "disc,very"], r"class_attributes\.csv row 4: round is 'very'"),
    ],
)
def test_a_target_whose_classes_are_described_wrongly_is_not_registered(workspace, pets, rows, stated) -> None:
    """Or the corrected folder would be refused: data/pets would be there already, with the bad table."""
    describe(pets, *rows)
    before = files(workspace.root)
    with pytest.raises(UserError, match=stated):
        apply_overrides(workspace, {"target.data": str(pets)})
    assert files(workspace.root) == before


def test_nor_is_it_where_it_is_a_table_and_lies_beside_it(workspace, pets) -> None:
    describe(pets, "bar,no", "cross,no")
    rows = [f"{path.relative_to(pets)},{path.parent.name}" for path in sorted(pets.rglob("*.png"))]
    (pets / "labels.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    with pytest.raises(UserError, match="such as 'disc'"):
        apply_overrides(workspace, {"target.data": str(pets / "labels.csv")})
    assert not (workspace.root / "data" / "labels").exists()


def test_a_table_is_checked_with_what_lies_beside_it(workspace, pets, capsys) -> None:
    rows = [f"{path.relative_to(pets)},{path.parent.name}" for path in sorted(pets.rglob("*.png"))]
    (pets / "labels.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    describe(pets, "bar,no", "cross,no")
    assert run_command(["check", str(pets / "labels.csv")]) == 2
    assert "such as 'disc'" in capsys.readouterr().err
    describe(pets, "bar,no", "cross,no", "disc,yes")
    assert run_command(["check", str(pets / "labels.csv")]) == 0
    assert "classes are described by 1 columns of class_attributes.csv" in capsys.readouterr().out


def test_a_dataset_of_the_project_that_is_described_wrongly_is_not_made_the_target(workspace, pets) -> None:
    shutil.copytree(pets, workspace.data("pets"))
    describe(workspace.data("pets"), "bar,no", "cross,no")
    before = files(workspace.root)
    with pytest.raises(UserError, match="such as 'disc'"):
        apply_overrides(workspace, {"target.data": "pets"})
    assert files(workspace.root) == before
    describe(workspace.data("pets"), "bar,no", "cross,no", "disc,yes")
    assert apply_overrides(workspace, {"target.data": "pets"}).target.data == "pets"


def described_rows(pets: Path) -> Path:
    """A table of attributes, without a class or a value."""
    rows = [f"{path.relative_to(pets)},{'yes' if 'disc' in path.parts else 'no'}" for path in pets.rglob("*.png")]
    (pets / "rows.csv").write_text("\n".join(["path,round", *sorted(rows)]) + "\n")
    return pets / "rows.csv"


@pytest.mark.parametrize("given", ["rows", "glyph_attributes"])
def test_attributes_are_not_registered_as_a_target(workspace, pets, given) -> None:
    text = str(described_rows(pets)) if given == "rows" else given
    before = files(workspace.root)
    with pytest.raises(UserError, match=r"has attributes \(.*enough for a source alone"):
        apply_overrides(workspace, {"target.data": text, "data.attribute_columns": "round"})
    assert files(workspace.root) == before


def test_attributes_are_checked_as_a_source(workspace, pets, capsys) -> None:
    table = described_rows(pets)
    text = table.read_text().splitlines()
    shades = ["shade", *("dim" if row % 2 else "bright" for row in range(len(text) - 2)), ""]
    table.write_text("\n".join(f"{line},{shade}" for line, shade in zip(text, shades, strict=True)) + "\n")
    before = files(workspace.root)
    flags = ["--data.attribute_columns", "round,shade"]
    assert run_command(["check", str(table), "--as", "source", *flags]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        f"{table}: 30 rows with 2 attributes",
        "attribute round: yes/no, known of 30 of 30 rows",
        "attribute shade: tag (bright, dim), known of 29 of 30 rows",
    ]
    assert lines[-1] == "a run would take it as a source; nothing was written"
    assert files(workspace.root) == before
    assert run_command(["check", str(table), "--as", "source", "--json", *flags]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["accepted"], found["kind"]) == (True, "attribute")
    assert found["attributes"]["shade"] == {"kind": "tag", "categories": ["bright", "dim"], "known": 29}


def test_as_a_target_attributes_are_refused_with_the_way_to_check_them(workspace, pets, capsys) -> None:
    assert run_command(["check", str(described_rows(pets)), "--data.attribute_columns", "round"]) == 2
    assert "enough for a source alone (headstart check --as source): a target needs" in capsys.readouterr().err


def test_classes_and_values_are_checked_as_a_source_too(workspace, pets, capsys) -> None:
    """All rows are learned from: there is no test set, and no label budget."""
    assert run_command(["check", str(pets), "--as", "source"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"{pets}: 30 rows in 3 classes", "class bar: 10"]
    assert not any(line.startswith(("split:", "label budget", "resolution")) for line in lines)
    rows = [f"{path.relative_to(pets)},{number}" for number, path in enumerate(sorted(pets.rglob("*.png")))]
    (pets / "values.csv").write_text("\n".join(["path,value", *rows]) + "\n")
    assert run_command(["check", str(pets / "values.csv"), "--as", "source"]) == 0
    assert "values, pool: mean 14.5, s.d. 8.803, from 0 to 29" in capsys.readouterr().out.splitlines()


def test_texts_are_looked_at_whatever_datasets_params_yaml_names(workspace, tmp_path, capsys) -> None:
    rows = [
        f"a {word} film, number {row},{label}" for row in range(40) for word, label in (("fine", "a"), ("dull", "b"))
    ]
    (tmp_path / "texts.csv").write_text("text,label\n" + "\n".join(f'"{row[:-2]}",{row[-1]}' for row in rows) + "\n")
    before = workspace.params.read_bytes()
    assert run_command(["check", str(tmp_path / "texts.csv"), "--data.modality", "text"]) == 0
    assert "texts: " in capsys.readouterr().out
    assert workspace.params.read_bytes() == before
    refused = ["check", str(tmp_path / "texts.csv"), "--data.modality", "text", "--data.text.tokens", "nope"]
    assert run_command(refused) == 2
    said = capsys.readouterr().err
    assert said.count("data.text.tokens is 'nope'") == 1
