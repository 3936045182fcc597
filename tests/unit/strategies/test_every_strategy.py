"""The contract of each registered strategy: where the source has the target's classes, others, or attributes alone."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import part_pictures
import pytest
import torch
from hidden_labels import without_labels

from headstart.cells import cell as cell_module
from headstart.cells.cell import Cell, Fitted
from headstart.cells.job import Job
from headstart.cells.run import read_summary, run_cell
from headstart.datasets.pack import read_test_labels, test_directory
from headstart.datasets.splits import draw_labels
from headstart.knobs import Knobs
from headstart.objectives.calibration import Calibration
from headstart.prediction import load
from headstart.storage.publish import write_manifest
from headstart.strategies.table import STRATEGIES, Strategy
from headstart.training.accelerator import Accelerator
from headstart.training.rows import Normalisation
from headstart.training.weights import read_card, read_weights

TARGETS = ("marks", "sketches", "symbols")
FILES = ("predictions.parquet", "history.csv", "weights.safetensors", "card.json")
EVERY = pytest.mark.parametrize("strategy", STRATEGIES.names())
OF_IMAGES = [entry.name for entry in STRATEGIES if entry.takes("image")]  # test_tfidf.py has the one that is for texts


def has_meaning(entry: Strategy, target: str) -> bool:
    """The source of "marks" has attributes and no classes; "symbols" has none of its source's classes."""
    if target == "marks":
        return not entry.needs_head and not entry.needs_shared
    return not (entry.needs_attributes or entry.needs_unseen) and (target == "sketches" or not entry.needs_shared)


PAIRS = [
    (entry.name, target) for target in TARGETS for entry in map(STRATEGIES.get, OF_IMAGES) if has_meaning(entry, target)
]
EVERYWHERE = pytest.mark.parametrize(("strategy", "target"), PAIRS)


def target_of(strategy: str) -> str:
    """The harder of the targets that it has a meaning for."""
    return next(target for target in reversed(TARGETS) if (strategy, target) in PAIRS)


test_directory.__test__ = False  # it only sounds like one


@pytest.fixture(scope="module")
def cells(domains):
    """Each strategy's finished cell on each target: the job and what its fit gave."""
    found: dict[tuple[str, str], tuple[Job, Fitted]] = {}
    with pytest.MonkeyPatch.context() as patch:
        for target, domain in domains.items():
            for entry in (STRATEGIES.get(name) for name, there in PAIRS if there == target):
                job = domain.job(entry.name)
                fitted: Fitted = entry.load()(Cell(job, Accelerator()))
                patch.setattr(entry.target.replace(":", "."), lambda cell, fitted=fitted: fitted)
                run_cell(job, Accelerator())
                patch.undo()
                found[entry.name, target] = job, fitted
    return found


@EVERY
def test_its_line_and_family_say_what_it_is(strategy):
    entry = STRATEGIES.get(strategy)
    assert 20 < len(entry.line) < 100
    assert not entry.line.endswith(".")
    assert entry.family
    assert issubclass(entry.recipe, Knobs)
    assert entry.target == f"headstart.strategies.{strategy}:fit"  # dvc.yaml's dep is strategies/<name>.py


def test_the_roles_are_given_once_each():
    roles = [entry.role for entry in STRATEGIES]
    assert roles.count("control") == roles.count("source") == 1
    assert STRATEGIES.get("scratch").role == "control"
    assert STRATEGIES.get("source").role == "source"


