"""Headstart's side of the bench: the core's own functions, as the tasks call them."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from benchmarks.speed.child import Figures, Spec, files_below, main, singly, timed
from benchmarks.speed.jobs import RECIPE, Recipe
from benchmarks.speed.sweep import sweep
from headstart.backbones.network import build
from headstart.cells.grid import Places, budget_jobs
from headstart.cells.job import ALL_ROWS, REFIT, Job
from headstart.cells.run import run_cell
from headstart.datasets.ingest import ingest_source, ingest_target
from headstart.datasets.pack import Pack, pack_digest
from headstart.datasets.settings import DataSettings, how_of
from headstart.datasets.weights_folder import ABOUT
from headstart.features.extract import write_pooled
from headstart.features.files import POOLED
from headstart.modalities.table import IMAGE
from headstart.prediction.inputs import Files, decode_files, find_inputs
from headstart.prediction.model import load
from headstart.prediction.predict import predict as predict_files
from headstart.settings import Settings, validate
from headstart.storage.publish import publishing, write_json
from headstart.training.accelerator import Accelerator
from headstart.training.adopt import adopt
from headstart.training.checkpoint import Checkpoints
from headstart.training.flops import block_flops, training_flops, work_of
from headstart.training.loop import Plan, train
from headstart.training.policy import Work, pays_in_bfloat16, properties_of
from headstart.training.pretrain import pretrain as pretrain_source
from headstart.training.rows import InputRows
from headstart.training.weights import WeightsCard, read_card, read_network

BACKBONE = "resnet18"
FIXED_BLOCKS = 3  # the stem and the first two of the four stages
HELD_OUT = 0.025  # of a class's 40 labels one: nothing is chosen on them
SGEMM = 1024  # side of the square matrices that the machine's rate is measured by
WEIGHTS = "weights"  # folder of W as torchvision names its tensors, in what is prepared


def settings_of(
    side: int, *, epochs: int = 1, seeds: int = 1, labels: tuple[int, ...] = (2,), frozen: dict[str, Any] | None = None
) -> Settings:
    """The project's defaults but for what the bench fixes for all contenders."""
    return validate(
        {
            "backbone": BACKBONE,
            "data": {"image_size": side, "channels": 3, "smallest_test": 1000},
            "pretrain": {"epochs": epochs},
            "extract": {"views": RECIPE.views},
            "finetune": {"validation_fraction": HELD_OUT, "seeds": seeds, "label_budget": max(labels)},
            "strategies": {"frozen_blocks": {"fixed_blocks": FIXED_BLOCKS, **(frozen or {})}},
        },
        where="the bench",
    )


def prepare(spec: Spec) -> Figures:
    """What comes before the bench: W pretrained on the source, and adopted again from the file that the peers take."""
    accelerator, root, settings = _begin(), Path(spec.prepared), settings_of(spec.side, epochs=spec.epochs)
    _ingest(spec.source, root / "packs" / "source", settings)
    card = pretrain_source(
        Pack(root / "packs" / "source"),
        root / "pretrained",
        backbone=BACKBONE,
        settings=settings.pretrain,
        seed=0,
        accelerator=accelerator,
        checkpoints=Checkpoints(root / "checkpoints"),
        log=lambda *figures: print("pretraining, epoch {} of {}: loss {:.3f}, accuracy {:.3f}".format(*figures)),
    )
    _, network = read_network(root / "pretrained")
    tensors = network.state_dict()
    (root / WEIGHTS).mkdir(exist_ok=True)
    save_file(
        {theirs: tensors[ours].contiguous() for theirs, ours in network.original_keys.items()},
        root / WEIGHTS / "w.safetensors",
    )
    write_json(root / WEIGHTS / ABOUT, asdict(card.normalisation) | {"classes": list(card.classes)})
    adopt(
        root / WEIGHTS, root / "W", backbone=BACKBONE, settings=DataSettings(image_size=spec.side, channels=3), seed=0
    )
    return asdict(card.normalisation)


def ingest(spec: Spec) -> Figures:
    """A first epoch ingests and reads the pack; later ones read it alone. Without and with augmentation."""
    _begin()
    pack = Path(spec.scratch, "packs", "source")
    folder = _part(spec, spec.images)
    with timed() as ingesting:
        _ingest(folder, pack, settings_of(spec.side))
        images = Pack(pack).inputs
    rows = InputRows(images, _w(spec).normalisation, "image")
    seconds = {name: _epoch(rows, spec, augmented) for name, augmented in (("plain", False), ("augmented", True))}
    each = 1e3 / len(rows)
    with timed() as decoding:
        for path in files_below(folder, spec.images):
            _decode_least(path)
    return {
        "floor": decoding.cpu * each,
        "first": (ingesting.cpu + seconds["plain"]) * each,
        "later": seconds["plain"] * each,
        "first_augmented": (ingesting.cpu + seconds["augmented"]) * each,
        "later_augmented": seconds["augmented"] * each,
    }


