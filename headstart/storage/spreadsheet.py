"""Tables for people: a cell that a spreadsheet would run as a formula is written as text."""

import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """The table with ' before each text that begins as a formula does; numbers, -3.5 too, stay as they are.

    A file or class of a stranger's data set may be called =HYPERLINK(...); OWASP calls it CSV injection.
    """
    texts = [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    safe = table.copy()
    for name in texts:
        safe[name] = pd.Series([_safe(cell) for cell in table[name]], index=table.index, dtype=table[name].dtype)
    return safe


def _safe(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) and not _is_number(cell) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
