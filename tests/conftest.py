"""What tests of several floors share: small pictures, and a small project of real git and DVC to run things in."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
CODE = ("headstart", "tasks", "flows", "dvc.yaml", "prefect.yaml", ".dvcignore", ".gitignore")
CLASSES = ("bar", "cross", "disc")

BAD_INPUT = ("tests/faults/test_bad_", "tests/faults/test_decoder_crash", "tests/faults/test_time_of_the_corpus")

# Every step in seconds: 12-pixel pictures, three classes, two seeds.
TINY = {
    "source.data": ["shapes"],
    "target.data": "sketches",
    "built_in": [],
    "data.image_size": 12,
    "data.smallest_test": 0,
    "pretrain.epochs": 2,
    "extract.views": 2,
    "finetune.label_budget": 4,
    "finetune.curve_budgets": [2],
    "finetune.seeds": 2,
    "strategies.scratch.steps": 12,
    "strategies.frozen_blocks.steps": 8,
    "strategies.full.steps": 8,
    "strategies.lp_ft.steps": 8,
    "remedy.max_rounds": 0,  # tests/repro/test_remedies_tried.py has them
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Where tests run in several processes: those in whole projects share one, the others stay together by file.

    The scheduler of --dist loadgroup does not group under this pytest: it renames items, and they keep their names.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByPlace(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.split("::")[0]
            if path.startswith(BAD_INPUT):
                return "bad input"  # test_time_of_the_corpus.py adds up what the others took
            return path if path.startswith(("tests/unit/", "tests/faults/")) else "projects"

    return ByPlace(config, log)  # type: ignore[arg-type]


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors; DVC's own use of pygtrie is nothing that this project can mend."""
    config.addinivalue_line("filterwarnings", "ignore:_NoneStep.value will soon raise:DeprecationWarning")


def draw_pictures(directory: Path, *, per_class: int = 24, seed: int = 0, ink: int = 255, size: int = 12) -> Path:
    """Writes a folder of class folders: noisy bars, crosses and discs on black."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    for name in CLASSES:
        (directory / name).mkdir(parents=True)
        for number in range(per_class):
            y, x = rows - draw.normal(0, 0.7), columns - draw.normal(0, 0.7)
            shape = {
                "bar": np.abs(y) < 1.6,
                "cross": (np.abs(x - y) < 1.4) | (np.abs(x + y) < 1.4),
                "disc": x**2 + y**2 < (size / 3) ** 2,
            }[name]
            picture = np.clip(shape * ink + draw.normal(0, 25, shape.shape), 0, 255).astype(np.uint8)
            Image.fromarray(picture).save(directory / name / f"{number:03d}.png")
    return directory


@pytest.fixture(scope="session", name="draw_pictures")
def draw_pictures_fixture() -> Callable[..., Path]:
    """The function, for those that cannot import a conftest."""
    return draw_pictures


class Project:
    """A project in a folder of its own: the code of this checkout, real git, real DVC, small data."""

    def __init__(self, root: Path):
        self.root = root
        self.env = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))
        } | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(root),
            "DVC_NO_ANALYTICS": "1",
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "test@example.org",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "test@example.org",
        }

    def run(self, *command: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Runs a command in the project; its output is in the error where it fails."""
        done = subprocess.run(
            command, cwd=self.root, env=self.env, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} exited {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def headstart(self, *arguments: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Runs the `headstart` command with this project's code."""
        return self.run(sys.executable, "-m", "flows.cli", *arguments, check=check, timeout=timeout)

    def set(self, **values: object) -> None:
        """Changes settings in params.yaml; dots in names are written as two underscores."""
        from ruamel.yaml import YAML

        yaml = YAML()
        document = yaml.load(self.root / "params.yaml")
        for name, value in values.items():
            *sections, key = name.replace("__", ".").split(".")
            place = document
            for section in sections:
                place = place[section]
            place[key] = value
        yaml.dump(document, self.root / "params.yaml")

    def copy(self, root: Path) -> "Project":
        """The same project elsewhere, with DVC's cache, the finished cells and the databases."""
        shutil.copytree(self.root, root, ignore=shutil.ignore_patterns("locks", "__pycache__"), dirs_exist_ok=True)
        return Project(root)

    def cells(self) -> dict[str, float]:
        """When each finished cell, checkpoint or pretraining was published, by its folder's name."""
        return {path.name: path.stat().st_mtime for path in (self.root / ".headstart" / "cells").glob("[!.]*")}

    def weights(self) -> dict[str, str]:
        """sha256 of every weights file of the project, by path."""
        import hashlib

        return {
            path.relative_to(self.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((self.root / "models").rglob("weights.safetensors"))
        }


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Project]:
    """Makes a committed project with the two small datasets under DVC, and tiny settings (others by keyword)."""

    def make(**settings: object) -> Project:
        from headstart.settings import write_default

        project = Project(tmp_path_factory.mktemp("project"))
        for name in CODE:
            origin = ROOT / name
            if origin.is_dir():
                shutil.copytree(origin, project.root / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(origin, project.root / name)
        write_default(project.root / "params.yaml")
        project.set(**{name.replace(".", "__"): value for name, value in TINY.items()} | settings)
        draw_pictures(project.root / "data" / "shapes", per_class=40, seed=1)
        draw_pictures(project.root / "data" / "sketches", per_class=24, seed=2, ink=150)
        project.run("git", "init", "-q", "-b", "main")
        project.run("dvc", "init", "-q")
        shutil.copy(ROOT / ".dvc" / "config", project.root / ".dvc" / "config")
        project.run("dvc", "add", "-q", "data/shapes", "data/sketches")
        project.run("git", "add", "-A")
        project.run("git", "commit", "-q", "-m", "a small project")
        return project

    return make


@pytest.fixture(scope="session")
def reproducing(
    make_project: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Project, "subprocess.Popen[bytes]", Path]]:
    """A project in which `dvc repro` is at work, every step in a process of its own; it takes a minute."""
    project = make_project()
    log = tmp_path_factory.mktemp("repro") / "log.txt"
    with log.open("w") as file:
        process = subprocess.Popen(
            ["dvc", "repro"], cwd=project.root, env=project.env, stdout=file, stderr=subprocess.STDOUT
        )
    yield project, process, log
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def cold(reproducing: tuple[Project, "subprocess.Popen[bytes]", Path]) -> Project:
    """A project after `dvc repro`. Read only: tests that change something take a copy."""
    project, process, log = reproducing
    assert process.wait(timeout=600) == 0, log.read_text()
    return project


@pytest.fixture(scope="session")
def first_run(
    make_project: Callable[..., Project], reproducing: object
) -> tuple[Project, subprocess.CompletedProcess[str]]:
    """A project after its first `headstart run`, and what that said. Read only. `dvc repro` works beside it."""
    project = make_project()
    return project, project.headstart("run")


@pytest.fixture(scope="session")
def warm(first_run: tuple[Project, object]) -> Project:
    """A project after `headstart run`. Read only: tests that change something take a copy."""
    return first_run[0]


@pytest.fixture(scope="module")
def own_mlflow() -> Iterator[None]:
    """MLflow's own variables are as they were once this file is through."""
    from tasks.tracking import ENVIRONMENT

    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", *ENVIRONMENT):
            patch.setenv(name, "")
            patch.delenv(name)
        yield
