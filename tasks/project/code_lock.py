"""code.lock and dvc.yaml of a project of one's own: both follow the Headstart that is installed.

code.lock has a file a step, with the digest of the code that the step runs. dvc.yaml is the checkout's, with that file
in the place of the code's own; stages and whatever else the project has in dvc.yaml stay.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from headstart.errors import UserError
from headstart.storage.publish import sha256, write_text
from headstart.strategies.table import STRATEGIES
from tasks.step_code import PIPELINE, RECORD, code_digest, declared, fingerprint, runs_installed_code, stages_of

OURS = "python -P -m tasks "  # how our commands begin; -P: a tasks.py of the project's is not taken for our tasks
PER_ITEM = "finetune"  # the step whose items, the strategies, run code of their own each
VERSION, DECLARED = "version", "pipeline"  # files of code.lock that no step depends on
HEAD = """\
Stages whose command begins with `python -P -m tasks` are Headstart's: `headstart init` and `headstart run` write
them anew once another version of it is installed. code.lock/ has the digest of the code that each of them runs.
"""


def update(root: Path) -> list[str]:
    """Brings code.lock and dvc.yaml to the installed version; returns the steps that code.lock had otherwise or not.

    Raises:
        UserError: dvc.yaml cannot be read, or has a stage of its own by the name of one of ours.
    """
    folder = root / RECORD
    folder.mkdir(exist_ok=True)  # by which a project is known for one that runs what is installed
    found, changed = _installed(root), stale(root)
    if not (root / "dvc.yaml").is_file() or _recorded(root, DECLARED) != found[DECLARED]:
        write_text(root / "dvc.yaml", pipeline_text(root / "dvc.yaml"))
    for name, content in found.items():
        if _recorded(root, name) != content:
            write_text(folder / name, content + "\n")
    for path in folder.iterdir():
        if path.name not in found:
            path.unlink()
    return changed


def stale(root: Path) -> list[str]:
    """Steps, as code.lock names them, whose installed code is not the one that code.lock has; none in a checkout."""
    if not runs_installed_code(root):
        return []
    steps = {name: content for name, content in _installed(root).items() if name not in (VERSION, DECLARED)}
    return [name for name, content in steps.items() if _recorded(root, name) != content]


def refuse_other_code(root: Path, name: str) -> None:
    """Refuses to run a step (such as finetune@full) whose installed code is not what code.lock says that it is.

    Raises:
        UserError: it is another; dvc.lock would name code that did not run.
    """
    if not runs_installed_code(root):
        return
    step, _, item = name.partition("@")
    key = f"{step}.{item}" if step == PER_ITEM else step
    if _recorded(root, key) != code_digest(root, name):
        was, now = _recorded(root, VERSION) or "unknown", version("headstart")
        versions = f"version {was}, not {now}" if was != now else f"another state of version {now}"
        raise UserError(
            f"{RECORD}/{key} is of {versions} that is installed here: `headstart init {root}` takes the installed one, "
            f"after which what depends on it runs again; or install Headstart as {RECORD} has it"
        )


def pipeline_text(path: Path) -> str:
    """dvc.yaml for a project of one's own. path: the project's, whose own stages stay; it need not be there.

    Raises:
        UserError: it cannot be read, or has a stage of its own by the name of one of ours.
    """
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    ours = _without_code_files(yaml.load(PIPELINE.read_text(encoding="utf-8")))
    document = _read(yaml, path)
    if document is None:
        document = ours
    else:
        theirs = document.setdefault("stages", {})
        for name in [name for name, stage in theirs.items() if _is_ours(stage)]:
            del theirs[name]
        if taken := sorted(set(theirs) & set(ours["stages"])):
            raise UserError(
                f"{path} has a stage {taken[0]} of its own, which is the name of one of Headstart's; rename it, or "
                f"make the project in a folder below: headstart init {path.parent / 'transfer'}"
            )
        theirs.update(ours["stages"])
        kept = [plot for plot in document.get("plots") or [] if plot not in ours["plots"]]
        document["plots"] = [*kept, *ours["plots"]]
    text = StringIO()
    yaml.dump(document, text)
    return text.getvalue()


def _without_code_files(document: Any) -> Any:
    for name, stage in document["stages"].items():
        body = stage.get("do") or stage
        body["cmd"] = body["cmd"].replace("python -m tasks ", OURS)
        code = set(declared(stage))
        body["deps"] = [dep for dep in body["deps"] if dep not in code]
        body["deps"].append(f"{RECORD}/{name}" + (".${item}" if name == PER_ITEM else ""))
    document.yaml_set_start_comment(HEAD)
    return document


def _read(yaml: YAML, path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        document = yaml.load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no YAML that can be read: {' '.join(str(error).split())}") from None
    if document is not None and not isinstance(document, Mapping):
        raise UserError(f"{path} is no dvc.yaml: it has to be a mapping with `stages`")
    return document


def _is_ours(stage: Any) -> bool:
    body = stage.get("do") or stage if isinstance(stage, Mapping) else {}
    return str(body.get("cmd", "")).startswith(OURS)


def _installed(root: Path) -> dict[str, str]:
    """What code.lock is to have: the content of each file by its name."""
    files = fingerprint(root)
    found = {key: code_digest(root, name, files) for key, name in _steps()}
    return found | {DECLARED: sha256(PIPELINE), VERSION: version("headstart")}


def _steps() -> Iterator[tuple[str, str]]:
    """Each file of code.lock that steps depend on, and a step that it is for."""
    for name in stages_of(PIPELINE):
        if name == PER_ITEM:
            yield from ((f"{name}.{item}", f"{name}@{item}") for item in STRATEGIES.names())
        else:
            yield name, name


def _recorded(root: Path, name: str) -> str:
    try:
        return (root / RECORD / name).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
