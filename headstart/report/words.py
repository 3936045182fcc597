"""Numbers as the page says them: points, percent, FLOPs, seconds; an unknown one is a dash, never "nan".

Fractions come in, points and percent go out: files hold fractions, only sentences hold points.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

UNKNOWN = "–"
MINUS = "−"
_JOINED = "\N{NO-BREAK SPACE}"
_PREFIXES = ["", "k", "M", "G", "T", "P", "E", "Z"]


def known(value: Any) -> float | None:
    """The value as a finite float, or None for null, NaN, infinity and what is no number."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def points(value: Any) -> str:
    """A difference of two rates in points, always signed: 0.031 -> "+3.1"."""
    number = known(value)
    if number is None:
        return UNKNOWN
    text = f"{abs(number) * 100:.1f}"
    if text == "0.0":
        return text
    return (MINUS if number < 0 else "+") + text


def interval(low: Any, high: Any) -> str:
    """An interval of a difference in points: "−2.6 to +8.8"."""
    if known(low) is None or known(high) is None:
        return UNKNOWN
    return f"{points(low)} to {points(high)}"


def percent(value: Any, digits: int = 1) -> str:
    """A rate in percent: 0.945 -> "94.5%"."""
    number = known(value)
    return UNKNOWN if number is None else f"{number * 100:.{digits}f}%"


def mean_sd(mean: Any, sd: Any) -> str:
    """A rate and its standard deviation over seeds in percent; the second is left out with one seed."""
    if known(mean) is None:
        return UNKNOWN
    spread = known(sd)
    base = f"{float(mean) * 100:.1f}"
    return base if spread is None else f"{base} ± {spread * 100:.1f}"


def count(value: Any) -> str:
    """A whole number with thousands set apart: 1797 -> "1,797"."""
    number = known(value)
    return UNKNOWN if number is None else f"{number:,.0f}"


def rate(value: Any) -> str:
    """Things a second, with no more digits than a measurement has: 12345.6 -> "12,300", 8.44 -> "8.4"."""
    number = known(value)
    if number is None or number <= 0:
        return UNKNOWN
    return f"{float(f'{number:.3g}'):,.0f}" if number >= 99.5 else f"{number:.2g}"


def brief(value: float) -> str:
    """A count that may be a mean over seeds: 12 -> "12", 12.4 -> "12.4"."""
    return count(value) if float(value).is_integer() else f"{value:,.1f}"


def capitalised(text: str) -> str:
    """A sentence's first letter large, the others as they are."""
    return text[:1].upper() + text[1:]


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 seed", "5 seeds"."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def flops(value: Any) -> str:
    """Compute with an SI prefix: 2.1e14 -> "210 TFLOP"."""
    number = known(value)
    if number is None:
        return UNKNOWN
    if number <= 0:
        return "0"
    # the step up to the next prefix comes where three digits would round to 1000
    power = min(int(math.log10(number * 1.0005) // 3), len(_PREFIXES) - 1) if number >= 1 else 0
    return f"{number / 1000**power:.3g} {_PREFIXES[power]}FLOP"


def duration(value: Any) -> str:
    """Seconds as a person says them: 0.42 -> "0.42 s", 75 -> "1 min 15 s", 4000 -> "1 h 07 min"."""
    number = known(value)
    if number is None:
        return UNKNOWN
    if number < 9.95:
        return f"{number:.2f} s" if number < 0.995 else f"{number:.1f} s"
    seconds = round(number)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def milliseconds(value: Any) -> str:
    """A latency with two significant digits below ten: 0.8412 -> "0.84 ms", 12.34 -> "12 ms"."""
    number = known(value)
    return UNKNOWN if number is None else f"{number:.0f} ms" if number >= 9.95 else f"{number:.2g} ms"


def probability(value: Any) -> str:
    """A p-value, its parts kept on one line: 0.012 -> "p = .012"."""
    number = known(value)
    if number is None:
        return UNKNOWN
    if number < 0.0005:
        return f"p{_JOINED}<{_JOINED}.001"
    return f"p{_JOINED}={_JOINED}{number:.3f}".replace("0.", ".", 1)


def times(saved: Mapping[str, Any] | None) -> str:
    """A saving as a factor, with its bound where the measurements ended before it: "4.1×", "≥ 2.0×", "< 0.5×"."""
    saved = saved or {}
    ratio, high = known(saved.get("ratio")), known(saved.get("high"))
    if ratio is None:
        return UNKNOWN if high is None else f"< {_factor(high)}"
    sign = {">=": "≥ ", "<=": "≤ "}.get(str(saved.get("bound", ">=" if saved.get("censored") else "=")), "")
    return f"{sign}{_factor(ratio)}"


def times_interval(saved: Mapping[str, Any] | None) -> str:
    """The interval of a saving, open where it is null: "2.4× to 6.0×", "at least 2.4×"; empty where there is none."""
    saved = saved or {}
    low, high = known(saved.get("low")), known(saved.get("high"))
    if low is not None and high is not None:
        return f"{_factor(low)} to {_factor(high)}"
    if low is not None:
        return f"at least {_factor(low)}"
    return "" if high is None or known(saved.get("ratio")) is None else f"at most {_factor(high)}"


def metric(name: str) -> str:
    """A metric's name as the tables head their columns: "macro F1", "RMSE"."""
    return {"mae": "MAE", "rmse": "RMSE", "r2": "R2", "scaled_mae": "scaled MAE"}.get(
        name, name.replace("_", " ").replace("f1", "F1")
    )


def sentence(text: str) -> str:
    """A line of the terminal's as the page writes it: a capital, true minus signs, ranges in words, a full stop."""
    return re.sub(r"-(?=\d)", MINUS, re.sub(r"(?<=\d)\.\.", " to ", _capital(text))) + "."


def headline(sentence: str) -> tuple[str, str]:
    """The verdict's sentence as its first words and the rest, cut at an early colon: the page sets them apart."""
    lead, colon, rest = sentence.partition(":")
    if not colon or len(lead) > 70:
        return "", _capital(sentence)
    return _capital(lead), rest.strip()


def shorten(text: str, longest: int) -> str:
    """A name cut to fit into a figure, its end replaced by an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def _factor(ratio: float) -> str:
    if ratio >= 99.5:
        return f"{ratio:,.0f}×"
    return f"{ratio:.1f}×" if ratio >= 0.995 else f"{ratio:.2f}×"


def _capital(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:]
