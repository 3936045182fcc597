"""A part of a page that a command makes, between two markers; and tables."""

from collections.abc import Iterable


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


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    head = list(head)
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])
