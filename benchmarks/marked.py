"""A part of a page that a command makes, between two markers; and tables."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from headstart.storage.publish import write_text


def begin(command: str) -> str:
    """The marker that such a part begins with."""
    return f"<!-- made by `{command}`: begin -->"


def end(command: str) -> str:
    """The marker that it ends with."""
    return f"<!-- made by `{command}`: end -->"


def with_part(page: str, command: str, part: str) -> str:
    """The page with another part between the markers of this command.

    Raises:
        ValueError: it has no such markers.
    """
    before, first, rest = page.partition(begin(command))
    _, last, after = rest.partition(end(command))
    if not first or not last:
        raise ValueError(f"the page lacks {begin(command)} or {end(command)}")
    return f"{before}{first}\n\n{part}\n\n{last}{after}"


def write_pages(
    results: Path,
    readme: Path,
    *,
    command: str,
    page: Callable[..., str],
    summary: Callable[[Any], str],
    draw: Callable[[Any, Path], None],
) -> None:
    """What is made of a bench's results (JSON): its page and picture beside them, and the README's part.

    Raises:
        ValueError: the README has no markers of this command.
    """
    found, picture = json.loads(results.read_text()), results.with_suffix(".png")
    draw(found, picture)
    write_text(results.with_suffix(".md"), page(found, picture=picture.name))
    write_text(readme, with_part(readme.read_text(), command, summary(found)))


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    head = list(head)
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])
