"""One point in a process of its own: `prepare` makes what its job reads and is not measured, `run` measures it."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.scale.data import dataset
from benchmarks.scale.memory import peak
from benchmarks.scale.points import CLASSES, SOURCE_IMAGES, STREAMED, Point
from benchmarks.scale.streamed import measure_stream
from benchmarks.speed.child import timed
from headstart.cells.grid import Places, budget_jobs
from headstart.cells.run import run_cell
from headstart.datasets.ingest import ingest_source, ingest_target
from headstart.datasets.pack import POOL, Pack
from headstart.features.boundary import boundary_of
from headstart.features.extract import write_boundary, write_pooled
from headstart.features.files import POOLED
from headstart.settings import Settings, validate
from headstart.storage.publish import publishing
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.flops import work_of
from headstart.training.pretrain import pretrain
from headstart.training.rows import InputRows
from headstart.training.weights import read_network

DATA = "data"
SHARD_GB = 0.25  # of the streamed pack
READ_SOURCE = ("pretrain", "extract", STREAMED)


class World:
    """What a point needs, below a folder; each part is made once and kept."""

    def __init__(self, folder: Path, point: Point):
        self.folder, self.point = folder, point
        self.source = folder / "packs" / f"source-{point.side}-{point.images}-{point.classes}"
        self.own_source = folder / "packs" / f"source-{point.side}-{SOURCE_IMAGES}-{CLASSES}"
        self.target = folder / "packs" / f"target-{point.side}-{point.images}-{point.classes}"
        self.weights = folder / "weights" / f"{point.side}"
        self.has_boundary = point.curve in ("label budget", "strategies")  # where frozen_blocks is among the cells
        name = f"target-{point.side}-{point.images}-{point.classes}"
        self.features = folder / "features" / (f"{name}-boundary" if self.has_boundary else name)
        self.source_features = folder / "features" / f"source-{point.side}"
        self.accelerator = Accelerator()
        self.accelerator.start()

    @property
    def settings(self) -> Settings:
        """The defaults, but for colour, the size of images, the label budget, and one epoch of pretraining."""
        point = self.point
        return validate(
            {
                "data": {"image_size": point.side, "channels": 3, "shard_gb": SHARD_GB},
                "pretrain": {"epochs": 1},
                "finetune": {"label_budget": point.labels, "curve_budgets": [], "seeds": 1},
            },
            where="the bench",
        )

    def data(self, part: str, *, images: int, classes: int) -> Path:
        side = self.point.side if self.point.job != STREAMED else self.point.side // 2  # drawn already for the others
        return dataset(self.folder / DATA, part, images=images, classes=classes, side=side)

    def ingest_source(self, pack: Path, *, images: int, classes: int) -> None:
        with ThreadPoolExecutor(1) as workers:
            ingest_source(
                self.data("source", images=images, classes=classes),
                pack,
                settings=self.settings.data,
                excluded=(),
                workers=workers,
                progress=lambda *_: None,
            )

    def ingest_target(self, pack: Path) -> None:
        folder = self.data("target", images=self.point.images, classes=self.point.classes)
        with ThreadPoolExecutor(1) as workers:
            ingest_target(folder, pack, settings=self.settings.data, seed=0, workers=workers, progress=lambda *_: None)

    def pretrain(self, pack: Path, weights: Path) -> None:
        pretrain(
            Pack(pack),
            weights,
            backbone=self.settings.backbone,
            settings=self.settings.pretrain,
            seed=0,
            accelerator=self.accelerator,
            checkpoints=Checkpoints(self.folder / "checkpoints", every=1e9),
            log=lambda *_: None,
        )

    def pooled(self, pack: Path, features: Path, *, boundary: bool = False) -> None:
        """Pooled features; the activations too where they are asked for."""
        card, network = read_network(self.weights)
        self.accelerator.prepare(network).eval()
        own, settings = Pack(pack), self.settings
        work = work_of(card.backbone, channels=card.channels, size=card.size)
        rows = InputRows(own.inputs, card.normalisation, "image")
        fixed, views = settings.recipe("frozen_blocks").fixed_blocks, settings.extract.views
        with publishing(features) as draft:
            write_pooled(
                draft / POOLED, network, rows, levels=settings.extract.levels, accelerator=self.accelerator,
                advance=lambda count: None, work=work,
            )  # fmt: skip
            if boundary:
                write_boundary(
                    draft, boundary_of(network, fixed, accelerator=self.accelerator, work=work), rows,
                    torch.from_numpy(own.rows(POOL)), views=views, seed=0, advance=lambda count: None,
                )  # fmt: skip


def prepare(world: World) -> dict[str, Any]:
    """Makes what the point's job reads, unless it is there."""
    point = world.point
    if not world.own_source.exists():
        world.ingest_source(world.own_source, images=SOURCE_IMAGES, classes=CLASSES)
    if not world.weights.exists():
        world.pretrain(world.own_source, world.weights)
    if point.job == "ingest":
        world.data("source", images=point.images, classes=point.classes)
    elif point.job in READ_SOURCE and not world.source.exists():
        world.ingest_source(world.source, images=point.images, classes=point.classes)
    elif point.job not in READ_SOURCE:
        if not world.target.exists():
            world.ingest_target(world.target)
        if point.is_cell and not world.features.exists():
            world.pooled(world.target, world.features, boundary=world.has_boundary)
        if point.is_cell and not world.source_features.exists():
            world.pooled(world.own_source, world.source_features)
    return {}


def run(world: World) -> dict[str, Any]:
    """Figures of the point: CPU and wall seconds, peak memory (MiB), and what the job has to say of itself."""
    scratch = world.folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    _warm(world)
    if world.point.job == STREAMED:
        return measure_stream(world.source, world.accelerator)
    job = JOBS.get(world.point.job, _cell)
    with peak() as memory, timed() as taken:
        written = job(world, scratch)
    return {"cpu": taken.cpu, "wall": taken.wall, **asdict(memory), **written}


def _warm(world: World) -> None:
    """The first convolution of a process sets up what the others use."""
    with torch.inference_mode():
        read_network(world.weights)[1].eval()(torch.zeros(2, 3, world.point.side, world.point.side))


def _ingest(world: World, scratch: Path) -> dict[str, Any]:
    world.ingest_source(scratch / "packs" / "source", images=world.point.images, classes=world.point.classes)
    return {"written_mb": _size(scratch)}


def _pretrain(world: World, scratch: Path) -> dict[str, Any]:
    with timed() as opening:
        Pack(world.source)
    world.pretrain(world.source, scratch / "weights")
    return {"open": opening.wall, "pixels_mb": _size(world.source)}


def _extract(world: World, scratch: Path) -> dict[str, Any]:
    world.pooled(world.source, scratch / "features")
    return {"written_mb": _size(scratch)}


def _boundary(world: World, scratch: Path) -> dict[str, Any]:
    world.pooled(world.target, scratch / "features", boundary=True)
    return {"written_mb": _size(scratch)}


def _cell(world: World, scratch: Path) -> dict[str, Any]:
    places = Places(
        pack=world.target,
        weights=world.weights,
        features=world.features,
        source_features=world.source_features,
        source_pack=world.own_source,
        cells=scratch / "cells",
    )
    settings, point = world.settings, world.point
    run_cell(budget_jobs(settings, point.job, point.labels, places, {})[0], world.accelerator)
    return {}


JOBS: dict[str, Callable[[World, Path], dict[str, Any]]] = {
    "ingest": _ingest,
    "pretrain": _pretrain,
    "extract": _extract,
    "boundary": _boundary,
}


def _size(folder: Path) -> float:
    """MB (10^6 bytes) of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
