"""Units: what shares a content or a group is one, along any chain; and the bins that values are split by."""

from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.datasets.units import join_units, value_bins

ROWS = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.one_of(st.none(), st.sampled_from("uvwxyz"))), min_size=1, max_size=30
)
quick = settings(deadline=None, max_examples=80)


def units(rows):
    return join_units([content for content, _ in rows], [group for _, group in rows])


@quick
@given(ROWS)
def test_rows_of_one_content_or_group_share_a_unit_and_others_do_not(rows):
    """By repeated merging, as a child would do it."""
    found = units(rows)
    merged = [{number} for number in range(len(rows))]
    for one, (content, group) in enumerate(rows):
        for two, (other, its_group) in enumerate(rows):
            if content == other or (group is not None and group == its_group):
                joined = merged[one] | merged[two]
                for number in joined:
                    merged[number] = joined
    for one in range(len(rows)):
        for two in range(len(rows)):
            assert (found[one] == found[two]) == (two in merged[one])


@quick
@given(ROWS, st.randoms(use_true_random=False))
def test_names_follow_from_the_contents_and_not_from_the_order(rows, chance):
    numbered = list(enumerate(rows))
    chance.shuffle(numbered)
    shuffled = units([row for _, row in numbered])
    assert {number: name for (number, _), name in zip(numbered, shuffled, strict=True)} == dict(enumerate(units(rows)))


def test_without_groups_a_unit_is_a_content():
    assert units([("b", None), ("a", None), ("b", None)]) == ["b", "a", "b"]
    assert units([]) == []


def test_a_chain_by_hand():
    rows = [("b", "p"), ("c", "p"), ("c", None), ("d", "q"), ("a", None)]
    assert units(rows) == ["b", "b", "b", "d", "a"]


def test_bins_are_quantiles_of_at_least_ten_rows():
    assert value_bins(list(range(19))) == ["00"] * 19
    assert value_bins(list(range(30))) == ["00"] * 10 + ["01"] * 10 + ["02"] * 10
    assert len(set(value_bins([float(number**3) for number in range(1000)]))) == 10


@quick
@given(st.lists(st.sampled_from([0.0, 1.0, 2.5, 7.0]), min_size=1, max_size=80))
def test_equal_values_share_a_bin_and_larger_ones_are_never_in_a_smaller(values):
    names = value_bins(values)
    for one, name in zip(values, names, strict=True):
        for two, other in zip(values, names, strict=True):
            assert one != two or name == other
            assert one >= two or name <= other
