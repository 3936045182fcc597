"""`make bench-ingest`: 100,000 short texts and 10,000 clips of one second through ingest, from files to a pack.

Texts are draws of words in one table; clips are tones in noise, WAV files of 16 bits, a quarter of them at 44,100
samples a second. Memory is the sum over this process and its workers of what each has in memory (RSS), looked at 20
times a second: pages that they share count for each. Writes benchmarks/ingest_rows.json and the table of
docs/methods.md.
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import soundfile

from benchmarks.marked import table, with_part
from headstart.datasets.ingest import ingest_target
from headstart.datasets.settings import DataSettings
from headstart.storage.publish import write_json, write_text
from tasks import workers

RESULTS = Path(__file__).with_name("ingest_rows.json")
METHODS = Path(__file__).parents[1] / "docs" / "methods.md"
COMMAND = "make bench-ingest"
TEXTS, CLIPS = 100_000, 10_000
LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))
RATES = (16_000, 16_000, 16_000, 44_100)


def write_texts(folder: Path) -> int:
    """Twelve words of a vocabulary of 20,000 a text, two classes; returns how many there are."""
    draw = np.random.default_rng(0)
    words = np.array(["".join(draw.choice(LETTERS, size)) for size in draw.integers(2, 11, 20_000)])
    texts = [" ".join(row) for row in words[draw.integers(0, len(words), (TEXTS, 12))]]
    table = pd.DataFrame({"text": texts, "label": np.where(np.arange(TEXTS) % 2, "odd", "even")})
    folder.mkdir()
    table.to_csv(folder / "texts.csv", index=False)
    return TEXTS


def write_clips(folder: Path) -> int:
    """A tone in noise a clip, ten classes; returns how many there are."""
    draw = np.random.default_rng(0)
    for number in range(CLIPS):
        rate = RATES[number % len(RATES)]
        seconds = np.arange(rate) / rate
        tone = np.sin(2 * np.pi * draw.uniform(100, 4_000) * seconds) + 0.1 * draw.standard_normal(rate)
        place = folder / f"class {number % 10}" / f"{number}.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(place, 0.5 * tone / np.abs(tone).max(), rate, subtype="PCM_16")
    return CLIPS


KINDS: dict[str, tuple[str, Callable[[Path], int]]] = {
    "text": ("short texts in a table", write_texts),
    "audio": ("clips of one second", write_clips),
}


def main() -> None:
    """Measures both; with --table only the table is written anew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest_rows", description=__doc__)
    parser.add_argument("--table", action="store_true", help="only write the table of docs/methods.md anew")
    if not parser.parse_args().table:
        rows = [measured(kind) for kind in KINDS]
        write_json(RESULTS, {"command": COMMAND, "cores": workers.cores(), "rows": rows})
    write_text(METHODS, with_table(METHODS.read_text(), json.loads(RESULTS.read_text())))


def measured(kind: str) -> dict[str, Any]:
    """Writes the files, ingests them in fresh workers, and says how long it took and what it held."""
    what, write = KINDS[kind]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "set")
        count = write(data)
        workers.stop()
        with watched() as peak:
            began = time.perf_counter()
            ingest_target(
                data,
                Path(folder, "pack"),
                settings=DataSettings(modality=kind),
                workers=workers.pool(),
                seed=0,
                progress=lambda done, of: None,
            )
            seconds = time.perf_counter() - began
        size = sum(path.stat().st_size for path in Path(folder, "pack").rglob("*.npy"))
    found: dict[str, Any] = {"kind": kind, "what": what, "rows": count, "seconds": round(seconds, 1)}
    found |= {"peak_mib": round(max(peak) / 2**20), "pack_mib": round(size / 2**20)}
    print(found, flush=True)
    return found


@contextmanager
def watched() -> Iterator[list[int]]:
    """The list grows by a number each look: bytes that this process and its children have in memory."""
    sizes, ends, here = [0], threading.Event(), psutil.Process()

    def look() -> None:
        while not ends.wait(0.05):
            total = 0
            for process in (here, *here.children(recursive=True)):
                with suppress(psutil.Error):
                    total += process.memory_info().rss
            sizes.append(total)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield sizes
    finally:
        ends.set()
        thread.join()


def with_table(page: str, document: dict[str, Any]) -> str:
    """The page with the table of this document between its markers."""
    head = ("rows", "seconds", "rows a second", "peak memory, all processes", "the pack")
    rows = [
        (
            f"{row['rows']:,} {row['what']}",
            f"{row['seconds']:.0f}",
            f"{row['rows'] / row['seconds']:,.0f}",
            f"{row['peak_mib']:,} MiB",
            f"{row['pack_mib']:,} MiB",
        )
        for row in document["rows"]
    ]
    return with_part(page, COMMAND, f"{table(head, rows)}\n\n{document['cores']} CPU cores.")


if __name__ == "__main__":
    main()
