"""Pretraining: a source becomes W, the weights that every transfer starts from."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from headstart.backbones.network import build, check_size
from headstart.datasets.pack import POOL, Pack, pack_digest
from headstart.datasets.splits import split_test
from headstart.objectives.objective import SourceObjective, source_objective_of
from headstart.storage.publish import publishing
from headstart.training.accelerator import Accelerator, seed_of
from headstart.training.chance import WARNING, chance_warning
from headstart.training.checkpoint import Checkpoints, State
from headstart.training.flops import block_flops, training_flops, work_of
from headstart.training.loop import NextRows, Plan, predict, train
from headstart.training.order import Windows, make_windows
from headstart.training.rows import InputRows, Normalisation
from headstart.training.settings import PretrainSettings
from headstart.training.stream import streaming
from headstart.training.weights import WeightsCard, write_weights

Log = Callable[[int, int, float, float], None]
logger = logging.getLogger("headstart")


def pretrain(
    pack: Pack,
    directory: Path,
    *,
    backbone: str,
    settings: PretrainSettings,
    seed: int,
    accelerator: Accelerator,
    checkpoints: Checkpoints,
    log: Log,
) -> WeightsCard:
    """Trains a backbone on a source and publishes W: weights, card, history.csv (epoch, split, metric, value).

    And warning.txt, where it predicts the rows held out no better than a constant answer would.

    log(epoch, epochs, training loss, validation score in the objective's metric) is called after each epoch. Of several
    processes that train together the first one publishes and logs.

    Raises:
        SettingsError: the backbone cannot take rows of the pack's size.
    """
    check_size(backbone, channels=pack.card.channels, size=pack.card.size)
    normalisation = Normalisation(pack.card.mean, pack.card.std)
    objective = source_objective_of(pack.card)
    training, validation = _hold_out(pack, objective, settings, seed)
    labels = objective.targets(pack, training)
    objective = objective.fitted(labels)
    held = InputRows(pack.inputs, normalisation, pack.card.modality, places=validation)
    held_labels = objective.targets(pack, validation)
    plan = _plan(pack, len(training), settings, backbone)
    torch.manual_seed(seed_of(seed, "pretrain"))
    network = build(backbone, channels=pack.card.channels, classes=objective.outputs)

    def observe(step: int, mean_loss: float) -> dict[str, Tensor]:
        predictions = predict(network, held, accelerator=accelerator, objective=objective)
        score = objective.kind.value(objective.score(predictions, held_labels))
        epoch = plan.marks.index(step) + 1
        if accelerator.leads:
            log(epoch, settings.epochs, mean_loss, score)
        return {f"{epoch:04d}": torch.tensor([mean_loss, score], dtype=torch.float64)}

    windows = _windows(pack, training, plan, settings, seed_of(seed, "pretrain"))
    if windows and accelerator.leads:
        logger.info("pretrain: %s", _in_words(pack, training, settings, windows))
    with _reading(pack, training, windows, normalisation, augmented=settings.augment) as (rows, order):
        state = train(
            network,
            rows,
            labels,
            plan=plan,
            seed=seed_of(seed, "pretrain"),
            accelerator=accelerator,
            checkpoints=checkpoints,
            observe=observe,
            objective=objective,
            order=order,
        )
    card = _card(pack, objective, normalisation, backbone, seed=seed, examples=plan.steps * plan.batch_size)
    predictions = predict(network, held, accelerator=accelerator, objective=objective)
    if accelerator.leads:
        with publishing(directory) as draft:
            write_weights(draft, card, network.state_dict())
            _history(state, objective.kind.metric).to_csv(draft / "history.csv", index=False)
            if warning := _warning(objective, predictions, held_labels, pack.card.name, settings):
                (draft / WARNING).write_text(f"{warning}\n", encoding="utf-8")
    return card


def _warning(
    objective: SourceObjective, predictions: Tensor, labels: Tensor, source: str, settings: PretrainSettings
) -> str:
    """Of a W at chance; "" where it is not, or where the rows held out are too few to tell."""
    constant, kind = objective.constant(predictions, labels), objective.kind
    if not constant.is_as_good:
        return ""
    return chance_warning(
        source,
        targets=kind.targets,
        score=f"validation {kind.word} {kind.value(objective.score(predictions, labels)):.3g}",
        rows=len(labels),
        constant=f"{constant.answer}: {constant.score:.3g}",
        epochs=settings.epochs,
    )


def _windows(pack: Pack, training: np.ndarray, plan: Plan, settings: PretrainSettings, seed: int) -> Windows | None:
    """The order of rows that are too many for memory; None for the loop's own."""
    each, memory = pack.inputs.row_bytes, settings.memory_gb * 1e9
    if len(training) * each <= memory:
        return None
    return make_windows(len(training), row_bytes=each, batch=plan.batch_size, memory=memory, seed=seed)


def _in_words(pack: Pack, training: np.ndarray, settings: PretrainSettings, order: Windows) -> str:
    each = pack.inputs.row_bytes
    size = f"{len(training) * each / 1e9:.2g} GB of rows, pretrain.memory_gb is {settings.memory_gb:g}"
    return (
        f"{size}: they are read in blocks of {order.block * each / 1e6:.2g} MB in a random order, and shuffled among "
        f"{order.blocks} of them at a time"
    )


@contextmanager
def _reading(
    pack: Pack, training: np.ndarray, windows: Windows | None, normalisation: Normalisation, *, augmented: bool
) -> Iterator[tuple[InputRows, NextRows | None]]:
    """The rows that are trained on, and in which order (None: the loop's own)."""
    if windows is None:
        yield InputRows(pack.inputs, normalisation, pack.card.modality, augmented, training), None
        return
    with streaming(pack.inputs, training, windows) as stream:
        yield InputRows(stream, normalisation, pack.card.modality, augmented), stream.at


def _card(
    pack: Pack, objective: SourceObjective, normalisation: Normalisation, backbone: str, *, seed: int, examples: int
) -> WeightsCard:
    """examples: rows that the training saw, each as often as it did."""
    own = pack.card
    blocks = block_flops(backbone, channels=own.channels, size=own.size, classes=objective.outputs)
    return WeightsCard(
        kind="network",
        strategy="pretrain",
        dataset=own.name,
        backbone=backbone,
        modality=own.modality,
        channels=own.channels,
        size=own.size,
        preparation=own.preparation,
        normalisation=normalisation,
        levels=0,
        seed=seed,
        flops=training_flops(blocks, examples=examples),
        pack=pack_digest(pack.directory),
        **objective.describe(),
    )


def _hold_out(
    pack: Pack, objective: SourceObjective, settings: PretrainSettings, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(training, validation) rows of a source; duplicates stay on one side, and of a small source one row is held.

    Whole groups, but where each of them is more than what is to be held: W's own score is all that hangs on it.
    """
    rows = pack.rows(POOL)
    table = pack.examples.iloc[rows]
    strata = objective.strata(table)
    fraction = max(settings.validation_fraction, 0.5 / max(Counter(strata).values()))
    held = split_test(strata, list(table["group"]), fraction=fraction, seed=seed)
    if not held.any():
        held = split_test(strata, list(table["id"].str.partition("-")[0]), fraction=fraction, seed=seed)
    return rows[~held], rows[held]


def _plan(pack: Pack, count: int, settings: PretrainSettings, backbone: str) -> Plan:
    size = min(settings.batch_size, count)
    each = count // size
    return Plan(
        steps=each * settings.epochs,
        batch_size=size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup=settings.warmup,
        marks=tuple(each * epoch for epoch in range(1, settings.epochs + 1)),
        work=work_of(backbone, channels=pack.card.channels, size=pack.card.size),
    )


def _history(state: State, metric: str) -> pd.DataFrame:
    """With last rows for steps that were done in pieces, and for halvings of the rate where a loss was not finite."""
    rows = [
        (int(epoch), split, name, float(value))
        for epoch, pair in sorted(state.records.items())
        for value, (split, name) in zip(pair, (("train", "loss"), ("validation", metric)), strict=True)
    ]
    if state.pieces > 1:
        rows.append((rows[-1][0], "train", "pieces", float(state.pieces)))
    if state.halvings:
        rows.append((rows[-1][0], "train", "halvings", float(state.halvings)))
    return pd.DataFrame(rows, columns=["epoch", "split", "metric", "value"])