def pretrain(spec: Spec) -> Figures:
    """An epoch of so many rows of the pack, and once more in float32; the machine's rate is measured around that."""
    accelerator, pack = _begin(), Pack(Path(spec.prepared, "packs", "source"))
    chosen = np.linspace(0, len(pack.inputs) - 1, spec.images).astype(int)
    rows = InputRows(pack.inputs, _w(spec).normalisation, "image", places=chosen)
    labels = torch.from_numpy(pack.class_numbers(chosen))
    knobs = settings_of(spec.side).pretrain
    steps = len(rows) // spec.batch

    def seconds(accelerator: Accelerator) -> float:
        network = build(BACKBONE, channels=3, classes=len(pack.card.classes))
        with timed() as taken:
            train(
                network,
                rows,
                labels,
                plan=Plan(steps, spec.batch, knobs.learning_rate, knobs.weight_decay, knobs.warmup, work=_work(spec)),
                seed=spec.seed,
                accelerator=accelerator,
                checkpoints=Checkpoints(Path(spec.scratch), every=math.inf),
                observe=lambda step, loss: {},
            )
        return taken.cpu / (steps * spec.batch)

    each, rates = seconds(accelerator), [_sgemm()]
    plain = seconds(replace(accelerator, precision="float32"))
    rate = (rates[0] + _sgemm()) / 2
    blocks = block_flops(BACKBONE, channels=3, size=(spec.side, spec.side), classes=len(pack.card.classes))
    share = training_flops(blocks, examples=1) / plain / rate
    return {"image": 1e3 * each, "float32": 1e3 * plain, "share": share, "precision": _precision(spec)}


def probe(spec: Spec) -> Figures:
    """From the folder of labelled images: ingest, features once, the closed-form head; then the test files."""
    accelerator, root = _begin(), Path(spec.scratch)
    with timed() as taken:
        job = _job(spec, "linear_probe", settings_of(spec.side))
        card, network = read_network(Path(job.weights))
        accelerator.prepare(network).eval()
        with publishing(Path(job.features)) as draft:
            rows = InputRows(Pack(Path(job.pack)).inputs, card.normalisation, "image")
            write_pooled(
                draft / POOLED, network, rows, levels=job.levels, accelerator=accelerator, advance=lambda count: None,
                work=_work(spec),
            )  # fmt: skip
        run_cell(job, accelerator)
    return {"job": taken.cpu, "accuracy": _accuracy(job, spec, root)}


