"""promote: which version of the registered model is the champion. No step of the pipeline.

A new version is the challenger. It becomes champion where a paired comparison on the same rows says that it is better,
or a person says so; a rollback brings back the champion before. Each change is a tag of the registered model.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from headstart.cells.effective import settings_for
from headstart.cells.results import read_labelled, read_selection
from headstart.datasets.pack import TEST, Pack, read_pack_card
from headstart.errors import DataError, HeadstartError, UserError
from headstart.evaluation.measures import measure_of
from headstart.evaluation.promotion import Comparison, compare, rows_digest, scored_columns
from headstart.storage.publish import digest, write_json
from headstart.training.weights import read_card
from tasks.evaluate import count_opening
from tasks.tracking import RegisteredModels, open_tracking
from tasks.workspace import Workspace

CHAMPION, CHALLENGER = ALIASES = ("champion", "challenger")
SCORED = "scored"  # artifacts of a version's run: what its model said of the rows that evaluate scored
ROWS, ABOUT = "rows.parquet", "about.json"
CHANGE = "headstart.champion."  # tags of the registered model, numbered: one a change of the champion

By = Literal["first", "comparison", "approval", "rollback"]


@dataclass(frozen=True)
class Change:
    """version became champion at a time (UTC), by what, and why in words."""

    version: str
    time: str
    by: By
    why: str


@dataclass(frozen=True)
class Decision:
    """Who is champion now, whether that is new, and why, in words. challenger: who stays one, "" for none."""

    champion: str
    moved: bool
    why: str
    challenger: str = ""

    @property
    def words(self) -> str:
        return f"version {self.champion}{' now' if self.moved else ' stays'}: {self.why}"


def model_name(target: str) -> str:
    """The registered model of a target."""
    return f"headstart-{target}"


def open_models(workspace: Workspace) -> tuple[RegisteredModels, str]:
    """The project's registered models, and the name of its target's."""
    return open_tracking(workspace.state).models, model_name(workspace.settings().target.data)


def write_scored(workspace: Workspace, folder: Path) -> None:
    """Writes to `folder` what the delivered model said of the rows that evaluate scored, and what it takes to compare.

    Of a target with test rows they are the delivered seed's; in cross-validation, where the delivered model was trained
    on all rows, those of its strategy's seeds.
    """
    settings = workspace.settings()
    pack = Pack(workspace.pack(settings.target.data))
    budget = settings_for(settings, pack.directory).finetune.label_budget
    entrant = read_selection(workspace.selection)["entrant"]
    table, measure = pd.read_parquet(workspace.predictions), measure_of(pack.card)
    own = table[(table["strategy"] == entrant) & (table["label_budget"] == budget)]
    if not pack.card.folds:
        own = own[own["seed"] == read_card(workspace.delivered).seed]
    group = dict(zip(pack.examples["id"], pack.examples["group"], strict=True))
    own = own.assign(group=own["id"].map(group))[scored_columns(measure)].reset_index(drop=True)
    own.to_parquet(folder / ROWS, index=False)
    about = {"rows": rows_digest(own, measure), "folds": pack.card.folds, "overlap": pack.card.overlap(budget)}
    write_json(folder / ABOUT, about)


def challenge(models: RegisteredModels, workspace: Workspace, name: str, version: str) -> Decision:
    """Makes a version the challenger, and the champion where it is the first or better than the present one."""
    models.set_alias(name, CHALLENGER, version)
    decision = _decide(models, workspace, name, version)
    models.describe(name, version, tags={"headstart.comparison": decision.why})
    return decision


def promote(workspace: Workspace, version: str = "", *, approved: bool = False) -> Decision:
    """Makes a version (the challenger by default) the champion: where it is better, or by a person's approval.

    Raises:
        UserError: there is no such version, or no challenger.
        HeadstartError: MLflow does not answer.
    """
    models, name = open_models(workspace)
    with models.answering():
        version = models.resolve(f"{name}/{version}" if version else f"{name}@{CHALLENGER}")
        present = models.aliases(name).get(CHAMPION)
        if approved and version != present:
            return _crown(models, name, version, "approval", "approved by a person")
        return _decide(models, workspace, name, version)


def rollback(workspace: Workspace) -> Decision:
    """Makes the champion before the present one champion again.

    Raises:
        UserError: there was none before.
        HeadstartError: MLflow does not answer.
    """
    models, name = open_models(workspace)
    with models.answering():
        models.resolve(name)
        present = models.aliases(name).get(CHAMPION)
        line = succession(history(models, name))
        while line and line[-1] == present:
            line.pop()
        if not line:
            raise UserError(
                f"{name} had no champion before "
                + (f"version {present}" if present else "")
                + "; `headstart promote VERSION --approve` names any version"
            )
        return _crown(models, name, line[-1], "rollback", f"rolled back from version {present}")


def history(models: RegisteredModels, name: str) -> list[Change]:
    """Every change of the champion, the oldest first."""
    found = sorted((key, text) for key, text in models.tags(name).items() if key.startswith(CHANGE))
    return [Change(**json.loads(text)) for _, text in found]


def succession(changes: list[Change]) -> list[str]:
    """Versions that were champion, the present one last; those that were rolled back are not among them."""
    line: list[str] = []
    for change in changes:
        if change.by == "rollback":
            while line and line[-1] != change.version:
                line.pop()
        if not line or line[-1] != change.version:
            line.append(change.version)
    return line


def _crown(models: RegisteredModels, name: str, version: str, by: By, why: str) -> Decision:
    changes = history(models, name)
    change = Change(version, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", by, why)
    # The tag first: an alias without one would be a champion that no rollback knows of.
    models.set_tag(name, f"{CHANGE}{len(changes) + 1:04d}", json.dumps(asdict(change)))
    models.set_alias(name, CHAMPION, version)
    return Decision(version, moved=True, why=why)


def _decide(models: RegisteredModels, workspace: Workspace, name: str, version: str) -> Decision:
    present = models.aliases(name).get(CHAMPION)
    if present is None:
        return _crown(models, name, version, "first", "there was none before")
    if present == version:
        return Decision(present, moved=False, why="it is the champion already")
    try:
        found = _compare(models, workspace, name, version, present)
    except HeadstartError as error:  # such as a champion that is damaged: it is for a person to see to
        why = f"version {version} cannot be compared with it ({error})"
        return Decision(present, moved=False, why=why, challenger=version)
    why = f"version {version} is {found.sentence}"
    if found.is_better:
        return _crown(models, name, version, "comparison", why)
    return Decision(present, moved=False, why=why, challenger=version)


def _compare(models: RegisteredModels, workspace: Workspace, name: str, version: str, present: str) -> Comparison:
    """By the rows that both models' runs scored; where these are others, the champion predicts the challenger's."""
    settings = workspace.settings()
    measure = measure_of(read_pack_card(workspace.pack(settings.target.data)))
    with tempfile.TemporaryDirectory() as scratch:
        ours = _scored(models, name, version, Path(scratch, "challenger"))
        theirs = _scored(models, name, present, Path(scratch, "champion"))
        if ours is None:
            raise DataError("its run kept no predictions; register it anew by `headstart run`")
        without: set[str] = set()
        if theirs is None or theirs[1]["rows"] != ours[1]["rows"]:
            table, without = _predicted_again(models, workspace, name, present, ours)
        else:
            table = theirs[0]
    overlap = float(ours[1]["overlap"])
    return compare(ours[0], table, measure=measure, settings=settings.evaluate, overlap=overlap, without=without)


def _scored(
    models: RegisteredModels, name: str, version: str, scratch: Path
) -> tuple[pd.DataFrame, Mapping[str, Any]] | None:
    """What write_scored wrote for a version; None where its run was made without."""
    scratch.mkdir()
    folder = models.artifacts_of(f"{name}/{version}", SCORED, scratch)
    if folder is None or not (folder / ROWS).is_file():
        return None
    return pd.read_parquet(folder / ROWS), json.loads((folder / ABOUT).read_text())


def _predicted_again(
    models: RegisteredModels,
    workspace: Workspace,
    name: str,
    present: str,
    ours: tuple[pd.DataFrame, Mapping[str, Any]],
) -> tuple[pd.DataFrame, set[str]]:
    """The champion's predictions of the challenger's test rows, and which of them it was trained on.

    It is one more look at these test rows, and counted as one.

    Raises:
        DataError: there are no test rows, they are not the workspace's, or the champion takes other images.
    """
    from headstart.prediction.model import load

    table, about = ours
    target = workspace.settings().target.data
    pack = Pack(workspace.pack(target))
    if about["folds"]:
        raise DataError("the data changed, and without test rows the champion was trained on all of it")
    rows = pack.rows(TEST)
    if set(pack.ids(rows)) != set(table["id"]):
        raise DataError("its test rows are not those of this workspace; check out its revision")
    with tempfile.TemporaryDirectory() as scratch:
        folder = models.fetch(f"models:/{name}/{present}", Path(scratch))
        model, seen = load(folder), {row for draws in read_labelled(folder).values() for ids in draws for row in ids}
    takes = (model.card.modality, model.card.preparation)
    if takes != (pack.card.modality, pack.card.preparation):
        raise DataError(f"the champion takes {model.card.modality} rows made by {takes[1]}, and these are others")
    count_opening(workspace.state / "opened.json", target, digest([name, present, about["rows"]]))
    measure, said = measure_of(pack.card), model.predict(pack.inputs[rows])
    wanted = [own.prediction for own in measure.columns]
    if not set(wanted) <= set(said):
        raise DataError(f"the champion does not predict {', '.join(wanted)}, which the target has now")
    found = said[wanted].assign(id=pack.ids(rows))
    again = table.drop(columns=wanted).merge(found, on="id")[scored_columns(measure)]
    return again, seen
