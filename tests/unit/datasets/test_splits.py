"""Splits and label draws as properties: they follow from ids and seed alone, and keep what the evaluation promises."""

import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headstart.datasets.splits import draw_labels, hold_out, split_test
from headstart.errors import DataError

SEEDS = st.integers(0, 2**31 - 1)
FRACTIONS = st.floats(0.05, 0.95)
# rows as (group, label): rows of one group mostly share a label, as exact duplicates do
ROWS = st.lists(st.tuples(st.integers(0, 25), st.sampled_from("abc")), min_size=1, max_size=60)
ONE_LABEL_A_GROUP = st.lists(st.integers(0, 25), min_size=1, max_size=60).map(
    lambda groups: [(group, "abc"[group % 3]) for group in groups]
)
quick = settings(deadline=None, max_examples=80)


def split(rows, fraction=0.4, seed=0):
    return split_test([label for _, label in rows], [f"g{group}" for group, _ in rows], fraction=fraction, seed=seed)


def draw(ids, labels, *, budget=3, stride=3, seed=0, number=0, groups=None):
    return draw_labels(ids, labels, budget=budget, stride=stride, seed=seed, draw=number, groups=groups)


class TestTestRows:
    @quick
    @given(ROWS, FRACTIONS, SEEDS)
    def test_duplicates_are_never_on_both_sides(self, rows, fraction, seed):
        sides = defaultdict(set)
        for (group, _), test in zip(rows, split(rows, fraction, seed), strict=True):
            sides[group].add(bool(test))
        assert all(len(side) == 1 for side in sides.values())

    @quick
    @given(ONE_LABEL_A_GROUP, FRACTIONS, SEEDS)
    def test_each_class_meets_the_fraction_as_nearly_as_its_groups_let_it(self, rows, fraction, seed):
        test = split(rows, fraction, seed)
        largest = max(Counter(group for group, _ in rows).values())
        for name in {label for _, label in rows}:
            own = np.array([label == name for _, label in rows])
            assert abs(test[own].sum() - fraction * own.sum()) <= largest / 2 + 1e-9

    @quick
    @given(st.integers(2, 40), st.integers(1, 8), st.integers(1, 4), FRACTIONS, SEEDS)
    def test_groups_that_have_all_classes_meet_it_too(self, groups, classes, each, fraction, seed):
        """As of voices, each of which says every word a few times."""
        rows = [(group, f"c{name}") for group in range(groups) for name in range(classes) for _ in range(each)]
        test = split(rows, fraction, seed)
        assert abs(test.sum() - fraction * len(rows)) <= classes * each / 2 + 1e-9

    @given(st.integers(1, 40), st.integers(1, 40), FRACTIONS, SEEDS)
    @quick
    def test_without_duplicates_each_class_gives_its_rounded_share(self, many, few, fraction, seed):
        rows = [(number, "a" if number < many else "b") for number in range(many + few)]
        test = split(rows, fraction, seed)
        for count, found in ((many, test[:many].sum()), (few, test[many:].sum())):
            assert abs(found - fraction * count) <= 0.5 + 1e-9

    @quick
    @given(ROWS, FRACTIONS, SEEDS, st.randoms(use_true_random=False))
    def test_the_order_of_the_rows_does_not_matter(self, rows, fraction, seed, chance):
        numbered = list(enumerate(rows))
        chance.shuffle(numbered)
        test = split([row for _, row in numbered], fraction, seed)
        shuffled = {number for (number, _), is_test in zip(numbered, test, strict=True) if is_test}
        assert shuffled == set(np.flatnonzero(split(rows, fraction, seed)))

    def test_another_seed_is_another_split(self):
        rows = [(number, "a") for number in range(40)]
        assert (split(rows, seed=0) == split(rows, seed=0)).all()
        assert (split(rows, seed=0) != split(rows, seed=1)).any()

    def test_a_split_by_hand(self):
        """Taking a group of three for two wanted rows comes nearer than leaving it; one of five does not."""
        assert split([(0, "a")] * 3 + [(1, "b")] * 5, fraction=0.49).tolist() == [False] * 8
        assert split([(0, "a")] * 3 + [(1, "b")] * 5, fraction=0.5).tolist() == [True] * 8


