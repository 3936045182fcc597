"""A repository of one's own with Headstart installed as a package: both drivers, another version, runs beside it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.scenario

ROOT = Path(__file__).parents[2]
DECOY = 'raise SystemExit("the module of the project was taken for that of Headstart")\n'
ISOLATED = """
from flows.isolated import run_isolated
from tasks.workspace import here
if __name__ == "__main__":
    ran = run_isolated(here(), {"finetune.label_budget": "3"}, uncommitted=True, name="three")
    print(ran.outcome, ran.experiment, ran.exit_code)
"""
SETTINGS = {
    "data.image_size": "12",
    "data.smallest_test": "0",
    "pretrain.epochs": "2",
    "extract.views": "2",
    "finetune.label_budget": "4",
    "finetune.curve_budgets": "2",
    "finetune.seeds": "2",
    "finetune.strategies": "scratch,linear_probe",
    "strategies.scratch.steps": "12",
    "remedy.max_rounds": "0",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder that the built package is installed in; it comes before the checkout on the path."""
    place = tmp_path_factory.mktemp("installed")
    source = place / "source"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--target", str(place / "site"), str(source)], check=True)
    return place / "site"


@pytest.fixture(scope="module")
def project(site, tmp_path_factory, make_project, draw_pictures):
    """What `headstart init` makes of a repository that has modules by the names of ours; run once, and committed."""
    root = tmp_path_factory.mktemp("own") / "repository"
    own = make_project().__class__(root)  # its commands and environment, for another root
    own.env |= {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    root.mkdir()
    own.run("git", "init", "--quiet")
    for name in ("tasks", "flows", "headstart"):
        (root / f"{name}.py").write_text(DECOY)
    assert "made in" in own.headstart("init").stdout
    pictures = root.parent
    draw_pictures(pictures / "shapes", seed=1)
    draw_pictures(pictures / "sketches", seed=2, ink=140)
    flags = [word for name, value in SETTINGS.items() for word in (f"--{name}", value)]
    data = ["--source.data", str(pictures / "shapes"), "--target.data", str(pictures / "sketches")]
    own.first = own.headstart("run", *flags, *data, "--built_in", "")
    own.run("git", "add", "-A")
    own.run("git", "commit", "--quiet", "-m", "a run")
    return own


def dvc(project, *words):
    return project.run(sys.executable, "-m", "dvc", *words)


def test_a_run_ends_with_the_verdict_and_the_report(project):
    assert "runs:   headstart ui" in project.first.stdout
    assert (project.root / "reports" / "report.html").is_file()
    assert "pip install headstart==" in (project.root / "reports" / "report.html").read_text()


def test_both_drivers_share_what_was_done(project):
    assert "up to date" in dvc(project, "status").stdout
    assert "Running stage" not in dvc(project, "repro").stdout
    assert "nothing changed" in project.headstart("run").stdout


def test_dvc_repro_does_what_a_change_asks_for_and_headstart_run_finds_it_done(project):
    project.set(finetune__label_budget=5)
    ran = dvc(project, "repro").stdout
    assert "> python -P -m tasks finetune linear_probe" in ran
    assert "> python -P -m tasks pretrain" not in ran
    assert "nothing changed" in project.headstart("run").stdout
    project.set(finetune__label_budget=4)
    assert "Running stage" not in dvc(project, "repro").stdout


def test_a_run_beside_it_becomes_an_experiment(project, tmp_path):
    script = tmp_path / "isolated.py"
    script.write_text(ISOLATED)
    assert "ran three 0" in project.run(sys.executable, "-P", str(script)).stdout
    dvc(project, "exp", "apply", "three")
    assert "nothing changed" in project.headstart("run").stdout
    project.run("git", "checkout", "--quiet", "--", ".")
    dvc(project, "repro")


def test_a_clone_with_the_cache_has_nothing_to_do(project, tmp_path):
    clone = project.__class__(tmp_path / "clone")
    clone.env = project.env
    project.run("git", "clone", "--quiet", str(project.root), str(clone.root))
    shutil.copytree(project.root / ".dvc" / "cache", clone.root / ".dvc" / "cache")
    dvc(clone, "checkout")
    assert "nothing changed" in clone.headstart("run").stdout


def test_another_version_runs_what_depends_on_it_and_dvc_repro_does_not_mix_the_two(project, site):
    """The last: it edits the package."""
    module = site / "headstart" / "strategies" / "linear_probe.py"
    module.write_text(module.read_text() + "# another version\n")
    assert "code.lock has another Headstart's for finetune.linear_probe" in project.headstart("status").stdout
    project.set(finetune__label_budget=6)
    refused = project.run(sys.executable, "-m", "dvc", "repro", check=False)
    assert refused.returncode != 0
    assert "code.lock/finetune.linear_probe is of another state of version" in refused.stdout + refused.stderr
    project.run("git", "checkout", "--quiet", "params.yaml", "dvc.lock")
    done = project.headstart("run")
    ran = done.stdout + done.stderr
    assert "code.lock has the installed code now; another than before: finetune.linear_probe, remedy, select" in ran
    assert "finetune@linear_probe: mean validation accuracy" in ran
    assert "finetune@scratch: mean validation" not in ran
    assert "up to date" in dvc(project, "status").stdout
    changed = project.run("git", "diff", "--name-only").stdout.split()
    assert {name for name in changed if name.startswith("code.lock/")} == {
        f"code.lock/{step}" for step in ("finetune.linear_probe", "remedy", "select")
    }
