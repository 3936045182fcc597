"""report: one self-contained page to look at, from what evaluate wrote."""

import subprocess
import sys
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from headstart.backbones.table import in_words
from headstart.cells.effective import settings_for
from headstart.cells.results import read_selection
from headstart.datasets.pack import POOL, Card, Pack, pack_digest
from headstart.datasets.settings import how_of
from headstart.datasets.table import get_built_in, is_built_in
from headstart.datasets.values import by_name
from headstart.evaluation.clusters import Clusters
from headstart.evaluation.measures import measure_of
from headstart.evaluation.quality import Quality
from headstart.evaluation.ranking import read_ranking
from headstart.features.files import POOLED
from headstart.report.inputs import Picture, ReportInputs
from headstart.report.page import render
from headstart.storage.publish import verify
from tasks.step import Context, Outcome

SAMPLES = 20
PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "prefect", "mlflow", "dvc")


def report(context: Context) -> Outcome:
    """Writes reports/report.html and reports/figures/."""
    workspace = context.workspace
    target = Pack(workspace.pack(context.settings.target.data))
    settings = settings_for(context.settings, target.directory)
    selection = read_selection(workspace.selection)
    sources = [Pack(workspace.pack(name)) for name in settings.source.data]
    predictions = pd.read_parquet(workspace.predictions)
    truth = predictions.drop_duplicates("id").set_index("id")[[own.truth for own in target.card.targets]]
    rows = target.rows(target.card.scored)
    features = workspace.features(selection["source"] or settings.source.data[0], settings.target.data)
    verify(features)
    verdict, measure = workspace.read_verdict(), measure_of(target.card)
    comparison = pd.read_csv(workspace.comparison, keep_default_na=False, na_values={"value": [""], "seconds": [""]})
    budget = settings.finetune.label_budget
    quality = Quality.model_validate_json(workspace.quality.read_text(encoding="utf-8"))
    clusters = Clusters.model_validate_json(workspace.clusters.read_text(encoding="utf-8"))
    path = render(
        ReportInputs(
            verdict=verdict,
            comparison=comparison,
            differences=_differences(verdict, budget),
            predictions=predictions,
            convergence=pd.read_csv(workspace.snapshots, keep_default_na=False),
            cells=pd.read_csv(workspace.cells_table, keep_default_na=False, na_values={"pretraining_compute": [""]}),
            classes=target.card.classes,
            chosen=selection["entrant"],
            headline_budget=budget,
            images=dict(zip(target.ids(rows), _pictures(target, rows), strict=True)),
            source_samples=[_samples(source) for source in sources],
            target_samples=_samples(target),
            target_features=np.load(features / POOLED, mmap_mode="r")[rows],
            target_raw=target.card.row_kind.load().vectors(target.inputs, rows),
            target_labels=truth.loc[target.ids(rows)]
            .to_numpy()
            .squeeze(axis=1 if truth.shape[1] == 1 else ())
            .tolist(),
            source_cards=[_card(source) for source in sources],
            target_card=_card(target),
            settings_yaml=workspace.params.read_text(encoding="utf-8"),
            reproduce=_reproduce(context),
            measure=measure,
            clusters=clusters,
            quality=quality,
            quality_images=_images(target, [suspect.id for suspect in quality.suspects]),
            cluster_images=_images(target, _examples(clusters)),
            ranking=read_ranking(pd.read_csv(workspace.ranking), comparison, kind=measure.kind, label_budget=budget),
        ),
        workspace.reports,
    )
    return Outcome(f"{path.relative_to(workspace.root)}", artifacts=(path,))


def _differences(verdict: dict[str, Any], budget: int) -> pd.DataFrame:
    """strategy, difference, low, high against scratch at the headline budget; the chosen strategy's comes first."""
    rows = [verdict["against_scratch"]] + [
        row for row in verdict["exploratory"] if row["against"] == "scratch" and row["label_budget"] == budget
    ]
    return pd.DataFrame(rows, columns=["strategy", "difference", "low", "high"])


def _pictures(pack: Pack, rows: np.ndarray) -> list[Picture]:
    """What a person is shown of each row."""
    how = how_of(pack.card)
    picture = pack.card.row_kind.load().picture
    return [picture(row, how) for row in pack.inputs[rows]]


