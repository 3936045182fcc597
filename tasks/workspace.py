"""The workspace of a run: where its files lie, and the lock that lets one run at a time write them."""

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from headstart.errors import BusyError, UserError
from headstart.settings import Settings, load
from headstart.storage.publish import withdraw, write_json
from tasks.leftovers import tidy
from tasks.step_code import runs_installed_code

log = logging.getLogger("headstart")

SAYS_SECONDS = 1.0

STATE = "HEADSTART_STATE"  # in the environment of a worktree's run: the main checkout's state
CELLS = "HEADSTART_CELLS"  # the same for finished cells, where a run must not find those of others

EXPERIMENT = "HEADSTART_EXPERIMENT"  # the name that the run's result is to have among DVC's experiments


@dataclass(frozen=True)
class Workspace:
    """A checkout: settings, data, packs, models, features and reports below it; state in .headstart/.

    shared: the state of the checkout that this one is a worktree of. cells_of_its_own: where it may not share those.
    """

    root: Path
    shared: Path | None = None
    cells_of_its_own: Path | None = None

    @property
    def own(self) -> Path:
        """What is this checkout's alone: its lock, and the home of a Prefect server that ends with the run."""
        return self.root / ".headstart"

    @property
    def state(self) -> Path:
        """MLflow's database and artifacts, locks of devices, finished cells: also of the worktrees' runs."""
        return self.shared or self.own

    @property
    def runs_installed_code(self) -> bool:
        """Whether `headstart init` made it; a checkout runs its own code."""
        return runs_installed_code(self.root)

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def cells(self) -> Path:
        return self.cells_of_its_own or self.state / "cells"

    @property
    def compiled(self) -> Path:
        """torch.compile's cache, so that a later run need not compile again."""
        return self.state / "compiled"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def comparison(self) -> Path:
        return self.reports / "comparison.csv"

    @property
    def ranking(self) -> Path:
        return self.reports / "ranking.csv"

    @property
    def clusters(self) -> Path:
        return self.reports / "clusters.json"

    @property
    def quality(self) -> Path:
        return self.reports / "quality.json"

    @property
    def predictions(self) -> Path:
        return self.reports / "predictions.parquet"

    @property
    def snapshots(self) -> Path:
        return self.reports / "snapshots.csv"

    @property
    def cells_table(self) -> Path:
        return self.reports / "cells.csv"

    @property
    def verdict(self) -> Path:
        return self.reports / "verdict.json"

    @property
    def curve(self) -> Path:
        return self.reports / "curve.csv"

    @property
    def metrics(self) -> Path:
        return self.reports / "metrics.json"

    def read_verdict(self) -> dict[str, Any]:
        """verdict.json as evaluate wrote it."""
        document: dict[str, Any] = json.loads(self.verdict.read_text())
        return document

    @property
    def report(self) -> Path:
        return self.reports / "report.html"

    @property
    def selection(self) -> Path:
        return self.root / "models" / "selection"

    def settings(self) -> Settings:
        return load(self.params)

    def data(self, dataset: str) -> Path:
        return self.root / "data" / dataset

    def pack(self, dataset: str) -> Path:
        return self.root / "packs" / dataset

    def weights(self, source: str) -> Path:
        return self.root / "models" / "source" / source

    @property
    def features_root(self) -> Path:
        return self.root / "features"

    def features(self, source: str, dataset: str) -> Path:
        return self.features_root / source / dataset

    def reads(self, strategy: str) -> Path:
        """What a strategy reads of each W, by digests: all of the sources' side that it depends on."""
        return self.features_root / f"{strategy}.reads.json"

    def model(self, strategy: str) -> Path:
        return self.root / "models" / "target" / strategy

    @property
    def remedies(self) -> Path:
        return self.root / "models" / "remedies"

    def remedy(self, number: int) -> Path:
        """Where a round's model lies, as a strategy's does."""
        return self.remedies / str(number)

    @property
    def delivered(self) -> Path:
        """The folder of the delivered model, as select named it."""
        selection: dict[str, Any] = json.loads((self.selection / "selection.json").read_text())
        return self.root / str(selection["delivered"])

    def prune_models(self, strategies: Sequence[str]) -> None:
        """Removes models/target/* of other strategies: evaluate reads the whole folder, and must not see history."""
        self._prune(self.model("any").parent, strategies, "finetune.strategies")

    def prune_sources(self, sources: Sequence[str]) -> None:
        """Removes models/source/* of other sources: extract depends on the whole folder, and must not see history."""
        self._prune(self.weights("any").parent, sources, "source.data")

    def _prune(self, folder: Path, kept: Sequence[str], setting: str) -> None:
        for path in folder.glob("[!.]*"):
            if path.name not in kept:
                log.info("removing %s: it is no longer in %s", path.relative_to(self.root), setting)
                withdraw(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the workspace; DVC's own lock neither waits nor sees a step that runs in this process.

        What the holder before left, if it was killed or broke off, is cleared away first: nothing of it may still run.

        Raises:
            BusyError: another run holds it; the message names its process.
        """
        lock = FileLock(self._lock_file("workspace.lock"))
        holder, broken_off = (self.own / "locks" / name for name in ("workspace.json", "broken-off"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BusyError(
                f"{self.root} is in use by {_holder(holder)}; wait for it or stop it, then start again"
            ) from None
        try:
            if holder.exists() or broken_off.exists():
                tidy(self.root, self.cells, _read(holder))
                broken_off.unlink(missing_ok=True)
            process = psutil.Process()
            write_json(holder, {"pid": process.pid, "command": process.cmdline(), "started": process.create_time()})
            try:
                yield
            except BaseException:
                broken_off.touch()
                raise
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def unfinished(self, flow: str) -> Path:
        """There while this flow is at work, and after it did not come to its end; Prefect's id of the run is in it."""
        return self.own / "locks" / f"flow-{flow}.json"

    def unfinished_runs(self) -> list[str]:
        """Prefect's ids of the runs that did not come to their end."""
        found = (_read(path) for path in sorted((self.own / "locks").glob("flow-*.json")))
        return [str(read["flow_run"]) for read in found if "flow_run" in read]

    def _lock_file(self, name: str) -> Path:
        folder = self.own / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name


def here() -> Workspace:
    """The workspace that the current directory lies in.

    Raises:
        UserError: there is none, here or above.
    """
    piped = [folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "dvc.yaml").is_file()]
    ours = [folder for folder in piped if runs_installed_code(folder) or (folder / "headstart").is_dir()]
    for folder in (*ours, *piped):  # a folder of a project may have a pipeline of its own
        return Workspace(folder, _named(STATE), _named(CELLS))
    raise UserError(
        f"{os.getcwd()} is not inside a Headstart project; cd into your clone, or into a project that `headstart init` "
        "made, or make one with it"
    )


def _named(variable: str) -> Path | None:
    """The folder that a variable of the environment names."""
    text = os.environ.get(variable, "")
    return Path(text) if text else None


def _holder(path: Path) -> str:
    """Who holds the workspace. It says so at once, unless it clears away first what a killed one left."""
    end = time.monotonic() + SAYS_SECONDS
    while not (held := _read(path)) or not psutil.pid_exists(held["pid"]):
        if time.monotonic() > end:
            return "another process"
        time.sleep(0.02)
    return f"process {held['pid']} ({' '.join(held['command'])[:120]})"


def _read(path: Path) -> dict[str, Any]:
    """What a process said of itself, which may have been killed since; empty where it has said nothing."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found
