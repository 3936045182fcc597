"""Figures of curves: score against labels, and score against training compute."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from headstart.entrants import CONTROL
from headstart.report import words
from headstart.report.amounts import Amounts
from headstart.report.canvas import COLOURS, HALF, PHONE, Drawing, Look, draw, looks, tip
from headstart.report.inputs import ReportInputs
from headstart.report.summary import curve, label, order, test_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def efficiency_figure(inputs: ReportInputs) -> Drawing | None:
    """Score against labels a class: curves where a strategy has several budgets, points where it has one."""
    scores = test_scores(inputs)
    curves = {name: curve(scores, name) for name in order(inputs)}
    curves = {name: table for name, table in curves.items() if len(table)}
    if not curves:
        return None

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        look = looks(order(inputs), inputs.chosen)
        budgets = sorted({int(b) for table in curves.values() for b in table["label_budget"] if b > 0})
        for place, (name, table) in enumerate(curves.items()):
            _curve(axes, name, table, look[name], inputs.amounts, dodge=place - (len(curves) - 1) / 2)
        reach = _savings_arrow(axes, inputs, curves.get(inputs.chosen))
        _budget_axis(axes, budgets, reach, f"labels{inputs.measure.kind.each}")
        _score_axis(axes, inputs.amounts)
        axes.set_ylabel(inputs.amounts.score_axis)
        figure.legend(loc="outside lower center", ncols=3, fontsize=11, handlelength=1.4, columnspacing=1.2)

    ends = "; ".join(f"{label(name)}: {_curve_said(table, inputs.amounts)}" for name, table in curves.items())
    alt = f"Test {inputs.amounts.word} against labels{inputs.measure.kind.each}, mean and sd over seeds. {ends}."
    return draw("label-efficiency", alt, paint, size=HALF, narrow=PHONE)


def _curve(axes: "Axes", name: str, table: pd.DataFrame, look: Look, amounts: Amounts, dodge: float) -> None:
    labelled = table[table["label_budget"] > 0]
    if not len(labelled):  # it needs no labels: the same score at every budget
        line = axes.axhline(table["mean"].iloc[0], color=look.colour, linestyle=(0, (4, 3)), label=label(name))
        tip(line, f"{label(name)}: {_curve_said(table, amounts)}")
        return
    budgets = labelled["label_budget"].to_numpy(float)
    mean, sd = labelled["mean"].to_numpy(float), labelled["std"].fillna(0.0).to_numpy(float)
    style: dict[str, Any] = {
        "color": look.colour,
        "marker": look.marker,
        "markersize": 8,
        "markeredgecolor": COLOURS["card"],
    }
    if len(labelled) > 1:
        _band(axes, budgets, mean, sd, look, amounts, alpha=0.16)
        (line,) = axes.plot(budgets, mean, linewidth=2.4, label=label(name), zorder=3, **style)
    else:  # points side by side, or they would hide each other
        budgets = budgets * 1.035**dodge
        axes.errorbar(budgets, mean, sd, color=look.colour, linewidth=1.4, fmt="none", zorder=3.5)
        (line,) = axes.plot(budgets, mean, linestyle="none", label=label(name), zorder=4, **style)
    tip(line, f"{label(name)}: {_curve_said(table, amounts)}")


def _band(axes: "Axes", x: Any, mean: Any, sd: Any, look: Look, amounts: Amounts, *, alpha: float) -> None:
    """Plus and minus one s.d., as far as scores go."""
    axes.fill_between(x, mean - sd, np.minimum(mean + sd, amounts.top), color=look.colour, alpha=alpha, linewidth=0)


def _curve_said(table: pd.DataFrame, amounts: Amounts) -> str:
    return ", ".join(
        f"{amounts.curve_point(point['mean'], point['std'])} at {int(point['label_budget'])}"
        for point in table.to_dict("records")
    )


def _savings_arrow(axes: "Axes", inputs: ReportInputs, chosen: pd.DataFrame | None) -> float:
    """Draws how far to the right scratch reaches the chosen strategy's score; returns where it ends."""
    budget = float(inputs.headline_budget)
    saved = (inputs.verdict.get("against_scratch") or {}).get("labels_saved") or {}
    ratio = words.known(saved.get("ratio"))
    at = chosen[chosen["label_budget"] == budget] if chosen is not None else pd.DataFrame()
    if ratio is None or ratio <= 0 or not len(at) or 0.9 < ratio < 1.1:
        return budget
    score, end = float(at["mean"].iloc[0]), budget * min(ratio, 50.0)
    arrow = {"arrowstyle": "-|>", "color": COLOURS["ink"], "linewidth": 1.1}
    axes.annotate("", (end, score), (budget * (1.06 if ratio > 1 else 0.94), score), arrowprops=arrow)
    _below(axes, ((budget * end) ** 0.5, score), f"{words.times(saved)} the labels")
    return end


