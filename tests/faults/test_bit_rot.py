"""Single bits flipped at random, dates and sizes as they were: each is named before the file is used, and mended."""

import json
import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tally

from headstart.errors import IntegrityError

pytestmark = pytest.mark.faults

FLIPS = 20  # of each kind of file


@pytest.fixture(scope="module")
def project(make_project):
    """A project after a run."""
    project = make_project()
    project.headstart("run")
    return project


@contextmanager
def flipped(path: Path, draw: random.Random) -> Iterator[int]:
    """A bit of a file is another within the block; the file is the same inode, with the dates that it had."""
    before, content = path.stat(), path.read_bytes()
    damaged = bytearray(content)
    at = draw.randrange(len(content))
    damaged[at] ^= 1 << draw.randrange(8)
    _write(path, bytes(damaged), before)
    try:
        yield at
    finally:
        _write(path, content, before)


def flip(path: Path, draw: random.Random) -> None:
    before, damaged = path.stat(), bytearray(path.read_bytes())
    damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
    _write(path, bytes(damaged), before)


def _write(path: Path, content: bytes, before: os.stat_result) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def open_pack(path: Path) -> None:
    from headstart.datasets.pack import Pack, read_test_labels

    folder = path.parent
    if folder.name.endswith(".test"):
        read_test_labels(folder.with_name(folder.name.removesuffix(".test")))
    else:
        Pack(folder)


def open_features(path: Path) -> None:
    from headstart.storage.publish import verify

    verify(path.parent)


def open_weights(path: Path) -> None:
    from headstart.training.weights import read_weights

    read_weights(path.parent)


KINDS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "packs": ("packs", open_pack),
    "features": ("features", open_features),
    "weights": ("models", open_weights),
}


@pytest.mark.parametrize("kind", KINDS)
def test_published_files(project, kind) -> None:
    folder, use = KINDS[kind]
    draw, start, held = random.Random(kind), time.monotonic(), 0
    candidates = [path for path in files_below(project.root / folder) if (path.parent / "manifest.json").is_file()]
    if kind == "weights":
        candidates = [path for path in candidates if (path.parent / "weights.safetensors").is_file()]
    assert len(candidates) > 5
    for path in (draw.choice(candidates) for _ in range(FLIPS)):
        use(path)
        with flipped(path, draw) as at:
            try:
                use(path)
            except IntegrityError as error:
                held += str(path.parent) in str(error)
            else:
                pytest.fail(f"byte {at} of {path} was not noticed")
    tally.record(
        f"a flipped bit in {kind} is named before they are used",
        tried=FLIPS,
        held=held,
        seconds=time.monotonic() - start,
    )
    assert held == FLIPS


def test_checkpoints(tmp_path, caplog) -> None:
    import torch
    from torch import nn, optim

    from headstart.training.checkpoint import Checkpoints, State

    network = nn.Linear(40, 3)
    optimizer = optim.AdamW(network.parameters())
    network(torch.ones(1, 40)).sum().backward()
    optimizer.step()
    kept = Checkpoints(tmp_path / "kept")
    for step in (1, 2):
        kept.save(State(step, [0.5] * step), network, optimizer)
    draw, start, held = random.Random("checkpoints"), time.monotonic(), 0
    newest = files_below(tmp_path / "kept" / "step-00000002")
    for path in (draw.choice(newest) for _ in range(FLIPS)):
        caplog.clear()
        with flipped(path, draw), caplog.at_level(logging.WARNING):
            held += kept.restore(network, optimizer).step == 1 and "step-00000002" in caplog.text
    assert kept.restore(network, optimizer).step == 2
    promise = "a checkpoint with a flipped bit is named, and the one before it is gone on from"
    tally.record(promise, tried=FLIPS, held=held, seconds=time.monotonic() - start)
    assert held == FLIPS


def test_objects_of_dvcs_cache(project) -> None:
    from tasks.integrity import damaged_objects

    cache = project.root / ".dvc" / "cache" / "files" / "md5"
    objects = files_below(cache)
    draw, start, held = random.Random("cache"), time.monotonic(), 0
    assert damaged_objects(cache) == []
    for path in (draw.choice(objects) for _ in range(FLIPS)):
        with flipped(path, draw):
            held += damaged_objects(cache) == [path]
    promise = "an object of DVC's cache with a flipped bit is named"
    tally.record(promise, tried=FLIPS, held=held, seconds=time.monotonic() - start)
    assert held == FLIPS


def test_a_dataset_is_looked_through_before_it_is_read(project, tmp_path) -> None:
    clone = project.copy(tmp_path / "project")
    clone.run("dvc", "status")  # DVC sees the copy's files for the first time
    path = files_below(clone.root / "data" / "sketches" / "bar")[3]
    flip(path, random.Random(0))
    clone.set(data__image_size=14)
    done = clone.headstart("run", check=False)
    assert done.returncode == 1
    assert "data/sketches/bar/003.png is damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_names_all_of_it_and_a_run_after_the_repair_ends_in_the_same_bytes(project, tmp_path) -> None:
    clone = project.copy(tmp_path / "project")
    clone.run("dvc", "status")
    draw, start = random.Random("doctor"), time.monotonic()
    before = clone.weights()
    verdict = json.loads((clone.root / "reports" / "verdict.json").read_text())
    assert clone.headstart("doctor").stdout.endswith("files are what was recorded of them\n")
    cells = [path for path in files_below(clone.root / ".headstart" / "cells") if path.suffix == ".safetensors"]
    objects = files_below(clone.root / ".dvc" / "cache" / "files" / "md5")
    listing = next(path for path in objects if path.suffix == ".dir")
    victims = [
        clone.root / "packs" / "sketches" / "inputs.npy",
        clone.root / "models" / "source" / "shapes" / "weights.safetensors",
        clone.root / "reports" / "comparison.csv",
        clone.root / "data" / "shapes" / "disc" / "007.png",
        draw.choice(cells),
        draw.choice([path for path in objects if path.suffix != ".dir"]),
        listing,
    ]
    for path in victims:
        flip(path, draw)
    found = clone.headstart("doctor", check=False)
    assert found.returncode == 1
    named = [
        path
        for path in victims
        if any(str(place.relative_to(clone.root)) in found.stdout for place in (path, path.parent))
    ]
    assert named == victims
    assert clone.headstart("doctor", "--repair").returncode == 0
    assert clone.headstart("doctor", check=False).returncode == 0
    clone.headstart("run")
    assert clone.weights() == before
    assert json.loads((clone.root / "reports" / "verdict.json").read_text()) == verdict
    assert "up to date" in clone.run("dvc", "status").stdout
    tally.record(
        "what doctor --repair mends is the same bytes after a run", tried=7, held=7, seconds=time.monotonic() - start
    )
