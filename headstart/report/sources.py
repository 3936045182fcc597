"""The sources in the order of their ranking, as the page's table has them."""

from typing import Any

from headstart.evaluation.ranking import METHODS, Estimate, Ranked
from headstart.report import words
from headstart.report.amounts import Amounts
from headstart.report.inputs import ReportInputs

NAMES = {"ridge": "ridge", "knn": "neighbours", "logme": "LogME", "size": "size"}


def ranking_rows(inputs: ReportInputs) -> list[dict[str, str]]:
    """One row a source, the best first; none where nothing was ranked."""
    return [_row(found, inputs.amounts) for found in (inputs.ranking.sources if inputs.ranking else ())]


def agreement_said(inputs: ReportInputs) -> str:
    """Kendall's tau of each method, in words; empty where fine-tuning tells no two sources apart."""
    taus = inputs.ranking.taus if inputs.ranking else {}
    return ", ".join(f"{NAMES[name]} {_signed(taus[name])}" for name in METHODS if name in taus)


def _row(found: Ranked, amounts: Amounts) -> dict[str, str]:
    return {
        "source": found.source,
        "ridge": amounts.score(found.ridge.value),
        "interval": _between(found.ridge, amounts.score),
        "behind": "the best" if found.behind is None else amounts.amount(-found.behind.value),
        "gap": "" if found.behind is None else amounts.interval(-found.behind.high, -found.behind.low),
        "knn": amounts.score(found.knn),
        "logme": f"{found.logme:.2f}".replace("-", words.MINUS),
        "rows": words.count(found.rows),
        "fine_tuned": amounts.score(found.fine_tuned),
    }


def _between(estimate: Estimate, said: Any) -> str:
    return f"{said(estimate.low)} to {said(estimate.high)}"


def _signed(tau: float) -> str:
    return f"{tau:+.2f}".replace("-", words.MINUS)