class TestLabelDraws:
    @staticmethod
    def pool(per_class: int, names: str = "ab") -> tuple[list[str], list[str]]:
        labels = [name for name in names for _ in range(per_class)]
        return [f"id{number}" for number in range(len(labels))], labels

    @quick
    @given(st.integers(2, 8), st.integers(0, 20), SEEDS)
    def test_each_class_gives_the_budget(self, budget, number, seed):
        ids, labels = self.pool(20)
        rows = draw(ids, labels, budget=budget, stride=8, seed=seed, number=number)
        assert Counter(labels[row] for row in rows) == {"a": budget, "b": budget}
        assert len(set(rows)) == 2 * budget

    @quick
    @given(st.integers(8, 30), st.integers(0, 12), SEEDS)
    def test_budgets_are_nested_and_keep_their_order(self, per_class, number, seed):
        """A larger budget has a smaller one's rows first: the label-efficiency curve is of growing sets."""
        ids, labels = self.pool(per_class)
        found = {}
        for budget in (2, 5, 8):
            rows = draw(ids, labels, budget=budget, stride=8, seed=seed, number=number)
            found[budget] = {name: [row for row in rows if labels[row] == name] for name in "ab"}
        for name in "ab":
            assert found[8][name][:5] == found[5][name]
            assert found[5][name][:2] == found[2][name]

    @quick
    @given(st.integers(2, 6), st.integers(6, 40), SEEDS)
    def test_seeds_are_disjoint_while_the_pool_allows(self, stride, per_class, seed):
        ids, labels = self.pool(per_class)
        slots = per_class // stride
        drawn = [set(draw(ids, labels, budget=stride, stride=stride, seed=seed, number=n)) for n in range(slots)]
        assert len(set().union(*drawn)) == slots * stride * 2

    def test_when_a_class_is_used_up_a_new_order_begins(self):
        ids, labels = self.pool(9)
        rounds = [
            [tuple(draw(ids, labels, number=number)) for number in range(start, start + 3)] for start in (0, 3, 6)
        ]
        for found in rounds:
            assert set().union(*map(set, found)) == set(range(18))
        assert rounds[0] != rounds[1] != rounds[2]

    @quick
    @given(st.integers(3, 30), st.integers(0, 15), SEEDS)
    def test_adding_a_seed_leaves_the_earlier_draws_as_they_were(self, per_class, count, seed):
        """A draw does not know how many there will be: cells that are finished stay what they are."""
        ids, labels = self.pool(per_class)
        few = [draw(ids, labels, seed=seed, number=number).tolist() for number in range(count)]
        more = [draw(ids, labels, seed=seed, number=number).tolist() for number in range(count + 3)]
        assert more[:count] == few

    @quick
    @given(SEEDS, st.integers(0, 6), st.randoms(use_true_random=False))
    def test_the_order_of_the_rows_does_not_matter(self, seed, number, chance):
        ids, labels = self.pool(10)
        mixed = list(zip(ids, labels, strict=True))
        chance.shuffle(mixed)
        again, names = (list(part) for part in zip(*mixed, strict=True))
        expected = [ids[row] for row in draw(ids, labels, seed=seed, number=number)]
        assert [again[row] for row in draw(again, names, seed=seed, number=number)] == expected

    @quick
    @given(SEEDS)
    def test_a_class_is_drawn_without_regard_to_the_others(self, seed):
        ids, labels = self.pool(10)
        alone = draw(ids[:10], labels[:10], seed=seed)
        assert draw(ids, labels, seed=seed)[:3].tolist() == alone.tolist()

    def test_another_seed_of_the_run_draws_others(self):
        ids, labels = self.pool(30)
        assert set(draw(ids, labels, seed=0)) != set(draw(ids, labels, seed=1))

    def test_over_many_seeds_each_row_is_drawn_alike(self):
        ids, labels = self.pool(10, "a")
        counts = Counter(int(row) for seed in range(500) for row in draw(ids, labels, seed=seed))
        assert sum(counts.values()) == 1500
        assert all(105 < counts[row] < 195 for row in range(10))  # 150 expected, s.d. about 10

    def test_a_class_with_fewer_rows_than_the_budget_is_refused_by_name(self):
        ids, labels = self.pool(9)
        ids, labels = [*ids, "last"], [*labels, "rare"]
        with pytest.raises(DataError) as caught:
            draw(ids, labels, budget=5, stride=5)
        message = str(caught.value)
        assert "a label budget of 5 a class needs 5 labelled rows, but class 'rare' has 1" in message
        assert "set finetune.label_budget and finetune.curve_budgets to 1 or less" in message


