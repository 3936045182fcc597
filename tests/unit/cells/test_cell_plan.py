"""The plan: cells, seconds and bytes by arithmetic, from one timed step."""

import pytest

from headstart.cells import plan as module
from headstart.cells.plan import Speed, plan
from headstart.errors import SettingsError
from headstart.settings import validate


@pytest.fixture
def timed(monkeypatch):
    """A step of 32 images takes 0.01 s, a prediction no time; 1,000 parameters, 500 bytes of activations a row."""
    monkeypatch.setattr(module, "measure_speed", lambda settings, device: Speed(0.01, 0.0, 1000, activation=500))


def ask(workers: int = 1, source_rows: tuple[int, ...] = (5000,), **values):
    return plan(
        validate(values, where="test"),
        source_rows=source_rows,
        target_rows=1797,
        test_rows=700,
        workers=workers,
        device="cpu",
    )


def test_the_embedded_default(timed):
    found = ask()
    # 5 seeds x (6 strategies + half steps + equal compute + scratch and the chosen one at 2 further budgets)
    assert found.cells == 5 * (6 + 1 + 1 + 2 * 2)
    # steps of a seed: 600 scratch, 200 frozen, 200 full, 100 lp_ft, 300 half, at most 300 equal,
    # 2 x (600 + 200) on the curve; pretraining: 8 epochs of 78 batches of 64
    assert found.seconds == pytest.approx(0.01 * (5 * (600 + 200 + 200 + 100 + 300 + 300 + 1600) + 8 * 78 * 2))
    # packs; activations of each target row and of 8 views of it; weights of each cell
    assert found.disk == (5000 + 1797) * 28 * 28 + 1797 * 9 * 500 + 60 * 4000


def test_activations_that_are_not_kept_take_no_disk(timed):
    kept, not_kept = (ask(extract={"activations_gb": gb}).disk for gb in (1797 * 9 * 500 / 1e9, 0.008))
    assert kept - not_kept == 1797 * 9 * 500


def test_each_source_is_pretrained_on_and_entered_from_and_the_control_is_trained_once(timed):
    both = {"built_in": ["mnist5k", "digits", "mnist5k_angle"], "source": {"data": ["mnist5k", "mnist5k_angle"]}}
    one, two = ask(), ask(source_rows=(5000, 640), **both)
    assert two.cells - one.cells == 5 * 5  # seeds x strategies that read something of W
    assert two.seconds - one.seconds == pytest.approx(0.01 * (5 * (200 + 200 + 100) + 8 * 10 * 2))


def test_a_source_that_is_held_for_a_remedy_is_pretrained_on_alone(timed):
    held = {"data": ["mnist5k", "mnist5k_angle"], "enter": 1}
    one, two = ask(), ask(source_rows=(5000, 640), built_in=["mnist5k", "digits", "mnist5k_angle"], source=held)
    assert two.cells == one.cells
    assert two.seconds - one.seconds == pytest.approx(0.01 * 8 * 10 * 2)
    assert (one.remedies, two.remedies) == (5, 6)


def test_a_source_of_attributes_is_one_remedy_more(timed):
    glyphs = {"built_in": ["glyph_attributes", "digits"], "source": {"data": ["glyph_attributes"]}}
    assert ask(**glyphs).remedies == ask().remedies + 1
    assert ask(data={"attribute_columns": ["bold"]}).remedies == ask().remedies + 1


def test_what_remedies_would_take_is_told_apart(timed):
    # 200 steps each for another depth and l2_sp, 100 for wise_ft, 400 (rotation), 200 x (1 + 64 x 4/3 / 32) (fixmatch)
    assert ask().remedy_seconds == pytest.approx(0.01 * 5 * (200 + 200 + 100 + 400 + 200 * (1 + 64 * 4 / 3 / 32)))
    assert ask(remedy={"max_rounds": 2}).remedy_seconds == pytest.approx(0.01 * 5 * (200 + 200))
    assert ask(remedy={"max_rounds": 0}).remedies == 0


def test_workers_share_the_cells_and_not_the_pretraining(timed):
    assert ask().seconds - ask(workers=2).seconds == pytest.approx(0.01 * 5 * 3300 / 2)


def test_without_a_curve_there_are_fewer(timed):
    found = ask(finetune={"curve_budgets": [], "seeds": 2, "strategies": ["scratch", "linear_probe"]})
    assert found.cells == 2 * (2 + 2)
    assert found.seconds == pytest.approx(0.01 * (2 * (600 + 300 + 300) + 8 * 78 * 2))


def test_a_step_is_timed_on_the_networks_own_backbone():
    found = ask(backbone="resnet8")
    assert 0.1 < found.seconds < 5000
    assert found.disk > 1797 * 9 * 16 * 14 * 14 * 4  # float32 maps after the first two blocks


def test_predictions_and_extraction_count_too(monkeypatch):
    monkeypatch.setattr(module, "measure_speed", lambda settings, device: Speed(0.0, 0.001, 1000))
    # 60 cells predict the test rows once, the 20 headline cells that train three times more
    assert ask().seconds == pytest.approx(0.001 * (700 * (60 + 3 * 20) + 5000 + 1797 * 9))


def test_more_fixed_blocks_than_there_are_is_refused_before_anything_is_trained():
    with pytest.raises(SettingsError, match="fixed_blocks is 4, but this backbone's blocks are stem, stage1"):
        ask(strategies={"frozen_blocks": {"fixed_blocks": 4}})


def test_each_fold_is_a_training_and_each_strategy_one_more(timed):
    settings = validate({"finetune": {"curve_budgets": [5]}}, where="test")
    sizes = {"source_rows": [5000], "target_rows": 60, "test_rows": 60, "workers": 1, "device": "cpu"}
    found, one = plan(settings, folds=5, **sizes), plan(settings, **sizes)
    assert one.cells == 5 * (6 + 2 + 2)
    assert found.cells == 5 * 5 * (6 + 2 + 2) + 6
    pretraining = 0.01 * 8 * 78 * 2
    assert found.seconds - pretraining == pytest.approx(
        5 * (one.seconds - pretraining) + 0.01 * (600 + 200 + 200 + 100)
    )


def test_each_fold_predicts_its_own_rows_alone(monkeypatch):
    monkeypatch.setattr(module, "measure_speed", lambda settings, device: Speed(0.0, 1.0, 0))
    settings = validate({"finetune": {"curve_budgets": [], "strategies": ["scratch", "linear_probe"]}}, where="test")
    sizes = {"source_rows": [0], "target_rows": 60, "test_rows": 60, "workers": 1, "device": "cpu"}
    # 60 rows a seed: 4 cells, and 3 more looks at scratch; the two that are delivered are counted as a fold each
    assert plan(settings, folds=5, **sizes).seconds - 60 * 9 == pytest.approx(60 * 5 * (4 + 3) + 12 * 2)
