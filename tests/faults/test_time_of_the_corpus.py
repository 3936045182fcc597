"""The last file of this folder: bad input as a whole does not take long."""

from tally import seconds

MOST = 120  # seconds, for all cases together


def test_all_cases_take_less_than_two_minutes():
    assert seconds("Bad input") < MOST
