"""Rows in windows: an epoch is a permutation, neighbours are read together, and memory is what was allowed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.training.order import BLOCK_BYTES, Windows, make_windows


@st.composite
def orders(draw):
    count = draw(st.integers(1, 200))
    block = draw(st.integers(1, 40))
    batch = draw(st.integers(1, 50))
    least = -(-batch // block) + 1
    return Windows(count, batch, block, draw(st.integers(least, least + 6)), draw(st.integers(0, 5)))


def steps_of(order: Windows) -> int:
    return order.count // min(order.batch, order.count)


@settings(deadline=None, max_examples=200)
@given(orders(), st.integers(0, 3))
def test_each_epoch_is_a_permutation(order, epoch):
    """What does not fill a batch is left out of it; no row comes twice."""
    each = steps_of(order)
    rows = torch.cat([order.rows(epoch * each + place) for place in range(each)]).tolist()
    assert len(rows) == each * min(order.batch, order.count) == len(set(rows))
    assert set(rows) <= set(range(order.count))


@settings(deadline=None, max_examples=200)
@given(orders(), st.integers(0, 400))
def test_the_rows_of_a_step_are_in_the_windows_that_it_needs(order, step):
    needed = order.needed(step)
    inside = {row for key in needed for block in order.blocks_of(*key) for row in range(*order.rows_of(block))}
    assert set(order.rows(step).tolist()) <= inside
    assert 1 <= len(needed) <= 2


@settings(deadline=None, max_examples=100)
@given(orders())
def test_windows_follow_each_other_through_the_epochs(order):
    """Beginning with the first, `after` gives each window of three epochs once, in the order of the steps."""
    seen = []
    for step in range(3 * steps_of(order)):
        seen += [key for key in order.needed(step) if key not in seen]
    for before, behind in zip(seen, seen[1:], strict=False):
        following = order.after(*before)
        while following != behind:  # windows of rows that fill no batch are passed over
            assert following[0] == before[0]
            following = order.after(*following)
    blocks = [block for key in seen if key[0] == 0 for block in order.blocks_of(*key)]
    assert len(blocks) == len(set(blocks))


def test_a_step_is_the_same_however_often_it_is_asked_for_and_from_where():
    order, same = (Windows(1000, 16, 10, 5, 0) for _ in range(2))
    straight = [order.rows(step).tolist() for step in range(130)]
    backwards = [same.rows(step).tolist() for step in reversed(range(130))]
    assert straight == backwards[::-1]
    assert Windows(1000, 16, 10, 5, 1).rows(0).tolist() != straight[0]


def test_epochs_differ_in_their_blocks_and_within_them():
    order = Windows(400, 100, 10, 10, 0)
    first, second = (torch.cat([order.rows(epoch * 4 + place) for place in range(4)]) for epoch in (0, 1))
    assert not torch.equal(first, second)
    assert set(first[:100].tolist()) != set(second[:100].tolist())  # other blocks come first
    inside = first[:100].tolist()
    assert inside != sorted(inside)
    assert [row // 10 for row in inside] != sorted(row // 10 for row in inside)  # rows of the blocks are mixed


def test_a_window_is_whole_blocks_of_neighbours_in_the_order_of_the_disk():
    order = Windows(95, 10, 10, 3, 0)
    windows = [order.blocks_of(0, window) for window in range(4)]
    assert sorted(sum(windows, [])) == list(range(10))
    assert all(own == sorted(own) for own in windows)
    assert [len(own) for own in windows] == [3, 3, 3, 1]
    assert order.rows_of(9) == (90, 95)


@settings(deadline=None, max_examples=200)
@given(
    count=st.integers(1, 10**7),
    row_bytes=st.integers(1, 10**6),
    batch=st.integers(1, 512),
    memory=st.floats(1e6, 1e10),
)
def test_two_windows_are_within_the_memory_unless_a_batch_is_larger(count, row_bytes, batch, memory):
    order = make_windows(count, row_bytes=row_bytes, batch=batch, memory=memory, seed=0)
    window = order.block * order.blocks * row_bytes
    assert order.block * (order.blocks - 1) >= batch
    assert 2 * window <= memory or order.block * (order.blocks - 2) < batch
    assert order.block * row_bytes <= max(BLOCK_BYTES, row_bytes)


@pytest.mark.parametrize(("memory", "block", "blocks"), [(4e9, 2604, 250), (16e6, 325, 8)])
def test_blocks_are_what_a_disk_reads_fast_unless_memory_is_little(memory, block, blocks):
    """Of 32 x 32 pixels in colour: 8 MB a block, 250 of them in 2 GB; and 8 blocks of what 8 MB have."""
    order = make_windows(10**7, row_bytes=3072, batch=64, memory=memory, seed=0)
    assert (order.block, order.blocks) == (block, blocks)
