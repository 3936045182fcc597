"""code.lock and dvc.yaml of a project of one's own: what they take from the installed code, and when it is another."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from headstart.errors import UserError
from headstart.strategies.table import STRATEGIES
from tasks import step_code
from tasks.project.code_lock import pipeline_text, refuse_other_code, stale, update
from tasks.step_code import PIPELINE, cells_digest, code_digest, declared, stages_of

ROOT = Path(__file__).parents[4]


@pytest.fixture
def project(tmp_path) -> Path:
    update(tmp_path)
    return tmp_path


@pytest.fixture
def installed(tmp_path_factory, monkeypatch) -> Path:
    """A copy of the lower floors in the place of the installed code, to edit."""
    import shutil

    place = tmp_path_factory.mktemp("site")
    for floor in step_code.FLOORS:
        shutil.copytree(ROOT / floor, place / floor, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(step_code, "INSTALLED", place)
    return place


def stages(path: Path) -> dict:
    return YAML(typ="safe").load(path)["stages"]


def test_the_packaged_pipeline_is_the_checkouts() -> None:
    assert PIPELINE.read_bytes() == (ROOT / "dvc.yaml").read_bytes()
    assert (PIPELINE.parent / "deployments.yaml").read_bytes() == (ROOT / "prefect.yaml").read_bytes()


def test_each_stage_depends_on_its_code_by_one_file_and_else_on_the_same(project) -> None:
    ours, theirs = stages(project / "dvc.yaml"), stages_of(PIPELINE)
    assert list(ours) == list(theirs)
    for name, stage in theirs.items():
        body, made = stage.get("do") or stage, ours[name].get("do") or ours[name]
        code = f"code.lock/{name}" + (".${item}" if name == "finetune" else "")
        assert made["deps"] == [dep for dep in body.get("deps", []) if dep not in declared(stage)] + [code]
        assert made["cmd"] == body["cmd"].replace("python -m tasks", "python -P -m tasks")
        assert {key: value for key, value in made.items() if key not in ("cmd", "deps")} == {
            key: value for key, value in body.items() if key not in ("cmd", "deps")
        }


def test_code_lock_has_a_file_for_each_step_and_strategy(project) -> None:
    found = {path.name for path in (project / "code.lock").iterdir()}
    steps = {name for name in stages_of(PIPELINE) if name != "finetune"}
    assert found == steps | {f"finetune.{name}" for name in STRATEGIES.names()} | {"version", "pipeline"}


def test_digests_are_those_of_a_checkout(project) -> None:
    """Or finished cells could not be shared, and an upgrade that changes nothing would train again."""
    for step in ("ingest_target", "finetune@full", "report"):
        assert code_digest(project, step) == code_digest(ROOT, step)
        assert cells_digest(project, step) == cells_digest(ROOT, step)


def test_another_code_is_seen_where_it_runs_and_nowhere_else(installed, project) -> None:
    assert stale(project) == []
    with (installed / "headstart" / "strategies" / "l2_sp.py").open("a") as file:
        file.write("# edited\n")
    assert stale(project) == ["finetune.l2_sp", "remedy", "select"]
    refuse_other_code(project, "finetune@full")
    with pytest.raises(UserError, match=r"code.lock/finetune.l2_sp is of another state of version .*headstart init"):
        refuse_other_code(project, "finetune@l2_sp")
    assert update(project) == ["finetune.l2_sp", "remedy", "select"]
    assert stale(project) == []
    refuse_other_code(project, "finetune@l2_sp")


def test_the_pages_template_is_code_too(installed, project) -> None:
    with (installed / "headstart" / "report" / "page.html.j2").open("a") as file:
        file.write("<!-- edited -->\n")
    assert stale(project) == ["report"]


def test_another_version_is_named(project) -> None:
    (project / "code.lock" / "version").write_text("0.0.1\n")
    (project / "code.lock" / "pretrain").write_text("another\n")
    with pytest.raises(UserError, match=r"code.lock/pretrain is of version 0.0.1, not .* that is installed here"):
        refuse_other_code(project, "pretrain@mnist5k")


def test_a_checkout_is_not_asked() -> None:
    assert stale(ROOT) == []
    refuse_other_code(ROOT, "pretrain@mnist5k")


def test_stages_of_the_users_own_stay_and_ours_follow_a_new_version(tmp_path) -> None:
    path = tmp_path / "dvc.yaml"
    path.write_text(
        "# mine\nstages:\n  fit:\n    cmd: python fit.py  # slow\n    deps: [fit.py]\nplots:\n  - mine.csv\n"
    )
    update(tmp_path)
    text = path.read_text()
    assert "cmd: python fit.py  # slow" in text
    assert list(stages(path)) == ["fit", *stages_of(PIPELINE)]
    assert YAML(typ="safe").load(path)["plots"][0] == "mine.csv"
    path.write_text(text.replace("pretrain:", "pretrained:"))  # as if an older version had called it so
    (tmp_path / "code.lock" / "pipeline").write_text("older\n")
    update(tmp_path)
    assert path.read_text() == text


def test_an_edit_of_dvc_yaml_stays_until_another_version(project) -> None:
    path = project / "dvc.yaml"
    path.write_text(path.read_text() + "# by hand\n")
    update(project)
    assert path.read_text().endswith("# by hand\n")


def test_a_stage_by_the_name_of_one_of_ours_is_refused(tmp_path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages:\n  select: {cmd: ./select.sh}\n")
    with pytest.raises(UserError, match="has a stage select of its own"):
        pipeline_text(tmp_path / "dvc.yaml")