def frozen(spec: Spec, recipe: Recipe = RECIPE) -> Figures:
    """From the folder of labelled images: ingest, boundary activations of some views, and the rest trained on them."""
    accelerator = _begin()
    with timed() as taken:
        epochs = min(spec.epochs, recipe.epochs)
        own = {
            "steps": max(4, epochs * (len(files_below(spec.train, 10**6)) // recipe.batch_size)),
            "learning_rates": [recipe.learning_rate],
            "batch_size": recipe.batch_size,
            "label_smoothing": recipe.label_smoothing,
        }
        job = replace(_job(spec, "frozen_blocks", settings_of(spec.side, frozen=own)), views=recipe.views)
        run_cell(job, accelerator)
    return {"job": taken.cpu, "accuracy": _accuracy(job, spec, Path(spec.scratch))}


def extraction(spec: Spec) -> Figures:
    accelerator, pack = _begin(), Pack(Path(spec.prepared, "packs", "source"))
    card, network = read_network(Path(spec.prepared, "W"))
    rows = InputRows(pack.inputs[: spec.images], card.normalisation, "image")

    def seconds(accelerator: Accelerator) -> float:
        out = Path(spec.scratch, POOLED)
        with timed() as taken:
            write_pooled(
                out, network, rows, levels=2, accelerator=accelerator, advance=lambda count: None, work=_work(spec)
            )
        return taken.cpu / len(rows)

    each, rates = seconds(accelerator), [_sgemm()]
    plain = seconds(replace(accelerator, precision="float32"))
    flops = sum(block_flops(BACKBONE, channels=3, size=(spec.side, spec.side), classes=len(pack.card.classes)))
    return {
        "image": 1e3 * each,
        "float32": 1e3 * plain,
        "share": flops / plain / ((rates[0] + _sgemm()) / 2),
        "precision": _precision(spec),
    }


def predict(spec: Spec) -> Figures:
    accelerator = _begin()
    model = load(Path(spec.prepared, "W"), accelerator=accelerator)
    inputs = find_inputs(spec.test, IMAGE)
    with timed() as taken, ThreadPoolExecutor(1) as workers:
        predict_files(
            model,
            inputs,
            Path(spec.scratch, "out.csv"),
            workers=workers,
            batch_size=model.batch_size,
            progress=lambda *_: None,
        )

    def one(path: Path) -> Any:
        files = Files(str(path.parent), (path.name,), model.card.modality, how_of(model.card))
        return model.predict(decode_files(files)[0].values[None])  # type: ignore[union-attr]

    return {"batch": 1e3 * taken.cpu / inputs.count, **singly(one, files_below(spec.test, spec.singles))}


def _decode_least(path: Path) -> None:
    """What nobody does without: entropy decoding, and the least arithmetic after it that libjpeg has."""
    with Image.open(path) as image:
        image.draft("RGB", (1, 1))
        image.load()


def _begin() -> Accelerator:
    accelerator = Accelerator()
    accelerator.start()
    return accelerator


def _w(spec: Spec) -> WeightsCard:
    return read_card(Path(spec.prepared, "W"))


def _work(spec: Spec) -> Work:
    return work_of(BACKBONE, channels=3, size=(spec.side, spec.side))


def _precision(spec: Spec) -> str:
    """Of products, where the network gains by another than float32."""
    return "bfloat16" if pays_in_bfloat16(properties_of("cpu"), _work(spec)) else "float32"


def _ingest(folder: Path, pack: Path, settings: Settings) -> None:
    with ThreadPoolExecutor(1) as workers:
        ingest_source(folder, pack, settings=settings.data, excluded=(), workers=workers, progress=lambda *_: None)


def _part(spec: Spec, most: int) -> Path:
    """A folder of so many of the source's images."""
    folder = Path(spec.scratch, "data", "source")
    for path in files_below(spec.source, most):
        copy = folder / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copyfile(path, copy)
    return folder


def _epoch(rows: InputRows, spec: Spec, augmented: bool) -> float:
    """CPU seconds of all batches of an epoch, as the loop draws them."""
    draw = torch.Generator().manual_seed(spec.seed)
    rows = replace(rows, augmented=augmented)
    with timed() as taken:
        for batch in torch.split(torch.randperm(len(rows), generator=draw), spec.batch):
            rows.batch(batch, draw)
    return taken.cpu


def _job(spec: Spec, strategy: str, settings: Settings) -> Job:
    """Ingests the training images and gives the cell that is trained on all of them, as one is delivered."""
    root = Path(spec.scratch)
    pack = root / "packs" / spec.target
    with ThreadPoolExecutor(1) as workers:
        ingest_target(
            spec.train, pack, settings=settings.data, seed=spec.seed, workers=workers, progress=lambda *_: None
        )
    places = Places(
        pack=pack,
        weights=Path(spec.prepared, "W"),
        features=root / "features" / spec.target,
        source_features=root / "features" / "none",
        cells=root / "cells",
        folds=1,
        largest_label_budget=1,
    )
    job = budget_jobs(settings, strategy, 0, places, {"pack": pack_digest(pack)})[0]
    return replace(job, variant=REFIT, fold=ALL_ROWS, stride=0, seed=spec.seed, boundary=0)


def _accuracy(job: Job, spec: Spec, root: Path) -> float:
    """Of the delivered model on the test files."""
    with ThreadPoolExecutor(1) as workers:
        predict_files(
            load(job.directory), find_inputs(spec.test, IMAGE), root / "predictions.parquet",
            workers=workers, batch_size=256, progress=lambda *_: None,
        )  # fmt: skip
    import pandas as pd

    table = pd.read_parquet(root / "predictions.parquet")
    return float((table["path"].str.split("/").str[0] == table["prediction"]).mean())


def _sgemm() -> float:
    """FLOPs a second of multiplying two matrices, the median of ten."""
    left, right = torch.rand(SGEMM, SGEMM), torch.rand(SGEMM, SGEMM)
    rates = []
    for _ in range(10):
        with timed() as taken:
            left @ right
        rates.append(2.0 * SGEMM**3 / max(taken.cpu, 1e-9))
    return sorted(rates)[5]


if __name__ == "__main__":
    main({"prepare": prepare, "ingest": ingest, "pretrain": pretrain, "probe": probe, "frozen": frozen,
          "extraction": extraction, "predict": predict,
          "sweep": lambda spec: sweep(spec, settings_of(spec.side, seeds=spec.seeds, labels=spec.labels))})  # fmt: skip
