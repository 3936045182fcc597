"""A folder of one's own becomes a dataset; the plan; the way back: the command on a project of real git and DVC."""

import json
import shlex
import shutil
from unittest.mock import patch

import pytest
import torch
from torchvision import models

from headstart.errors import UserError
from headstart.settings import load

pytestmark = pytest.mark.scenario


@pytest.fixture(scope="module")
def fresh(make_project):
    """A project in which nothing ran yet. Read only."""
    return make_project()


@pytest.fixture
def project(fresh, tmp_path, monkeypatch):
    """A project of the test's own; the test stands in it."""
    copy = fresh.copy(tmp_path / "project")
    monkeypatch.chdir(copy.root)
    return copy


@pytest.fixture
def headstart(project, capsys):
    """Runs the command in this process; returns its exit code, output and errors."""
    from flows.cli import run_command
    from tasks.versioning import versioning_of

    def run(*arguments: str) -> tuple[int, str, str]:
        versioning_of.cache_clear()
        code = run_command(["run", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    with patch("signal.signal"):  # the command sets SIGTERM's; this process keeps its own
        yield run


@pytest.fixture
def pets(project, tmp_path):
    """A folder of class folders outside the project."""
    folder = shutil.copytree(project.root / "data" / "sketches", tmp_path / "my pets")
    (folder / "bar" / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def apply(project, capsys):
    """Writes flags to params.yaml as a run does, without the run; returns what that says."""
    from flows.overrides import apply_overrides, parse_overrides
    from tasks.workspace import here

    def apply(*flags: str) -> list[str]:
        apply_overrides(here(), parse_overrides(list(flags)))
        return capsys.readouterr().out.splitlines()

    return apply


def test_a_folder_becomes_a_dataset_that_dvc_versions(project, apply, pets):
    before = (project.root / "params.yaml").read_text()
    lines = apply("--target.data", str(pets))
    assert lines == [
        f"{pets}: 72 images, now data/my pets and versioned by DVC (commit data/my pets.dvc to keep it)",
        "params.yaml: target.data: sketches -> my pets",
        "back: headstart run --target.data sketches",
    ]
    assert (project.root / "data" / "my pets" / "bar" / "000.png").is_file()
    assert (pets / "bar" / "000.png").is_file()  # it is still there
    assert "md5:" in (project.root / "data" / "my pets.dvc").read_text()
    assert project.run("git", "status", "--porcelain").stdout.splitlines() == [
        " M data/.gitignore",
        " M params.yaml",
        '?? "data/my pets.dvc"',
    ]
    after = (project.root / "params.yaml").read_text()
    assert after.split() == before.replace("data: sketches", "data: my pets").split()  # comments and all

    assert apply(*shlex.split(lines[2].removeprefix("back: headstart run ")))[0] == (
        "params.yaml: target.data: my pets -> sketches"
    )
    assert (project.root / "params.yaml").read_text() == before

    assert apply("--target.data", "data/my pets")[0] == "params.yaml: target.data: sketches -> my pets"  # by its place
    assert apply("--target.data", str(pets)) == []  # the same path once more is the dataset that it became
    (pets / "bar" / "000.png").unlink()
    with pytest.raises(UserError, match=r"^data/my pets is there already; to use it: --target.data my pets"):
        apply("--target.data", str(pets))


def test_an_archive_becomes_a_dataset_too_odd_names_and_all(project, run_warm, apply, pets, tmp_path):
    for number, name in enumerate(("a\nb.png", "=1,2.png", "\x1b[31mred.png", "<img src=x onerror=alert(1)>.png")):
        (pets / "bar" / f"{number:03d}.png").rename(pets / "bar" / name)
    shutil.make_archive(str(tmp_path / "packed"), "gztar", tmp_path, "my pets")
    lines = apply("--target.data", str(tmp_path / "packed.tar.gz"))
    assert lines[0] == (
        f"{tmp_path}/packed.tar.gz: 72 images, now data/packed and versioned by DVC (commit data/packed.dvc to keep it)"
    )
    assert (project.root / "data" / "packed" / "bar" / "a\nb.png").is_file()
    assert not (project.root / "data" / "packed" / "bar" / "notes.txt").exists()
    run_warm(project)
    page = (project.root / "reports" / "report.html").read_text()
    assert "<img src=x" not in page
    assert "\x1b" not in page


def test_a_plan_with_a_folder_keeps_the_dataset_and_no_flag(project, headstart, pets):
    before = (project.root / "params.yaml").read_bytes()
    code, out, err = headstart("--plan", "--target.data", str(pets))
    assert (code, err) == (0, "")
    assert out.splitlines()[1] == "params.yaml: target.data: sketches -> my pets"
    assert out.splitlines()[-1] == "params.yaml is as it was; the same flags find data/my pets there"
    assert (project.root / "data" / "my pets.dvc").is_file()
    assert (project.root / "params.yaml").read_bytes() == before


def test_the_plan_says_what_would_run_and_trains_nothing(project, headstart):
    code, out, err = headstart("--plan")
    assert (code, err) == (0, "")
    steps, cells, resolution = out.splitlines()
    assert steps.startswith("plan: up to 16 of 16 steps to run: ")
    names = steps.split(": ")[2].split(", ")
    order = [names.index(name) for name in ("ingest_target", "ingest_source@shapes", "pretrain@shapes", "extract")]
    assert order == sorted(order)
    assert names[-4:] == ["remedy", "select", "evaluate", "report"]
    assert cells.startswith("plan: at most 20 cells on ")
    for words in (" at a time; about ", " of training and ", " MiB on disk, if none is cached"):
        assert words in cells
    assert resolution.startswith("plan: resolution: 29 test rows and 2 seeds give a 95% interval of about +-")
    for folder in ("packs", "models", "features", "reports", ".headstart/cells", ".headstart/mlflow.db", "dvc.lock"):
        assert not (project.root / folder).exists(), folder


def test_the_way_back_of_an_empty_list_works_too(project, apply):
    before = load(project.root / "params.yaml")
    lines = apply("--source.data", "mnist5k")
    assert "params.yaml: built_in:  -> mnist5k" in lines
    back = next(line for line in lines if line.startswith("back: "))
    apply(*shlex.split(back.removeprefix("back: headstart run ")))
    assert load(project.root / "params.yaml") == before


def test_an_unknown_dataset_leaves_the_settings_alone(project, headstart):
    before = (project.root / "params.yaml").read_bytes()
    code, out, err = headstart("--target.data", "sketchs")
    assert (code, out) == (2, "")
    assert err == (
        "error: target.data is 'sketchs', which is neither a built-in dataset nor a folder below data/; "
        "did you mean sketches? Or give the path of a folder of class folders\n"
    )
    assert (project.root / "params.yaml").read_bytes() == before


def test_a_folder_without_class_folders_is_refused_and_not_copied(project, headstart, tmp_path):
    (tmp_path / "flat").mkdir()
    shutil.copy(project.root / "data" / "sketches" / "bar" / "000.png", tmp_path / "flat")
    code, _, err = headstart("--target.data", str(tmp_path / "flat"))
    assert code == 2
    assert "holds images in 0 class folder(s), none; at least two are needed: flat/<class>/<image>" in err
    assert not (project.root / "data" / "flat").exists()


def test_a_setting_that_was_deleted_from_params_yaml_is_named(project, run_warm):
    params = project.root / "params.yaml"
    params.write_text("".join(line for line in params.read_text().splitlines(True) if not line.startswith("seed:")))
    with pytest.raises(UserError, match="seed"):
        run_warm(project)


@pytest.mark.parametrize("name", ["dvc.lock", "dvc.yaml"])
def test_a_merge_conflict_is_an_error_without_a_stack(project, headstart, name):
    path = project.root / name
    text = path.read_text() if path.exists() else "schema: '2.0'\nstages: {}\n"
    path.write_text(f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n")
    code, _, err = headstart()
    assert code == 2
    assert err.startswith("error: ")
    assert name in err
    assert "Traceback" not in err


def test_weights_of_ones_own_go_through_a_whole_run(project, run_warm, apply, tmp_path):
    torch.manual_seed(0)
    torch.save(models.squeezenet1_1().state_dict(), tmp_path / "mine.pth")
    lines = apply(
        "--backbone", "squeezenet1_1", "--source.weights", str(tmp_path / "mine.pth"), "--data.image_size", "24"
    )
    assert lines[0].startswith(f"{tmp_path / 'mine.pth'}: weights of unknown normalisation (ImageNet's is taken; ")
    assert "params.yaml: source.data: shapes -> mine" in lines
    results = run_warm(project)
    assert results["pretrain@mine"] == "ran"
    card = json.loads((project.root / "models" / "source" / "mine" / "card.json").read_text())
    assert (card["strategy"], card["classes"], card["flops"]) == ("adopted", [], None)
    matches = (project.root / "models" / "source" / "mine" / "matches.csv").read_text()
    assert matches.count(",taken\n") == 50
    verdict = json.loads((project.root / "reports" / "verdict.json").read_text())
    assert verdict["against_scratch"]["compute_saved"]["with_pretraining"]["ratio"] is None
    assert "weights that were trained elsewhere" in (project.root / "reports" / "report.html").read_text()
    assert project.run("dvc", "status").stdout == "Data and pipelines are up to date.\n"
