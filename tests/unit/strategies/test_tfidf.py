"""tfidf: what every strategy promises, on texts; its heads as scikit-learn's, and what it delivers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hidden_labels import without_labels
from sklearn.linear_model import LogisticRegression, Ridge

from headstart.cells import cell as cell_module
from headstart.cells.cell import Cell
from headstart.cells.grid import Places, headline_jobs, refit_jobs
from headstart.cells.job import Job
from headstart.cells.run import read_summary, run_cell
from headstart.datasets.ingest import ingest_target
from headstart.datasets.pack import Pack, read_test_labels
from headstart.datasets.splits import draw_labels
from headstart.datasets.values import Value
from headstart.errors import IntegrityError
from headstart.features.bags import OF_BYTES, bag, rarity, weighed
from headstart.objectives.classification import Classification
from headstart.objectives.regression import Regression
from headstart.prediction import ServedModel, load
from headstart.settings import validate
from headstart.storage.publish import write_manifest
from headstart.strategies.tfidf import _folds, _solve
from headstart.training.accelerator import Accelerator
from headstart.training.weights import read_weights, write_weights

WORDS = {"good": ["lovely", "bright", "warm", "kind"], "bad": ["awful", "dull", "cold", "cruel"], "odd": ["strange"]}
FILLER = ["the", "a", "this", "that", "very", "quite", "it", "was", "and", "so", "of", "in"]
FILES = ("predictions.parquet", "history.csv", "weights.safetensors", "card.json")
LENGTH = 64


def write_table(path: Path, *, rows: int, values: bool = False) -> Path:
    """Sentences of filler, with words that tell their class; of values the share of good ones."""
    draw, names = np.random.default_rng(0), list(WORDS)
    lines = []
    for number in range(rows):
        label = names[number % len(names)]
        good = int(draw.integers(0, 4))
        told = [*draw.choice(WORDS["good"], good), *draw.choice(WORDS["bad"], 3 - good)] if values else ()
        said = [*draw.choice(FILLER, 5), *(told if values else draw.choice(WORDS[label], 2))]
        text = " ".join(map(str, draw.permutation(said)))
        lines.append({"text": f"{text} {number}", **({"value": float(good)} if values else {"label": label})})
    path.mkdir(parents=True)
    pd.DataFrame(lines).to_csv(path / "texts.csv", index=False)
    return path


def settings(values: bool, **grid):
    """Of 10 labels a class, or 40 values."""
    return validate(
        {
            "backbone": "text_cnn",
            "data": {"modality": "text", "text": {"length": LENGTH}, "smallest_test": 0},
            "finetune": {"label_budget": 40 if values else 10, "curve_budgets": [], "seeds": 2} | grid,
            "evaluate": {"interval_level": 0.8},
        },
        where="test",
    )


@pytest.fixture(scope="module")
def cells(tmp_path_factory, decoder) -> dict[str, Job]:
    """A finished cell of texts with classes, and one of texts with values; no W is anywhere."""
    found = {}
    for kind in ("class", "value"):
        root, given = tmp_path_factory.mktemp("texts"), settings(kind == "value")
        table = write_table(root / "data", rows=150, values=kind == "value")
        ingest_target(table, root / "pack", settings=given.data, seed=0, workers=decoder, progress=lambda *_: None)
        places = Places(root / "pack", *[root / "nowhere"] * 3, root / "cells", kind=kind)
        found[kind] = headline_jobs(given, "tfidf", places, {"texts": 1})[0]
        run_cell(found[kind], Accelerator())
    return found


@pytest.fixture(params=["class", "value"])
def job(request, cells) -> Job:
    return cells[request.param]


@pytest.fixture
def of_classes(cells) -> Job:
    return cells["class"]


def final(job: Job) -> pd.DataFrame:
    return pd.read_parquet(job.directory / "predictions.parquet")


def test_it_learned_from_words_what_the_texts_are(job):
    table = final(job).set_index("id")
    truth = read_test_labels(Path(job.pack)).set_index("id").loc[table.index]
    if job.kind == "class":
        assert (table["prediction"] == truth["label"]).mean() > 0.9
        probabilities = np.stack(table["probabilities"])
        assert np.allclose(probabilities.sum(1), 1, atol=1e-5)
    else:
        assert np.abs(table["prediction"] - truth["value"]).mean() < 0.6 * np.abs(truth["value"] - 1.5).mean()


def test_it_says_what_it_is_and_cost_and_needs_no_network(job):
    card, tensors = read_weights(job.directory)
    assert (card.kind, card.strategy, card.backbone, card.modality) == ("tfidf", "tfidf", "", "text")
    assert set(tensors) == {"tfidf.columns", "tfidf.idf", "tfidf.weight", "tfidf.bias"}
    assert (card.normalisation.mean, card.normalisation.std) == ((), ())
    summary = read_summary(job)
    assert summary["compute"] > 0
    assert summary["pretraining_compute"] == 0
    assert len(summary["labelled"]) == (40 if job.kind == "value" else 30)
    history = pd.read_csv(job.directory / "history.csv")
    assert history["split"].tolist() == ["validation"]


def test_the_delivered_model_predicts_what_the_cell_predicted(job):
    table, pack = final(job), Pack(Path(job.pack))
    rows = pack.inputs[pack.rows("test")]
    assert pack.ids(pack.rows("test")) == table["id"].tolist()
    model = load(job.directory)
    found = model.predict(rows)
    served = ServedModel(model).predict(rows.astype(np.int64).tolist())
    pd.testing.assert_frame_equal(found, served)
    if job.kind == "class":
        assert np.abs(model.probabilities(rows) - np.stack(table["probabilities"])).max() < 1e-5
    else:
        assert np.abs(found["prediction"] - table["prediction"].to_numpy()).max() < 1e-5
    single = load(job.directory, batch_size=1).predict(rows[:3])
    pd.testing.assert_frame_equal(single, found[:3])


def test_a_domain_is_of_the_texts_own_vectors(job):
    model, pack = load(job.directory), Pack(Path(job.pack))
    vectors = model.vectors(pack.inputs[:5])
    assert vectors.shape == (5, 2048)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(5), atol=1e-5)


def test_a_model_whose_tensors_are_not_its_cards_is_refused(of_classes, tmp_path):
    card, tensors = read_weights(of_classes.directory)
    write_weights(tmp_path, card, tensors | {"tfidf.weight": tensors["tfidf.weight"][:2].clone()})
    write_manifest(tmp_path)
    with pytest.raises(IntegrityError, match="holds no model of tfidf as its card says"):
        load(tmp_path)


def test_the_labels_outside_its_budget_have_no_influence(of_classes, tmp_path, monkeypatch):
    job = of_classes
    pack, summary = Pack(Path(job.pack)), read_summary(job)
    labels = dict(zip(pack.examples["id"], pack.examples["label"], strict=True))
    hidden = len(pack.rows("pool")) - len(summary["labelled"])
    blind = without_labels(pack.directory, tmp_path, keep=summary["labelled"], hidden=hidden)

    def annotate(ids, _, **given):
        return draw_labels(ids, [labels[row] for row in ids], **given)

    monkeypatch.setattr(cell_module, "draw_labels", annotate)
    again = replace(job, pack=str(blind), cells=str(tmp_path / "cells"))
    assert run_cell(again, Accelerator()) | {"seconds": 0} == summary | {"seconds": 0}
    for name in FILES:
        assert (again.directory / name).read_bytes() == (job.directory / name).read_bytes(), name


def test_texts_outside_its_training_rows_fit_nothing(of_classes, tmp_path, monkeypatch):
    """Rarities are those of labelled rows, too: with all other texts another one, the model is the same."""
    cell = Cell(of_classes, Accelerator())
    kept = set(cell.train_rows.tolist())
    other = cell.pack.inputs[0:1] * 0 + 99

    def stored(rows):
        return np.concatenate([cell.pack.inputs[[row]] if row in kept else other for row in rows])

    from headstart.strategies.tfidf import fit

    one = fit(cell).tensors
    monkeypatch.setattr(cell, "stored", stored)
    two = fit(cell).tensors
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_another_seed_draws_other_labels(job, tmp_path):
    other = replace(job, seed=1, cells=str(tmp_path))
    assert not set(run_cell(other, Accelerator())["labelled"]) & set(read_summary(job)["labelled"])


@pytest.mark.parametrize("budget", [2, 3])
def test_with_one_training_row_a_class_nothing_is_left_out_and_it_still_answers(of_classes, tmp_path, budget):
    job = replace(of_classes, label_budget=budget, cells=str(tmp_path))
    run_cell(job, Accelerator())
    assert np.isfinite(np.stack(final(job)["probabilities"])).all()


def test_of_a_target_in_folds_it_is_delivered_from_all_rows(tmp_path, decoder):
    given = write_table(tmp_path / "data", rows=45)
    whole = settings(False, label_budget=5)
    data = whole.data.model_copy(update={"smallest_test": 100})
    ingest_target(given, tmp_path / "pack", settings=data, seed=0, workers=decoder, progress=lambda *_: None)
    places = Places(
        tmp_path / "pack", *[tmp_path / "nowhere"] * 3, tmp_path / "cells", folds=5, largest_label_budget=12
    )
    [job] = refit_jobs(headline_jobs(whole, "tfidf", places, {"texts": 1}))
    assert len(run_cell(job, Accelerator())["labelled"]) == 45
    assert load(job.directory).card.trained_on.startswith("all 45 labelled rows")


# ---- the heads -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """(rows, columns) weighed, labels (rows,), and the texts' numbers."""
    from headstart.modalities.text.modality import HowText, decode

    table = pd.read_csv(write_table(tmp_path_factory.mktemp("heads") / "data", rows=60) / "texts.csv")
    counts = bag(np.stack([decode(text, HowText(length=LENGTH)).values for text in table["text"]]), OF_BYTES)
    counts = counts[:, np.unique(counts.indices)]
    return weighed(counts, rarity(counts)), table["label"].map({name: n for n, name in enumerate(WORDS)}).to_numpy()


