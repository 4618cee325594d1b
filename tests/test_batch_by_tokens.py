"""Looks go together within a budget of tokens."""

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from operators.batch_by_tokens import batch_tokens, batches_by_tokens, padding_share

LOOKS = st.lists(st.tuples(st.integers(1, 3000), st.integers(0, 3)), max_size=60)


def batches(
    looks: Sequence[tuple[int, int]], answer: int = 160, budget: int = 4096, most: int = 8
) -> list[list[int]]:
    """Batches of pairs of tokens and shape."""
    tokens, shapes = [look[0] for look in looks], [look[1] for look in looks]
    return batches_by_tokens(tokens, shapes, answer=answer, budget=budget, most=most)


@given(LOOKS, st.integers(0, 2000), st.integers(1, 8000), st.integers(1, 20))
def test_every_look_is_in_one_batch_and_none_exceeds_the_budget(
    looks: list[tuple[int, int]], answer: int, budget: int, most: int
) -> None:
    """No look is lost or doubled; only a look alone may exceed the budget."""
    found = batches(looks, answer, budget, most)
    assert sorted(index for batch in found for index in batch) == list(range(len(looks)))
    tokens = [look[0] for look in looks]
    for batch in found:
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or batch_tokens(tokens, batch, answer) <= budget


@given(LOOKS)
def test_the_order_of_files_hardly_matters(looks: list[tuple[int, int]]) -> None:
    """The same looks in reverse make batches of the same lengths."""
    alike = [(tokens, 0) for tokens, _ in looks]

    def lengths(of: list[tuple[int, int]]) -> list[list[int]]:
        return [[of[index][0] for index in batch] for batch in batches(of)]

    assert lengths(alike) == lengths(alike[::-1])


def test_alike_lengths_share_batches_by_shape() -> None:
    """Of looks that are about as long, those with the same pictures go together."""
    looks = [(1000, 1), (1010, 2), (1005, 1), (1008, 2)]
    assert sorted(map(sorted, batches(looks, most=2))) == [[0, 2], [1, 3]]


def test_a_look_beyond_the_budget_goes_alone() -> None:
    """It is tried, and takes none along."""
    assert batches([(9000, 0), (10, 0), (10, 0)]) == [[0], [1, 2]]


def test_padding_is_little_where_lengths_differ_much() -> None:
    """Sorted looks waste less than a tenth where the order of files wastes a third."""
    drawn = random.Random(0)  # noqa: S311 - no secret
    tokens = [drawn.randint(100, 3000) for _ in range(400)]
    found = batches([(count, index % 3) for index, count in enumerate(tokens)], budget=32_768, most=16)
    in_order = [list(range(400))[at : at + 16] for at in range(0, 400, 16)]
    assert padding_share(tokens, in_order) > 0.33
    assert padding_share(tokens, found) < 0.1
    assert padding_share([10, 30], [[0, 1]]) == 1 - 40 / 60
    assert padding_share([], []) == 0