@EVERYWHERE
def test_it_gives_probabilities_of_all_rows(cells, domains, strategy, target):
    _, fitted = cells[strategy, target]
    classes = len(domains[target].pack.card.classes)
    known = classes - len(part_pictures.UNSEEN) * STRATEGIES.get(strategy).needs_unseen
    assert [snapshot.progress for snapshot in fitted.snapshots] == sorted({s.progress for s in fitted.snapshots})
    assert fitted.snapshots[-1].progress == 1.0
    # 24 rows a class: 14 in the pool, 10 for the test; of the budget of 4 labels 1 is for validation
    for snapshot in fitted.snapshots:
        assert snapshot.test.shape == (10 * classes, classes)
        assert snapshot.validation.shape == (known, classes)
    assert fitted.train.shape == (3 * known, classes)
    for values in (fitted.train, *(part for s in fitted.snapshots for part in (s.test, s.validation))):
        assert torch.isfinite(values).all()
        assert (values >= 0).all()
        assert torch.allclose(values.sum(1).double(), torch.ones(len(values), dtype=torch.float64), atol=1e-5)


@EVERYWHERE
def test_it_says_what_it_cost_and_how_it_went(cells, strategy, target):
    _, fitted = cells[strategy, target]
    table = pd.DataFrame(fitted.history, columns=["step", "split", "metric", "value"])
    assert np.isfinite(table["value"]).all()
    assert table["step"].is_monotonic_increasing
    assert {"validation"} <= set(table["split"]) <= {"train", "validation"}
    assert np.isfinite(fitted.compute)
    assert fitted.compute > 0 or (strategy, target) == ("source", "sketches")  # W's own head costs nothing
    if strategy == "scratch":
        assert fitted.pretraining_compute == 0
    else:
        assert fitted.pretraining_compute > 0
    assert all(torch.isfinite(tensor).all() for tensor in fitted.tensors.values())


@EVERYWHERE
def test_it_learned_something(cells, domains, strategy, target):
    """A third, or a seventh, is chance; scratch has had 12 steps here, the others 8 at most."""
    job, _ = cells[strategy, target]
    final = _final(job)
    truth = read_test_labels(domains[target].places.pack).set_index("id")["label"]
    assert (truth[final["id"]].to_numpy() == final["prediction"].to_numpy()).mean() > 0.6


@EVERYWHERE
def test_the_normalisation_is_that_of_the_weights_it_started_from(cells, domains, strategy, target):
    """A wrong one was measured to turn the gain into a loss (test_negative_transfer.py plants it)."""
    _, fitted = cells[strategy, target]
    card = domains[target].pack.card
    source = read_card(domains[target].places.weights).normalisation
    own = Normalisation(card.mean, card.std)
    assert source != own
    assert fitted.normalisation == (own if strategy == "scratch" else source)


@EVERYWHERE
def test_the_delivered_model_predicts_what_the_cell_predicted(cells, domains, strategy, target):
    job, fitted = cells[strategy, target]
    pack = domains[target].pack
    final = _final(job)
    places = {row: place for place, row in enumerate(pack.ids(np.arange(len(pack.examples))))}
    model = load(job.directory)
    found = model.probabilities(pack.inputs[[places[row] for row in final["id"]]])
    assert np.abs(found - np.stack(final["probabilities"])).max() < 1e-5
    plain = model.objective.calibrated(Calibration())
    assert np.abs(found - model.objective.tempered(fitted.snapshots[-1].test).numpy()).max() < 1e-5
    assert (found.argmax(1) == plain.tempered(fitted.snapshots[-1].test).argmax(1).numpy()).all()
    assert model.card.classes == pack.card.classes


@pytest.mark.parametrize("strategy", ["source", "linear_probe"])
def test_another_seed_draws_other_labels(cells, tmp_path, strategy):
    job, _ = cells[strategy, "symbols"]
    other = replace(job, cells=str(tmp_path), seed=1)
    summary = run_cell(other, Accelerator())
    assert not set(summary["labelled"]) & set(read_summary(job)["labelled"])
    assert _bytes(other.directory)["predictions.parquet"] != _bytes(job.directory)["predictions.parquet"]


