"""No shell, no pickle, no unsafe load, no evaluation of text: looked for in the syntax of every module that is shipped.

What stands in ALLOWED is allowed, with its reason; an entry that nothing needs any more is a failure as well.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("headstart", "tasks", "flows", "benchmarks", "tools")
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
UNSAFE_CALLS = {"eval", "exec", "compile", "os.system", "os.popen", "tempfile.mktemp", "pandas.read_pickle"}
BY_SHELL = {"subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell"}
BY_A_NAME = {"importlib.import_module", "__import__"}
FOREIGN_LOADERS = {"mlflow.pyfunc.load_model", "mlflow.pytorch.load_model", "mlflow.sklearn.load_model"}

ALLOWED = {
    # Names of modules that stand in our own tables, never in a file that is given:
    ("headstart/registry.py", "importlib.import_module"): "an entry of a table of ours says where its function is",
    ("tasks/step.py", "importlib.import_module"): "a step's function, by the table of steps",
    ("tasks/tracking/models.py", "importlib.import_module"): "tries a model of this run by its loader, a constant",
}


def modules() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def faults_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what is dangerous there)."""
    names = _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from ((node.lineno, f"import {name}") for name in found if name.split(".")[0] in UNSAFE_MODULES)
        if isinstance(node, ast.Call):
            yield from ((node.lineno, words) for words in _call(node, _name(node.func, names)))


def _call(node: ast.Call, name: str) -> Iterator[str]:
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if name in UNSAFE_CALLS | BY_SHELL | BY_A_NAME | FOREIGN_LOADERS:
        yield name
    if not _is(given.get("shell"), False, absent=True):
        yield "shell="
    if name == "torch.load" and not _is(given.get("weights_only"), True):
        yield "torch.load without weights_only=True"
    if name.endswith(("load_state_dict_from_url", "get_state_dict")) and not _is(given.get("weights_only"), True):
        yield f"{name} without weights_only=True"
    if not _is(given.get("allow_pickle"), False, absent=True):
        yield "allow_pickle="
    if not _is(given.get("verify"), True, absent=True):
        yield "verify="
    if name.endswith(".extractall") and name.split(".")[0] not in ("re",):
        yield ".extractall"
    if name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load"):
        yield name
    if name == "ruamel.yaml.YAML" and _is(given.get("typ"), "unsafe"):
        yield "YAML(typ='unsafe')"
    if name == "torch.save":  # a pickle, and a stump where it is killed
        yield name


def _is(value: ast.expr | None, wanted: object, *, absent: bool = False) -> bool:
    """Whether an argument is this constant. absent: what to say where it is not given."""
    return absent if value is None else isinstance(value, ast.Constant) and value.value == wanted


def _imported(tree: ast.AST) -> dict[str, str]:
    """What a name in this module stands for: {"np": "numpy", "run": "subprocess.run"}."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _name(function: ast.expr, names: dict[str, str]) -> str:
    """The dotted name that is called, as far as it is one."""
    if isinstance(function, ast.Attribute):
        local = isinstance(function.value, ast.Name) and function.value.id not in names
        return f"{'a local' if local else _name(function.value, names)}.{function.attr}"
    return names.get(function.id, function.id) if isinstance(function, ast.Name) else ""


def test_nothing_dangerous_is_called_but_what_is_allowed_with_a_reason():
    found = [
        (path.relative_to(ROOT).as_posix(), what, line)
        for path in modules()
        for line, what in faults_of(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert [f"{path}:{line}: {what}" for path, what, line in found if (path, what) not in ALLOWED] == []
    assert set(ALLOWED) <= {(path, what) for path, what, _ in found}, "allowed, and not there any more"


def test_no_module_names_the_address_of_every_interface():
    """Servers listen where LOOPBACK says, or where a person says and a token or a password is asked for."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in ("0.0.0.0", "::")
    ]
    assert [place for place in found if place.startswith(("flows", "tasks", "headstart"))] == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "import subprocess as s\ns.run('ls', shell=True)",
        "from subprocess import run\nrun('ls', shell=asked)",
        "import os\nos.system('ls')",
        "import torch\ntorch.load('a')",
        "import torch\ntorch.load('a', weights_only=False)",
        "import torch\ntorch.save({}, 'a')",
        "import numpy as np\nnp.load('a', allow_pickle=True)",
        "import pandas as pd\npd.read_pickle('a')",
        "import yaml\nyaml.load('a')",
        "from ruamel.yaml import YAML\nYAML(typ='unsafe')",
        "eval('1')",
        "import tarfile\ntarfile.open('a').extractall('.')",
        "import mlflow\nmlflow.pyfunc.load_model('a')",
        "from importlib import import_module\nimport_module(name)",
        "import requests\nrequests.get('a', verify=False)",
    ],
)
def test_the_test_sees_what_it_is_to_see(code):
    assert list(faults_of(ast.parse(code))) != []


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ntorch.load('a', weights_only=True)",
        "import subprocess\nsubprocess.run(['ls'], shell=False)",
        "network.eval()",
        "import re\nre.compile('a')",
        "import numpy as np\nnp.load('a', mmap_mode='r')",
    ],
)
def test_the_test_lets_what_is_safe_be(code):
    assert list(faults_of(ast.parse(code))) == []
