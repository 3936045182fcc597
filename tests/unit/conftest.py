"""What the core's rooms share: a small source and two small targets that went through ingest, pretrain and extract."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import part_pictures
import pytest

if TYPE_CHECKING:
    from headstart.cells.grid import Places
    from headstart.cells.job import Job
    from headstart.datasets.pack import Pack
    from headstart.settings import Settings

MATCHING = "sketches"  # a target whose classes are the source's
RENAMED = "symbols"  # the same pictures under class names that the source does not know
DESCRIBED = "marks"  # other pictures, from a source that has attributes in place of classes
SOURCES = {MATCHING: "shapes", RENAMED: "shapes", DESCRIBED: "parts"}
SETTINGS: dict[str, Any] = {
    "source": {"data": ["shapes"]},
    "target": {"data": MATCHING, "unseen": list(part_pictures.UNSEEN)},  # of DESCRIBED
    "built_in": [],
    "data": {"image_size": 12, "smallest_test": 0, "attribute_columns": list(part_pictures.COLUMNS)},
    "pretrain": {"epochs": 6, "batch_size": 16},
    "extract": {"views": 2},
    "finetune": {"label_budget": 4, "curve_budgets": [2], "seeds": 2},
    "strategies": {
        name: {"steps": 12 if name == "scratch" else 8}
        for name in (
            "scratch",
            "frozen_blocks",
            "full",
            "lp_ft",
            "l2_sp",
            "gradual",
            "wise_ft",
            "co_tuning",
            "joint_supervised",
            "fixmatch",
            "rotation",
            "joint_attributes",
        )
    },  # fmt: skip
}


def ignore(*_: Any) -> None:
    """Progress that goes nowhere."""


@dataclass(frozen=True)
class Domain:
    """A source and a target below `root`: packs, W and features as the steps before finetune leave them."""

    root: Path
    target: str
    settings: "Settings"

    @property
    def places(self) -> "Places":
        from headstart.cells.grid import Places

        source = SOURCES[self.target]
        return Places(
            pack=self.root / "packs" / self.target,
            weights=self.root / "models" / source,
            features=self.root / "features" / self.target,
            source_features=self.root / "features" / f"{source}-for-{self.target}",
            source_pack=self.root / "packs" / source,
            cells=self.root / "cells",
        )

    @property
    def pack(self) -> "Pack":
        from headstart.datasets.pack import Pack

        return Pack(self.places.pack)

    def job(self, strategy: str, **changes: Any) -> "Job":
        """The strategy's first cell at the headline budget."""
        from headstart.cells.grid import headline_jobs

        return replace(headline_jobs(self.settings, strategy, self.places, {"target": self.target})[0], **changes)


@pytest.fixture(scope="session")
def decoder():
    """The one worker that decodes; a thread, for the real pool is of processes."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture(scope="session")
def domains(
    tmp_path_factory: pytest.TempPathFactory, draw_pictures: Callable[..., Path], decoder: ThreadPoolExecutor
) -> dict[str, Domain]:
    """MATCHING and RENAMED with one source, DESCRIBED with its own. Read only: tests that alter files copy them."""
    from headstart.datasets.ingest import ingest_source, ingest_target
    from headstart.datasets.pack import Pack
    from headstart.features.extract import extract
    from headstart.settings import validate
    from headstart.training.accelerator import Accelerator
    from headstart.training.checkpoint import Checkpoints
    from headstart.training.pretrain import pretrain

    root = tmp_path_factory.mktemp("domains")
    settings = validate(SETTINGS, where="test")
    accelerator = Accelerator()
    accelerator.start()
    draw_pictures(root / "data" / "shapes", per_class=40, seed=1)
    for name in (MATCHING, RENAMED):
        draw_pictures(root / "data" / name, per_class=24, seed=2, ink=150)
    for folder in sorted((root / "data" / RENAMED).iterdir()):
        folder.rename(folder.with_name(f"new {folder.name}"))
    part_pictures.draw_source(root / "data" / "parts", rows=400, seed=3)
    part_pictures.draw_target(root / "data" / DESCRIBED, per_class=24, seed=4)
    decoding = {"settings": settings.data, "workers": decoder, "progress": ignore}
    for name in ("shapes", "parts"):
        ingest_source(root / "data" / name, root / "packs" / name, excluded=(), **decoding)
        pretrain(
            Pack(root / "packs" / name),
            root / "models" / name,
            backbone=settings.backbone,
            settings=settings.pretrain,
            seed=0,
            accelerator=accelerator,
            checkpoints=Checkpoints(root / "checkpoints"),
            log=ignore,
        )
    found = {}
    for name, source in SOURCES.items():
        found[name] = Domain(root, name, settings)
        ingest_target(root / "data" / name, root / "packs" / name, seed=0, **decoding)
        extract(
            Pack(root / "packs" / source),
            Pack(root / "packs" / name),
            weights=found[name].places.weights,
            directories=(found[name].places.source_features, found[name].places.features),
            settings=settings.extract,
            boundary=settings.recipe("frozen_blocks").fixed_blocks,
            seed=0,
            accelerator=accelerator,
            progress=ignore,
        )
    return found


@pytest.fixture(scope="session")
def domain(domains: dict[str, Domain]) -> Domain:
    """The source and the target with the same classes."""
    return domains[MATCHING]


@pytest.fixture(scope="session")
def of_texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A delivered model of texts, which tells "good" from "bad" and knows no other word."""
    import numpy as np
    import torch

    from headstart.features.bags import OF_BYTES, LinearBag, bag
    from headstart.modalities.text.modality import HowText, decode
    from headstart.storage.publish import write_manifest
    from headstart.training.rows import Normalisation
    from headstart.training.weights import WeightsCard, write_weights

    length, folder = 32, tmp_path_factory.mktemp("model of texts")
    known = bag(np.stack([decode(text, HowText(length=length)).values for text in ("good", "bad")]), OF_BYTES)
    columns = np.unique(known.indices).astype(np.int64)
    weight = torch.from_numpy(known[:, columns].toarray()).float()
    head = LinearBag(OF_BYTES, torch.from_numpy(columns), torch.ones(len(columns)), weight, torch.zeros(2))
    card = WeightsCard(
        kind="tfidf", strategy="tfidf", dataset="moods", backbone="", classes=("good", "bad"), modality="text",
        channels=257, size=(length,), normalisation=Normalisation((), ()), levels=0, seed=0,
        preparation={"text": {"length": length, "tokens": "bytes", "largest_bytes": 1000}},
    )  # fmt: skip
    write_weights(folder, card, head.tensors)
    write_manifest(folder)
    return folder