@pytest.mark.parametrize(
    ("strategy", "target"), [("source", "sketches"), *((name, target_of(name)) for name in OF_IMAGES)]
)
def test_the_labels_outside_its_budget_have_no_influence(cells, domains, tmp_path, monkeypatch, strategy, target):
    """Every output is byte-identical without the pool's other labels, the counts of classes and the test labels.

    Of the other labels one half is taken away and one half is made wrong.
    """
    job, _ = cells[strategy, target]
    pack = domains[target].pack
    labels = dict(zip(pack.examples["id"], pack.examples["label"], strict=True))
    hidden = 14 * len(pack.card.classes) - len(read_summary(job)["labelled"])
    blind = without_labels(pack.directory, tmp_path, keep=read_summary(job)["labelled"], hidden=hidden)

    def annotate(ids, _, **settings):
        """Which rows get labelled is decided by who labels them, that is, by the truth."""
        return draw_labels(ids, [labels[row] for row in ids], **settings)

    monkeypatch.setattr(cell_module, "draw_labels", annotate)
    again = replace(job, pack=str(blind), cells=str(tmp_path / "cells"))
    summary = run_cell(again, Accelerator())
    assert not test_directory(blind).exists()
    assert _bytes(again.directory) == _bytes(job.directory)
    assert summary | {"seconds": 0} == read_summary(job) | {"seconds": 0}


@pytest.mark.parametrize("strategy", OF_IMAGES)
def test_what_it_does_not_declare_to_read_may_be_missing(cells, tmp_path, strategy):
    """A strategy that reads more than its table entry says would not be rerun when that changes."""
    job, _ = cells[strategy, target_of(strategy)]
    reads = STRATEGIES.get(strategy).reads
    changes: dict[str, str] = {"cells": str(tmp_path / "cells")}
    if "weights" not in reads:
        changes["weights"] = str(tmp_path / "no weights")
    if "rows" not in reads:
        changes["source_pack"] = str(tmp_path / "no rows")
    if "pooled" not in reads:
        changes["source_features"] = str(tmp_path / "no source features")
    files = {"pooled": ("pooled.npy",), "boundary": ("boundary.npy", "views.npy")}
    kept = [name for read in reads for name in files.get(read, ())]
    changes["features"] = str(_only(Path(job.features), tmp_path / "features", kept))
    again = replace(job, **changes)
    run_cell(again, Accelerator())
    assert _bytes(again.directory) == _bytes(job.directory)


@pytest.mark.parametrize(("strategy", "blocks"), [("source", 4), ("linear_probe", 4), ("frozen_blocks", 2)])
def test_what_it_leaves_of_w_is_w_to_the_bit(cells, domain, strategy, blocks):
    """BatchNorm's running statistics included."""
    job, _ = cells[strategy, "sketches"]
    _, ours = read_weights(job.directory)
    _, source = read_weights(domain.places.weights)
    fixed = [name for name in source if name.startswith(tuple(f"blocks.{block}." for block in range(blocks)))]
    assert sum("running_mean" in name for name in fixed) == (9 if blocks == 4 else 3)
    assert all(torch.equal(ours[name], source[name]) for name in fixed)


@pytest.mark.parametrize(("strategy", "first"), [("frozen_blocks", 2), ("full", 0), ("scratch", 0)])
def test_what_it_trains_has_moved(cells, domain, strategy, first):
    job, _ = cells[strategy, "sketches"]
    _, ours = read_weights(job.directory)
    _, source = read_weights(domain.places.weights)
    for block in range(first, 4):
        moved = [
            name for name in source if name.startswith(f"blocks.{block}.") and not torch.equal(ours[name], source[name])
        ]
        assert any("conv" in name or name.endswith("0.weight") for name in moved)
        assert any("running_mean" in name for name in moved)
    assert not torch.equal(ours["head.weight"], source["head.weight"])


def _final(job) -> pd.DataFrame:
    table = pd.read_parquet(job.directory / "predictions.parquet")
    return table[table["progress"] == 1.0]


def _bytes(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in FILES}


def _only(features: Path, into: Path, names: list[str]) -> Path:
    into.mkdir()
    for name in names:
        shutil.copy(features / name, into / name)
    write_manifest(into)
    return into
