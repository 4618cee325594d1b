"""Reading by ranges gives the bytes of the file, for few requests and little more than was wanted."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from operators.ranges import FIRST_BYTES, MOST_BYTES, RangeCache, Ranges, fetch_bytes

SIZE = 40 * FIRST_BYTES + 12_345
DATA = bytes(range(256)) * (SIZE // 256 + 1)


class Store:
    """A file, and which ranges of it were fetched."""

    def __init__(self) -> None:
        """Nothing has been fetched yet."""
        self.fetched: list[tuple[int, int]] = []

    def fetch(self, start: int, end: int) -> bytes:
        """Give a range, as a store does."""
        assert 0 <= start < end <= SIZE
        self.fetched.append((start, end))
        return DATA[start:end]

    @property
    def bytes(self) -> int:
        """All bytes that were fetched."""
        return sum(end - start for start, end in self.fetched)


def read(ranges: Ranges, at: int, size: int) -> bytes:
    """Read as a buffered reader does: until there is enough, or the end."""
    parts = []
    while size and (part := ranges.at(at, size)):
        parts.append(part)
        at, size = at + len(part), size - len(part)
    return b"".join(parts)


reads = st.lists(st.tuples(st.integers(0, SIZE + 10), st.integers(0, 3 * FIRST_BYTES)), max_size=25)


@given(reads, st.integers(1, 8))
def test_any_reads_give_the_bytes_of_the_file(wanted: list[tuple[int, int]], room: int) -> None:
    """Whatever was kept or let go before, by this reader or the one before it."""
    cache, store = RangeCache(room * FIRST_BYTES), Store()
    for half in (wanted[::2], wanted[1::2]):
        ranges = Ranges("file", SIZE, store.fetch, cache)
        for at, size in half:
            assert read(ranges, at, size) == DATA[at : min(SIZE, at + size)]
        ranges.close()
        assert cache.kept_bytes <= room * FIRST_BYTES


def in_order(start: int, length: int, piece: int = 1 << 17) -> Callable[[Ranges], None]:
    """Read on in pieces, as a demuxer does."""

    def do(ranges: Ranges) -> None:
        for at in range(start, start + length, piece):
            read(ranges, at, piece)

    return do


@given(st.integers(0, SIZE // 2), st.integers(1, SIZE // 2 - 1))
def test_reading_on_fetches_at_most_half_as_much_again(start: int, length: int) -> None:
    """What is fetched in vain is bounded by what was needed, and the requests by its logarithm."""
    store = Store()
    in_order(start, length)(Ranges("file", SIZE, store.fetch, RangeCache()))

    needed = -(-length // (1 << 17)) * (1 << 17)
    assert store.bytes <= 1.5 * needed + FIRST_BYTES
    assert len(store.fetched) <= 20
    assert all(before[1] == after[0] for before, after in zip(store.fetched, store.fetched[1:], strict=False))


def test_what_a_jump_led_to_is_kept_for_the_next_reader_and_what_was_passed_is_not() -> None:
    """The index is read once for all pieces of a file; pictures do not push it out."""
    cache, store = RangeCache(16 * FIRST_BYTES), Store()
    first = Ranges("file", SIZE, store.fetch, cache)
    index = SIZE - 2 * FIRST_BYTES
    read(first, index, 1000)
    in_order(0, 30 * FIRST_BYTES)(first)
    before = len(store.fetched)

    second = Ranges("file", SIZE, store.fetch, cache)
    assert read(second, index, 1000) == DATA[index : index + 1000]
    other = Ranges("another version", SIZE, store.fetch, cache)
    assert len(store.fetched) == before
    read(other, index, 1000)
    assert len(store.fetched) == before + 1


def test_the_next_piece_begins_with_what_was_fetched_ahead() -> None:
    """A reader that is closed leaves its read-ahead to the one that goes on from there."""
    cache, store = RangeCache(), Store()
    first = Ranges("file", SIZE, store.fetch, cache)
    in_order(0, 10 * FIRST_BYTES)(first)
    ahead = store.fetched[-1][1] - 10 * FIRST_BYTES
    first.close()
    before = store.bytes

    assert ahead > 0
    read(Ranges("file", SIZE, store.fetch, cache), 10 * FIRST_BYTES, ahead)
    assert store.bytes == before


def test_the_end_of_a_file_is_read_backwards_for_one_request() -> None:
    """A PDF's table of objects and a Parquet's footer lie before the bytes that point to them."""
    store = Store()
    ranges = Ranges("file", SIZE, store.fetch, RangeCache())
    read(ranges, SIZE - 8, 8)
    read(ranges, SIZE - 50_000, 40_000)
    assert store.fetched == [(SIZE - FIRST_BYTES, SIZE)]


def test_two_places_by_turns_are_two_stretches() -> None:
    """Pictures and sound that lie far apart do not make each other begin anew."""
    store = Store()
    ranges = Ranges("file", SIZE, store.fetch, RangeCache(1))
    for step in range(8 * FIRST_BYTES >> 17):
        read(ranges, step << 17, 1 << 17)
        read(ranges, (20 * FIRST_BYTES) + (step << 17), 1 << 17)
    assert store.bytes <= 1.5 * 16 * FIRST_BYTES + 2 * FIRST_BYTES
    assert len(store.fetched) <= 24


def test_sizes_grow_and_stop_growing() -> None:
    """Little after a jump, half of what was read on so far later, never more than the most."""
    assert fetch_bytes(0, 1) == FIRST_BYTES
    assert fetch_bytes(4 * FIRST_BYTES, 1) == 2 * FIRST_BYTES
    assert fetch_bytes(1 << 40, 1) == MOST_BYTES
    assert fetch_bytes(0, 2 * MOST_BYTES) == 2 * MOST_BYTES
