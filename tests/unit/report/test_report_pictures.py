"""Pictures: the right rows are shown as won and lost, and every kind of image becomes a data: address."""

import base64
import dataclasses
import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headstart.report.inputs import ReportInputs
from headstart.report.pictures import LONGEST_SIDE, address, samples, won_and_lost


def opened(given: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(given.split(",")[1])))


def run(inputs: ReportInputs, rows: list[tuple[Any, ...]]) -> ReportInputs:
    """rows: (id, seed, truth, scratch's prediction, full's prediction)."""
    parts = [
        (id, name, 10, seed, truth, given)
        for id, seed, truth, scratch, full in rows
        for name, given in (("scratch", scratch), ("full", full))
    ]
    columns = ["id", "strategy", "label_budget", "seed", "truth", "prediction"]
    images = {"a": np.zeros((4, 4), np.uint8)}
    return dataclasses.replace(inputs, predictions=pd.DataFrame(parts, columns=columns), images=images)


def test_a_row_is_won_under_more_than_half_of_the_seeds(inputs: ReportInputs) -> None:
    rows = [
        *(("a", seed, "1", "7" if seed else "1", "1") for seed in range(3)),  # won under 2 of 3
        *(("b", seed, "1", "1" if seed else "7", "1") for seed in range(3)),  # won under 1 of 3
        *(("c", seed, "2", "2", "3") for seed in range(3)),  # lost under all
    ]
    won, lost = won_and_lost(run(inputs, rows))
    assert (won.total, lost.total, won.rows) == (1, 1, 3)
    assert won.shots[0].caption == ("true: 1", "✗ scratch: 7", "✓ full: 1", "2 of 3 seeds")
    assert won.shots[0].alt == "a test image of class 1; scratch says 7, full says 1"
    assert lost.shots[0].caption == ("true: 2", "✓ scratch: 2", "✗ full: 3", "3 of 3 seeds")


def test_the_clearest_come_first_and_no_more_than_asked(inputs: ReportInputs) -> None:
    rows = [
        (name, seed, "1", "7" if seed < wins else "1", "1") for name, wins in (("a", 2), ("b", 3)) for seed in (0, 1, 2)
    ]
    won, _ = won_and_lost(run(inputs, rows), most=1)
    assert won.total == 2
    assert [shot.caption[-1] for shot in won.shots] == ["3 of 3 seeds"]


def test_shown_predictions_are_those_of_the_flipped_seeds(inputs: ReportInputs) -> None:
    """Scratch is right twice but wrong in three different ways: its commonest answer over all seeds is the truth."""
    rows = [("a", seed, "1", given, "1") for seed, given in enumerate(["1", "1", "5", "6", "7"])]
    won, _ = won_and_lost(run(inputs, rows))
    assert won.shots[0].caption[1] == "✗ scratch: 5"


def test_a_missing_picture_is_said_not_fatal(inputs: ReportInputs) -> None:
    won, _ = won_and_lost(run(inputs, [("z", 0, "1", "7", "1")]))
    assert won.shots[0].address is None
    assert not won.shots[0].exact


def test_no_flips_no_pictures(inputs: ReportInputs) -> None:
    won, lost = won_and_lost(run(inputs, [("a", 0, "1", "1", "1")]))
    assert (won.total, lost.total, won.shots, lost.shots) == (0, 0, [], [])


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (28, 28, 3), (20, 40)])
def test_small_pictures_are_kept_to_the_pixel(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    given = address(picture)
    assert given.startswith("data:image/png;base64,")
    assert (np.asarray(opened(given)) == picture.squeeze()).all()


@pytest.mark.parametrize("shape", [(300, 200), (224, 224, 3), (224, 224, 4)])
def test_large_pictures_are_made_light(shape: tuple[int, ...]) -> None:
    given = address(np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))
    assert given.startswith("data:image/jpeg;base64,")
    assert max(opened(given).size) == LONGEST_SIDE
    assert len(given) < 20_000


def test_samples_carry_their_label() -> None:
    pairs = [("Golden Retriever (adult, side view)", np.zeros((4, 4), np.uint8))] * 30
    shots = samples(pairs)
    assert len(shots) == 20
    assert shots[0].alt == "an image of class Golden Retriever (adult, side view)"
    assert shots[0].caption == ("Golden Retriever (adult…",)
