"""Rows of items are cut where least is padding."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.cut_batches import LEAST_FILL, cut_batches

LENGTHS = st.lists(st.integers(1, 100), max_size=9)


def _cost(lengths: list[int], cut: range) -> int:
    return len(cut) * max(lengths[place] for place in cut)


def _least(lengths: list[int], most: int, extra: int, budget: int, batches: int) -> float:
    """Try all ways."""

    @cache
    def rest(at: int, left: int) -> float:
        if at == len(lengths):
            return 0.0
        if not left:
            return float("inf")
        found = float("inf")
        for end in range(at + 1, min(at + most, len(lengths)) + 1):
            part = range(at, end)
            if len(part) == 1 or _cost(lengths, part) + len(part) * extra <= budget:
                found = min(found, _cost(lengths, part) + rest(end, left - 1))
        return found

    return rest(0, batches)


@given(LENGTHS, st.integers(1, 4), st.integers(0, 20), st.integers(1, 400))
def test_no_other_cut_pads_less(lengths: list[int], most: int, extra: int, budget: int) -> None:
    """Of all ways with as many batches or fewer, within the budget, the one with the least padding."""
    cuts = cut_batches(lengths, most, extra=extra, budget=budget)
    assert [place for cut in cuts for place in cut] == list(range(len(lengths)))
    for cut in cuts:
        assert len(cut) <= most
        assert len(cut) == 1 or _cost(lengths, cut) + len(cut) * extra <= budget
    cost = sum(_cost(lengths, cut) for cut in cuts)
    assert cost == pytest.approx(_least(lengths, most, extra, budget, len(cuts)))


@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=400), st.integers(1, 16))
def test_few_places_stay_empty(lengths: list[int], most: int) -> None:
    """There are at most a ninth more batches than the fewest."""
    cuts = cut_batches(sorted(lengths, reverse=True), most)
    fewest = -(-len(lengths) // most)
    assert len(cuts) <= max(fewest, fewest / LEAST_FILL)


def test_places_are_left_empty_where_lengths_jump() -> None:
    """Ten batches of two may become eleven: a jump between long and short ones falls between two."""
    lengths = [100] * 9 + [10] * 11
    full = [range(at, at + 2) for at in range(0, 20, 2)]
    cuts = cut_batches(lengths, 2)
    assert len(cuts) == 11
    assert sum(_cost(lengths, cut) for cut in cuts) == sum(lengths) < sum(_cost(lengths, cut) for cut in full)


def test_batches_of_equal_items_are_full() -> None:
    """Where nothing is padded, the fewest batches are made."""
    assert [len(cut) for cut in cut_batches([5] * 40, 4)] == [4] * 10
    assert cut_batches([], 4) == []
