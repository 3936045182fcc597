"""The page: numbers, figures and pictures put into the template, written as one file that needs no other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from headstart.entrants import CONTROL
from headstart.evaluation.clusters import answer, sentence
from headstart.report import clusters, quality, words
from headstart.report.amounts import Amounts, amounts_of
from headstart.report.canvas import Drawing, looks
from headstart.report.classes import confusion_figure, map_figure
from headstart.report.curves import convergence_figure, efficiency_figure
from headstart.report.each_value import value_rows
from headstart.report.inputs import ReportInputs
from headstart.report.intervals import contrast_figure, difference_figure
from headstart.report.maps import make_map, make_value_map
from headstart.report.pictures import samples, won_and_lost
from headstart.report.sources import agreement_said, ranking_rows
from headstart.report.summary import (
    comparison_rows,
    confusion,
    contrasts,
    cost_rows,
    label,
    order,
    other_columns,
    predicted,
    tiles,
    worst_confusions,
)
from headstart.report.values import errors_said, plain, scatter_figure, value_map_figure
from headstart.storage.publish import write_text


@dataclass(frozen=True)
class ErrorPanel:
    """A confusion matrix, or predictions against truths, with its title, score and what it shows in words."""

    title: str
    score: str
    drawing: Drawing
    said: str


@dataclass(frozen=True)
class MapPanel:
    """A map with its title and what its nearest neighbours score."""

    title: str
    score: str
    rows: int
    drawing: Drawing


def render(inputs: ReportInputs, directory: Path) -> Path:
    """Writes `directory`/report.html and, as files of their own, its figures in `directory`/figures; returns the page.

    The same inputs give the same bytes. A figure of an earlier report that this one lacks is removed.
    """
    parts = _parts(inputs)
    _write_figures(directory / "figures", parts["drawings"])
    page = directory / "report.html"
    write_text(page, _environment().get_template("page.html.j2").render(parts))
    return page


def _parts(inputs: ReportInputs) -> dict[str, Any]:
    """Everything that the template names."""
    figures = {
        "contrast": contrast_figure(inputs),
        "efficiency": efficiency_figure(inputs),
        "difference": difference_figure(inputs),
        "convergence": convergence_figure(inputs),
        "clusters": clusters.cluster_figure(inputs.clusters) if inputs.clusters else None,
    }
    errors, maps = _errors(inputs), _maps(inputs)
    panels = [*(panel.drawing for panel in errors), *(panel.drawing for panel in maps)]
    return (
        _words(inputs)
        | _explored(inputs)
        | _quality(inputs)
        | {
            "inputs": inputs,
            "figures": figures,
            "errors": errors,
            "maps": maps,
            "drawings": [drawing for drawing in [*figures.values(), *panels] if drawing is not None],
            "sections": _sections(inputs, figures, maps),
            "flipped": list(zip(("won", "lost"), won_and_lost(inputs), strict=True)),
            "ranking": ranking_rows(inputs),
            "taus": agreement_said(inputs),
            "costs": cost_rows(inputs),
            "comparison": comparison_rows(inputs),
            "other_columns": other_columns(inputs),
            "value_rows": value_rows(inputs),
            "cards": [
                *(
                    ("source", card, samples(shots))
                    for card, shots in zip(inputs.source_cards, inputs.source_samples, strict=True)
                ),
                ("target", inputs.target_card, samples(inputs.target_samples)),
            ],
        }
    )


def _words(inputs: ReportInputs) -> dict[str, Any]:
    """The verdict's part of the page."""
    lead, rest = words.headline(str(inputs.verdict.get("sentence") or "no verdict"))
    return {
        "verdict": inputs.verdict,
        "lead": lead,
        "rest": rest,
        "badge": _badge(inputs),
        "metric": inputs.amounts.word,
        "amounts": inputs.amounts,
        "kind": inputs.measure.kind,
        "chosen": label(inputs.chosen),
        "confidence": inputs.confidence,
        "seeds": inputs.seeds,
        "contrasts": contrasts(inputs),
        "tiles": tiles(inputs),
        "rounds": [entry | {"tried": label(entry["tried"])} for entry in inputs.verdict.get("rounds") or []],
    }


def _explored(inputs: ReportInputs) -> dict[str, Any]:
    """What the section on clusters has; nothing where nobody explored."""
    document = inputs.clusters
    if document is None:
        return {"explored": None}
    return {
        "explored": document,
        "cluster_answer": answer(document),
        "cluster_sentence": words.sentence(sentence(document)),
        "cluster_columns": [title for _, title in clusters.columns(document)],
        "cluster_rows": clusters.rows(document),
        "strips": clusters.strips(inputs),
    }


def _quality(inputs: ReportInputs) -> dict[str, Any]:
    """What the section on the data's quality has; nothing where nobody looked."""
    document = inputs.quality
    if document is None:
        return {"quality": None}
    return {
        "quality": document,
        "quality_said": quality.said(document),
        "quality_shots": quality.suspects(inputs),
        "balance": quality.balance(document),
        "shifts": quality.shifts(document),
    }


def _sections(
    inputs: ReportInputs, figures: Mapping[str, Drawing | None], maps: Sequence[MapPanel]
) -> list[tuple[str, str]]:
    """(anchor, name) of each section that the bar on top leads to; those that may be missing only if they are not."""
    rounds = [("remedies", "Remedies")] if inputs.verdict.get("rounds") else []
    there = {"efficiency": "Labels", "difference": "Strategies", "convergence": "Control"}
    return [
        *rounds,
        *((name, title) for name, title in there.items() if figures[name] is not None),
        ("cost", "Cost"),
        ("errors", "Errors"),
        ("pictures", "Pictures"),
        *([("clusters", "Clusters")] if inputs.clusters else []),
        *([("map", "Map")] if maps else []),
        *([("sources", "Sources")] if inputs.ranking else []),
        ("comparison", "Comparison"),
        ("data", "Data"),
        *([("quality", "Quality")] if inputs.quality else []),
        ("reproduce", "Reproduce"),
    ]


