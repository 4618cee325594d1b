"""Batches of pictures of one shape, and results that find their way back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.buckets import bucket_of
from operators.pack import pack, unpack

SIZES = st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), max_size=60)


@given(SIZES, st.integers(1, 9), st.integers(1, 20_000_000))
def test_pack_hands_out_each_picture_once(sizes: list[tuple[int, int]], most: int, pixels: int) -> None:
    """No picture is lost or read twice, whatever the sizes and limits."""
    batches = pack(sizes, bucket_of, most, pixels)
    assert sorted(index for batch in batches for index in batch) == list(range(len(sizes)))


@given(SIZES, st.integers(1, 9), st.integers(1, 20_000_000))
def test_batch_is_of_one_bucket_within_limits(sizes: list[tuple[int, int]], most: int, pixels: int) -> None:
    """A batch has one shape, and passes a limit only when it is a single picture."""
    for batch in pack(sizes, bucket_of, most, pixels):
        buckets = {bucket_of(*sizes[index]) for index in batch}
        assert len(buckets) == 1
        (width, height) = buckets.pop()
        assert len(batch) == 1 or (len(batch) <= most and len(batch) * width * height <= pixels)


@given(st.permutations(range(12)))
def test_unpack_restores_order(order: list[int]) -> None:
    """Results come back in the order of their pictures, in whatever order they were made."""
    assert unpack(12, ((index, index * 10) for index in order)) == [index * 10 for index in range(12)]


@pytest.mark.parametrize("indices", [[0, 2], [0, 1, 1, 2], [0, 1, 2, 3], [0, 1, -1]])
def test_unpack_refuses_lost_and_doubled(indices: list[int]) -> None:
    """A missing, doubled or unknown index raises instead of shifting results to other pictures."""
    with pytest.raises(ValueError, match="one result for each of 3 pictures"):
        unpack(3, [(index, "text") for index in indices])
