"""A run in a checkout of its own: what a schedule or a page starts. Its result becomes an experiment of DVC."""

import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from flows.commands import NOTHING_CHANGED
from flows.console import say
from headstart.storage.publish import replacing
from tasks import experiments, worktrees
from tasks.children import run_child
from tasks.git import commit_of
from tasks.locks import held
from tasks.workspace import EXPERIMENT, Workspace

LOCK_SECONDS = 600.0  # that a report waits for another one to be copied
KEPT = ("report.html", "verdict.json", "comparison.csv", "figures")


@dataclass(frozen=True)
class Ran:
    """What became of an isolated run.

    experiment: its name for `dvc exp show` and `dvc exp apply`; of a run with nothing to do the one that has its result
    already, "" where none has. verdict: the sentence. report: a copy that stays when the worktree goes, None where the
    run failed. exit_code: of `headstart run`.
    """

    outcome: Literal["ran", "nothing changed"]
    experiment: str
    verdict: str
    report: Path | None
    exit_code: int


def run_isolated(
    main: Workspace,
    overrides: Mapping[str, str],
    *,
    revision: str = "HEAD",
    uncommitted: bool = False,
    name: str = "",
    on_line: Callable[[str], None] = say,
) -> Ran:
    """Runs the pipeline of a revision, with these settings, beside the checkout `main`, which is not touched.

    overrides: settings by dotted name, as flags take them. uncommitted: with the checkout's edits. name: of the
    experiment; made up by default. on_line: gets each line that the run prints.

    A fresh process runs it, with the worktree's own code; it ends with the block that waits for it, and with this
    process. Prefect's and MLflow's addresses go along; without a server the run has one of its own.

    Raises:
        UserError: no commit yet, an unknown revision, or a name that is taken.
    """
    worktrees.sweep(main)
    base = commit_of(main.root, revision)
    name = name or f"run-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    experiments.check_name(main.root, name)
    with worktrees.opened(main, revision=base, uncommitted=uncommitted) as worktree:
        said: set[str] = set()

        def hear(line: str) -> None:
            said.add(line)
            on_line(line)

        flags = [f"--{key}={value}" for key, value in overrides.items()]  # a value never becomes a flag of its own
        code = run_child(
            [sys.executable, "-m", "flows.cli", "run", *flags],
            cwd=worktree.root,
            env=worktrees.environment(worktree) | {EXPERIMENT: name},
            on_line=hear,
        )
        if code:
            return Ran("ran", "", "", None, code)
        verdict = str(worktree.read_verdict()["sentence"])
        if NOTHING_CHANGED in said:
            found = experiments.same_as(worktree.root, base=base)
            return Ran("nothing changed", found, verdict, _keep(worktree, main, found or f"as-of-{base[:12]}"), 0)
        experiments.save(worktree.root, base=base, name=name, message=f"{name}\n\n{verdict}")
        return Ran("ran", name, verdict, _keep(worktree, main, name), 0)


def _keep(worktree: Workspace, main: Workspace, name: str) -> Path:
    """Copies the report and what it was made from to the main checkout's state; returns the page."""
    place = main.state / "reports" / name
    lock = main.state / "locks" / "reports.lock"
    with held(lock, seconds=LOCK_SECONDS, what="copying a report"), replacing(place) as draft:
        for part in KEPT:
            origin = worktree.reports / part
            if origin.is_dir():
                shutil.copytree(origin, draft / part, copy_function=shutil.copyfile)
            elif origin.is_file():
                shutil.copyfile(origin, draft / part)
    return place / "report.html"
