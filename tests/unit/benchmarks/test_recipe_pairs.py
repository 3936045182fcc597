"""The pairs of the study: letters of real fonts, and one small pair through all that the study does with one."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.recipes import pairs as module
from benchmarks.recipes.glyphs import GREEK, LATIN, base, faces, letters, render, write_letters
from benchmarks.recipes.pairs import DRAWS, PAIRS, SHOWN, Pair, prepare
from benchmarks.recipes.shown import on_test
from headstart.cells.run import read_summary, run_cell
from headstart.datasets.pack import read_test_labels
from headstart.training.accelerator import Accelerator


@pytest.mark.parametrize(
    ("character", "plain"),
    [("A", "a"), ("À", "a"), ("ǻ", "a"), ("ς", "σ"), ("Ω", "ω"), ("ΐ", "ι"), ("Æ", "æ"), ("ª", ""), ("×", "")],
)
def test_a_letter_is_known_by_its_base(character, plain):
    assert base(ord(character)) == plain


def test_both_alphabets_are_whole():
    assert "".join(letters(LATIN)) == "abcdefghijklmnopqrstuvwxyz"
    assert "".join(letters(GREEK)) == "αβγδεζηθικλμνξοπρστυφχψω"


def test_a_glyph_lies_in_the_middle_of_its_frame_as_digits_do():
    face = next(path for path in faces() if path.stem == "DejaVuSans")
    glyph = render(face, "H")
    rows, columns = np.nonzero(glyph > 20)
    assert glyph.shape == (28, 28)
    assert rows.max() - rows.min() + 1 in (19, 20)
    assert abs(rows.min() + rows.max() - 27) <= 1
    assert abs(columns.min() + columns.max() - 27) <= 1
    assert glyph.max() > 200


def test_sixteen_faces_give_distinct_rows_by_class(tmp_path):
    count = write_letters(tmp_path / "greek", GREEK, most=20)
    folders = sorted(path.name for path in (tmp_path / "greek").iterdir())
    files = list((tmp_path / "greek").rglob("*.png"))
    assert len(faces()) == 16
    assert (len(folders), len(files), count) == (24, 480, 480)
    assert {"alpha", "omega", "sigma", "lamda"} < set(folders)
    assert len({Image.open(path).tobytes() for path in files}) > 440  # some faces share a glyph


def test_the_pairs_are_three_of_classes_and_one_of_values_is_shown():
    assert len(PAIRS) == 3
    assert [pair.augment for pair in SHOWN] == [False]
    for pair in (*PAIRS, *SHOWN):
        settings = pair.settings("full", {"steps": 7})
        assert settings.recipe("full").steps == 7
        assert settings.finetune.label_budget == pair.label_budget
        assert all(settings.recipe(name).augment == pair.augment for name in module.TRAINED)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, draw_pictures) -> tuple[Pair, Path]:
    """A pair of drawn shapes that went through prepare."""
    root = tmp_path_factory.mktemp("pairs")
    writers = {
        "shapes": lambda folder: draw_pictures(folder, per_class=30, seed=1),
        "sketches": lambda folder: draw_pictures(folder, per_class=60, seed=2, ink=150),
    }
    pair = Pair("shapes", "sketches", "drawn shapes", 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LETTERS", writers)
        patch.setattr(module, "DEPTHS", (1, 2))
        prepare(pair, root)
    return pair, root


def test_what_is_prepared_is_not_prepared_again(small, monkeypatch):
    pair, root = small
    monkeypatch.setattr(module, "pretrain", lambda *_, **__: pytest.fail("it was"))
    assert prepare(pair, root) == "shapes -> sketches"


def test_a_recipe_becomes_its_cells_one_a_draw_and_its_features(small):
    pair, root = small
    jobs = pair.jobs(root, "frozen_blocks", {"fixed_blocks": 1, "steps": 4}, (0, 2))
    assert [job.seed for job in jobs] == [0, 2]
    assert (jobs[0].recipe.fixed_blocks, jobs[0].recipe.steps, jobs[0].label_budget) == (1, 4, 4)
    assert jobs[0].features.endswith("features-1")
    probe = pair.jobs(root, "linear_probe", {"levels": 1}, (0,))[0]
    assert (probe.levels, probe.features) == (1, jobs[0].features)


def test_test_scores_are_those_of_the_finished_cells(small):
    pair, root = small
    recipes = {"scratch": {"steps": 4}, "linear_probe": {"levels": 2}}
    jobs = {name: pair.jobs(root, name, recipe, range(3)) for name, recipe in recipes.items()}
    for own in jobs.values():
        for job in own:
            run_cell(job, Accelerator())
    shown = on_test(jobs)
    truth = read_test_labels(Path(jobs["scratch"][0].pack)).set_index("id")["label"]
    means = {name: [accuracy(job, truth) for job in own] for name, own in jobs.items()}
    for name in recipes:
        assert shown[name].score == pytest.approx(100 * np.mean(means[name]))
        assert shown[name].deviation == pytest.approx(100 * np.std(means[name], ddof=1))
    estimate, low, high = shown["linear_probe"].gain
    assert estimate == pytest.approx(shown["linear_probe"].score - shown["scratch"].score)
    assert low < estimate < high
    assert shown["scratch"].gain is None
    labelled = [read_summary(job)["labelled"] for job in jobs["scratch"]]
    assert not set(labelled[0]) & set(labelled[1])
    assert DRAWS == 6


def accuracy(job, truth) -> float:
    import pandas as pd

    table = pd.read_parquet(job.directory / "predictions.parquet").set_index("id")["prediction"]
    return float((table.loc[truth.index] == truth).mean())
