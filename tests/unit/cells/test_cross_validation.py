"""Cells in folds: what they may see, what they fit, what is delivered, and how a seed's folds become one training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hidden_labels import without_labels
from PIL import Image

from headstart.cells.cell import Cell
from headstart.cells.effective import effective, lowered
from headstart.cells.grid import budget_jobs, cells_table, headline_jobs, refit_jobs
from headstart.cells.job import ALL_ROWS
from headstart.cells.outputs import delivered_job, publish_strategy
from headstart.cells.results import read_cells, read_labelled, read_predictions, read_speed
from headstart.cells.run import read_summary, run_cell
from headstart.datasets.ingest import ingest_source, ingest_target
from headstart.datasets.pack import Pack, read_test_labels
from headstart.errors import DataError, SettingsError
from headstart.features.extract import extract
from headstart.objectives.kinds import CLASS, VALUE
from headstart.prediction import load
from headstart.settings import validate
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator

FILES = ("predictions.parquet", "history.csv", "weights.safetensors", "card.json")
EVERY = pytest.mark.parametrize("strategy", [entry.name for entry in STRATEGIES if entry.takes("image")])
PER_CLASS, FOLDS, SEEDS = 12, 5, 2
UNSEEN = "new disc"  # that eszsl has no label of


@pytest.fixture(scope="module")
def settings(domain):
    values = domain.settings.model_dump()
    values["data"]["smallest_test"] = 150
    values["target"]["unseen"] = [UNSEEN]
    values["finetune"] |= {"label_budget": 10, "curve_budgets": [5, 20]}
    return effective(validate(values, where="test"), largest=9)  # 6 labels a class, and 5


@pytest.fixture(scope="module")
def root(domain, draw_pictures, decoder, settings, tmp_path_factory) -> Path:
    """Twelve pictures a class, ingested and extracted under the W of the other tests."""
    root = tmp_path_factory.mktemp("folds")
    draw_pictures(root / "data" / "few", per_class=PER_CLASS, seed=5, ink=150)
    for folder in sorted((root / "data" / "few").iterdir())[1:]:
        folder.rename(folder.with_name(f"new {folder.name}"))  # so that W's own head does not know all of them
    like = "class,bars,round\nbar,1,no\nnew cross,2,no\nnew disc,0,yes\n"
    (root / "data" / "few" / "class_attributes.csv").write_text(like)
    ingest_target(
        root / "data" / "few",
        root / "packs" / "few",
        settings=settings.data,
        seed=0,
        workers=decoder,
        progress=lambda *_: None,
    )
    extract(
        Pack(domain.root / "packs" / "shapes"),
        Pack(root / "packs" / "few"),
        weights=domain.places.weights,
        directories=(root / "features" / "shapes", root / "features" / "few"),
        settings=settings.extract,
        boundary=2,
        seed=0,
        accelerator=Accelerator(),
        progress=lambda *_: None,
    )
    return root


@pytest.fixture(scope="module")
def places(domain, root):
    card = Pack(root / "packs" / "few").card
    return replace(
        domain.places,
        pack=root / "packs" / "few",
        features=root / "features" / "few",
        source_features=root / "features" / "shapes",
        cells=root / "cells",
        folds=card.folds,
        largest_label_budget=card.largest_label_budget,
    )


@pytest.fixture(scope="module")
def pack(root) -> Pack:
    return Pack(root / "packs" / "few")


def first(settings, places, strategy, **changes):
    return replace(headline_jobs(settings, strategy, places, {"few": 1})[0], **changes)


class TestThePack:
    def test_all_rows_are_in_the_pool_and_all_are_scored(self, pack):
        card = pack.card
        assert (card.folds, card.largest_label_budget, card.test_units) == (FOLDS, 9, 36)
        assert card.splits == {"pool": 36}
        assert len(pack.rows(card.scored)) == 36

    def test_the_labels_of_all_rows_lie_apart_for_evaluate(self, root, pack):
        truth = read_test_labels(root / "packs" / "few")
        assert sorted(truth["id"]) == sorted(pack.examples["id"])
        assert truth["label"].value_counts().tolist() == [PER_CLASS] * 3

    @pytest.mark.parametrize("repeat", [0, 1, 99])
    def test_each_row_is_in_one_fold_of_each_repeat(self, pack, repeat):
        parts = [pack.fold(repeat, fold) for fold in range(FOLDS)]
        assert sorted(np.concatenate([inside for _, inside in parts])) == list(range(36))
        assert all(not set(outside) & set(inside) for outside, inside in parts)
        assert all(len(outside) + len(inside) == 36 for outside, inside in parts)

    def test_the_source_loses_every_row_that_the_target_has(self, root, settings, draw_pictures, decoder, tmp_path):
        source = draw_pictures(tmp_path / "source", per_class=20, seed=9)
        copied = sorted((root / "data" / "few").rglob("*.png"))[::4]
        for path in copied:
            with Image.open(path) as file:
                file.save(source / "bar" / f"copy-{path.parent.name}-{path.name}")
        target = Pack(root / "packs" / "few")
        card = ingest_source(
            source,
            tmp_path / "packs" / "source",
            settings=settings.data,
            excluded={row.rpartition("-")[0] for row in target.ids(target.rows(target.card.scored))},
            workers=decoder,
            progress=lambda *_: None,
        )
        assert card.removed_overlap == len(copied) == 9
        assert card.splits == {"pool": 60}


class TestBudgets:
    def test_they_are_lowered_to_what_a_class_has_outside_a_fold(self, settings):
        asked = validate({"finetune": {"label_budget": 10, "curve_budgets": [5, 7, 9, 20]}}, where="test")
        found = effective(asked, largest=9).finetune
        assert (found.label_budget, found.curve_budgets) == (6, (5, 9))  # 7 is no other point than 6
        assert lowered(asked, CLASS, largest=9) == [
            "label budget 6 instead of 10: two thirds of the 9 rows that every class has outside each fold, so that "
            "seeds differ in their labels",
            "left out of the curve: 7, 20 (finetune.curve_budgets)",
        ]
        assert "9 rows that there are outside each fold" in lowered(asked, VALUE, largest=9)[0]

    @pytest.mark.parametrize(("largest", "headline"), [(2, 2), (3, 2), (8, 5), (16, 10), (100, 10)])
    def test_the_headline_is_at_most_two_thirds_of_it(self, largest, headline):
        assert effective(validate({}, where="test"), largest=largest).finetune.label_budget == headline

    def test_what_fits_stays(self):
        asked = validate({}, where="test")
        assert effective(asked, largest=20) == asked
        assert effective(asked, largest=16).finetune.curve_budgets == (5,)
        assert lowered(asked, CLASS, largest=20) == []

    def test_with_a_test_set_nothing_is_lowered(self):
        asked = validate({}, where="test")
        assert effective(asked, largest=0) is asked
        assert lowered(asked, CLASS, largest=0) == []

    def test_beside_a_test_set_the_curve_is_of_what_there_is_and_a_headline_that_is_too_large_is_refused(self):
        asked = validate({}, where="test")
        assert effective(asked, largest=0, most=18).finetune.curve_budgets == (5,)
        assert lowered(asked, CLASS, largest=0, most=18) == [
            "left out of the curve: 20 (finetune.curve_budgets): there are only 18 labelled rows a class outside the "
            "test rows"
        ]
        with pytest.raises(SettingsError, match=r"label_budget is 10, but there are only 9 .* set it to 9 or less"):
            effective(asked, largest=0, most=9)

    def test_the_largest_can_be_drawn_in_every_fold_of_every_seed(self, settings, places):
        for job in budget_jobs(settings, "linear_probe", 9, places, {}):
            for seed in (job.seed, 98, 99):
                cell = Cell(replace(job, seed=seed), Accelerator())
                assert len(cell.labelled_ids) == 27

    def test_one_more_cannot(self, settings, places):
        with pytest.raises(DataError, match="a label budget of 10 a class needs 10 labelled rows"):
            Cell(first(settings, places, "linear_probe", label_budget=10), Accelerator())


class TestTheGrid:
    def test_there_is_a_cell_a_seed_and_fold(self, settings, places):
        jobs = headline_jobs(settings, "full", places, {})
        assert [(job.seed, job.fold) for job in jobs] == [(s, f) for s in range(SEEDS) for f in range(FOLDS)]
        assert len({job.key for job in jobs}) == len(jobs)
        assert jobs[6].name == "full, 6 labels a class, seed 1, fold 1"

    def test_what_is_delivered_is_one_more(self, settings, places):
        [job] = refit_jobs(headline_jobs(settings, "full", places, {}))
        assert (job.fold, job.variant, job.seed) == (ALL_ROWS, "refit", 0)
        assert job.name == "full, all labels"
        other = settings.model_copy(update={"finetune": settings.finetune.model_copy(update={"label_budget": 5})})
        assert refit_jobs(headline_jobs(other, "full", places, {}))[0].key == job.key
        assert refit_jobs(headline_jobs(settings, "full", replace(places, folds=0), {})) == []

    def test_the_folds_of_a_seed_are_one_row_of_the_table(self, settings, places):
        jobs = headline_jobs(settings, "full", places, {})
        summaries = [
            {"validation_score": 0.1 * job.fold, "compute": 2.0, "learning_rate": None, "labelled": ["a"] * 27}
            for job in jobs
        ]
        table = cells_table(jobs, summaries)
        assert table["seed"].tolist() == [0, 1]
        assert table["validation_score"].tolist() == pytest.approx([0.2, 0.2])
        assert table["compute"].tolist() == [2.0, 2.0]
        assert table["learning_rate"].isna().all()
        assert table["labels"].tolist() == [27, 27]


@EVERY
def test_labels_that_a_cell_did_not_draw_have_no_influence(settings, places, pack, tmp_path, monkeypatch, strategy):
    """Its own fold's and its pool's: byte-identical with half of them taken away and half of them made wrong."""
    from headstart.cells import cell as cell_module
    from headstart.datasets.splits import draw_labels

    job = first(settings, places, strategy, fold=2, label_budget=5, cells=str(tmp_path / "first"))
    summary = run_cell(job, Accelerator())
    labels = dict(zip(pack.examples["id"], pack.examples["label"], strict=True))
    assert len(summary["labelled"]) == (10 if STRATEGIES.get(strategy).needs_unseen else 15)
    hidden = 36 - len(summary["labelled"])
    blind = without_labels(pack.directory, tmp_path, keep=summary["labelled"], hidden=hidden)

    def annotate(ids, _, **options):
        return draw_labels(ids, [labels[row] for row in ids], **options)

    monkeypatch.setattr(cell_module, "draw_labels", annotate)
    again = replace(job, pack=str(blind), cells=str(tmp_path / "again"))
    assert run_cell(again, Accelerator()) | {"seconds": 0} == summary | {"seconds": 0}
    for name in FILES:
        assert (again.directory / name).read_bytes() == (job.directory / name).read_bytes(), name


def test_the_inputs_of_a_fold_fit_nothing(settings, places, pack):
    """scratch's normalisation is that of the rows outside of the fold, and another one in every fold."""
    found = []
    for fold in range(FOLDS):
        cell = Cell(first(settings, places, "scratch", fold=fold), Accelerator())
        outside, inside = pack.fold(0, fold)
        pixels = pack.inputs[outside] / 255.0
        assert cell.own_normalisation.mean == pytest.approx([pixels.mean()], abs=1e-6)
        assert cell.own_normalisation.std == pytest.approx([pixels.std()], abs=1e-6)
        assert cell.test_rows.tolist() == inside.tolist()
        found.append(cell.own_normalisation.mean)
    assert len(set(found)) == FOLDS


