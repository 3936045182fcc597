"""The time that is left of a grid, and how it is said."""

import pytest

from tasks.progress import in_words, time_left


def test_it_is_the_median_pace_by_steps_shared_by_the_workers():
    finished = [(100, 1.0), (200, 4.0), (100, 90.0)]  # 0.01, 0.02 and, of a busy moment, 0.9 s a step
    assert time_left(finished, [100, 300], workers=1) == pytest.approx(0.02 * 400)
    assert time_left(finished, [100, 100, 100, 100], workers=2) == pytest.approx(0.02 * 200)


def test_it_is_never_less_than_the_longest_cell():
    assert time_left([(100, 1.0)], [300, 10], workers=8) == pytest.approx(3.0)


def test_cells_without_steps_count_as_what_such_cells_took():
    assert time_left([(0, 0.5), (100, 2.0)], [0, 0, 100], workers=1) == pytest.approx(3.0)


def test_where_no_cell_of_the_kind_is_finished_nothing_is_known():
    assert time_left([(0, 0.5)], [100], workers=1) is None
    assert time_left([(100, 2.0)], [0], workers=1) is None


def test_when_none_waits_nothing_is_left():
    assert time_left([(100, 2.0)], [], workers=2) == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "about 5 s left"),
        (41, "about 40 s left"),
        (56, "about 1 min left"),
        (185, "about 3 min left"),
        (5399, "about 90 min left"),
        (9000, "about 2.5 h left"),
    ],
)
def test_it_is_said_in_round_figures(seconds, words):
    assert in_words(seconds) == words
