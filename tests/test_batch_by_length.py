"""Pieces of like length go together."""

from hypothesis import given
from hypothesis import strategies as st

from operators.batch_by_length import batches_by_length, padding_share

LENGTHS = st.lists(st.integers(1, 480_000), max_size=60)


@given(LENGTHS, st.integers(1, 16))
def test_every_piece_is_in_one_batch(lengths: list[int], size: int) -> None:
    """No piece is lost or doubled, and no batch is too large."""
    batches = batches_by_length(lengths, size)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= size for batch in batches)


@given(LENGTHS, st.integers(1, 16))
def test_sorting_never_pads_more_than_the_order_of_files(lengths: list[int], size: int) -> None:
    """Of full batches, those by length hold at most as much padding as those in the order of the files."""
    lengths = lengths[: len(lengths) // size * size]
    in_order = [list(range(len(lengths)))[at : at + size] for at in range(0, len(lengths), size)]
    by_length = batches_by_length(lengths, size)
    assert padding_share(lengths, by_length) <= padding_share(lengths, in_order) + 1e-12


def test_padding_is_what_the_longest_makes_the_others_wait() -> None:
    """Two pieces of 10 and 30 seconds waste a third of their batch."""
    assert padding_share([10, 30], [[0, 1]]) == 1 - 40 / 60
    assert padding_share([10, 30], [[0], [1]]) == 0
    assert padding_share([], []) == 0
