"""What must hold of a project after a kill, and after the run that mends it."""

import hashlib
import json
import os
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import psutil
from ruamel.yaml import YAML

from headstart.errors import IntegrityError
from headstart.storage.publish import DRAFT, verify
from tasks.tracking.process import identity, orphaned

MADE = ("packs", "models", "features", ".headstart/cells")
RESULTS = ("reports/predictions.parquet", "reports/verdict.json", "models/selection/selection.json")


def broken_artifacts(root: Path) -> list[str]:
    """Folders under their final name whose manifest does not fit what they hold."""
    found = []
    for folder in MADE:
        for manifest in (root / folder).rglob("manifest.json"):
            if not any(DRAFT.fullmatch(part) for part in manifest.parts):
                try:
                    verify(manifest.parent)
                except IntegrityError as error:
                    found.append(str(error))
    return found


def leftovers(root: Path) -> list[str]:
    """What publishing has left that nobody will finish."""
    inside = [path for folder in (*MADE, "reports") for path in (root / folder).rglob(".*")]
    return [str(path) for path in (*inside, *root.glob(".*")) if DRAFT.fullmatch(path.name)]


def finished_cells(root: Path) -> dict[str, float]:
    """When each cell that is whole was published."""
    return {path.parent.name: path.stat().st_mtime for path in (root / ".headstart/cells").glob("[!.]*/cell.json")}


def result(root: Path) -> dict[str, object]:
    """What a run comes to: digests of weights, predictions, verdict; and what dvc.lock says of each step."""
    files = [*sorted((root / "models").rglob("weights.safetensors")), *(root / name for name in RESULTS)]
    digests: dict[str, object] = {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
    return digests | {"dvc.lock": lock_of(root)}


def lock_of(root: Path) -> dict[str, object]:
    """What dvc.lock says of how each step ran, up to the verdict; digests of what is timed anew are left out."""
    stages = YAML(typ="safe").load((root / "dvc.lock").read_text())["stages"]
    return {
        name: {"params": stage.get("params"), "deps": [d["path"] for d in stage["deps"]], "cmd": stage["cmd"]}
        for name, stage in stages.items()
        if name != "report"
    }


def outcomes(text: str) -> dict[int, dict[str, str]]:
    """What became of each step, by the process that ran it."""
    found = re.findall(r"^(\d+) outcomes (.*)$", text, re.MULTILINE)
    return {int(pid): json.loads(line) for pid, line in found}


def mlflow_rows(root: Path, query: str) -> list[tuple[object, ...]]:
    """Rows of the project's MLflow database; none where there is no database yet."""
    path = root / ".headstart/mlflow.db"
    if not path.is_file():
        return []
    with closing(sqlite3.connect(path, timeout=60)) as database:
        return database.execute(query).fetchall()


def running_without_process(root: Path) -> list[object]:
    """MLflow runs that stand as RUNNING although their process is gone."""
    here, found = identity(), []
    for (run,) in mlflow_rows(root, "select run_uuid from runs where status = 'RUNNING'"):
        tags = dict(mlflow_rows(root, f"select key, value from tags where run_uuid = '{run}'"))
        if orphaned(tags, here):  # type: ignore[arg-type]
            found.append(run)
    return found


def points_twice(root: Path) -> list[tuple[object, ...]]:
    """Metric points that a run has more than once, but for the machine's own samples."""
    return mlflow_rows(
        root,
        "select run_uuid, key, step, count(*) from metrics where key not like 'system/%' "
        "group by run_uuid, key, step having count(*) > 1",
    )


def steps_back(root: Path) -> list[tuple[object, ...]]:
    """Metrics whose steps do not come in their order: (run, key)."""
    last: dict[tuple[object, object], int] = {}
    found = []
    for run, key, step in mlflow_rows(
        root, "select run_uuid, key, step from metrics where key not like 'system/%' order by rowid"
    ):
        if int(str(step)) < last.get((run, key), -1):
            found.append((run, key, step))
        last[run, key] = int(str(step))
    return found


def descendants(pid: int) -> list[psutil.Process]:
    """What a process has started and what that has started; none where it is gone."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def gone(processes: list[psutil.Process], seconds: float) -> float | None:
    """How long it took until all of them had ended; None where one had not after these seconds."""
    began = time.monotonic()
    while any(_is_at_work(process) for process in processes):
        if time.monotonic() - began > seconds:
            return None
        time.sleep(0.02)
    return time.monotonic() - began


def _is_at_work(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def patience(seconds: float) -> float:
    """Seconds of a quiet machine on this one."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)) * 2
