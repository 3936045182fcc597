"""benchmarks/results.md: the tables of results.json in words, and the part of the README that quotes it."""

from typing import Any

from benchmarks.marked import table
from benchmarks.speed.jobs import BEST, MARGIN, OURS

COMMAND = "make bench"


def page(document: dict[str, Any], *, picture: str = "") -> str:
    """The whole page. picture: its file, beside the page."""
    machine, versions = document["machine"], document["versions"]
    parts = [
        "# Headstart and its peers on the same work",
        f"Made by `{COMMAND}`. {machine['processor']}, {document['threads']} thread, {machine['system']}, Python "
        f"{machine['python']}. Headstart: {_versions(versions['headstart'])}. Peers: {_versions(versions['peers'])}.",
        _conditions(document),
        f"![Ratios to each peer]({picture})" if picture else "",
        "## Times\n\nA ratio is how many times as long the peer takes as Headstart does. CPU seconds of the job, after "
        "imports (single files: the wall; where it is said, of whole processes); medians over the runs.\n\n"
        + times(document),
        "## Accuracies\n\nOf the test images, %. No lower: by a one-sided 95% test at "
        f"{MARGIN * 100:g} point over the seeds; each has its own training images.\n\n" + accuracies(document),
        "## By itself\n\n" + absolute(document),
        "## Whole processes\n\nImports, data and scoring included; medians. Peak memory is no less than the bench's "
        "own (some 190 MB), as Linux counts it.\n\n" + processes(document),
        "How time and memory grow with the work is in [scale.md](scale.md).",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _conditions(document: dict[str, Any]) -> str:
    sizes = document["sizes"]
    return (
        f"ResNet-18 at 64x64 pixels, from JPEG files of 160x160: a source of 12 classes x {sizes['source']}, targets "
        f"of 10 classes x {sizes['train']} training and x {sizes['test']} test images, characters of real fonts that "
        f"are drawn anew from their names. W: {document['pretraining_epochs']} epochs on the source by Headstart, the "
        "same file for all. Each contender in a process of its own, in turn; up to "
        f"{document['repeats']} rounds, each with another seed, processes over a CPU minute once. Products are of "
        f"{document['precision']} in Headstart's training and features, as `precision: auto` has it here, and of "
        f"float32 in its predictions; peers' are of float32, as they are by default.{_busy(document)}"
    )


def _busy(document: dict[str, Any]) -> str:
    """A warning where the machine did other work: CPU seconds are longer then too, and the wall most of all."""
    share = document["share_of_wall"]
    if share > 0.9:
        return ""
    return (
        f" **The machine did other work meanwhile**: half of the processes had less than {share:.0%} of a core. CPU "
        "seconds are then some tenths longer for all, and single files, measured by the wall, tell little."
    )


def times(document: dict[str, Any]) -> str:
    """One row a measure and target."""
    rows = [
        [
            _title(row),
            _amount(row["medians"][OURS], row["unit"]),
            "; ".join(
                f"{name} {_amount(value, '')} ({row['ratios'][name]:.1f}x)"
                for name, value in row["medians"].items()
                if name != OURS
            ),
            ", ".join(f"{_best(name)} {least:g}x" for name, least in row["reach"].items()) or "-",
            _met(row["reached"]),
        ]
        for row in document["measures"]
    ]
    return table(("job", "Headstart", "peers (ratio)", "to reach", "reached"), rows)


def accuracies(document: dict[str, Any]) -> str:
    """One row a job, target and contender; of peers with what is told of ours."""
    rows = []
    for row in document["measures"]:
        for name, own in row["accuracy"].items():
            told = own.get("non_inferior")
            rows.append(
                [_title(row), name, f"{own['mean'] * 100:.1f}", str(own["seeds"]), _told(told) if told else "-"]
            )
    return table(("job", "contender", "accuracy", "seeds", "Headstart's is no lower"), rows)


def absolute(document: dict[str, Any]) -> str:
    rows = [
        [
            row["title"],
            f"{row['value']:.2f}",
            _limit(row),
            _met(row["reached"]),
        ]
        for row in document["absolute"]
    ]
    return table(("what", "found", "to reach", "reached"), rows)


def _limit(row: dict[str, Any]) -> str:
    if row["least"] is not None:
        return f"at least {row['least']:g}"
    return "-" if row["most"] is None else f"at most {row['most']:g}"


def processes(document: dict[str, Any]) -> str:
    rows = [
        [
            f"{row['job']}{', ' * bool(row['target'])}{row['target']}",
            row["contender"],
            f"{row['cpu']:.1f}",
            f"{row['wall']:.1f}",
            f"{row['peak_mb']:,.0f}",
            str(row["runs"]),
        ]
        for row in document["processes"]
    ]
    return table(("job", "contender", "CPU, s", "wall, s", "peak memory, MB", "runs"), rows)


def summary(document: dict[str, Any]) -> str:
    """What the README quotes: a ratio to each peer, and where what was to be reached is not."""
    kept = [row for row in document["measures"] if row["reach"]]
    names = [name for name in dict.fromkeys(name for row in kept for name in row["medians"]) if name != OURS]
    rows = [
        [
            _title(row),
            _amount(row["medians"][OURS], row["unit"]) + _accuracy(row, OURS),
            *(f"{row['ratios'][name]:.1f}x{_accuracy(row, name)}" if name in row["ratios"] else "-" for name in names),
            _met(row["reached"]),
        ]
        for row in kept
    ]
    head = ("job, one thread", "Headstart", *names, "target reached")
    return (
        table(head, rows)
        + "\n\nHow many times as long each peer takes, CPU time of the job (files alone: the wall); accuracies in "
        "brackets, over the seeds that each ran. benchmarks/results.md has what was to be reached, whether an accuracy "
        f"counts as no lower, and the whole processes.{_busy(document)}"
    )


def _accuracy(row: dict[str, Any], name: str) -> str:
    return f" ({row['accuracy'][name]['mean'] * 100:.1f}%)" if name in row["accuracy"] else ""


def _title(row: dict[str, Any]) -> str:
    return f"{row['title']}{', ' * bool(row['target'])}{row['target']}"


def _amount(value: float, unit: str) -> str:
    return f"{value:.{2 if value < 10 else 1}f}{' ' * bool(unit)}{unit}"


def _best(name: str) -> str:
    return "the best peer" if name == BEST else name


def _met(met: bool | None) -> str:
    return "-" if met is None else "yes" if met else "no"


def _told(told: dict[str, Any]) -> str:
    if told["low"] is None:
        return f"not told (one seed; {told['difference'] * 100:+.1f})"
    return f"{told['told']} ({told['difference'] * 100:+.1f}, at least {told['low'] * 100:+.1f})"


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
