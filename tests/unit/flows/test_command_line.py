"""The `headstart` command without a server: exit codes, messages, flags that become settings."""

import gc
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from flows.cli import run_command
from flows.commands import _put_back
from flows.overrides import _shown, _value, apply_overrides, overridden, parse_overrides
from headstart.errors import SettingsError, UserError
from headstart.settings import Settings, knobs, load, write_default
from tasks.workspace import Workspace

ROOT = Path(__file__).parents[3]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A project without git or DVC: params.yaml, dvc.yaml and an empty data/."""
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    write_default(tmp_path / "params.yaml")
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    return Workspace(tmp_path)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--finetune.seedz", "3"], ["unknown flag '--finetune.seedz'", "finetune.seeds"]),
        (["--finetune.seeds"], ["--finetune.seeds needs a value"]),
        (["--finetune.seeds", "0"], ["finetune.seeds", "greater than or equal to 1"]),
        (["--backbone", "resnet81"], ["unknown backbone 'resnet81'", "resnet18"]),
        (["--backbone", "timm:resnet1888"], ["timm has no network 'resnet1888'", "resnet18"]),
        (["--backbone", "timm:vit_tiny_patch16_224"], ["rows are of 28x28 pixels", "timm:vit_tiny_patch16_224", "224"]),
        (["--finetune.strategies", "full"], ["strategies must include scratch"]),
        (["--finetune.label_budget", "5"], ["label_budget is 5", "--finetune.curve_budgets 10,20"]),
        (["--finetune.strategies", "scratch,fulll"], ["unknown strategy 'fulll'", "full"]),
        (["--target.data", "digitz"], ["target.data is 'digitz'", "digits"]),
        (["--target.data", "/no/such/folder"], ["/no/such/folder is not a folder"]),
        (["--finetune.strategies", "scratch,source"], ["names no way to transfer", "linear_probe"]),
        (["--seed", "["], ["'[' is not a value"]),
        (["--finetune.curve_budgets", "5,{"], ["'{' is not a value"]),
        (["--target.data", ""], ["the name or path of a dataset is empty"]),
        (["--target.data", "."], [". is a folder that holds this project"]),
        (["--target.data", "~nobody-of-this-name/x"], ["~nobody-of-this-name/x"]),
        (["--source.data", "digits"], ["source.data and target.data are both 'digits'"]),
        (["--data.image_size", "9", "--backbone", "vgg11"], ["rows are of 9x9 pixels", "at least 32"]),
    ],
)
def test_a_wrong_flag_exits_with_2_names_it_and_changes_nothing(workspace, capsys, flags, words) -> None:
    before = workspace.params.read_bytes()
    assert run_command(["run", *flags]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "Traceback" not in said
    for word in words:
        assert word in said
    assert workspace.params.read_bytes() == before


@pytest.mark.parametrize("command", ["rank", "explore"])
def test_the_light_flows_refuse_a_wrong_flag_in_one_line(workspace, capsys, command) -> None:
    before = workspace.params.read_bytes()
    assert run_command([command, "--finetune.seedz", "3"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: unknown flag '--finetune.seedz'")
    assert len(said.splitlines()) == 1
    assert workspace.params.read_bytes() == before


@pytest.mark.parametrize("command", ["rank", "explore"])
def test_the_light_flows_take_sources(workspace, monkeypatch, command) -> None:
    """As run takes --source.data."""
    from flows import commands

    seen = []
    monkeypatch.setattr(commands, "apply_overrides", lambda workspace, overrides: seen.append(overrides) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_command([command, "--sources", "mnist5k,glyphs", "--seed", "1"])
    assert seen == [{"seed": "1", "source.data": "mnist5k,glyphs"}]


def test_flags_are_written_with_comments_kept_and_the_way_back_restores_the_file(workspace, capsys) -> None:
    before = workspace.params.read_text()
    apply_overrides(workspace, parse_overrides(["--finetune.seeds=3", "--finetune.curve_budgets", "4,8"]))
    changed = workspace.params.read_text()
    said = capsys.readouterr().out
    assert load(workspace.params).finetune.curve_budgets == (4, 8)
    assert "params.yaml: finetune.seeds: 5 -> 3" in said
    assert changed.count("#") == before.count("#")
    back = next(line for line in said.splitlines() if line.startswith("back: headstart run "))
    apply_overrides(workspace, parse_overrides(back.removeprefix("back: headstart run ").split()))
    assert load(workspace.params) == Settings()
    assert workspace.params.read_text() == before, "quotes are as they were, or git would show a change"


def test_a_setting_that_is_emptied_is_shown_as_a_flag_takes_it_and_quoted_in_the_file(workspace, capsys) -> None:
    before = workspace.params.read_text()
    apply_overrides(workspace, {"target.unit": "degrees"})
    apply_overrides(workspace, {"target.unit": "", "finetune.curve_budgets": ""})
    said = capsys.readouterr().out.splitlines()
    assert "params.yaml: target.unit: '' -> degrees" in said
    assert "params.yaml: target.unit: degrees -> ''" in said
    assert "params.yaml: finetune.curve_budgets: 5,20 -> ''" in said
    after = before.replace("curve_budgets: [5, 20]", "curve_budgets: []")
    assert workspace.params.read_text().split() == after.split(), "but for the blanks before comments"


def test_the_way_back_from_a_list_to_an_empty_one(workspace, capsys) -> None:
    apply_overrides(workspace, parse_overrides(["--finetune.curve_budgets", "none"]))
    before = workspace.params.read_text()
    assert load(workspace.params).finetune.curve_budgets == ()
    capsys.readouterr()
    apply_overrides(workspace, parse_overrides(["--finetune.curve_budgets", "4", "--target.unseen", "three"]))
    back = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("back: headstart run "))
    apply_overrides(workspace, parse_overrides(shlex.split(back.removeprefix("back: headstart run "))))
    assert workspace.params.read_text().split() == before.split(), "but for the blanks before comments"


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=6) | st.sampled_from(
    ["none", "5", "a,b", "[a]"]
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers()
LISTS = st.lists(st.integers(), max_size=3) | st.lists(NUMBERS, max_size=3) | st.lists(TEXTS.filter(bool), max_size=3)


@given(st.booleans() | NUMBERS | TEXTS | LISTS.map(tuple))
@example(())
@example("")
@example(("none",))
@example(("2024",))
@example((" a", "b, c"))
@example((">0",))  # which YAML has no use for: it is written in quotes
def test_every_value_that_is_shown_is_taken_back_to_itself(value) -> None:
    (word,) = shlex.split(_shown(value))
    taken = _value("a.b", word, value)
    assert taken == (list(value) if isinstance(value, tuple) else value)
    assert type(taken) is type(value) or isinstance(value, str | tuple)
    items = zip(taken, value, strict=True) if isinstance(value, tuple) else ()
    assert all(isinstance(one, str) if isinstance(other, str) else type(one) is type(other) for one, other in items)


def test_every_setting_as_it_is_shown_is_taken_back(workspace) -> None:
    defaults = {name: knob.value for name, knob in knobs(Settings()).items()}
    flags = {name: shlex.split(_shown(value))[0] for name, value in defaults.items()}
    assert overridden(workspace, {name: text for name, text in flags.items() if name != "built_in"}) == Settings()
    assert overridden(workspace, {name: "none" for name, value in defaults.items() if value == ()}) == Settings()


@pytest.fixture
def timed(monkeypatch):
    """A step takes a hundredth of a second on one device: 177 s for the default, 259 s with all remedies."""
    from flows import plan
    from headstart.cells.plan import Speed
    from tasks.devices import Device

    monkeypatch.setattr(plan, "available", lambda: (Device("cuda", 0, "a GPU"),))
    monkeypatch.setattr(plan, "measure_speed", lambda settings, device: Speed(0.01, 0.0, 1000))


def apply(workspace, flags: dict[str, str], minutes: float) -> Settings:
    from flows.commands import _apply

    return _apply(workspace, flags, minutes)


def test_too_few_minutes_shrink_the_grid_in_params_yaml_with_the_way_back(workspace, timed, capsys) -> None:
    settings = apply(workspace, {"seed": "7"}, 1.5)
    assert load(workspace.params) == settings
    assert (settings.seed, settings.remedy.max_rounds, settings.finetune.curve_budgets) == (7, 0, ())
    assert settings.finetune.strategies == ("source", "scratch", "linear_probe", "frozen_blocks", "lp_ft")
    said = capsys.readouterr().out.splitlines()
    assert said[:6] == [
        "too long: about 4 min of computing on a GPU, 1.5 min are allowed",
        "dropped: remedies",
        "dropped: the curve's budget of 20",
        "dropped: the curve's budget of 5",
        "dropped: strategy full",
        "now about 87 s",
    ]
    assert "params.yaml: finetune.curve_budgets: 5,20 -> ''" in said
    back = next(line for line in said if line.startswith("back: headstart run "))
    apply_overrides(workspace, parse_overrides(back.removeprefix("back: headstart run ").split()))
    assert load(workspace.params) == Settings()


def test_enough_minutes_change_nothing(workspace, timed, capsys) -> None:
    before = workspace.params.read_bytes()
    assert apply(workspace, {}, 5) == Settings()
    assert capsys.readouterr().out == "fits: about 4 min of computing on a GPU, 5 min are allowed\n"
    assert workspace.params.read_bytes() == before


def test_minutes_that_cannot_be_kept_change_nothing(workspace, timed) -> None:
    before = workspace.params.read_bytes()
    with pytest.raises(UserError, match=r"0\.1 minutes are too few: the smallest grid takes about 51 s "):
        apply(workspace, {"seed": "7"}, 0.1)
    assert workspace.params.read_bytes() == before


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf"])
def test_minutes_that_are_none_are_refused(workspace, capsys, minutes) -> None:
    assert run_command(["run", f"--max-minutes={minutes}"]) == 2
    assert "give a number of minutes above 0" in capsys.readouterr().err


def test_a_plan_with_minutes_puts_the_file_back(workspace, timed, monkeypatch, capsys) -> None:
    from flows import commands, plan

    seen = []
    monkeypatch.setattr(plan, "plan_lines", lambda workspace, settings: seen.append(load(workspace.params)) or ["plan"])
    before = workspace.params.read_bytes()
    assert commands.run([], preset=None, plan_only=True, max_minutes=1.5) == 0
    assert seen[0].finetune.curve_budgets == ()
    assert workspace.params.read_bytes() == before
    assert capsys.readouterr().out.splitlines()[-2:] == ["plan", "params.yaml is as it was"]


def test_a_preset_is_written_with_its_figures_at_the_head_and_the_way_back_is_printed(workspace, capsys) -> None:
    from flows.overrides import apply_preset
    from headstart.presets.table import PRESETS

    apply_preset(workspace, "text")
    said = capsys.readouterr().out.splitlines()
    assert load(workspace.params) == PRESETS.get("text").settings()
    head = PRESETS.get("text").head
    assert said[1 : 1 + len(head)] == head
    assert "params.yaml: data.modality: image -> text" in said
    back = next(line for line in said if line.startswith("back: headstart run "))
    apply_overrides(workspace, parse_overrides(shlex.split(back.removeprefix("back: headstart run "))))
    assert load(workspace.params) == Settings()
    assert workspace.params.read_text().startswith(f"# {head[0]}")


def test_an_unknown_preset_changes_nothing(workspace, capsys) -> None:
    before = workspace.params.read_bytes()
    assert run_command(["run", "--preset", "speech"]) == 2
    assert "unknown preset 'speech'; " in capsys.readouterr().err
    assert workspace.params.read_bytes() == before


def test_the_default_preset_mends_a_broken_file(workspace) -> None:
    workspace.params.write_text("seed: [")
    with pytest.raises(SettingsError, match=r"params\.yaml is not valid YAML"):
        load(workspace.params)
    from flows.overrides import apply_preset

    apply_preset(workspace, "default")
    assert load(workspace.params) == Settings()


@pytest.mark.parametrize("what", ["strategies", "backbones", "datasets"])
def test_list_prints_names_with_a_line_each(workspace, capsys, what) -> None:
    assert run_command(["list", what, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert run_command(["list", what]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [entry["name"] for entry in entries]
    assert all(entry["line"] in line for entry, line in zip(entries, lines, strict=True))


def test_outside_a_project_it_says_so(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["run"]) == 2
    assert "is not inside a Headstart project" in capsys.readouterr().err


def test_a_held_workspace_exits_with_3_and_names_the_holder(workspace, capsys) -> None:
    with workspace.locked():
        assert run_command(["run"]) == 3
        cold = subprocess.run(
            [sys.executable, "-m", "tasks", "fetch", "digits"],
            capture_output=True,
            text=True,
            cwd=workspace.root,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            check=False,
        )
    assert "is in use by process" in capsys.readouterr().err
    assert cold.returncode == 3
    assert "is in use by process" in cold.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, flows.cli\n"
        "try: flows.cli.main(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'mlflow', 'prefect', 'dvc', 'pandas'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr.strip() == "[]"
    assert "--plan" in done.stdout


def test_a_folder_with_the_name_of_a_built_in_is_refused(workspace, tmp_path) -> None:
    folder = tmp_path / "elsewhere" / "digits"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        (folder / name / "1.png").write_bytes(b"")
    with pytest.raises(UserError, match="the name of a built-in"):
        apply_overrides(workspace, {"target.data": str(folder)})


def test_settings_that_an_older_file_lacks_are_written_where_dvc_reads_them(workspace, capsys):
    """Of strategies those that run; the file of a project may be older than they are."""
    text = workspace.params.read_text()
    assert "  lda: {}" in text
    document = YAML().load(text)
    for name in ("lda", "knn", "coral", "frozen_blocks"):
        del document["strategies"][name]
    del document["data"]["folds"]
    YAML().dump(document, workspace.params)
    apply_overrides(workspace, {"finetune.strategies": "source,scratch,lda,knn"})
    added = capsys.readouterr().out.splitlines()[-1]
    assert added == (
        "params.yaml: data.folds, strategies.lda, strategies.knn, strategies.frozen_blocks was not there, and is now, "
        "as it is by default"
    )
    written = YAML(typ="safe").load(workspace.params)
    assert (written["data"]["folds"], written["strategies"]["knn"]) == (5, {"neighbours": [1, 3, 10, 20, 100]})
    assert written["strategies"]["lda"] == {}
    assert "coral" not in written["strategies"]
    assert load(workspace.params) == apply_overrides(workspace, {})
    assert capsys.readouterr().out == ""  # once


@pytest.mark.parametrize("on_error", [True, False])
def test_what_flags_write_stays_unless_the_block_ends_with_an_error_or_was_a_look(workspace, on_error, capsys):
    before = workspace.params.read_text()

    def write(error: Exception | None = None) -> None:
        apply_overrides(workspace, parse_overrides(["--seed", "7"]))
        assert workspace.params.read_text() != before
        if error:
            raise error

    with _put_back(workspace, on_error=on_error):
        write()
    gc.collect()
    assert (workspace.params.read_text() != before) is on_error
    workspace.params.write_text(before)
    with pytest.raises(RuntimeError, match="in the block"), _put_back(workspace, on_error=on_error):
        write(RuntimeError("in the block"))
    assert workspace.params.read_text() == before
    assert "params.yaml is as it was" in capsys.readouterr().out


def test_the_help_of_predict_has_its_two_names_once_and_every_option(capsys) -> None:
    with pytest.raises(SystemExit):
        run_command(["predict", "-h"])
    usage, _, rest = capsys.readouterr().out.partition("\n\n")
    assert " ".join(usage.split()).endswith("[MODEL] INPUT")
    assert usage.count("INPUT") == 1
    options = set(re.findall(r"(?m)^  (?:-h, )?(--[\w-]+)", rest)) - {"--help"}
    assert {"--model", "--out", "--batch_size"} <= options
    assert set(re.findall(r"--[\w-]+", usage)) == options


def test_serve_takes_ports_and_has_them_by_default(monkeypatch) -> None:
    """Who gives none does not ask for the usual ones where it is up at others."""
    from flows import commands

    seen = []
    monkeypatch.setattr(commands, "serve", lambda **ports: seen.append(ports) or 0)
    assert run_command(["serve"]) == run_command(["serve", "--port", "4300"]) == 0
    assert seen == [{"port": None, "mlflow_port": None}, {"port": 4300, "mlflow_port": None}]


def test_a_preset_that_is_planned_or_refused_is_put_back(workspace, capsys) -> None:
    before = workspace.params.read_bytes()
    assert run_command(["run", "--preset", "text", "--backbone", "resnet8", "--plan"]) == 2
    assert "takes maps, and texts (data.modality) are tokens" in capsys.readouterr().err
    assert workspace.params.read_bytes() == before
    assert run_command(["run", "--preset", "text", "--backbone", "resnet8"]) == 2
    assert workspace.params.read_bytes() == before
