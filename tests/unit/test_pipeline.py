"""dvc.yaml: each stage declares the code that it runs, file by file, and nothing that it does not run."""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest
from ruamel.yaml import YAML

from headstart.backbones.table import BACKBONES
from headstart.datasets.table import DATASETS
from headstart.modalities.table import MODALITIES
from headstart.settings import Settings, knobs
from headstart.strategies.table import STRATEGIES
from tasks.step import STEPS

ROOT = Path(__file__).parents[2]
STAGES: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
# What no result depends on: tables and settings (their values are params), and how a step is told where it is. Neither
# these nor what they import has to be declared.
EXEMPT = re.compile(
    r".*\.(table|settings)|headstart\.(errors|registry|knobs|settings)|tasks\.(step|devices|workspace|workers|ranks|progress)"
)
CODE = ("headstart/", "tasks/")


def stages() -> list[tuple[str, str]]:
    """Every stage and item: the strategies one by one, for each has a file of its own."""
    found = []
    for name, stage in STAGES.items():
        items = STRATEGIES.names() if name == "finetune" else [""]
        found += [(name, item) for item in (items if "foreach" in stage else [""])]
    return found


def body(stage: str) -> dict[str, Any]:
    return STAGES[stage].get("do", STAGES[stage])


def deps_of(stage: str, item: str) -> list[str]:
    """Its deps by name; of the modality's folder, each that it may be."""
    found = []
    for dep in body(stage)["deps"]:
        names = MODALITIES.names() if "${data.modality}" in dep else [""]
        found += [dep.replace("${item}", item).replace("${data.modality}", name) for name in names]
    return found


def declared(stage: str, item: str) -> set[str]:
    """Code files among the deps; a folder stands for all modules in it."""
    found = set()
    for dep in deps_of(stage, item):
        if dep.startswith(CODE):
            path = ROOT / dep
            found |= {p.relative_to(ROOT).as_posix() for p in path.rglob("*.py")} if path.is_dir() else {dep}
    return {name for name in found if name.endswith(".py") and not exempt(name)}


def exempt(name: str) -> bool:
    """Whether it is a file that need not be declared; a folder among the deps brings some along."""
    return name.endswith("__init__.py") or bool(EXEMPT.fullmatch(name.removesuffix(".py").replace("/", ".")))


@cache
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("headstart", "tasks", cache_dir=None)


def module_of(entry: Any) -> str:
    """The module that a registry loads for an entry."""
    return str(entry.target.split(":")[0])


def roots(stage: str, item: str) -> set[str]:
    """Where a step begins, and the strategies or built-in datasets that it loads by name."""
    found = {module_of(STEPS[stage])}
    if stage == "fetch":
        found |= {module_of(entry) for entry in DATASETS}
    if stage == "finetune":
        found.add(module_of(STRATEGIES.get(item)))
    if stage in ("remedy", "select"):
        found |= {module_of(entry) for entry in STRATEGIES}
    return found


def closure(stage: str, item: str) -> set[str]:
    """Modules that a step runs: what it imports, anywhere in a file, and the networks where it builds one."""
    found: set[str] = set()
    waiting = roots(stage, item)
    while waiting:
        module = waiting.pop()
        found.add(module)
        further = imports().find_modules_directly_imported_by(module)
        if module == "headstart.backbones.network":
            further |= {module_of(entry) for entry in BACKBONES.listing()}
        if "headstart.modalities.table" in further:
            further |= {module_of(entry) for entry in MODALITIES}
        waiting |= {name for name in further - found if not EXEMPT.fullmatch(name)}
    return found


def file_of(module: str) -> Path:
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def code_of(stage: str, item: str) -> set[str]:
    """Files of the closure that a result may depend on."""
    return {
        file_of(module).relative_to(ROOT).as_posix()
        for module in closure(stage, item)
        if file_of(module).name != "__init__.py"
    }


@pytest.mark.parametrize(("stage", "item"), stages())
def test_all_code_that_a_stage_runs_is_declared(stage, item):
    """Or an edit would leave a stale result in place and call it up to date."""
    assert sorted(code_of(stage, item) - declared(stage, item)) == []


@pytest.mark.parametrize("stage", STAGES)
def test_no_code_is_declared_that_a_stage_does_not_run(stage):
    """Or an edit elsewhere would train everything again."""
    run, listed = set(), set()
    for name, item in stages():
        if name == stage:
            run |= {file_of(module).relative_to(ROOT).as_posix() for module in closure(name, item)}
            listed |= declared(name, item)
    assert sorted(listed - run) == []