class TestHoldOut:
    @quick
    @given(st.integers(2, 40), st.floats(0.01, 0.49))
    def test_each_class_gives_its_share_at_least_one_and_not_all(self, budget, fraction):
        labels = ["a", "b"] * budget
        rows = np.array(random.Random(0).sample(range(2 * budget), 2 * budget))
        train, validation = hold_out(rows, labels, fraction=fraction)
        assert sorted([*train, *validation]) == list(range(2 * budget))
        for name in "ab":
            held = sum(labels[row] == name for row in validation)
            assert held == min(max(1, round(fraction * budget)), budget - 1)
            assert 0 < held < budget

    def test_it_is_the_last_of_each_class(self):
        labels = ["a"] * 5 + ["b"] * 5
        train, validation = hold_out(np.array([4, 2, 0, 9, 7, 5]), labels, fraction=0.2)
        assert train.tolist() == [4, 2, 9, 7]
        assert validation.tolist() == [0, 5]

    @quick
    @given(st.integers(2, 8), SEEDS)
    def test_rows_that_were_not_drawn_have_no_influence(self, budget, seed):
        ids, labels = TestLabelDraws.pool(10)
        rows = draw(ids, labels, budget=budget, stride=8, seed=seed)
        assume(len(rows) < 20)
        blind = [label if row in rows else "?" for row, label in enumerate(labels)]
        assert [part.tolist() for part in hold_out(rows, blind, fraction=0.2)] == [
            part.tolist() for part in hold_out(rows, labels, fraction=0.2)
        ]


class TestWithoutGroupsTheDrawsAreWhatTheyWere:
    """Written down before groups came: another order would change every figure of every run."""

    ids = [f"id{number}" for number in range(26)]
    labels = ["a"] * 13 + ["b"] * 9 + ["c"] * 4
    DRAWS = [
        [10, 3, 9, 17, 15, 20, 25, 22, 24],
        [1, 11, 7, 18, 16, 21, 24, 23, 25],
        [6, 12, 2, 13, 17, 14, 24, 22, 23],
        [11, 1, 6, 20, 19, 15, 24, 22, 23],
    ]

    @pytest.mark.parametrize("number", range(4))
    @pytest.mark.parametrize("groups", [None, [f"g{number}" for number in range(26)]])
    def test_the_rows(self, number, groups):
        found = draw(self.ids, self.labels, budget=3, stride=4, seed=7, number=number, groups=groups)
        assert found.tolist() == self.DRAWS[number]

    def test_of_values(self):
        found = draw(self.ids, [""] * 26, budget=10, stride=10, seed=3, number=1)
        assert found.tolist() == [16, 2, 8, 11, 22, 10, 15, 0, 6, 21]

    @pytest.mark.parametrize("groups", [None, [f"g{number}" for number in range(26)]])
    def test_what_is_held_out(self, groups):
        rows = draw(self.ids, self.labels, budget=4, stride=4, seed=7, number=1)
        train, validation = hold_out(rows, self.labels, fraction=0.3, groups=groups)
        assert train.tolist() == [1, 11, 7, 18, 16, 21, 24, 23, 25]
        assert validation.tolist() == [5, 19, 22]


