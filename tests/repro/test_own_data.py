"""A folder of one's own becomes a dataset; the plan; the way back: the command on a project of real git and DVC."""

import shlex
import shutil
from unittest.mock import patch

import pytest

from headstart.errors import UserError

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


def test_a_folder_becomes_a_dataset_that_dvc_versions(project, headstart, pets):
    before = (project.root / "params.yaml").read_text()
    code, out, err = headstart("--plan", "--target.data", str(pets))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:3] == [
        f"{pets}: 72 images, now data/my pets and versioned by DVC (commit data/my pets.dvc to keep it)",
        "params.yaml: target.data: sketches -> my pets",
        "back: headstart run --target.data sketches",
    ]
    assert (project.root / "data" / "my pets" / "bar" / "000.png").is_file()
    assert (pets / "bar" / "000.png").is_file()  # copied, not moved
    assert "md5:" in (project.root / "data" / "my pets.dvc").read_text()
    assert project.run("git", "status", "--porcelain").stdout.splitlines() == [
        " M data/.gitignore",
        " M params.yaml",
        '?? "data/my pets.dvc"',
    ]
    after = (project.root / "params.yaml").read_text()
    assert after.split() == before.replace("data: sketches", "data: my pets").split()  # comments and all

    code, out, _ = headstart("--plan", *shlex.split(lines[2].removeprefix("back: headstart run ")))
    assert code == 0
    assert out.splitlines()[0] == "params.yaml: target.data: my pets -> sketches"
    assert (project.root / "params.yaml").read_text() == before

    code, out, _ = headstart("--plan", "--target.data", "data/my pets")  # by its place in the project
    assert (code, out.splitlines()[0]) == (0, "params.yaml: target.data: sketches -> my pets")
    code, _, err = headstart("--plan", "--target.data", str(pets))
    assert code == 2
    assert err.startswith("error: data/my pets is there already; to use it: --target.data my pets. To put ")


def test_the_plan_says_what_would_run_and_trains_nothing(project, headstart):
    code, out, err = headstart("--plan")
    assert (code, err) == (0, "")
    steps, cells, resolution = out.splitlines()
    assert steps.startswith("plan: up to 12 of 12 steps to run: ")
    names = steps.split(": ")[2].split(", ")
    assert (
        names.index("ingest@target") < names.index("ingest@source") < names.index("pretrain") < names.index("extract")
    )
    assert names[-3:] == ["select", "evaluate", "report"]
    assert cells.startswith("plan: at most 18 cells on ")
    for words in (" at a time; about ", " of training and ", " MiB on disk, if none is cached"):
        assert words in cells
    assert resolution.startswith("plan: resolution: 29 test rows and 2 seeds give a 95% interval of about +-")
    for folder in ("packs", "models", "features", "reports", ".headstart/cells", ".headstart/mlflow.db", "dvc.lock"):
        assert not (project.root / folder).exists(), folder


def test_the_way_back_of_an_empty_list_works_too(project, headstart):
    before = (project.root / "params.yaml").read_text()
    code, out, _ = headstart("--plan", "--source.data", "mnist5k")
    assert code == 0
    assert "params.yaml: built_in:  -> mnist5k" in out
    back = next(line for line in out.splitlines() if line.startswith("back: "))
    code, out, _ = headstart("--plan", *shlex.split(back.removeprefix("back: headstart run ")))
    assert code == 0
    assert (project.root / "params.yaml").read_text() == before


def test_an_unknown_dataset_leaves_the_settings_alone(project, headstart):
    before = (project.root / "params.yaml").read_bytes()
    code, out, err = headstart("--target.data", "sketchs")
    assert (code, out) == (2, "")
    assert err == (
        "error: target.data is 'sketchs', which is neither a built-in dataset nor a folder below data/; "
        "did you mean sketches?, or give the path of a folder of class folders\n"
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
