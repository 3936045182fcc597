"""A cell: one strategy with one label budget and one seed. The contract between the grid and a strategy's file.

A strategy is one function, `fit(cell) -> Fitted`. It may look at the cell's training and validation rows with their
labels, at the test rows' inputs for prediction alone, and at what it declared in the table to read of W.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.backbones.network import Network, build
from headstart.cells.job import ALL_ROWS, Job
from headstart.datasets.pack import BLOCK, POOL, TEST, UNLABELLED, Pack
from headstart.datasets.splits import draw_labels, hold_out
from headstart.objectives.objective import Objective, objective_of
from headstart.storage.publish import read_manifest, verify_once
from headstart.training.accelerator import Accelerator
from headstart.training.flops import block_flops, work_of
from headstart.training.policy import Work
from headstart.training.rows import InputRows, Normalisation
from headstart.training.weights import WeightsCard, read_card, read_network


@dataclass(frozen=True)
class Snapshot:
    """Predictions at a share of the training: test (test rows, outputs), validation (validation rows, outputs)."""

    progress: float
    test: Tensor
    validation: Tensor


@dataclass(frozen=True)
class Fitted:
    """What a cell came to.

    snapshots: at least the final one, progress 1. train: predictions of the training rows.
    tensors, kind, normalisation, levels: the weights to deliver and how to read them (see WeightsCard).
    history: (step, split, metric, value). compute, pretraining_compute: FLOPs given W, and of what W took (None
    where that is not known).
    learning_rate: the one chosen on validation, None where there is none.
    objective: what the delivered outputs mean, where it is not the cell's.
    temperature: that scores were divided by already, found on rows that were left out; None where the cell has yet to
    find one on its validation rows.
    """

    snapshots: tuple[Snapshot, ...]
    train: Tensor
    tensors: dict[str, Tensor]
    kind: str
    normalisation: Normalisation
    levels: int
    history: tuple[tuple[int, str, str, float], ...]
    compute: float
    pretraining_compute: float | None
    learning_rate: float | None = None
    objective: Objective | None = None
    temperature: float | None = None


class Cell:
    """Everything that a strategy's `fit` may use, opened on demand."""

    def __init__(self, job: Job, accelerator: Accelerator):
        self.job = job
        self.accelerator = accelerator
        self.pack = Pack(Path(job.pack))
        objective = objective_of(self.pack.card)
        pool, self.test_rows = self._pool_and_test()
        table = self.pack.examples.iloc[pool]
        strata, groups = objective.strata(table), list(table["group"])
        drawn = np.flatnonzero(~np.isin(strata, job.unseen))
        if job.fold != ALL_ROWS:
            drawn = draw_labels(
                self.pack.ids(pool),
                strata,
                budget=job.label_budget,
                stride=job.stride,
                seed=job.run_seed,
                draw=job.seed,
                groups=groups,
                without=job.unseen,
            )
        train, validation = hold_out(drawn, strata, fraction=job.validation_fraction, groups=groups)
        self.train_rows: NDArray[np.intp] = pool[train]
        self.validation_rows: NDArray[np.intp] = pool[validation]
        self.train_labels = objective.targets(self.pack, self.train_rows)
        self.validation_labels = objective.targets(self.pack, self.validation_rows)
        self.objective = objective.fitted(self.train_labels)

    def _pool_and_test(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The rows that labels may be drawn from, and those to be predicted blind."""
        if self.job.fold is None:
            return self.pack.rows(POOL), self.pack.rows(TEST)
        if self.job.fold == ALL_ROWS:
            return self.pack.rows(POOL), np.array([], dtype=np.intp)
        return self.pack.fold(self.job.seed, self.job.fold)

    @cached_property
    def own_normalisation(self) -> Normalisation:
        """That of the target's rows outside of the test rows: what is predicted blind fits nothing."""
        card = self.pack.card
        if self.job.fold is None or self.job.fold == ALL_ROWS:
            return Normalisation(card.mean, card.std)
        rows, _ = self._pool_and_test()
        starts = range(0, len(rows), BLOCK)
        blocks = (self.pack.inputs[rows[start : start + BLOCK]] for start in starts)
        return Normalisation(*card.row_kind.load().moments(blocks, channels=card.channels))

    @cached_property
    def seen(self) -> Tensor:
        """Numbers of the classes that it may have labels of, in order."""
        classes = self.objective.classes
        return torch.tensor([number for number, name in enumerate(classes) if name not in self.job.unseen])

    @property
    def recipe(self) -> Any:
        return self.job.recipe

    @property
    def labelled_ids(self) -> list[str]:
        """Ids of all labelled rows that this cell saw."""
        return self.pack.ids(np.concatenate([self.train_rows, self.validation_rows]))

    def stored(self, rows: NDArray[np.intp]) -> NDArray[Any]:
        """Inputs of rows (rows, ...) as the pack has them."""
        return self.pack.inputs[rows]

    def input_rows(self, rows: NDArray[np.intp], normalisation: Normalisation, *, augmented: bool = True) -> InputRows:
        """The same as a training's or a prediction's inputs, read when they are asked for."""
        return InputRows(self.pack.inputs, normalisation, self.pack.card.modality, augmented, rows)

    def new_network(self) -> Network:
        """The job's backbone with fresh weights and a head for the target."""
        return build(self.job.backbone, channels=self.pack.card.channels, classes=self.objective.outputs)

    def network_from_source(self) -> Network:
        """The job's backbone with W's blocks, and a head that starts from W's where that means the same."""
        network = self.new_network()
        network.blocks.load_state_dict(self.source_network.blocks.state_dict())
        self.objective.start_head(network.head, self.source_network.head, self.source_card)
        return network

    @cached_property
    def _source(self) -> tuple[WeightsCard, Network]:
        return read_network(Path(self.job.weights))

    @cached_property
    def source_pack(self) -> Pack:
        """The source's rows with their labels, for a strategy that reads "rows"."""
        return Pack(Path(self.job.source_pack))

    @cached_property
    def unlabelled_rows(self) -> NDArray[np.intp]:
        """Rows that may be learned from without a label: this cell has none of them, and does not score them."""
        pool, _ = self._pool_and_test()
        own = np.concatenate([self.train_rows, self.validation_rows])
        return np.sort(np.concatenate([np.setdiff1d(pool, own), self.pack.rows(UNLABELLED)]))

    @property
    def source_network(self) -> Network:
        """W, with its own head."""
        return self._source[1]

    @property
    def source_card(self) -> WeightsCard:
        """W's card; cheap where the network itself is not needed."""
        return read_card(Path(self.job.weights))

    def features(self, name: str, *, of: str = "target") -> NDArray[np.float32]:
        """A file of features/, memory-mapped: POOLED, BOUNDARY (rows of the pack) or VIEWS (pool rows).

        The folder is held to its manifest when it is first read: the views alone may be gigabytes.
        """
        directory = Path(self.job.features if of == "target" else self.job.source_features)
        verify_once(directory)
        return np.load(directory / name, mmap_mode="r")  # type: ignore[no-any-return]

    def has_features(self, name: str) -> bool:
        """Whether extract kept a file of the target's; activations that take too much are not kept."""
        return name in read_manifest(Path(self.job.features))

    @property
    def work(self) -> Work:
        """What the backbone asks for on one row, by which its precision is chosen."""
        card = self.pack.card
        return work_of(self.job.backbone, channels=card.channels, size=card.size)

    @cached_property
    def flops(self) -> tuple[float, ...]:
        """Forward FLOPs of one row, block by block."""
        card = self.pack.card
        return block_flops(self.job.backbone, channels=card.channels, size=card.size, classes=self.objective.outputs)