# rows as (group, label), groups of several sizes, some of them with rows of several classes
GROUPED = st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ab")), min_size=8, max_size=60)


class TestGroups:
    @staticmethod
    def pool(sizes):
        """One class whose groups have these sizes."""
        groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
        return [f"id{row}" for row in range(len(groups))], ["a"] * len(groups), groups

    @quick
    @given(st.lists(st.integers(1, 6), min_size=4, max_size=30), st.integers(2, 6), SEEDS)
    def test_seeds_share_no_group_while_the_pool_allows(self, sizes, stride, seed):
        ids, labels, groups = self.pool(sizes)
        assume(len(ids) >= stride)
        slots = max(1, len(ids) // max(stride - 1 + max(sizes), 2 * max(sizes)))
        drawn = [
            {groups[row] for row in draw(ids, labels, budget=stride, stride=stride, seed=seed, number=n, groups=groups)}
            for n in range(slots)
        ]
        assert sum(map(len, drawn)) == len(set().union(*drawn))

    @quick
    @given(st.lists(st.integers(1, 9), min_size=2, max_size=20), st.integers(2, 12), SEEDS)
    def test_a_budget_is_so_many_rows_of_two_groups_or_more(self, sizes, budget, seed):
        ids, labels, groups = self.pool(sizes)
        assume(len(ids) >= budget)
        rows = draw(ids, labels, budget=budget, stride=budget, seed=seed, groups=groups)
        assert len(set(rows)) == budget
        assert len({groups[row] for row in rows}) >= 2

    @quick
    @given(st.lists(st.integers(1, 9), min_size=2, max_size=20), SEEDS)
    def test_budgets_are_nested(self, sizes, seed):
        ids, labels, groups = self.pool(sizes)
        assume(len(ids) >= 6)
        small, large = (draw(ids, labels, budget=b, stride=6, seed=seed, groups=groups).tolist() for b in (3, 6))
        assert large[:3] == small

    @quick
    @given(GROUPED, st.floats(0.05, 0.45))
    def test_no_group_is_on_both_sides_unless_its_class_cannot_be_parted(self, rows, fraction):
        labels, groups = [label for _, label in rows], [f"g{group}" for group, _ in rows]
        assume(min(Counter(labels).values()) >= 2 and len(set(labels)) == 2)
        drawn = np.arange(len(rows))
        train, validation = hold_out(drawn, labels, fraction=fraction, groups=groups)
        assert sorted([*train, *validation]) == list(range(len(rows)))
        for name in "ab":
            assert any(labels[row] == name for row in train)
            assert any(labels[row] == name for row in validation)
        both = {groups[row] for row in train} & {groups[row] for row in validation}
        pure = all(len({labels[r] for r in drawn if groups[r] == group}) == 1 for group in set(groups))
        if pure:
            of_class = {name: {groups[row] for row in drawn if labels[row] == name} for name in "ab"}
            assert both <= {group for found in of_class.values() if len(found) == 1 for group in found}

    def test_held_out_by_hand(self):
        """Of ten rows a fifth is wanted, two: the last group has them."""
        _, labels, groups = self.pool([4, 4, 2])
        train, validation = hold_out(np.arange(10), labels, fraction=0.2, groups=groups)
        assert validation.tolist() == [8, 9]
        assert len(train) == 8

    def test_a_class_of_one_group_is_parted_by_row(self):
        _, labels, groups = self.pool([5])
        train, validation = hold_out(np.arange(5), labels, fraction=0.2, groups=groups)
        assert (train.tolist(), validation.tolist()) == ([0, 1, 2, 3], [4])
