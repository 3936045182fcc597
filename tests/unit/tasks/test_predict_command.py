"""`headstart predict` on a directory: exit codes, words and files, from a folder that is no project."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from flows.cli import run_command
from headstart.cells.run import run_cell
from headstart.errors import UserError
from headstart.modalities.table import IMAGE, TEXT
from headstart.training.accelerator import Accelerator
from tasks.predict import _check_kind


@pytest.fixture(scope="module")
def delivered(domain, tmp_path_factory) -> Path:
    job = domain.job("full", cells=str(tmp_path_factory.mktemp("cells")))
    run_cell(job, Accelerator())
    return job.directory


@pytest.fixture
def place(tmp_path, monkeypatch, domain, delivered) -> Path:
    """A folder outside of any project, with a model and new images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(delivered, tmp_path / "model")
    shutil.copytree(domain.root / "data" / "sketches" / "disc", tmp_path / "new")
    return tmp_path


def test_a_folder_of_images(place, capsys):
    assert run_command(["predict", "model", "new", "--out", "p.parquet", "--batch_size", "5", "--device", "cpu"]) == 0
    assert capsys.readouterr().out == "24 predictions: p.parquet\n"
    found = pd.read_parquet("p.parquet")
    assert len(found) == 24
    assert found.columns.tolist() == ["path", "prediction", *(f"probability.{c}" for c in ("bar", "cross", "disc"))]


def test_without_a_file_only_csv_is_printed(place, capsys):
    (place / "new" / "000.png").write_bytes(b"no")
    assert run_command(["predict", "model", "new"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 24
    assert said.err.startswith("1 of 24 cannot be read: 000.png: NOT_AN_IMAGE")


def test_what_cannot_be_read_is_counted_and_listed(place, capsys):
    (place / "new" / "000.png").write_bytes(b"no")
    assert run_command(["predict", "model", "new", "--out", "p.csv"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == ["23 predictions: p.csv", "1 rejected:    p.rejected.csv"]
    assert said.err.startswith("1 of 24 cannot be read: 000.png: NOT_AN_IMAGE")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone/model", "new"], ["gone/model is no folder", "models/target/full"]),
        (["gone", "new"], ["gone is no folder", "not inside a Headstart project"]),
        (["models:/gone/1", "new"], ["models:/gone/1 is no folder", "not inside a Headstart project"]),
        (["new", "new"], ["new is not a model's directory: it has no weights.safetensors"]),
        ([".", "new"], [". is not a model's directory", "did you mean model?"]),
        (["new/000.png", "new"], ["new/000.png is no folder"]),
        (["model", "gone"], ["gone is not there"]),
        (["model", "model"], ["model holds no images"]),
        (["model", "new", "--out", "p.txt"], ["p.txt: predictions are written as .csv or .parquet"]),
        (["model", "new", "--batch_size", "0"], ["--batch_size is 0"]),
        (["model", "new", "--device", "cuda:99"], ["there is no device 'cuda:99' here; choose one of cpu"]),
    ],
)
def test_what_cannot_be_used_exits_with_2_and_is_named(place, capsys, arguments, words):
    assert run_command(["predict", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "Traceback" not in said
    for word in words:
        assert word in said


@pytest.mark.parametrize("damage", ["flipped", "missing"])
def test_a_damaged_model_exits_with_2_and_names_the_file(place, capsys, damage):
    weights = place / "model" / "weights.safetensors"
    if damage == "flipped":
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    else:
        weights.unlink()
    assert run_command(["predict", "model", "new", "--out", "p.csv"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: the model cannot be used: ")
    assert "model/weights.safetensors" in said
    assert not (place / "p.csv").exists()


def test_a_registered_model_of_rows_of_another_kind_is_refused_with_both():
    loaded = SimpleNamespace(name="headstart-notes/1", model=SimpleNamespace(card=SimpleNamespace(modality="text")))
    with pytest.raises(UserError, match=r"headstart-notes/1 takes texts, and data\.modality of this project is image"):
        _check_kind(loaded, IMAGE)
    _check_kind(loaded, TEXT)
