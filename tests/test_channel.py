"""What goes into a channel comes out of it, within the receiver's bounds."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.channel import Channel, TooLargeError
from schemas.perception import Picture

LARGE = 1 << 16


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    """Two ends of a connection."""
    one, other = connect()
    yield one, other
    one.close()
    other.close()


def connect() -> tuple[Channel, Channel]:
    """Make two ends of a connection."""
    one, other = socket.socketpair()
    return Channel(one), Channel(other)


def through(value: object, limit_bytes: int | None = None) -> Any:
    """Send a value from another thread, because it may be larger than a socket holds."""
    one, other = connect()

    def send() -> None:
        with suppress(BrokenPipeError):
            one.send(value)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        return other.receive(limit_bytes, 10.0)
    finally:
        other.close()
        sender.join()


@given(
    st.recursive(
        st.binary() | st.text() | st.integers() | st.none() | st.integers(LARGE - 2, LARGE + 2).map(bytes),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_value_arrives_as_it_was(value: object) -> None:
    """Large and small bytes in any place."""
    assert through(value) == value


def test_pictures_and_arrays_arrive_in_their_places() -> None:
    """Bytes and arrays that travel apart are not mistaken for each other; strided ones arrive too."""
    pictures = [Picture(200, 200, bytes([shade]) * 120_000, time_seconds=shade) for shade in range(3)]
    base = np.arange(600 * 400 * 3, dtype=np.uint8).reshape(600, 400, 3)
    arrays = [base, base[10:300, 20:200], base.transpose(1, 0, 2), base[:2, :2], base[::-1]]
    found_pictures, found_arrays = through([pictures, arrays])

    assert found_pictures == pictures
    for found, wanted in zip(found_arrays, arrays, strict=True):
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize(
    "value", [b"x" * 300_000, np.zeros(300_000, np.uint8), "x" * 300_000, list(range(90_000))]
)
def test_neither_side_goes_beyond_its_limit(pair: tuple[Channel, Channel], value: object) -> None:
    """The sender sends nothing of what is too large; the receiver does not take it in."""
    one, other = pair
    with pytest.raises(TooLargeError):
        one.send(value, 250_000)
    one.send("small", 250_000)
    assert other.receive() == "small"
    with pytest.raises(TooLargeError):
        through(value, 250_000)
    through(value, 400_000)


def test_many_buffers_are_no_way_around_the_limit(pair: tuple[Channel, Channel]) -> None:
    """A header that promises more than is allowed is refused before anything is read."""
    for header in ((1 << 60, 0, 0), (0, 1 << 60, 0), (0, 0, 1 << 60), (10, 1, 0)):
        one, other = socket.socketpair()
        one.sendall(struct.pack("!QQQ", *header) + struct.pack("!Q", 1 << 60))
        with pytest.raises(TooLargeError):
            Channel(other).receive(1 << 20)
        one.close()
        other.close()


def test_silence_ends_in_the_middle_of_a_message_too() -> None:
    """A deadline holds whatever has arrived before."""
    for begun in (b"", struct.pack("!QQQ", 1000, 0, 0), struct.pack("!QQQ", 1000, 0, 0) + b"x"):
        one, other = socket.socketpair()
        one.sendall(begun)
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            Channel(other).receive(None, 0.2)
        assert 0.1 < time.monotonic() - started < 5
        one.close()
        with pytest.raises(EOFError):
            Channel(other).receive()
        other.close()