@pytest.mark.parametrize(("stage", "item"), stages())
def test_what_is_declared_exists_and_is_listed_once(stage, item):
    deps = deps_of(stage, item)
    assert len(deps) == len(set(deps))
    for dep in deps:
        assert not dep.startswith(CODE) or (ROOT / dep).exists()


def test_the_closure_follows_imports_inside_of_functions():
    """A strategy is imported on use; what it imports is its own affair."""
    assert "headstart.strategies.full" not in closure("finetune", "scratch")
    assert "headstart.strategies.full" in closure("finetune", "full")
    assert "headstart.cells.tuning" in closure("finetune", "full")
    assert "headstart.backbones.vgg" in closure("pretrain", "")
    assert "headstart/training/loop.py" not in code_of("evaluate", "")
    assert "headstart.storage.publish" in imports().find_upstream_modules(
        "headstart.training.accelerator"
    )  # in seed_of


def test_a_strategys_file_is_a_dep_of_its_own_stage_and_of_remedy_and_select():
    """Editing strategies/full.py reruns finetune@full, remedy, select and what follows, and no other training."""
    owners = {(stage, item) for stage, item in stages() if "headstart/strategies/full.py" in declared(stage, item)}
    assert owners == {("finetune", "full"), ("remedy", ""), ("select", "")}


def test_templates_and_styles_of_the_report_are_its_deps():
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "headstart" / "report").iterdir() if path.is_file()}
    others = {name for name in files if not name.endswith(".py")}
    assert others
    assert others <= set(body("report")["deps"])


def test_there_is_a_stage_for_each_step_and_the_other_way_round():
    assert list(STAGES) == list(STEPS)


@pytest.mark.parametrize("stage", STAGES)
def test_its_command_is_its_step(stage):
    command = body(stage)["cmd"]
    item = " ${item}" if "foreach" in STAGES[stage] else ""
    assert command.replace("'", "") == f"python -m tasks {stage}{item}"
    assert ("'" in command) == (STAGES[stage].get("foreach") == "${source.data}"), "names of datasets may have spaces"
    assert STEPS[stage].name == stage
    assert callable(STEPS[stage].load())


@pytest.mark.parametrize(("stage", "item"), stages())
def test_the_params_of_a_stage_are_settings(stage, item):
    names = knobs(Settings())
    sections = {name.rsplit(".", depth)[0] for name in names for depth in range(1, name.count(".") + 1)}
    without = {f"strategies.{entry.name}" for entry in STRATEGIES if not entry.recipe.model_fields}
    for param in body(stage).get("params", []):
        name = param.replace("${item}", item)
        assert name in names or name in sections or name in without


@pytest.mark.parametrize("stage", STAGES)
def test_every_template_names_a_setting_or_an_item(stage):
    names = knobs(Settings())
    text = str(STAGES[stage])
    for name in re.findall(r"\$\{([^}]+)\}", text):
        assert name in names or (name == "item" and "foreach" in STAGES[stage])


def test_fetch_knows_all_built_in_datasets():
    assert STAGES["fetch"]["foreach"] == "${built_in}"
    assert set(Settings().built_in) < set(DATASETS.names())  # those of angles are fetched where they are asked for


def test_no_output_belongs_to_two_stages():
    outs = [out for stage in STAGES for key in ("outs", "metrics", "plots") for out in body(stage).get(key, [])]
    assert len(outs) == len({str(out) for out in outs})


def test_the_stages_are_joined_by_what_they_read_and_write():
    """Each data dep is what another stage writes, is data of the user's, or lies inside of one."""
    written = {str(out) for stage in STAGES for key in ("outs", "metrics") for out in body(stage).get(key, [])}
    written |= {"models/target", "models/source"}  # the folders of models/target/${item} and models/source/${item}
    for stage in STAGES:
        for dep in body(stage)["deps"]:
            if dep.startswith(CODE) or dep in ("data/${item}", "data/${target.data}"):
                continue
            assert any(dep == out or dep.startswith(f"{out}/") for out in written), dep


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("data/digits_angle/images/1.png", True),
        ("data/pets", True),
        ("data/pets.dvc", False),
        ("data/README.md", False),
    ],
)
def test_git_leaves_the_content_of_datasets_to_dvc(name, ignored):
    done = subprocess.run(["git", "check-ignore", "-q", "--no-index", name], cwd=ROOT, check=False)
    assert (done.returncode == 0) == ignored
