"""The flows that `headstart serve` offers in Prefect's UI and on a schedule; prefect.yaml says when and how.

What trains works in a checkout of its own, so that neither the user's files nor another run get in its way.
"""

import re
import sys
from collections.abc import Sequence
from typing import Any

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, State

from flows.announce import announce_kept, show_ranking
from flows.console import say
from flows.isolated import run_isolated
from flows.overrides import as_text, overridden
from flows.refusals import failed, refused
from flows.serving.form import flags_of, make_form, project, spoken
from flows.subflow import linked
from headstart.errors import HeadstartError
from tasks import worktrees
from tasks.children import run_child
from tasks.workspace import Workspace, here

TransferSettings: Any = make_form(project())
Target, Sources = (TransferSettings.model_fields[name] for name in ("target", "sources"))
STOPPED = (130, 143)
CLOCK = re.compile(r"^\d\d:\d\d:\d\d  ")


def _transfer_name() -> str:
    """Such as "transfer, resnet18, 5 labels a class"; where the form was left as it was, "as params.yaml says"."""
    told = flow_run.parameters.get("settings") or {}
    differing = spoken(TransferSettings, told if isinstance(told, dict) else told.model_dump(exclude_unset=True))
    return ", ".join(["transfer", *differing]) if differing else "transfer as params.yaml says"


@flow(name="isolated-transfer", flow_run_name=_transfer_name, persist_result=False)
def transfer(settings: TransferSettings = TransferSettings(), uncommitted: bool = False) -> State[Any]:  # noqa: B008
    """Moves what a network learns on the source to the target, and says whether it helped.

    Works on the last commit, in a checkout of its own; the result becomes an experiment of DVC (`dvc exp show`).

    Args:
        settings: What is to differ from the committed params.yaml.
        uncommitted: Also take what is not committed in the checkout: edited settings, code and datasets.
    """
    lines = _Lines()
    try:
        flags = flags_of(settings)
        workspace = here()
        if flags:
            overridden(workspace, flags)  # what does not fit together is refused before anything starts
        with linked("transfer"):
            ran = run_isolated(workspace, flags, uncommitted=uncommitted, on_line=lines.hear)
    except HeadstartError as error:
        return refused(str(error))
    if ran.exit_code:
        return lines.failed(ran.exit_code)
    if ran.outcome == "nothing changed" and ran.report:
        announce_kept(ran.report, ran.experiment or "the last run")
        return Completed(message=f"nothing changed; {ran.verdict}")
    return Completed(message=ran.verdict)


@flow(name="isolated-rank", flow_run_name="rank sources for {target}", persist_result=False)
def rank_sources(
    target: Target.annotation = Target.default,  # type: ignore[name-defined]
    sources: Sources.annotation = Sources.default,  # type: ignore[name-defined]  # noqa: B006
) -> State[Any]:
    """Says which source's W tells the target apart best, without fine-tuning; on the last commit.

    Args:
        target: The task that has few labels.
        sources: The datasets to compare as sources; a network is pretrained on each.
    """
    lines = _Lines()
    words = ["rank", "--target.data", target, "--source.data", as_text(tuple(sources))]
    try:
        with worktrees.opened(here()) as worktree:
            with linked("rank_sources"):
                code = _headstart(worktree, words, lines)
            if code:
                return lines.failed(code)
            show_ranking(worktree.ranking)
    except HeadstartError as error:
        return refused(str(error))
    best = next((line for line in lines.heard if line.startswith("1. ")), "ranked")
    return Completed(message=best.removeprefix("1. "))


class _Lines:
    """What a process printed, also into the flow run's log."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def hear(self, line: str) -> None:
        """Takes a line, without the time of day, which Prefect adds; no way back is told, for nothing was changed."""
        line = CLOCK.sub("", line)
        if not line.startswith("back: "):
            self.heard.append(line)
            say(line)

    @property
    def last(self) -> str:
        """The closing words."""
        return next((line for line in reversed(self.heard) if line.strip()), "")

    def failed(self, code: int) -> State[Any]:
        """The state of a process that did not end well: its own error in one line."""
        if code in STOPPED:
            return Cancelled(message="stopped; finished cells and steps are kept")
        errors = [line.removeprefix("error: ") for line in self.heard if line.startswith("error: ")]
        return failed(errors[-1] if errors else f"exit code {code}: {self.last}")


def _headstart(workspace: Workspace, words: Sequence[str], lines: _Lines) -> int:
    """Runs a `headstart` command in a checkout, with that checkout's code; returns its exit code."""
    command = [sys.executable, "-m", "flows.cli", *words]
    return run_child(command, cwd=workspace.root, env=worktrees.environment(workspace), on_line=lines.hear)
