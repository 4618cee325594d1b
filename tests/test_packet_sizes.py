"""What is believed of the sizes of coded pictures, and what is not."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.packet_sizes import Coded, PacketSizes

KEY, STILL = 20_000, 60
COUNT = 100


def coded(sizes: list[int], keys: tuple[int, ...] = (0,), hidden: int = 0) -> Coded:
    """Pictures that are shown in the order of decoding."""
    return Coded(np.array(sizes, np.int64), range(len(sizes)), keys, hidden)


def still(**larger: int) -> list[int]:
    """One key picture and pictures without change, but for some: `p40=200`."""
    sizes = [KEY, *[STILL] * (COUNT - 1)]
    for place, size in larger.items():
        sizes[int(place[1:])] = size
    return sizes


ALL = np.arange(COUNT)
LATER = np.arange(1, COUNT)


def test_nothing_is_proved_before_a_stretch_was_decoded() -> None:
    """Quiet pictures may repeat the one before; only decoding tells what size does."""
    sizes = PacketSizes(coded(still()))

    assert sizes.are_quiet(LATER)
    assert sizes.unproved(ALL).tolist() == ALL.tolist()
    sizes.prove(np.arange(1, 20))
    assert sizes.unproved(ALL).tolist() == [0]


@given(st.integers(20, COUNT - 1), st.integers(1, KEY))
def test_a_picture_larger_than_those_proved_is_never_proved(place: int, more: int) -> None:
    """By a single byte."""
    sizes = PacketSizes(coded(still(**{f"p{place}": STILL + more})))
    sizes.prove(np.arange(1, 10))

    assert place in sizes.unproved(ALL)


def test_what_came_may_be_gone_again_without_a_byte() -> None:
    """The picture before it is still at hand for sixteen pictures; another key picture ends that."""
    sizes = PacketSizes(coded(still(p40=5_000)))
    sizes.prove(np.arange(1, 10))
    ended = PacketSizes(coded(still(p40=5_000, p44=KEY), keys=(0, 44)))
    ended.prove(np.arange(1, 10))

    assert sizes.unproved(ALL).tolist() == [0, *range(40, 57)]
    assert ended.unproved(ALL).tolist() == [0, *range(40, 45)]


def test_what_is_coded_before_it_is_shown_is_waited_for() -> None:
    """In formats with hidden pictures."""
    sizes = PacketSizes(coded(still(p30=5_000), hidden=48))
    sizes.prove(np.arange(1, 10))

    assert sizes.unproved(ALL).tolist() == [0, *range(30, 79)]


@given(st.integers(401, 3_000))
def test_padding_to_a_constant_rate_hides_nothing(padded: int) -> None:
    """Where all pictures take the same, and not little, none is quiet."""
    sizes = PacketSizes(coded([KEY, *[padded] * (COUNT - 1)]))

    assert not sizes.are_quiet(np.array([50]))


def test_few_pictures_tell_nothing() -> None:
    """What is usual is not known of them."""
    assert not PacketSizes(coded(still()[:40])).are_quiet(np.array([20]))
