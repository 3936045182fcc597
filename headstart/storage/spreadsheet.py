"""Tables of names that strangers chose, as a person may open them: no cell is a formula to a spreadsheet."""

import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """The table with an apostrophe before each text that a spreadsheet would run; numbers, as text too, stay.

    For CSV alone: Parquet has no formulas, and keeps names as they are.
    """
    texts = [name for name in table if table[name].dtype == object or pd.api.types.is_string_dtype(table[name])]
    return table.assign(**{str(name): table[name].map(_harmless) for name in texts})


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) and not _is_number(cell) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
