"""What a run shows in Prefect's UI: progress while it runs, then the verdict, the comparison and links, as artifacts.

Only where somebody can look: not with a server that ends with the run.
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from prefect.artifacts import (
    Artifact,
    LinkArtifact,
    MarkdownArtifact,
    TableArtifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.events import emit_event
from prefect.runtime import task_run

from flows.away import suppress_away, without_retries
from flows.server import is_temporary
from flows.serving.served import pages
from flows.subflow import runs_shown
from headstart.storage.publish import write_json
from tasks.warm import Run

VERDICT_CHANGED = "headstart.verdict.changed"
VERDICTS = "verdicts.json"
SECONDS = 1.0  # between two updates of a progress artifact
LEFT_ALONE = 60.0  # seconds, after a server that did not answer: each try would hold the training up


class Shows(Protocol):
    """What progress is told to."""

    def show(self, what: str, done: int, total: int) -> None: ...


class Progress:
    """Progress as an artifact of the task that makes it, beside the bars of a terminal."""

    def __init__(self, bars: Shows):
        self._bars = bars
        self._made: dict[tuple[str, str], UUID] = {}  # by task run, and what it is at
        self._said = 0.0
        self._away_until = 0.0

    def show(self, what: str, done: int, total: int) -> None:
        """Takes note of progress; Prefect hears of it once a second at most."""
        self._bars.show(what, done, total)
        now, which = time.monotonic(), (str(task_run.id), what)
        if now < self._away_until or (now - self._said < SECONDS and done < total and which in self._made):
            return
        self._said = now
        self._away_until = time.monotonic() + LEFT_ALONE  # unless it answers
        with suppress_away(), without_retries():
            self._show(which, what, done, total)
            self._away_until = 0.0

    def _show(self, which: str, what: str, done: int, total: int) -> None:
        percent, words = 100.0 * done / max(total, 1), f"{what}: {done} of {total}"
        if which not in self._made:
            self._made[which] = create_progress_artifact(percent, key=key_of(what), description=words)
        else:
            update_progress_artifact(self._made[which], percent, description=words)


def shown_progress(run: Run) -> None:
    """From here on the run's progress is seen in Prefect's UI too."""
    if not is_temporary():
        run.bars = Progress(run.bars)  # type: ignore[assignment]  # it does what steps ask of bars


def announce(run: Run) -> None:
    """Called at the end of a run, in its flow: artifacts on its page, and an event where the verdict's word changed."""
    if is_temporary():
        return
    workspace = run.workspace
    verdict = workspace.read_verdict()
    for artifact in [*_results(verdict, workspace.comparison, workspace.params), *_links(run)]:
        _show(artifact)
    said = f"{', '.join(run.settings.source.data)} to {run.settings.target.data}"
    note_verdict(workspace.state / VERDICTS, said, verdict)


def announce_kept(report: Path, experiment: str) -> None:
    """The same for a run with nothing to do: the result that there was already. report: of the earlier run."""
    verdict = json.loads((report.parent / "verdict.json").read_text())
    for artifact in _results(verdict, report.parent / "comparison.csv", None, f"nothing changed since {experiment}"):
        _show(artifact)


def show_ranking(path: Path) -> None:
    """A table of the ranked sources, the best first. path: ranking.csv."""
    import pandas as pd

    table = json.loads(pd.read_csv(path).to_json(orient="records"))
    _show(TableArtifact(key="ranking", description="what each source's W knows of the target", table=table))


def note_verdict(path: Path, said: str, verdict: Mapping[str, Any]) -> None:
    """Keeps the verdict's word; where it is another one than the last run's, an event says so."""
    words = json.loads(path.read_text()) if path.is_file() else {}
    now, before = verdict["against_scratch"]["verdict"], words.get(said)
    if now == before:
        return
    write_json(path, words | {said: now})
    if before is not None:
        emit_event(
            event=VERDICT_CHANGED,
            resource={"prefect.resource.id": f"headstart.verdict.{key_of(said)}", "prefect.resource.name": said},
            payload={"before": before, "now": now, "sentence": verdict["sentence"]},
        )


def comparison_rows(path: Path, metric: str) -> list[dict[str, Any]]:
    """A row for each strategy and label budget: mean and s.d. over seeds of the headline metric on test rows."""
    import pandas as pd

    table = pd.read_csv(path, keep_default_na=False, na_values={"value": [""], "seconds": [""]})
    wanted = table[(table["split"] == "test") & (table["metric"] == metric)]
    summed = wanted.groupby(["strategy", "label_budget"], sort=False)["value"].agg(["mean", "std", "count"])
    return [
        {"strategy": strategy, "labels": int(budget), f"test {metric}": _amount(mean, std), "seeds": int(count)}
        for (strategy, budget), (mean, std, count) in zip(summed.index, summed.to_numpy(), strict=True)
    ]


def key_of(text: str) -> str:
    """An artifact's key: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _results(verdict: Mapping[str, Any], comparison: Path, params: Path | None, note: str = "") -> Sequence[Artifact]:
    lines = [f"## {verdict['sentence']}", *([note] if note else [])]
    lines += [str(warning) for warning in verdict.get("warnings", [])]
    if params:
        lines += ["### Settings", f"```yaml\n{params.read_text()}\n```"]  # Prefect's page folds nothing
    table = comparison_rows(comparison, verdict["metric"])
    word = f"against training from scratch: {verdict['against_scratch']['verdict']}"
    return (
        MarkdownArtifact(key="verdict", description=word, markdown="\n\n".join(lines)),
        TableArtifact(key="comparison", description="every strategy on the same test rows", table=table),
    )


def _links(run: Run) -> Sequence[Artifact]:
    """To the run and the report in MLflow, where its pages are served."""
    site = pages()
    if not site:
        return ()
    url = run.tracking.run_url(site, run.parent)
    said = "settings, metrics and files of every step"
    links = [LinkArtifact(key="mlflow-run", link=url, link_text="this run in MLflow", description=said)]
    maker = run.makers.get("report")
    if maker:
        url = run.tracking.run_url(site, maker, artifact=run.workspace.report.name)
        said = "figures, tables and pictures, on one page"
        links.append(LinkArtifact(key="report", link=url, link_text="the report", description=said))
    return links


def _show(artifact: Artifact) -> None:
    for shown in runs_shown():
        artifact.model_copy(update={"flow_run_id": shown, "task_run_id": None}).create(_sync=True)  # type: ignore[call-arg]


def _amount(mean: float, std: float) -> str:
    return f"{mean:.3f}" + ("" if std != std else f" +- {std:.3f}")  # NaN with one seed
