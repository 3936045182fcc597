"""What every strategy holds to where the target is a value: in the source's unit, and in another one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from value_domain import write_value_pack

from headstart.cells.cell import Cell
from headstart.cells.grid import Places, headline_jobs
from headstart.cells.job import Job
from headstart.cells.ridge import solve_head
from headstart.cells.run import read_summary, run_cell
from headstart.cells.select import choose
from headstart.datasets.pack import Pack, read_test_labels, test_directory
from headstart.errors import DataError
from headstart.features.extract import extract
from headstart.objectives.kinds import VALUE
from headstart.objectives.regression import Regression
from headstart.prediction import load
from headstart.settings import Settings, validate
from headstart.storage.publish import write_manifest
from headstart.strategies import lp_ft
from headstart.strategies.settings import TuneRecipe
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.loop import predict
from headstart.training.pretrain import pretrain
from headstart.training.rows import InputRows
from headstart.training.weights import read_card

TARGETS = {"degrees": 1.0, "turns": 1 / 360}  # unit, and what a degree is in it
STILL = {"augment": False}
NAMES = [entry.name for entry in STRATEGIES if "value" in entry.kinds and entry.takes("image")]
TRAINED = [name for name in NAMES if issubclass(STRATEGIES.get(name).recipe, TuneRecipe)]
# the source's values are in degrees
PAIRS = [
    (name, unit) for unit in TARGETS for name in NAMES if unit == "degrees" or not STRATEGIES.get(name).needs_shared
]
EVERYWHERE = pytest.mark.parametrize(("strategy", "unit"), PAIRS)

test_directory.__test__ = False  # it only sounds like one


def settings() -> Settings:
    return validate(
        {
            "data": {"image_size": 12, "smallest_test": 0},
            "pretrain": STILL | {"epochs": 4, "batch_size": 32},
            "extract": {"views": 2},
            "finetune": {"label_budget": 15, "curve_budgets": [], "seeds": 2},
            "evaluate": {"interval_level": 0.6},  # 3 of the 15 labels are held out: the largest error
            "strategies": {name: STILL | {"steps": 12 if name == "scratch" else 8} for name in TRAINED},
        },
        where="test",
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source of bars, W, and a target for each unit with its features."""
    root = tmp_path_factory.mktemp("values")
    accelerator = Accelerator()
    accelerator.start()
    source = Pack(write_value_pack(root / "packs" / "bars", count=200, test=0, seed=0))
    pretrain(
        source,
        root / "w",
        backbone="resnet8",
        settings=settings().pretrain,
        seed=0,
        accelerator=accelerator,
        checkpoints=Checkpoints(root / "checkpoints"),
        log=lambda *_: None,
    )
    for unit, each in TARGETS.items():
        write_value_pack(root / "packs" / unit, count=70, test=30, seed=1, unit=unit, each=each)
        extract(
            source,
            Pack(root / "packs" / unit),
            weights=root / "w",
            directories=(root / "features" / f"of {unit}", root / "features" / unit),
            settings=settings().extract,
            boundary=2,
            seed=0,
            accelerator=accelerator,
            progress=lambda *_: None,
        )
    return root


def job(root: Path, strategy: str, unit: str, **changes) -> Job:
    places = Places(
        root / "packs" / unit, root / "w", root / "features" / unit, root / "features" / f"of {unit}", root / "cells",
        kind="value", source_pack=root / "packs" / "bars",
    )  # fmt: skip
    return replace(headline_jobs(settings(), strategy, places, {"unit": unit})[0], **changes)


@pytest.fixture(scope="module")
def cells(root: Path) -> dict[tuple[str, str], Job]:
    found = {}
    for strategy, unit in PAIRS:
        found[strategy, unit] = job(root, strategy, unit)
        run_cell(found[strategy, unit], Accelerator())
    return found


def final(job: Job) -> pd.DataFrame:
    table = pd.read_parquet(job.directory / "predictions.parquet")
    return table[table["progress"] == 1.0]


