"""joint_attributes: W of a source that has attributes alone, and what is trained on from it; classes and values."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from part_pictures import COLUMNS
from value_domain import SIZE, turned_bars, write_value_pack

from headstart.cells.cell import Cell
from headstart.cells.grid import Places, headline_jobs
from headstart.cells.run import run_cell
from headstart.cells.terms import SourceRows, Sum, Unlabelled
from headstart.datasets.pack import POOL, Attribute, Card, Pack, read_test_labels, write_pack
from headstart.prediction import load
from headstart.settings import validate
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.pretrain import pretrain
from headstart.training.weights import read_card


@pytest.fixture
def cell(domains):
    return Cell(domains["marks"].job("joint_attributes"), Accelerator())


def test_w_says_its_attributes_and_how_well_it_tells_them(domains):
    card = read_card(domains["marks"].places.weights)
    assert (card.classes, card.target_kind, card.outputs) == ((), "attribute", 6)
    assert [own.name for own in card.attributes] == list(COLUMNS)
    ink = card.attributes[3]
    assert 180 < ink.mean < 215  # of the rows that it was trained on
    history = pd.read_csv(domains["marks"].places.weights / "history.csv")
    assert set(history["metric"]) == {"loss", "attribute_score"}
    assert history[history["metric"] == "attribute_score"]["value"].iloc[-1] > 0.7


def test_w_answers_with_its_attributes(domains):
    pack = Pack(domains["marks"].places.source_pack)
    model = load(domains["marks"].places.weights)
    answers = model.predict(pack.inputs[:200])
    assert answers.columns.tolist() == list(COLUMNS)
    known = pack.attributes(np.arange(200))[:, 0]
    assert ((answers["top"].to_numpy() > 0.5) == (known == 1))[~np.isnan(known)].mean() > 0.8
    with pytest.raises(Exception, match="this model predicts attributes; call predict instead"):
        model.probabilities(pack.inputs[:1])


def test_its_loss_is_that_of_the_attributes_and_of_the_unlabelled_rows(cell):
    network = cell.network_from_source()
    parts = [SourceRows(cell), Unlabelled(cell)]
    nothing = torch.empty(0)
    alone = [float(part.loss(network, nothing, nothing, 0).detach()) for part in parts]
    assert min(alone) >= 0
    assert alone[0] > 0
    assert float(Sum(parts).loss(network, nothing, nothing, 0).detach()) == pytest.approx(sum(alone), rel=1e-4)
    assert len(list(Sum(parts).module.parameters())) == 2  # the attributes' head is trained beside


def test_it_trains_on_source_and_unlabelled_rows(domains):
    found = {}
    for changes in ({}, {"source_weight": 0.0}, {"weight": 0.0}, {"source_weight": 0.0, "weight": 0.0}):
        job = domains["marks"].job("joint_attributes")
        job = replace(job, recipe=job.recipe.model_copy(update={"threshold": 0.2} | changes))
        found[tuple(changes)] = STRATEGIES.get("joint_attributes").load()(Cell(job, Accelerator()))
    heads = [fitted.tensors["head.weight"] for fitted in found.values()]
    assert not any(torch.equal(heads[0], other) for other in heads[1:])
    full = STRATEGIES.get("full").load()(Cell(domains["marks"].job("full"), Accelerator()))
    assert torch.allclose(heads[-1], full.tensors["head.weight"], atol=1e-6)  # with neither it is full
    rows = 21  # labelled rows of a step, three a class
    beside = 32 + 64 * 4 / 3  # of the source, and of the 70 unlabelled rows twice
    assert found[()].compute == pytest.approx(full.compute * (1 + beside / rows))


def test_without_unlabelled_rows_it_still_learns_from_the_attributes(domains, monkeypatch):
    monkeypatch.setattr(Cell, "unlabelled_rows", np.array([], dtype=np.intp))
    fitted = STRATEGIES.get("joint_attributes").load()(Cell(domains["marks"].job("joint_attributes"), Accelerator()))
    assert torch.isfinite(fitted.tensors["head.weight"]).all()


@pytest.fixture
def turned(tmp_path):
    """A source that says whether bars lean to the right and how long they are, and a target of their angles."""
    images, angles = turned_bars(160, seed=0)
    ids = [f"leaning{row:03d}-0" for row in range(len(images))]
    card = Card(
        name="leaning", classes=(), counts={}, splits={POOL: len(ids)}, rejected={}, duplicates=0, removed_overlap=0,
        modality="image", channels=1, size=(SIZE, SIZE), preparation={"image_size": SIZE, "channels": 1},
        mean=(float(images.mean() / 255),), std=(float(images.std() / 255),),
        kind="attribute", attributes=(Attribute("right", "yes/no"), Attribute("ink", "number")),
    )  # fmt: skip
    examples = pd.DataFrame({"id": ids, "path": ids, "split": POOL, "group": ids})
    codes = np.stack([angles > 0, images.mean((1, 2))], axis=1).astype(np.float64)
    rejected = pd.DataFrame(columns=["path", "reason"])
    write_pack(
        tmp_path / "leaning",
        card=card,
        examples=examples,
        inputs=images[:, None],
        rejected=rejected,
        attributes=codes,
    )
    write_value_pack(tmp_path / "angles", count=90, test=40, seed=1)
    return tmp_path


def test_a_target_of_values_learns_from_them_too(turned):
    still = {"augment": False}
    settings = validate(
        {
            "data": {"image_size": SIZE, "smallest_test": 0},
            "pretrain": still | {"epochs": 3, "batch_size": 32},
            "finetune": {"label_budget": 15, "curve_budgets": [], "seeds": 1},
            "strategies": {"joint_attributes": still | {"steps": 12}},
        },
        where="test",
    )
    pretrain(
        Pack(turned / "leaning"),
        turned / "w",
        backbone="resnet8",
        settings=settings.pretrain,
        seed=0,
        accelerator=Accelerator(),
        checkpoints=Checkpoints(turned / "checkpoints"),
        log=lambda *_: None,
    )
    nowhere = turned / "none"
    places = Places(
        turned / "angles", turned / "w", nowhere, nowhere, turned / "cells", kind="value",
        source_pack=turned / "leaning",
    )  # fmt: skip
    job = headline_jobs(settings, "joint_attributes", places, {})[0]
    run_cell(job, Accelerator())
    table = pd.read_parquet(job.directory / "predictions.parquet")
    final = table[table["progress"] == 1.0].set_index("id")["prediction"]
    truth = read_test_labels(turned / "angles").set_index("id")["value"]
    assert (final - truth[final.index]).abs().mean() < 30  # the mean would be off by 30 degrees