@EVERY
def test_what_is_delivered_is_trained_on_all_rows(settings, places, pack, strategy):
    [job] = refit_jobs(headline_jobs(settings, strategy, places, {"few": 1}))
    summary = run_cell(job, Accelerator())
    known = pack.examples[(pack.examples["label"] != UNSEEN) | (not STRATEGIES.get(strategy).needs_unseen)]
    assert sorted(summary["labelled"]) == sorted(known["id"])
    assert len(pd.read_parquet(job.directory / "predictions.parquet")) == 0
    model = load(job.directory)
    assert model.card.label_budget is None
    assert model.card.trained_on == (
        f"all {len(known)} labelled rows; the score given for it is that of 5-fold cross-validation of its strategy"
    )
    assert model.probabilities(pack.inputs[:4]).shape == (4, 3)


@pytest.fixture(scope="module")
def published(settings, places, root):
    """The control's folder: both seeds, half steps, and what is delivered."""
    jobs = headline_jobs(settings, "scratch", places, {"few": 1})
    jobs += refit_jobs(jobs)
    summaries = [run_cell(job, Accelerator()) for job in jobs]
    delivered = delivered_job(jobs, summaries)
    publish_strategy(root / "scratch", jobs, summaries, delivered=delivered, speed={"rows_per_second": 9.0}, keep="all")
    return root / "scratch", jobs, delivered