def _examples(clusters: Clusters) -> list[str]:
    """Ids of the rows nearest to the clusters' centres."""
    return [row for cluster in (clusters.shown.clusters if clusters.shown else ()) for row in cluster.examples]


def _images(pack: Pack, wanted: list[str]) -> dict[str, Picture]:
    """Pictures of some rows by id."""
    rows = np.flatnonzero(pack.examples["id"].isin(wanted).to_numpy())
    return dict(zip(pack.ids(rows), _pictures(pack, rows), strict=True))


def _samples(pack: Pack) -> list[tuple[str, Picture]]:
    """A few labelled rows, evenly over the classes or values; none of a source that is weights."""
    if pack.card.kind == "attribute":
        rows = pack.rows(POOL)
        rows = rows[np.linspace(0, len(rows) - 1, min(SAMPLES, len(rows))).round().astype(int)]
        return list(zip(_captions(pack, rows), _pictures(pack, rows), strict=True))
    examples, columns = pack.examples, [own.given for own in pack.card.targets]
    known = examples[examples[columns].notna().all(axis=1)].sort_values([*columns, "id"])
    if not len(known):
        return []
    if pack.card.classes:
        known = known.groupby(columns).head(max(1, SAMPLES // len(pack.card.classes)))
    rows = np.array(known.index)[np.linspace(0, len(known) - 1, min(SAMPLES, len(known))).round().astype(int)]
    given = examples[columns].iloc[rows]
    captions = [", ".join(own) for own in given.astype(str).itertuples(index=False, name=None)]
    return list(zip(captions, _pictures(pack, rows), strict=True))


def _captions(pack: Pack, rows: np.ndarray) -> list[str]:
    """What is so of each row, and its tags: "serif, bold, letter"."""
    return [
        ", ".join(
            own.categories[int(code)] if own.categories else own.name
            for own, code in zip(pack.card.attributes, codes, strict=True)
            if code == code and (own.categories or (own.kind == "yes/no" and code))
        )
        for codes in pack.attributes(rows)
    ]


def _card(pack: Pack) -> dict[str, Any]:
    card: Card = pack.card
    return {
        "name": card.name,
        "rows": sum(card.splits.values()),
        "classes": card.counts,
        "values": _values(card),
        "attributes": ", ".join(f"{own.name} ({own.kind})" for own in card.attributes),
        "splits": card.splits,
        "rejected": card.rejected,
        "duplicates": card.duplicates,
        "removed_overlap": card.removed_overlap,
        "modality": card.modality,
        "size": in_words(card.size),
        "channels": card.channels if card.row_kind.gives == "maps" else 0,
        "preparation": card.preparation,
        "digest": pack_digest(pack.directory)[:12],
        "description": _description(card),
    }


def _description(card: Card) -> str:
    if is_built_in(card.name):
        return get_built_in(card.name).line
    return "a dataset of your own" if sum(card.splits.values()) else "weights that were trained elsewhere"


def _values(card: Card) -> str:
    """What values there are outside the test rows, in words; nothing where there are none."""
    if card.kind != "value":
        return ""
    return by_name([f"{own.mean:.3g} ± {own.std:.3g} {own.unit}".rstrip() for own in card.values], card.values)


def _reproduce(context: Context) -> dict[str, Any]:
    return {
        "revision": _revision(context),
        "commands": _commands(context),
        "versions": {"python": sys.version.split()[0]} | {name: version(name) for name in PACKAGES},
        "threads": 1,
        "device": context.device.name if context.device else "CPU",
        "seeds": list(range(context.settings.finetune.seeds)),
    }


def _commands(context: Context) -> list[str]:
    if context.workspace.runs_installed_code:
        return [
            "git clone <this repository>",
            f"pip install headstart=={version('headstart')}",
            "headstart run",
            "dvc repro",
        ]
    return ["git clone <this repository> && cd headstart", "make run", "headstart run", "dvc repro"]


def _revision(context: Context) -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"],
        cwd=context.workspace.root,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout.strip() or "not in git"
