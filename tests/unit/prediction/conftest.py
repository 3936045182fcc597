"""A delivered model to predict with."""

from pathlib import Path

import numpy as np
import pytest
import torch

from headstart.cells.run import run_cell
from headstart.features.bags import OF_BYTES, LinearBag, bag
from headstart.modalities.text.modality import HowText, decode
from headstart.prediction import Model, load
from headstart.storage.publish import write_manifest
from headstart.training.accelerator import Accelerator
from headstart.training.rows import Normalisation
from headstart.training.weights import WeightsCard, write_weights


@pytest.fixture(scope="module")
def model(domain, tmp_path_factory) -> Model:
    job = domain.job("linear_probe", cells=str(tmp_path_factory.mktemp("cells")))
    run_cell(job, Accelerator())
    return load(job.directory)


@pytest.fixture(scope="session")
def of_texts(tmp_path_factory) -> Path:
    """A delivered model of texts, which tells "good" from "bad" and knows no other word."""
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
