"""Puts the figures of tests/faults/faults.json into docs/reliability.md, between two marks. Run by `make faults`."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- made by `make faults`: begin -->", "<!-- made by `make faults`: end -->"


def table() -> str:
    """One row a promise."""
    entries = json.loads((ROOT / "tests" / "faults" / "faults.json").read_text())
    rows = [f"| {e['promise']} | {e['held']:,} of {e['tried']:,} | {e['seconds']:,.0f} |" for e in entries]
    return "\n".join(["| promise | held | seconds |", "|---|---|---|", *rows])


def page() -> str:
    """The page with the table as it is now."""
    text = PAGE.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page())