@pytest.mark.parametrize("classes", [2, 3])
def test_classes_get_scikit_learns_probabilities(texts, classes):
    rows, labels = texts[0][texts[1] < classes], texts[1][texts[1] < classes]
    head = _solve(rows, torch.from_numpy(labels), Classification(tuple(WORDS)[:classes]), 0.1)
    assert head.weight.shape == (classes, rows.shape[1])
    ours = torch.softmax(torch.from_numpy(rows @ head.weight.numpy().T) + head.bias, 1)
    theirs = LogisticRegression(C=10, max_iter=300).fit(rows, labels).predict_proba(rows)
    assert np.allclose(ours.numpy(), theirs, atol=1e-9)
    assert head.compute > 0


@pytest.mark.parametrize("outputs", [1, 2])
def test_values_get_the_ridge_head_in_closed_form(texts, outputs):
    values = torch.from_numpy(np.random.default_rng(0).normal(3, 2, (len(texts[1]), outputs)))
    objective = Regression(tuple(Value(f"stars {own}", "points") for own in range(outputs))).fitted(values)
    head = _solve(texts[0], values, objective, 0.5)
    theirs = Ridge(alpha=0.5, solver="svd").fit(texts[0].toarray(), objective.ridge_targets(values).numpy())
    ours = texts[0] @ head.weight.numpy().T + head.bias.numpy()
    assert np.allclose(ours, theirs.predict(texts[0].toarray()).reshape(-1, outputs), atol=1e-3)


def test_every_fold_leaves_a_row_of_each_class_in():
    labels = torch.tensor([0] * 9 + [1] * 3 + [2] * 4)
    fold_of, folds = _folds(Classification(("a", "b", "c")), labels)
    assert folds == 3
    for fold in range(folds):
        left = labels.numpy()[fold_of != fold]
        assert set(left) == {0, 1, 2}
    assert _folds(Classification(("a", "b")), torch.tensor([0, 0, 1]))[1] == 1
    fold_of, folds = _folds(Regression((Value("value", "m"),)), torch.rand(12, 1))
    assert (folds, np.bincount(fold_of).tolist()) == (5, [3, 3, 2, 2, 2])
