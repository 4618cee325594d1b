"""When looks are taken and which frame answers them."""

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from operators.sample import Grid, Needed, Timed, exact, on_screen

SECOND = Fraction(1)


def looks(times: list[float], grid: Grid, ends: float) -> list[tuple[float, float, float]]:
    """Run frames named by their times through a grid: (frame, first look, last look)."""
    frames = [Timed(exact(time), time) for time in times]
    found = on_screen(frames, grid, lambda: exact(ends))
    return [(look.value, float(look.first), float(look.last)) for look in found]


def test_the_frame_on_screen_is_the_last_one_at_or_before_the_look() -> None:
    """With 29.97 frames a second the look at 1 s sees the frame of 0.968 s, not that of 1.001 s."""
    times = [0.0, 0.968, 1.001, 1.968, 2.002]

    found = looks(times, Grid(Fraction(0), Fraction(3), SECOND), ends=3)

    assert found == [(0.0, 0.0, 0.0), (0.968, 1.0, 1.0), (1.968, 2.0, 2.0)]


def test_a_frame_that_stands_for_an_hour_is_one_look() -> None:
    """A gap between time stamps gives one frame with its first and last look, not 3,600."""
    found = looks([0.0, 0.04, 3600.0], Grid(Fraction(0), Fraction(4000), SECOND, open=True), ends=3600.04)

    assert found == [(0.0, 0.0, 0.0), (0.04, 1.0, 3599.0), (3600.0, 3600.0, 3600.0)]


def test_a_picture_that_starts_late_answers_the_looks_before_it() -> None:
    """A video whose first frame comes at 0.4 s is seen, not missed."""
    assert looks([0.4, 0.8], Grid(Fraction(0), SECOND, SECOND), ends=1) == [(0.4, 0.0, 0.0)]


def test_a_span_without_a_multiple_is_looked_at_once_at_its_start() -> None:
    """No span is passed over because the interval is longer than it."""
    grid = Grid(Fraction(180), Fraction(196), Fraction(50))

    assert looks([170.0, 179.0, 185.0], grid, ends=196) == [(179.0, 180.0, 180.0)]


def test_the_last_span_takes_frames_after_the_declared_end() -> None:
    """A header that declares too short a video loses nothing."""
    grid = Grid(Fraction(0), Fraction(2), SECOND, open=True)

    assert [look[0] for look in looks([0.0, 1.0, 2.0, 3.0, 4.0], grid, ends=4.5)] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_closed_span_reads_one_frame_beyond_its_end_and_no_more() -> None:
    """Decoding stops at the border of the span."""
    read: list[float] = []

    def frames() -> object:
        for time in (0.0, 1.0, 2.0, 3.0):
            read.append(time)
            yield Timed(exact(time), time)

    list(on_screen(frames(), Grid(Fraction(0), Fraction(2), SECOND), lambda: Fraction(9)))  # type: ignore[arg-type]

    assert read == [0.0, 1.0, 2.0]


def test_the_lead_is_the_last_look_before_the_span() -> None:
    """A change exactly at the border of two spans has something to be compared with."""
    grid = Grid(Fraction(60), Fraction(62), SECOND, lead=True)

    found = looks([58.0, 58.9, 59.9, 60.0, 61.0], grid, ends=62)

    assert found == [(58.9, 59.0, 59.0), (60.0, 60.0, 60.0), (61.0, 61.0, 61.0)]


def test_the_first_span_has_no_lead() -> None:
    """There is no look before zero."""
    assert Grid(Fraction(0), SECOND, SECOND, lead=True).begin == 0


def test_decimal_intervals_do_not_drift() -> None:
    """An interval of 0.1 s is a tenth, so the thousandth look is at 100 s exactly."""
    assert Grid(Fraction(0), Fraction(200), exact(0.1)).looks(Fraction(100), Fraction(1001, 10)) == (
        Fraction(100),
        Fraction(100),
    )


seconds = st.fractions(min_value=0, max_value=30, max_denominator=100)


@given(
    borders=st.lists(seconds, min_size=2, max_size=6, unique=True),
    interval=st.fractions(min_value=Fraction(1, 3), max_value=12, max_denominator=12),
    times=st.lists(seconds, min_size=1, max_size=10, unique=True),
)
def test_every_look_belongs_to_one_span_whatever_the_cutting(
    borders: list[Fraction], interval: Fraction, times: list[Fraction]
) -> None:
    """Cutting a video into spans gives the same frames at the same looks as one long span."""
    borders, times = sorted(borders), sorted(times)
    frames = [Timed(time, time) for time in times]
    whole = Grid(borders[0], borders[-1], interval)
    expected = {
        (look.first + step * interval, look.value)
        for look in on_screen(frames, whole, lambda: borders[-1])
        for step in range(int((look.last - look.first) / interval) + 1)
        if (look.first + step * interval) % interval == 0
    }

    found = set()
    for start, end in pairwise(borders):
        for look in on_screen(frames, Grid(start, end, interval), lambda: borders[-1]):
            assert start <= look.first <= look.last < end
            if look.first % interval == 0:
                found |= {
                    (look.first + step * interval, look.value)
                    for step in range(int((look.last - look.first) / interval) + 1)
                }

    shown_early = {(look, value) for look, value in found | expected if value > look}
    assert expected - shown_early == found - shown_early


@given(order=st.permutations(range(12)), interval=st.integers(min_value=1, max_value=9))
def test_no_picture_that_a_look_needs_is_left_out(order: list[int], interval: int) -> None:
    """Whatever the decoding order, every frame that is on screen at a look is decoded."""
    grid = Grid(Fraction(0), Fraction(12), Fraction(interval))
    needed = Needed(grid, Fraction(1), Fraction(0))
    for stamp in order:
        needed.add(stamp)
    frames = [Timed(Fraction(stamp), stamp) for stamp in range(12)]

    wanted = {look.value for look in on_screen(frames, grid, lambda: Fraction(12))}

    assert wanted <= {stamp for stamp in order if needed.is_needed(stamp)}
