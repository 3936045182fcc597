"""The pairs that recipes are tried on: real data that the pinned packages carry, so that nothing is downloaded."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.recipes.glyphs import GREEK, LATIN, write_letters
from headstart.cells.combinations import check_combination
from headstart.cells.grid import Places, budget_jobs
from headstart.cells.job import Job
from headstart.datasets.builtin import materialise
from headstart.datasets.ingest import ingest_source, ingest_target
from headstart.datasets.pack import TEST, Pack, pack_digest, read_pack_card
from headstart.datasets.table import units_of
from headstart.errors import SettingsError
from headstart.features.extract import extract, reads_of
from headstart.settings import Settings, validate
from headstart.storage.publish import digest, sha256, write_json
from headstart.strategies.settings import TuneRecipe
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.pretrain import pretrain

DRAWS = 6  # of labels: seeds 0 to 5, disjoint as far as the pool lasts
DEPTHS = (1, 2, 3)  # features are extracted for each: so many blocks fixed, so many levels pooled
TRAINED = tuple(entry.name for entry in STRATEGIES if issubclass(entry.recipe, TuneRecipe))
LETTERS: dict[str, Callable[[Path], int]] = {
    "latin_letters": lambda directory: write_letters(directory, LATIN, most=160),
    "greek_letters": lambda directory: write_letters(directory, GREEK, most=64),
}

Recipe = dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """A source and a target. label_budget: labels a class, or in all of values. augment: whether images are.

    source_rows: of the source that are used, evenly of its classes; 0: all. unseen: classes that eszsl does without.
    """

    source: str
    target: str
    line: str
    label_budget: int
    test_fraction: float = 0.4
    augment: bool = True
    source_rows: int = 0
    unseen: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.source} -> {self.target}"

    def settings(self, strategy: str = "", recipe: Recipe | None = None, *, depth: int = 2) -> Settings:
        """The defaults, the backbone too, but for the budget, the split and one strategy's recipe."""
        recipes: dict[str, Recipe] = {name: {"augment": self.augment} for name in TRAINED}
        recipes[strategy or "scratch"] = recipes.get(strategy, {}) | (recipe or {})
        return validate(
            {
                "target": {"unseen": self.unseen},
                "data": {"test_fraction": self.test_fraction, "smallest_test": 0},
                "pretrain": {"augment": self.augment},
                "extract": {"levels": depth},
                "finetune": {"label_budget": self.label_budget, "curve_budgets": [], "seeds": DRAWS},
                "strategies": recipes,
            },
            where=self.name,
        )

    def jobs(self, root: Path, strategy: str, recipe: Recipe, seeds: Sequence[int]) -> list[Job]:
        """Cells of a strategy under a recipe; `levels` is extract's, though it is part of a probe's recipe here."""
        own = dict(recipe)
        depth = own.pop("levels", own.get("fixed_blocks", 2))
        places, settings = self.places(root, depth), self.settings(strategy, own, depth=depth)
        reads = json.loads((root / f"{self.source}-{self.target}" / f"reads-{depth}.json").read_text())[strategy]
        inputs = {"pack": pack_digest(places.pack), "reads": reads, "code": _code()}
        return [job for job in budget_jobs(settings, strategy, self.label_budget, places, inputs) if job.seed in seeds]

    def has_meaning(self, root: Path, strategy: str) -> bool:
        """Whether a strategy is for this pair, whose packs are there: some need classes that both have, or classes."""
        packs = root / f"{self.source}-{self.target}" / "packs"
        sources = {self.source: read_pack_card(packs / self.source)}
        try:
            check_combination(strategy, read_pack_card(packs / self.target), sources, self.unseen)
        except SettingsError:
            return False
        return True

    def places(self, root: Path, depth: int) -> Places:
        """Where `prepare` puts what cells read."""
        own = root / f"{self.source}-{self.target}"
        return Places(
            pack=own / "packs" / self.target,
            weights=own / "weights",
            features=own / f"features-{depth}",
            source_features=own / f"source-features-{depth}",
            source_pack=own / "packs" / self.source,
            cells=root / "cells",
            kind=read_pack_card(own / "packs" / self.target).kind,
        )


PAIRS = (
    Pair("mnist5k", "digits", "the default: MNIST's digits to scikit-learn's, which are coarser; the same classes", 10),
    Pair("digits", "mnist5k", "the other way round: from 1,797 coarse digits to MNIST's", 10),
    Pair("latin_letters", "greek_letters", "letters of 16 font faces (DejaVu, STIX); other classes", 4, 0.2),
)
SHOWN = (Pair("mnist5k_angle", "digits_angle", "turned digits, the angle in degrees; 50 labels", 50, augment=False),)


def prepare(pair: Pair, root: Path) -> str:
    """Writes, ingests, pretrains and extracts once; what is there already stays. Runs in a worker process."""
    own = root / f"{pair.source}-{pair.target}"
    if (own / "done").exists():
        return pair.name
    accelerator = Accelerator()
    accelerator.start()
    settings = pair.settings()
    source, target = _packs(pair, own, settings)
    pretrain(
        source,
        own / "weights",
        backbone=settings.backbone,
        settings=settings.pretrain,
        seed=settings.seed,
        accelerator=accelerator,
        checkpoints=Checkpoints(own / "checkpoints"),
        log=lambda *_: None,
    )
    for depth in DEPTHS:
        digests = extract(
            source,
            target,
            weights=own / "weights",
            directories=(own / f"source-features-{depth}", own / f"features-{depth}"),
            settings=pair.settings(depth=depth).extract,
            boundary=depth,
            seed=settings.seed,
            accelerator=accelerator,
            progress=lambda *_: None,
        )
        write_json(own / f"reads-{depth}.json", reads_of({pair.source: digests}))
    (own / "done").touch()
    return pair.name


def _packs(pair: Pair, own: Path, settings: Settings) -> tuple[Pack, Pack]:
    for name in (pair.source, pair.target):
        LETTERS.get(name, lambda directory, name=name: materialise(name, directory))(own / "data" / name)
    if pair.source_rows:
        _keep_first(own / "data" / pair.source, pair.source_rows)
    decoding: dict[str, Any] = {"settings": settings.data, "progress": lambda *_: None}
    with ThreadPoolExecutor(1) as workers:
        ingest_target(
            own / "data" / pair.target,
            own / "packs" / pair.target,
            seed=settings.seed,
            units=_units(pair.target),
            workers=workers,
            **decoding,
        )
        target = Pack(own / "packs" / pair.target)
        ingest_source(
            own / "data" / pair.source,
            own / "packs" / pair.source,
            excluded={row.rpartition("-")[0] for row in target.ids(target.rows(TEST))},
            units=_units(pair.source),
            workers=workers,
            **decoding,
        )
    return Pack(own / "packs" / pair.source), target


def _keep_first(directory: Path, rows: int) -> None:
    """Of each class the first files, so many in all."""
    classes = sorted(path for path in directory.iterdir() if path.is_dir())
    for folder in classes:
        for path in sorted(folder.iterdir())[rows // len(classes) :]:
            path.unlink()


def _units(name: str) -> tuple[str, ...]:
    return units_of(name, ())


@cache
def _code() -> str:
    """Digest of the core, so that kept cells are used again only while it is the same."""
    core = Path(__file__).parents[2] / "headstart"
    return digest({str(path.relative_to(core)): sha256(path) for path in sorted(core.rglob("*.py"))})
