"""Of a span that kills its decoder, the bad stretch is lost and the rest is kept."""

import math
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from operators.bisect_span import Part, bisect_span, merge_parts
from schemas.failure import Failure, InputError, Reason, Stage
from schemas.media import Asset, Kind, Unit, UnitKind
from schemas.perception import Cost, Perception, Picture

ASSET = Asset("id", "v", "file:///a.mp4", Kind.VIDEO, 1, "", "", duration_seconds=600.0)
CRASH = InputError(Reason.CRASHED, "the decoder crashed")
HANG = InputError(Reason.TIMEOUT, "nothing came out")


class Decoder:
    """Decodes on a clock of its own; spans with a bad moment in them hang to their deadline or crash."""

    def __init__(self, bad: list[float], error: InputError = CRASH) -> None:
        """Say which moments (seconds) are bad."""
        self.bad = bad
        self.error = error
        self.now = 0.0
        self.asked: list[tuple[float, float]] = []

    def __call__(self, part: Unit, deadline_seconds: float) -> Perception:
        """Decode a part at a hundred times its speed."""
        start, end = borders(part)
        self.asked.append((end - start, deadline_seconds))
        if any(start <= moment < end for moment in self.bad):
            self.now += deadline_seconds if self.error.reason == Reason.TIMEOUT else 1.0
            raise self.error
        self.now += (end - start) / 100
        pictures = [Picture(1, 1, b"...", time_seconds=start, until_seconds=end)]
        return Perception(
            ASSET, part, pictures=pictures, cuts=[start], costs=[Cost("decode", 1, 2, 3)], sampled=4
        )

    def bisect(self, unit: Unit, interval_seconds: float = 1.0, unit_seconds: float = 120.0) -> list[Part]:
        """Bisect a span."""
        return bisect_span(unit, self.error, self, interval_seconds, unit_seconds, lambda: self.now)


def span(start: float, end: float | None) -> Unit:
    """The second span of a video."""
    return Unit(1, UnitKind.SPAN, start, end)


def borders(unit: Unit) -> tuple[float, float]:
    """Start and end of a span that has both."""
    assert unit.start_seconds is not None
    assert unit.end_seconds is not None
    return unit.start_seconds, unit.end_seconds


def lost(parts: list[Part]) -> list[tuple[float, float]]:
    """Borders of the stretches that were lost."""
    merged = merge_parts(ASSET, span(0, 1), parts, 1.0)
    return [(failure.start_seconds or 0.0, failure.end_seconds or 0.0) for failure in merged.failures]


@given(
    st.floats(0, 5000),
    st.floats(0.5, 300),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=4),
    st.sampled_from([0.1, 1.0, 7.0]),
)
def test_parts_cover_the_span_and_only_the_finest_bad_ones_are_lost(
    start: float, length: float, places: list[float], interval: float
) -> None:
    """Without gap or overlap; each lost part holds a bad moment and is as small as allowed."""
    unit = span(start, start + length)
    bad = [min(start + place * length, math.nextafter(start + length, 0)) for place in places]
    parts = Decoder(bad).bisect(unit, interval)

    assert borders(parts[0].unit)[0] == start
    assert borders(parts[-1].unit)[1] == start + length
    for before, after in pairwise(parts):
        assert borders(before.unit)[1] == borders(after.unit)[0]
    finest = max(length / 16, min(interval, length))
    for part in parts:
        low, high = borders(part.unit)
        is_bad = any(low <= moment < high for moment in bad)
        assert isinstance(part.outcome, InputError) == is_bad
        assert high - low >= finest * 0.99
        if is_bad:
            assert high - low < 2.01 * finest


def test_one_crash_costs_a_sixteenth() -> None:
    """One bad moment in a minute loses less than four seconds; adjacent lost parts are one stretch."""
    assert lost(Decoder([31.2]).bisect(span(0, 60))) == [(30.0, 33.75)]
    assert lost(Decoder([31.2, 34.0, 59.0]).bisect(span(0, 60))) == [(30.0, 37.5), (56.25, 60.0)]
    assert lost(Decoder([31.2]).bisect(span(0, 60), interval_seconds=10)) == [(30.0, 45.0)]


def test_a_part_has_a_part_of_the_time() -> None:
    """The deadline shrinks with the part, down to what opening a file may take."""
    decoder = Decoder([0.0], HANG)
    decoder.bisect(span(0, 60))

    assert dict(decoder.asked) == {30: 60, 15: 30, 7.5: 15, 3.75: 10}
    impatient = Decoder([0.0], HANG)
    impatient.bisect(span(0, 60), unit_seconds=4)
    assert {deadline for _, deadline in impatient.asked} == {4}


def test_one_hang_is_found_within_the_time_of_one_unit() -> None:
    """Half, quarter, eighth and sixteenth together."""
    decoder = Decoder([59.0], HANG)

    assert lost(decoder.bisect(span(0, 60))) == [(56.25, 60)]
    assert decoder.now < 120


def test_a_span_that_hangs_everywhere_ends() -> None:
    """After a few deadlines what is left is given up, in large pieces, and all of it is accounted for."""
    decoder = Decoder([float(moment) for moment in range(60)], HANG)
    parts = decoder.bisect(span(0, 60))

    assert lost(parts) == [(0, 60)]
    assert 3 * 120 <= decoder.now <= 3.5 * 120
    assert {Fraction(borders(part.unit)[1]) - Fraction(borders(part.unit)[0]) for part in parts} == {
        Fraction(15, 2)
    }


def test_good_halves_are_saved_before_bad_ones_are_cut_further() -> None:
    """A hang in the first half does not use up the time of the second."""
    decoder = Decoder([float(moment) for moment in range(30)], HANG)

    assert lost(decoder.bisect(span(0, 60))) == [(0, 30)]
    assert (30.0, 60.0) in decoder.asked


def test_what_cannot_be_halved_is_lost_whole() -> None:
    """A span without an end, and one of a single look."""
    decoder = Decoder([0.5])

    assert [part.unit for part in decoder.bisect(span(0, None))] == [span(0, None)]
    assert [part.unit for part in decoder.bisect(span(0, 1.5))] == [span(0, 1.5)]
    assert not decoder.asked


def test_an_error_of_the_file_is_not_searched_for() -> None:
    """A part that is refused for what it is, is not cut further."""
    decoder = Decoder([31.2], InputError(Reason.TOO_LARGE, "too large"))
    parts = bisect_span(span(0, 60), CRASH, decoder, 1.0, 120.0, lambda: 0.0)

    assert lost(parts) == [(30.0, 60.0)]
    assert len(decoder.asked) == 2


def test_parts_become_one_perception() -> None:
    """Pictures and cuts in order of time, sums of what was sampled, all failures with their borders."""
    unit = span(0, 60)
    own = Failure(Stage.DECODE, Reason.TRUNCATED, "cut short", 1, None, 45.0, 60.0)
    parts = Decoder([31.2]).bisect(unit)
    last = parts[-1].outcome
    assert isinstance(last, Perception)
    last.failures.append(own)
    merged = merge_parts(ASSET, unit, parts, 9.0)

    assert merged.unit == unit
    times = [picture.time_seconds for picture in merged.pictures]
    assert times == merged.cuts == [0.0, 33.75, 37.5, 45.0]
    assert merged.sampled == 16
    assert merged.costs == [Cost("decode", 9.0, 8, 12)]
    crash = Failure(Stage.DECODE, Reason.CRASHED, CRASH.message, 1, None, 30.0, 33.75)
    assert merged.failures == [crash, own]
