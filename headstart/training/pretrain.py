"""Pretraining: a source becomes W, the weights that every transfer starts from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from headstart.backbones.network import build, check_image_size
from headstart.datasets.pack import POOL, Pack
from headstart.datasets.splits import split_test
from headstart.objectives import classification
from headstart.storage.publish import publishing
from headstart.training.accelerator import Accelerator, seed_of
from headstart.training.checkpoint import Checkpoints
from headstart.training.flops import block_flops, training_flops
from headstart.training.loop import Plan, predict, train
from headstart.training.rows import ImageRows, Normalisation
from headstart.training.settings import PretrainSettings
from headstart.training.weights import WeightsCard, write_weights

Log = Callable[[int, int, float, float], None]


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

    log(epoch, epochs, training loss, validation accuracy) is called after each epoch.

    Raises:
        SettingsError: the backbone cannot take images of the pack's size.
    """
    check_image_size(backbone, channels=pack.card.channels, image_size=pack.card.image_size)
    normalisation = Normalisation(pack.card.mean, pack.card.std)
    training, validation = _hold_out(pack, settings, seed)
    held = ImageRows(pack.images[validation], normalisation)
    held_labels = torch.from_numpy(pack.class_numbers(validation))
    plan = _plan(len(training), settings)
    torch.manual_seed(seed_of(seed, "pretrain"))
    network = build(backbone, channels=pack.card.channels, classes=len(pack.card.classes))

    def observe(step: int, mean_loss: float) -> dict[str, Tensor]:
        score = classification.accuracy(predict(network, held, accelerator=accelerator), held_labels)
        epoch = plan.marks.index(step) + 1
        log(epoch, settings.epochs, mean_loss, score)
        return {f"{epoch:04d}": torch.tensor([mean_loss, score], dtype=torch.float64)}

    state = train(
        network,
        ImageRows(pack.images[training], normalisation, settings.augment),
        torch.from_numpy(pack.class_numbers(training)),
        plan=plan,
        seed=seed_of(seed, "pretrain"),
        accelerator=accelerator,
        checkpoints=checkpoints,
        observe=observe,
    )
    blocks = block_flops(
        backbone, channels=pack.card.channels, image_size=pack.card.image_size, classes=len(pack.card.classes)
    )
    card = WeightsCard(
        kind="network",
        strategy="pretrain",
        dataset=pack.card.name,
        backbone=backbone,
        classes=pack.card.classes,
        image_size=pack.card.image_size,
        channels=pack.card.channels,
        normalisation=normalisation,
        levels=0,
        seed=seed,
        flops=training_flops(blocks, examples=plan.steps * plan.batch_size),
    )
    with publishing(directory) as draft:
        write_weights(draft, card, network.state_dict())
        _history(state.records).to_csv(draft / "history.csv", index=False)
    checkpoints.clear()
    return card


def _hold_out(pack: Pack, settings: PretrainSettings, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(training, validation) rows of a source; duplicates stay on one side, and of a small source one row is held."""
    rows = pack.rows(POOL)
    table = pack.examples.iloc[rows]
    fraction = max(settings.validation_fraction, 0.5 / int(table["label"].value_counts().max()))
    held = split_test(list(table["label"]), list(table["group"]), fraction=fraction, seed=seed)
    return rows[~held], rows[held]


def _plan(count: int, settings: PretrainSettings) -> Plan:
    size = min(settings.batch_size, count)
    each = count // size
    return Plan(
        steps=each * settings.epochs,
        batch_size=size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup=settings.warmup,
        marks=tuple(each * epoch for epoch in range(1, settings.epochs + 1)),
    )


def _history(records: dict[str, Tensor]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (int(epoch), split, metric, float(value))
            for epoch, pair in sorted(records.items())
            for value, (split, metric) in zip(pair, (("train", "loss"), ("validation", "accuracy")), strict=True)
        ],
        columns=["epoch", "split", "metric", "value"],
    )