def _below(axes: "Axes", place: tuple[float, float], text: str) -> None:
    """A text below the arrow, in full where there is room."""
    figure: Any = axes.get_figure()
    text = text if figure.get_figwidth() * 72 <= PHONE[0] else f"scratch needs {text}"
    patch = {"facecolor": COLOURS["card"], "linewidth": 0, "pad": 1.0, "alpha": 0.8}
    style: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "top", "fontsize": 11}
    axes.annotate(text, place, (0, -6), bbox=patch, **style)


def _budget_axis(axes: "Axes", budgets: Sequence[int], reach: float, name: str) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if not budgets:
        axes.set_xticks([])
        return
    axes.set_xscale("log")
    low, high = min([*budgets, reach]), max([*budgets, reach])
    room = 1.6 if low == high else (high / low) ** 0.08
    axes.set_xlim(low / room, high * room)
    axes.xaxis.set_major_locator(FixedLocator(budgets))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.count(value)))
    axes.set_xlabel(name)


def convergence_figure(inputs: ReportInputs) -> Drawing | None:
    """Score against training compute of scratch, cut short and whole, and of the chosen strategy."""
    paths = _paths(inputs)
    if not paths:
        return None

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        look = looks(order(inputs), inputs.chosen)
        for strategy, variant, path in paths:
            _path(axes, strategy, variant, path, look[strategy], inputs.amounts)
        _compute_axis(axes, pd.concat([path["compute"] for *_, path in paths]))
        _score_axis(axes, inputs.amounts)
        axes.set_ylabel(inputs.amounts.score_axis)
        figure.legend(loc="outside lower center", ncols=2, fontsize=11, handlelength=2.4, columnspacing=1.2)

    ends = "; ".join(
        f"{label(strategy, variant)} ends at {inputs.amounts.score(path['mean'].iloc[-1])}"
        f" after {words.flops(path['compute'].iloc[-1])}"
        for strategy, variant, path in paths
    )
    alt = f"{inputs.amounts.word} against training compute. {ends}."
    return draw("convergence", alt[0].upper() + alt[1:], paint, size=HALF, narrow=PHONE)


def _paths(inputs: ReportInputs) -> list[tuple[str, str, pd.DataFrame]]:
    """(strategy, variant, its compute and the mean and std of its score over seeds, a row a snapshot)."""
    metric = inputs.measure.kind.metric
    table = inputs.convergence.dropna(subset=["compute", metric])
    here = table[table["label_budget"] == inputs.headline_budget]
    table = here if len(here) else table
    found = []
    for strategy in dict.fromkeys((CONTROL, inputs.chosen)):
        own = table[table["strategy"] == strategy]
        for variant, part in own.groupby(own["variant"].fillna(""), sort=True):  # "" first: the strategy itself
            steps = part.groupby("progress").agg(
                compute=("compute", "mean"), mean=(metric, "mean"), std=(metric, "std")
            )
            found.append((strategy, str(variant), steps.sort_values("compute").reset_index()))
    return found


def _path(axes: "Axes", strategy: str, variant: str, path: pd.DataFrame, look: Look, amounts: Amounts) -> None:
    markers = {"half_steps": "v", "equal_compute": "D"}
    compute, mean, sd = (path[column].fillna(0.0).to_numpy(float) for column in ("compute", "mean", "std"))
    if len(path) > 1:
        _band(axes, compute, mean, sd, look, amounts, alpha=0.14)
    else:
        axes.errorbar(compute, mean, sd, color=look.colour, linewidth=1.4, fmt="none")
    (line,) = axes.plot(
        compute,
        mean,
        color=look.colour,
        linewidth=2.4,
        linestyle=(0, (4, 2.5)) if variant else "-",
        marker=markers.get(variant, look.marker),
        markevery=[len(path) - 1],  # the end is what counts; the rest is the way there
        markersize=9,
        markeredgecolor=COLOURS["card"],
        label=label(strategy, variant),
    )
    tip(line, f"{label(strategy, variant)}: {amounts.score(mean[-1])} after {words.flops(compute[-1])}")


def _compute_axis(axes: "Axes", compute: "pd.Series[Any]") -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

    low, high = float(compute.min()), float(compute.max())
    if low > 0 and high / low > 200:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.flops(value)))
    axes.set_xlabel("training compute (without pretraining)")


def _score_axis(axes: "Axes", amounts: Amounts) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: amounts.tick(value)))
    axes.grid(axis="y", linewidth=0.8)
    axes.set_ylim(top=min(axes.get_ylim()[1], 1.01 * amounts.top))  # nothing above 100% but half a marker
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