def test_w_says_what_it_predicts_in_which_unit_and_how_well(root: Path):
    card = read_card(root / "w")
    pack = Pack(root / "packs" / "bars").card
    assert (card.classes, card.target_kind, card.values[0].unit, card.outputs) == ((), "value", "degrees", 1)
    assert card.values[0].mean == pytest.approx(pack.values[0].mean, abs=3)  # of the rows that it was trained on
    assert card.values[0].std == pytest.approx(pack.values[0].std, rel=0.05)
    history = pd.read_csv(root / "w" / "history.csv")
    assert set(history["metric"]) == {"loss", "mae"}
    assert history[history["metric"] == "mae"]["value"].iloc[-1] < 25  # the mean would be off by 30


@EVERYWHERE
def test_it_predicts_in_the_targets_unit(cells, root, strategy, unit):
    """The mean of all values would be off by 30 degrees; some see 12 rows for 8 steps."""
    table = final(cells[strategy, unit])
    assert table["probabilities"].isna().all()
    truth = read_test_labels(root / "packs" / unit).set_index("id")["value"]
    errors = np.abs(table["prediction"].to_numpy() - truth[table["id"]].to_numpy()) / TARGETS[unit]
    assert len(table) == 30
    assert errors.mean() < (60 if strategy in TRAINED and strategy != "lp_ft" else 30)


@EVERYWHERE
def test_its_scores_are_errors_in_the_unit(cells, root, strategy, unit):
    summary = read_summary(cells[strategy, unit])
    assert summary["validation_score"] < 0
    assert -summary["validation_score"] / TARGETS[unit] < 80
    assert (
        summary["validation_loss"] >= summary["validation_score"] ** 2
    )  # a mean square is no less than a mean's square
    assert len(summary["labelled"]) == 15
    history = pd.read_csv(cells[strategy, unit].directory / "history.csv")
    last = history[history["metric"] == "mae"]["value"].iloc[-1]
    assert last == pytest.approx(-summary["validation_score"])


@EVERYWHERE
def test_the_delivered_model_predicts_what_the_cell_predicted(cells, root, strategy, unit):
    found = cells[strategy, unit]
    pack, table, model = Pack(root / "packs" / unit), final(found), load(found.directory)
    places = {row: place for place, row in enumerate(pack.ids(np.arange(len(pack.examples))))}
    images = pack.inputs[[places[row] for row in table["id"]]]
    answers = model.predict(images)
    assert answers.columns.tolist() == ["prediction", "low", "high"]
    for end in ("low", "high"):
        assert np.abs(answers[end].to_numpy() - table[end].to_numpy()).max() < 1e-3 * TARGETS[unit]
    assert (table["low"] < table["prediction"]).all()
    assert (table["prediction"] < table["high"]).all()
    assert model.card.calibration.rows == 3
    assert np.abs(answers["prediction"].to_numpy() - table["prediction"].to_numpy()).max() < 1e-3 * TARGETS[unit]
    assert model.card.values[0].unit == unit
    with pytest.raises(DataError, match="predicts a value, which has no probabilities; call predict"):
        model.probabilities(pack.inputs[:1])


def test_the_source_is_w_itself_in_its_unit_and_its_nearest_rows_in_another(cells):
    own, nearest = (read_card(cells["source", unit].directory) for unit in TARGETS)
    assert (own.kind, nearest.kind) == ("network", "neighbours")
    assert read_summary(cells["source", "degrees"])["compute"] == 0.0


def test_ws_own_head_uses_no_label(cells, root, tmp_path):
    other = job(root, "source", "degrees", cells=str(tmp_path), seed=1)
    run_cell(other, Accelerator())
    assert final(other)["prediction"].tolist() == final(cells["source", "degrees"])["prediction"].tolist()


def test_a_network_goes_on_from_ws_head_in_the_same_unit_alone(root):
    cell = Cell(job(root, "full", "degrees"), Accelerator())
    assert isinstance(cell.objective, Regression)
    scale = cell.source_card.values[0].std / cell.objective.values[0].std
    ours, theirs = cell.network_from_source().head.weight, cell.source_network.head.weight
    assert np.allclose(ours.detach(), theirs.detach() * scale)
    other = Cell(job(root, "full", "turns"), Accelerator())
    assert other.network_from_source().head.weight.abs().sum() == 0


