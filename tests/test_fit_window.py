"""Stretches of text that fit: nothing is lost, nothing is too long, and every round is shorter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.fit_window import LEAST_SHRINK, pack, sentences_for

LINES = st.lists(st.integers(1, 100), max_size=200)


@given(LINES, st.integers(100, 1000))
def test_stretches_cover_all_lines_and_fit(tokens: list[int], most: int) -> None:
    """They follow each other from the first line to the last."""
    stretches = pack(tokens, most)
    assert [place for first, end in stretches for place in range(first, end)] == list(range(len(tokens)))
    assert all(0 < sum(tokens[first:end]) <= most for first, end in stretches)


@given(LINES, st.integers(100, 1000))
def test_as_few_as_taking_each_full(tokens: list[int], most: int) -> None:
    """Being alike in length costs no stretch more than filling one after the other would."""
    count, held = 0, most + 1
    for each in tokens:
        if held + each > most:
            count, held = count + 1, 0
        held += each
    assert len(pack(tokens, most)) == count


def test_stretches_are_alike() -> None:
    """Of eleven lines where ten fit, six and five come together, not ten and one."""
    assert [end - first for first, end in pack([10] * 11, 100)] in ([6, 5], [5, 6])


def test_a_line_that_never_fits_is_refused() -> None:
    """Cutting it is not for packing to decide."""
    with pytest.raises(ValueError, match="found one of 101"):
        pack([5, 101], 100)


@given(st.integers(1, 100_000), st.integers(1, 50), st.integers(1, 100))
def test_what_a_stretch_becomes_is_shorter(tokens: int, most: int, each: int) -> None:
    """All but stretches of a sentence or two shrink to the share that was promised."""
    count = sentences_for(tokens, most, each)
    assert 1 <= count <= most
    assert count == 1 or count * each <= LEAST_SHRINK * tokens
