"""A run made again from what is recorded of it, by the other driver, and compared with it file by file."""

import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import pandas as pd

from headstart.errors import HeadstartError
from headstart.storage.publish import write_text
from tasks import record, worktrees
from tasks.children import run_child
from tasks.devices import available
from tasks.versioning import Versioning
from tasks.workspace import Workspace

TOLERANCE = 0.03  # of a mean score on test rows, as a share of it, where a GPU sums in an order of its own
TIMED = ("cells.csv", "speed.json", "manifest.json", "comparison.csv")  # they hold seconds; no run repeats those
SHOWS = "report"  # the step that only shows what the others made
REPRO = ("-m", "dvc", "repro", "--force", "--no-run-cache", "--no-commit")
HINT = re.compile(  # what DVC would have done with a checkout that stays
    r"To track the changes with git, run:|\tgit add .*|To enable auto staging, run:|\tdvc config core\.autostage true"
    r"|Use `dvc push` to send your updates to remote storage\."
)
COMPARISON, VERDICT = "reports/comparison.csv", "reports/verdict.json"
ENTRANT = ["strategy", "label_budget"]


@dataclass(frozen=True)
class Row:
    """A step: digests of what it made then and now, and the files that differ."""

    step: str
    recorded: str
    now: str
    differ: tuple[str, ...]

    @property
    def same(self) -> bool:
        return not self.differ


@dataclass(frozen=True)
class Reproduced:
    """What became of it. exact: whether the same bytes are asked for; else mean scores within `tolerance` are the same.

    scores: the largest difference of an entrant's mean score on test rows, as a share of the recorded one; None where
    that is gone. device: what computed, then and now.
    """

    name: str
    rows: tuple[Row, ...]
    exact: bool
    scores: float | None
    tolerance: float
    device: str

    @property
    def same(self) -> bool:
        if self.exact:
            return all(row.same for row in self.rows)
        return self.scores is not None and self.scores <= self.tolerance


def reproduce(
    main: Workspace, run: str, *, tolerance: float = TOLERANCE, on_line: Callable[[str], None] = lambda line: None
) -> Reproduced:
    """Runs all steps of a recorded run again, in a worktree at its revision with its settings, and compares.

    `dvc repro` runs them, every one: neither DVC's run-cache nor finished cells of other runs are used, and nothing is
    written there. What was opened of the test labels is counted as the same look.

    run: as `record.find` takes it. tolerance: of mean scores, where a GPU or another CPU computes now or did then.

    Raises:
        UserError: there is no such run, or it cannot be made again.
        HeadstartError: a step failed.
    """
    worktrees.sweep(main)
    recipe = record.find(main, run)
    with worktrees.opened(main, revision=recipe.revision) as shared:
        worktree = replace(shared, cells_of_its_own=shared.own / "cells")
        write_text(worktree.params, recipe.params)
        write_text(worktree.root / "dvc.lock", recipe.lock)
        versioning = Versioning(worktree.root)
        recorded = {step: files for step, files in versioning.recorded_files().items() if step != SHOWS}
        scores, verdict = (versioning.recorded_text(path) for path in (COMPARISON, VERDICT))
        code = run_child(
            [sys.executable, *REPRO],
            cwd=worktree.root,
            env=worktrees.environment(worktree),
            on_line=without_hints(on_line),
        )
        if code:
            raise HeadstartError(f"{recipe.name}: `dvc repro` ended with exit code {code}; its last lines say why")
        device = available()[0]
        now = f"{device.kind} {device.name}"
        return Reproduced(
            name=recipe.name,
            rows=tuple(_row(worktree.root, step, files) for step, files in recorded.items()),
            exact=device.kind == "cpu" and recipe.device in ("", now),
            scores=_difference(scores, verdict, worktree.root / COMPARISON) if scores and verdict else None,
            tolerance=tolerance,
            device=now if recipe.device in ("", now) else f"{recipe.device} then, {now} now",
        )


def without_hints(on_line: Callable[[str], None]) -> Callable[[str], None]:
    """Passes on what `dvc repro` prints, without its hints and the blank lines around them."""
    blank: list[str] = []

    def hear(line: str) -> None:
        if not line.strip():
            blank.append(line)
            return
        if not HINT.fullmatch(line):
            for held in [*blank, line]:
                on_line(held)
        blank.clear()

    return hear


def _row(root: Path, step: str, files: Mapping[str, str]) -> Row:
    held = {path: known for path, known in files.items() if Path(path).name not in TIMED}
    found = {path: _md5(root / path) for path in held}
    return Row(step, _digest(held), _digest(found), tuple(sorted(path for path in held if held[path] != found[path])))


def _digest(files: Mapping[str, str]) -> str:
    lines = "\n".join(f"{path} {known}" for path, known in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:8] if files else "-"


def _md5(path: Path) -> str:
    """The digest that DVC has of a file."""
    if not path.is_file():
        return "missing"
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _difference(recorded: str, verdict: str, path: Path) -> float:
    """The largest relative difference of an entrant's mean score; infinite where they are not the same entrants."""
    metric = json.loads(verdict)["metric"]
    then, now = (_means(source, metric) for source in (StringIO(recorded), path))
    if not then.index.equals(now.index):
        return float("inf")
    return float(((then - now).abs() / then.abs().clip(lower=1e-12)).max())


def _means(source: StringIO | Path, metric: str) -> "pd.Series[float]":
    table = pd.read_csv(source, keep_default_na=False, na_values={"value": [""], "seconds": [""]})
    return table[(table["split"] == "test") & (table["metric"] == metric)].groupby(ENTRANT)["value"].mean()


def lines(reproduced: Reproduced) -> list[str]:
    """The table, a step a line, and what it comes to."""
    width = max(len(row.step) for row in reproduced.rows)
    found = [f"{'step':<{width}}  recorded  now       "]
    for row in reproduced.rows:
        said = "same" if row.same else f"differs: {', '.join(row.differ)}"
        found.append(f"{row.step:<{width}}  {row.recorded:<8}  {row.now:<8}  {said}")
    return [line.rstrip() for line in found] + [verdict_line(reproduced)]


def verdict_line(reproduced: Reproduced) -> str:
    """Whether the run was reproduced, in a sentence."""
    differ = sum(not row.same for row in reproduced.rows)
    files = (
        f"{differ} of {len(reproduced.rows)} steps differ"
        if differ
        else f"all {len(reproduced.rows)} steps are the same"
    )
    if reproduced.exact:
        said = "is reproduced" if reproduced.same else "is NOT reproduced"
        return f"{reproduced.name} {said}, byte for byte on {reproduced.device}: {files}"
    if reproduced.scores is None:
        return f"{reproduced.name} cannot be judged on {reproduced.device}: DVC's cache has its recorded scores no more"
    said = "is reproduced" if reproduced.same else "is NOT reproduced"
    return (
        f"{reproduced.name} {said} on {reproduced.device}: mean test scores differ by at most {reproduced.scores:.2%}, "
        f"and {reproduced.tolerance:.2%} are allowed where it is not the same CPU ({files} byte for byte)"
    )
