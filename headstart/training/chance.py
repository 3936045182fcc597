"""What is said of a W that learned nothing of its source, and where it stands beside the weights. Torch-free."""

from pathlib import Path

WARNING = "warning.txt"  # in W's folder; there alone where there is something to say


def chance_warning(source: str, *, targets: str, score: str, rows: int, constant: str, epochs: int) -> str:
    """One line: what was found, and what to do.

    targets: what the source's rows have, in words. score: of W on the rows held out, in words. constant: the answer
    that is as good, with its score, in words.
    """
    return (
        f"W tells the source's {targets} no better than chance ({source}: {score} on {rows:,} rows held out; "
        f"{constant}), so there is little in it to transfer: train it for more epochs (pretrain.epochs is {epochs}), "
        f"give the source more rows, or look whether its {targets} are right (headstart check {source} --as source)"
    )


def read_warning(directory: Path) -> str:
    """What is to be said of a W; "" where it is nothing. directory: models/source/<source>."""
    path = directory / WARNING
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
