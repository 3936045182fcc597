"""The time that is left of a grid, and how it is said."""

import pytest

from tasks.progress import Pace, in_words, time_left


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


def test_a_cell_takes_more_than_its_training():
    """Two workers; a cell a second of the clock's, of which it says half a second: 1.5 s of each are not in it."""
    now = [9.0]  # by when the workers were started
    pace = Pace(workers=2, clock=lambda: now[0])
    for _ in range(6):
        pace.take(0, 0.5)
        now[0] += 1
    now[0] -= 1
    assert pace.left([0] * 60) == "about 1 min left"
    assert pace.left([0] * 20) == "about 20 s left"
    assert pace.left([]) == ""


def test_one_long_cell_is_enough_to_tell_and_one_short_cell_is_not():
    long, short = (Pace(workers=1) for _ in range(2))
    long.take(100, 40.0)
    short.take(100, 0.2)
    assert long.left([100, 100, 100]) == "about 2 min left"
    assert short.left([100, 100, 100]) == ""