def _badge(inputs: ReportInputs) -> tuple[str, str]:
    """(kind, words) of the verdict's badge."""
    if inputs.withheld:
        return "withheld", "verdict withheld"
    verdict = str((inputs.verdict.get("against_scratch") or {}).get("verdict") or "no verdict")
    kinds = {"helped": "helped", "hurt": "hurt", "equivalent": "equivalent", "not settled": "unsettled"}
    return kinds.get(verdict, "withheld"), verdict


def _errors(inputs: ReportInputs) -> list[ErrorPanel]:
    """Source, scratch and chosen, as far as there are predictions of them."""
    shown = dict.fromkeys((inputs.source, CONTROL, inputs.chosen))
    tables = {strategy: predicted(inputs, strategy) for strategy in shown}
    there = {strategy: table for strategy, table in tables.items() if len(table)}
    if inputs.measure.parts:
        return [
            _value_panel(inputs, strategy, table, place)
            for place in range(len(inputs.measure.parts))
            for strategy, table in there.items()
        ]
    panel = _confusion_panel if inputs.classes else _scatter_panel
    return [panel(inputs, strategy, table) for strategy, table in there.items()]


def _confusion_panel(inputs: ReportInputs, strategy: str, table: pd.DataFrame) -> ErrorPanel:
    classes = list(inputs.classes)
    matrix = confusion(table, classes)
    accuracy = words.percent((table["truth"] == table["prediction"]).mean())
    worst = worst_confusions(matrix, classes)
    said = f"Largest errors: {'; '.join(worst)}." if worst else "No errors."
    return ErrorPanel(label(strategy), accuracy, confusion_figure(strategy, matrix, classes), said)


def _scatter_panel(inputs: ReportInputs, strategy: str, table: pd.DataFrame) -> ErrorPanel:
    amounts, look = inputs.amounts, looks(order(inputs), inputs.chosen)[strategy]
    error = amounts.score((table["truth"] - table["prediction"]).abs().mean())
    drawing = scatter_figure(strategy, table, look, amounts)
    return ErrorPanel(label(strategy), error, drawing, errors_said(table, amounts))


def _value_panel(inputs: ReportInputs, strategy: str, table: pd.DataFrame, place: int) -> ErrorPanel:
    """Of one of several values."""
    (name, part), own = inputs.measure.parts[place], inputs.measure.columns[place]
    amounts, look = amounts_of(part, "mae"), looks(order(inputs), inputs.chosen)[strategy]
    table = pd.DataFrame({"truth": table[own.truth], "prediction": table[own.prediction]})
    error = amounts.score((table["truth"] - table["prediction"]).abs().mean())
    drawing = scatter_figure(strategy, table, look, amounts, value=name)
    return ErrorPanel(f"{name}: {label(strategy)}", error, drawing, errors_said(table, amounts))


def _maps(inputs: ReportInputs) -> list[MapPanel]:
    """The target's rows as the network sees them first, and as they are given."""
    given = (("map-features", "features under W", inputs.target_features), ("map-raw", "raw inputs", inputs.target_raw))
    if inputs.classes:
        panels = [_class_map(inputs, name, title, vectors) for name, title, vectors in given]
        return [found for found in panels if found is not None]
    shape = (len(inputs.target_labels), len(inputs.measure.columns))
    values = np.asarray(inputs.target_labels, dtype=np.float64).reshape(shape)
    parts = [(f": {name}", f"-{plain(name)}", amounts_of(part, "mae")) for name, part in inputs.measure.parts]
    panels = [
        _value_map(column, amounts, f"{name}{file}", f"{title}{said}", vectors)
        for column, (said, file, amounts) in zip(values.T, parts or [("", "", inputs.amounts)], strict=True)
        for name, title, vectors in given
    ]
    return [found for found in panels if found is not None]


def _class_map(inputs: ReportInputs, name: str, title: str, vectors: NDArray[np.floating[Any]]) -> MapPanel | None:
    found = make_map(vectors, inputs.target_labels)
    if found is None:
        return None
    drawing = map_figure(name, title, found, list(inputs.classes))
    return MapPanel(title, words.percent(found.accuracy), len(found.labels), drawing)


def _value_map(
    values: NDArray[np.float64], amounts: Amounts, name: str, title: str, vectors: NDArray[np.floating[Any]]
) -> MapPanel | None:
    found = make_value_map(vectors, values.tolist())
    if found is None:
        return None
    drawing = value_map_figure(name, title, found, amounts)
    return MapPanel(title, amounts.score(found.error), len(found.values), drawing)


def _write_figures(directory: Path, drawings: Sequence[Drawing]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    names = {f"{drawing.name}.svg" for drawing in drawings}
    for stale in directory.glob("*.svg"):
        if stale.name not in names:
            stale.unlink()
    for drawing in drawings:
        write_text(directory / f"{drawing.name}.svg", drawing.wide)


def _environment() -> Environment:
    """Everything is escaped but our own SVG, whose texts matplotlib has escaped, and our own style sheet."""
    environment = Environment(
        loader=PackageLoader("headstart.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in (
        "percent",
        "capitalised",
        "count",
        "counted",
        "flops",
        "duration",
        "milliseconds",
        "rate",
        "shorten",
        "probability",
    ):
        environment.filters[name] = getattr(words, name)
    environment.filters["svg"] = Markup
    environment.filters["spoken"] = words.metric
    environment.filters["said"] = words.sentence
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    environment.globals["style"] = Markup(style)  # nosec B704  # our own file
    return environment