class TestWhatIsPublished:
    def test_each_seed_predicts_each_row_once_at_each_look(self, published, pack):
        table = read_predictions(published[0])
        assert set(table["variant"]) == {"", "half_steps"}
        for (_, _, progress), part in table.groupby(["variant", "seed", "progress"]):
            assert sorted(part["id"]) == sorted(pack.examples["id"]), progress

    def test_a_prediction_is_that_of_the_fold_that_left_the_row_out(self, published, pack):
        folder, jobs, _ = published
        table = read_predictions(folder)
        for job in jobs[:FOLDS]:
            own = pd.read_parquet(job.directory / "predictions.parquet")
            assert set(own["id"]) == set(pack.ids(pack.fold(job.seed, job.fold)[1]))
            assert not set(own["id"]) & set(read_summary(job)["labelled"])
            there = table[(table["variant"] == "") & (table["seed"] == job.seed) & table["id"].isin(own["id"])]
            merged = own.merge(there, on=["id", "progress"], suffixes=("", "_there"))
            assert len(merged) == len(own)
            assert (merged["prediction"] == merged["prediction_there"]).all()

    def test_the_speed_is_that_of_what_is_delivered_and_stands_with_the_headline(self, published, settings):
        folder, _, delivered = published
        speed = read_speed(folder)
        assert delivered.label_budget == 0
        assert (speed["strategy"], speed["label_budget"]) == ("scratch", settings.finetune.label_budget)
        assert speed["seconds"] == read_summary(delivered)["seconds"]

    def test_cells_are_one_row_a_seed_and_the_refit_is_none(self, published):
        cells = read_cells(published[0])
        assert list(zip(cells["variant"], cells["seed"], strict=True)) == [
            ("", 0),
            ("", 1),
            ("half_steps", 0),
            ("half_steps", 1),
        ]

    def test_labels_are_kept_by_fold(self, published):
        labelled = read_labelled(published[0])
        assert set(labelled) == {(6, 0), (6, 1)}
        assert [len(draw) for draw in labelled[6, 0]] == [18] * FOLDS

    def test_delivered_is_the_refit_and_each_fold_is_kept_where_all_are(self, published):
        folder, _, delivered = published
        assert delivered.fold == ALL_ROWS
        assert (folder / "weights.safetensors").read_bytes() == (
            delivered.directory / "weights.safetensors"
        ).read_bytes()
        kept = {path.name for path in (folder / "cells").iterdir()}
        assert {"6-0-fold_0", "6-1-half_steps-fold_4"} < kept
        assert len(kept) == 2 * SEEDS * FOLDS

    def test_the_history_tells_folds_apart(self, published):
        history = pd.read_csv(published[0] / "history.csv", keep_default_na=False)
        assert sorted(set(history["fold"])) == list(range(FOLDS))
