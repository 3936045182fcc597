"""A result is recorded only under the settings, the code and the data that it was made with."""

import logging

import pytest

from headstart.errors import HeadstartError
from tasks.workspace import Workspace


@pytest.fixture(scope="module")
def project(cold, tmp_path_factory):
    """A finished project, whose tests each leave it as it was."""
    return cold.copy(tmp_path_factory.mktemp("guards"))


@pytest.fixture(autouse=True)
def as_it_was(project):
    """params.yaml, dvc.lock and code are put back; outputs of a refused step come back from DVC's cache."""
    kept = {name: (project.root / name).read_bytes() for name in ("params.yaml", "dvc.lock", FULL)}
    yield
    for name, content in kept.items():
        (project.root / name).write_bytes(content)


FULL = "headstart/strategies/full.py"


class Meddler:
    """Does something once, as soon as a step reports progress."""

    def __init__(self, act):
        self.act = act
        self.during = ""

    def show(self, what: str, done: int, total: int) -> None:
        if not self.during:
            self.during = what
            self.act()


def test_settings_of_the_step_that_runs(project, open_warm, in_project):
    project.set(strategies__full__steps=10)
    recorded = (project.root / "dvc.lock").read_bytes()
    meddler = Meddler(lambda: project.set(strategies__full__steps=11))
    with in_project(project), pytest.raises(HeadstartError) as caught:
        open_warm(project, meddler).step("finetune", "full")
    assert meddler.during == "full"
    assert str(caught.value).startswith("params.yaml: strategies.full changed while step finetune@full was running; ")
    assert caught.value.exit_code == 1
    assert (project.root / "dvc.lock").read_bytes() == recorded
    with in_project(project):
        again = open_warm(project)
        again.step("finetune", "full")
    assert again.results["finetune@full"].outcome == "ran"  # nothing was left in the cache under the new value


def test_settings_of_a_later_step(project, open_warm, in_project):
    """Steps run with the settings that the run began with: what is edited meanwhile must not be filed as theirs."""
    project.set(strategies__scratch__steps=10)
    meddler = Meddler(lambda: project.set(strategies__full__steps=11))
    with in_project(project):
        run = open_warm(project, meddler)
        run.step("finetune", "scratch")
        assert run.results["finetune@scratch"].outcome == "ran"  # it does not read what was edited
        recorded = (project.root / "dvc.lock").read_bytes()
        with pytest.raises(HeadstartError) as caught:
            run.step("finetune", "full")
    assert str(caught.value) == (
        "params.yaml was edited during this run (strategies.full.steps: 8 -> 11); what is finished is kept. Run again"
    )
    assert (project.root / "dvc.lock").read_bytes() == recorded


def test_code_of_the_step_that_runs(project, open_warm, in_project):
    project.set(strategies__full__steps=12)
    recorded = (project.root / "dvc.lock").read_bytes()
    code = project.root / FULL
    with in_project(project), pytest.raises(HeadstartError, match=f"^{FULL} changed while step finetune@full was"):
        open_warm(project, Meddler(lambda: code.write_text(code.read_text() + "# edited\n"))).step("finetune", "full")
    assert (project.root / "dvc.lock").read_bytes() == recorded


def test_code_of_a_later_step(project, open_warm, in_project):
    project.set(strategies__scratch__steps=9)
    code = project.root / FULL
    with in_project(project):
        run = open_warm(project, Meddler(lambda: code.write_text(code.read_text() + "# edited\n")))
        run.step("finetune", "scratch")
        with pytest.raises(HeadstartError, match=f"^{FULL} was edited since this run began. Run again"):
            run.step("finetune", "full")


def test_data_of_the_step_that_runs(project, open_warm, in_project, monkeypatch):
    project.set(data__test_fraction=0.5)
    recorded = (project.root / "dvc.lock").read_bytes()
    more = project.root / "data" / "sketches" / "bar" / "more.png"
    with in_project(project), pytest.raises(HeadstartError, match="^data/sketches changed while step ingest_target"):
        open_warm(project, Meddler(lambda: more.write_bytes(b"another"))).step("ingest_target")
    assert (project.root / "dvc.lock").read_bytes() == recorded
    more.unlink()


class OnLine(logging.Handler):
    """Does something once, at the first line that a step logs."""

    def __init__(self, act):
        super().__init__()
        self.acts = [act]

    def emit(self, record: logging.LogRecord) -> None:
        while self.acts:
            self.acts.pop()()


@pytest.mark.parametrize("what", ["settings", "code"])
def test_a_cold_step_refuses_the_same(project, in_project, capsys, monkeypatch, what):
    from tasks.__main__ import main

    code = project.root / FULL
    edits = {
        "settings": lambda: project.set(strategies__full__steps=11),
        "code": lambda: code.write_text(code.read_text() + "# edited\n"),
    }
    handler = OnLine(edits[what])
    log = logging.getLogger("headstart")
    monkeypatch.setattr(log, "level", logging.INFO)
    log.addHandler(handler)
    try:
        with in_project(project):
            assert main(["finetune", "full"]) == 1
    finally:
        log.removeHandler(handler)
    assert handler.acts == []
    assert capsys.readouterr().err == (
        "error: params.yaml or the code of step finetune@full changed while it was running; its result is not "
        "recorded, for it does not belong to what is there now. Run again\n"
    )


def test_a_cold_step_waits_for_nobody(project, in_project, capsys):
    from tasks.__main__ import main

    with Workspace(project.root).locked(), in_project(project):
        assert main(["evaluate"]) == 3
    said = capsys.readouterr().err
    assert said.startswith(f"error: {project.root} is in use by process ")
    assert said.endswith("wait for it or stop it, then start again\n")
