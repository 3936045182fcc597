"""benchmarks/scale.md: the curves of scale.json in words and tables."""

from collections.abc import Sequence
from typing import Any

from benchmarks.marked import table

COMMAND = "make bench-scale"
CURVES = ("images", "target images", "classes", "image size", "label budget")
AXES = {
    "images": ("Images of a source", "images"),
    "target images": ("Images of a target", "images"),
    "classes": ("Classes", "classes"),
    "image size": ("Image size", "pixels a side"),
    "label budget": ("Label budget", "labels a class"),
}
JOBS = {
    "ingest": "ingest",
    "pretrain": "pretrain, an epoch",
    "extract": "extract, pooled features",
    "boundary": "extract, activations too",
}


def page(document: dict[str, Any], *, picture: str = "") -> str:
    """The whole page. picture: its file, beside the page."""
    machine = document["machine"]
    parts = [
        "# How time and memory grow with the work",
        f"Made by `{COMMAND}`. {machine['processor']}, one thread, {machine['system']}, Python {machine['python']}, "
        f"{', '.join(f'{name} {version}' for name, version in machine['versions'].items())}.",
        "JPEG files of characters of DejaVu's faces, drawn anew from their names; resnet8 in colour, the defaults but "
        "for one epoch of pretraining. Each figure is one process: CPU seconds after imports, and its peak memory in "
        f"MiB, resident (VmHWM: everything, of which {document['before']:,.0f} are libraries and what they hold before "
        "any work) and of it anonymous (RssAnon: without pages of files). An exponent is the power that the cost grows "
        "by: the slope of a line through the logarithms, over all values and over those from a tenth of the largest "
        "on. 1 is linear, 0 is flat." + _busy(document),
        f"![Cost curves]({picture})" if picture else "",
        *(_section(name, document) for name in CURVES if _of(document, name)),
        _strategies(document),
        _streamed(document["streamed"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary(document: dict[str, Any]) -> str:
    """The README's part: the exponents over images, and what reading from the disk costs."""
    curves = {own["job"]: own for own in _of(document, "images")}
    grown = "; ".join(
        f"{name} {_power(own['exponents']['cpu'])} in time, {_span(own['figures'], 'resident')}"
        for name, own in curves.items()
    )
    values = next(iter(curves.values()))["values"]
    return (
        f"From {values[0]:,} to {values[-1]:,} images (exponent of CPU time; peak resident memory at the first and the "
        f"last): {grown}. benchmarks/scale.md has the curves over classes, image size, label budgets and strategies, "
        "and training from packs that are larger than memory."
    )


def _busy(document: dict[str, Any]) -> str:
    share = document["share_of_wall"]
    if share > 0.9:
        return ""
    return f" **The machine did other work meanwhile**: half of the processes had less than {share:.0%} of a core."


def _of(document: dict[str, Any], curve: str) -> list[dict[str, Any]]:
    return [own for own in document["curves"] if own["curve"] == curve]


def _section(name: str, document: dict[str, Any]) -> str:
    title, unit = AXES[name]
    curves = _of(document, name)
    fixed = max((own["fixed"] for own in curves), key=len)
    values = sorted({value for own in curves for value in own["values"]})
    head = (unit, *(f"{value:,}" for value in values), "exponent", "at the end")
    blocks = []
    for cost, words in (("cpu", "CPU seconds"), ("resident", "Peak resident memory, MiB"),
                        ("anonymous", "Peak anonymous memory, MiB")):  # fmt: skip
        rows = [_row(own, values, cost) for own in curves]
        blocks.append(f"{words}:\n\n{table(head, rows)}")
    return f"## {title}\n\n{_words(fixed, name)}\n\n" + "\n\n".join(blocks) + _written(curves)


def _words(fixed: dict[str, int], name: str) -> str:
    told = {
        "images": "{:,} images",
        "classes": "{} classes",
        "side": "{0}x{0} pixels",
        "labels": "{} labels a class where there is a cell",
    }
    return "With " + ", ".join(told[key].format(value) for key, value in fixed.items()) + "."


def _row(own: dict[str, Any], values: Sequence[int], cost: str) -> list[str]:
    found = dict(zip(own["values"], own["figures"], strict=True))
    power = own["exponents"].get(cost)
    cells = [_amount(found[value][cost], cost) if value in found else "-" for value in values]
    return [JOBS.get(own["job"], f"`{own['job']}`, a cell"), *cells, *_powers(power)]


def _powers(power: dict[str, Any] | None) -> tuple[str, str]:
    if power is None:
        return "-", "-"
    return f"{power['whole']:.2f}", "-" if power["end"] is None else f"{power['end']:.2f}"


def _power(power: dict[str, Any]) -> str:
    return f"{(power['whole'] if power['end'] is None else power['end']):.2f}"


def _amount(value: float, cost: str) -> str:
    if cost != "cpu":
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}"


def _span(figures: Sequence[dict[str, Any]], cost: str) -> str:
    return f"{figures[0][cost]:,.0f} and {figures[-1][cost]:,.0f} MiB"


def _written(curves: Sequence[dict[str, Any]]) -> str:
    """What the activations take on disk, and what opening a pack takes."""
    lines = []
    for own in curves:
        last = own["figures"][-1]
        if own["job"] == "boundary":
            each = last["written_mb"] / own["values"][-1]
            lines.append(
                f"Activations for frozen_blocks take {each:.2f} MB an image on disk ({last['written_mb']:,.0f} MB at "
                f"{own['values'][-1]:,}): they, and not memory, limit how large a target that strategy can take."
            )
        if own["job"] == "pretrain" and own["curve"] == "images":
            rate = last["pixels_mb"] / last["open"]
            lines.append(
                f"Opening a pack takes the digest of all its files: {last['open']:.2f} s for "
                f"{last['pixels_mb']:,.0f} MB ({rate:,.0f} MB/s, in the page cache), once in each process "
                "that reads it."
            )
    return "".join(f"\n\n{line}" for line in lines)


def _strategies(document: dict[str, Any]) -> str:
    rows = [
        [f"`{own['job']}`", *(_amount(own["figures"][0][cost], cost) for cost in ("cpu", "resident", "anonymous"))]
        for own in sorted(_of(document, "strategies"), key=lambda own: own["figures"][0]["cpu"])
    ]
    if not rows:
        return ""
    fixed = _of(document, "strategies")[0]["fixed"]
    head = ("a cell", "CPU seconds", "resident, MiB", "anonymous, MiB")
    return f"## Strategies\n\n{_words(fixed, 'strategies')}\n\n{table(head, rows)}"


def _streamed(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    names = {
        "plain": "the files from end to end, 8 MB at a time, nothing done with them",
        "windows": "an epoch's batches of pixels, in shuffled blocks",
        "batches": "the same, normalised as a network gets them",
    }
    rows = [[line, *(f"{rate:,.0f}" for rate in found["rates"][name])] for name, line in names.items()]
    head = ("read cold, MB/s of wall time", *(f"round {number + 1}" for number in range(len(rows[0]) - 1)))
    cold, held = found["streamed"], found["in_memory"]
    return (
        "## Training from a pack that is larger than memory\n\n"
        f"A pack of {found['size_mb']:,.0f} MB of pixels in {found['files']} files, with pretrain.memory_gb at "
        f"{found['memory_mb'] / 1000:g}: blocks of {found['block_mb']:.1f} MB, shuffled among {found['blocks']} of "
        "them, the next such window read by a thread while one is used. Before each round the system's page cache is "
        f"told to drop the files (at most {found['left_in_cache']:.1%} of their pages were left, by mincore); what the "
        f"host below this machine keeps of its disk is not seen.\n\n{table(head, rows)}\n\n"
        f"Shuffled blocks come at {found['share_of_plain']:.0%} of the rate of plain sequential reading (medians; the "
        "rounds differ by as much as that, see above for what else ran). Normalising is arithmetic of one thread. "
        f"A training of resnet8, {found['steps']} steps of 64 images, one round, has the pixels of a step after "
        f"{cold['got_ms']:.2f} ms when they are read so, cold, and after {held['got_ms']:.2f} ms when they are in "
        f"memory: {cold['got_ms'] / cold['wall_ms']:.1%} of the {cold['wall_ms']:.0f} ms that a step takes. CPU time "
        f"of a step is {cold['cpu_ms']:.1f} ms and {held['cpu_ms']:.1f} ms. Peak memory of the process: "
        f"{found['resident']:,.0f} MiB resident, of which {found['before']:,.0f} before it began; the images that the "
        f"comparison holds, {found['steps'] * 64 * found['size_mb'] / found['rows']:,.0f} MB, are part of it."
    )