@pytest.mark.parametrize("unit", TARGETS)
def test_lp_ft_starts_from_the_probes_values(root, monkeypatch, unit):
    """Whatever the unit, with the probe solved on the last level: what a head sees."""
    cell = Cell(job(root, "lp_ft", unit), Accelerator())
    monkeypatch.setattr(lp_ft, "tune_from_source", lambda cell, start, **_: start())
    network = lp_ft.fit(cell)
    rows = InputRows(cell.stored(cell.test_rows), cell.source_card.normalisation, "image")
    found = predict(network, rows, accelerator=Accelerator(), objective=cell.objective)[:, 0]
    pooled = torch.from_numpy(np.array(cell.features("pooled.npy"))[:, :64]).double()
    probe = solve_head(pooled[cell.train_rows], cell.train_labels, objective=cell.objective, smallest=1e-4, largest=1e4)
    expected = cell.objective.predict(pooled[cell.test_rows] @ probe.weight.T + probe.bias)[:, 0]
    assert np.abs(found.numpy() - expected.numpy()).max() < 1e-3 * TARGETS[unit]


def test_a_budget_is_all_labelled_rows_and_seeds_share_none(root):
    drawn = [set(Cell(job(root, "full", "degrees", seed=seed), Accelerator()).labelled_ids) for seed in range(2)]
    assert [len(ids) for ids in drawn] == [15, 15]
    assert not drawn[0] & drawn[1]
    cell = Cell(job(root, "full", "degrees"), Accelerator())
    assert (len(cell.train_rows), len(cell.validation_rows)) == (12, 3)
    assert cell.objective.values[0].mean == pytest.approx(float(cell.train_labels.mean()), rel=1e-5)


def test_a_budget_that_the_pool_cannot_give_is_refused(root):
    with pytest.raises(DataError, match=r"^a label budget of 41 needs 41 labelled rows, but the target has 40 outside"):
        Cell(job(root, "full", "degrees", label_budget=41), Accelerator())


@pytest.mark.parametrize(("strategy", "unit"), {name: unit for name, unit in PAIRS}.items())
def test_the_values_outside_its_budget_have_no_influence(cells, root, tmp_path, strategy, unit):
    """Not even on which rows are drawn."""
    import shutil

    first = cells[strategy, unit]
    blind = tmp_path / unit
    shutil.copytree(root / "packs" / unit, blind)
    examples = pd.read_parquet(blind / "examples.parquet")
    examples.loc[~examples["id"].isin(read_summary(first)["labelled"]), "value"] = None
    examples.to_parquet(blind / "examples.parquet", index=False)
    write_manifest(blind)
    again = replace(first, pack=str(blind), cells=str(tmp_path / "cells"))
    run_cell(again, Accelerator())
    for name in ("predictions.parquet", "history.csv", "weights.safetensors", "card.json"):
        assert (again.directory / name).read_bytes() == (first.directory / name).read_bytes()


def test_a_labelled_row_without_a_value_is_refused_by_name(root, tmp_path):
    import shutil

    blind = tmp_path / "turns"
    shutil.copytree(root / "packs" / "turns", blind)
    examples = pd.read_parquet(blind / "examples.parquet").assign(value=float("nan"))
    examples.to_parquet(blind / "examples.parquet", index=False)
    write_manifest(blind)
    with pytest.raises(DataError, match=r"turns: row turns000\d\d-0 has no value; give one, or remove it"):
        Cell(job(root, "full", "turns", pack=str(blind)), Accelerator())


def test_the_smallest_validation_error_is_chosen():
    cells = pd.DataFrame(
        [("scratch", "", -1.0, 1.0), ("linear_probe", "", -4.0, 20.0), ("full", "", -3.0, 30.0)],
        columns=["strategy", "variant", "validation_score", "validation_loss"],
    )
    found = choose(cells, ("scratch", "linear_probe", "full"), VALUE)
    assert found["strategy"] == "full"
    assert found["validation_mae"] == {"linear_probe": 4.0, "full": 3.0}


def test_test_values_lie_apart(root):
    pack = Pack(root / "packs" / "degrees")
    assert pack.examples["value"][pack.rows("test")].isna().all()
    assert read_test_labels(pack.directory).columns.tolist() == ["id", "path", "value", "group"]
