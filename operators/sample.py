"""Which frame is on screen when a look is taken.

Looks are taken at the multiples of an interval on the asset's clock, whatever the spans the
asset was cut into, so every look belongs to exactly one span. A frame is on screen from its
own presentation time until that of the next one; the rate of frames is never used. A frame
that stands for an hour costs one division, not one look a second.
"""

import math
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

Payload = TypeVar("Payload")


def exact(seconds: float) -> Fraction:
    """Read a configured number of seconds as the decimal it was written as (0.1 is 1/10)."""
    return Fraction(str(seconds))


@dataclass(frozen=True, slots=True)
class Grid:
    """The times of the looks at one span, in seconds: the multiples of `interval` in it.

    A span in which no multiple lies is looked at once, at its start.
    """

    start: Fraction
    end: Fraction
    """Exclusive."""
    interval: Fraction
    open: bool = False
    """The last span: looks go on past `end` as long as there are frames."""
    lead: bool = False
    """Take the last look before the span too, so that a change at its border is seen."""

    @property
    def begin(self) -> Fraction:
        """Return the time of the earliest look that may be taken."""
        return max(Fraction(0), self._before(self.start)) if self.lead else self.start

    def looks(self, begin: Fraction, until: Fraction) -> tuple[Fraction, Fraction] | None:
        """Return the first and the last look in `[begin, until)`, or None if there is none."""
        limit = until if self.open else min(until, self.end)
        first = self._at_or_after(max(begin, self.begin))
        last = self._before(limit)
        if begin <= self.start < limit and self.is_bare():
            first, last = min(first, self.start), max(last, self.start)
        return (first, last) if first <= last and first < limit else None

    def next_look(self, time: Fraction) -> Fraction:
        """Return the first look at or after a time; there may be none before the end."""
        multiple = self._at_or_after(time)
        return min(multiple, self.start) if time <= self.start and self.is_bare() else multiple

    def is_bare(self) -> bool:
        """Tell whether no multiple of the interval lies within."""
        return self._at_or_after(self.start) >= self.end

    def _at_or_after(self, time: Fraction) -> Fraction:
        return math.ceil(time / self.interval) * self.interval

    def _before(self, time: Fraction) -> Fraction:
        return (math.ceil(time / self.interval) - 1) * self.interval


@dataclass(frozen=True, slots=True)
class Timed(Generic[Payload]):
    """Something with the time at which it appears, on the asset's clock."""

    time: Fraction
    value: Payload


@dataclass(frozen=True, slots=True)
class Look(Generic[Payload]):
    """A frame that was on screen at one look or at several in a row."""

    time: Fraction
    """When the frame appeared; may lie before the span."""
    first: Fraction
    last: Fraction
    value: Payload


def on_screen(
    frames: Iterable[Timed[Payload]], grid: Grid, ends: Callable[[], Fraction]
) -> Iterator[Look[Payload]]:
    """Give each frame that is on screen at a look, in order, with these looks.

    The first frame also answers the looks before it: a picture that starts late is seen
    late, not never. No frame is read beyond the first one after the end of a closed grid.

    Args:
        frames: In order of time.
        grid: When looks are taken.
        ends: Called once the frames have run out; when the last one leaves the screen.
    """
    current: Timed[Payload] | None = None
    begin = due = grid.begin
    for frame in frames:
        if frame.time > due and current is not None:
            yield from _looks(current, grid, begin, frame.time)
            begin = frame.time
            due = grid.next_look(begin)
        current = frame
        if frame.time >= grid.end and not grid.open:
            return
    if current is not None:
        yield from _looks(current, grid, begin, ends())


def _looks(frame: Timed[Payload], grid: Grid, begin: Fraction, until: Fraction) -> Iterator[Look[Payload]]:
    found = grid.looks(begin, until)
    if found is not None:
        yield Look(frame.time, *found, frame.value)


class Needed:
    """Tells, before decoding, which coded pictures some look will need.

    Coded pictures come in decoding order, so the next one shown may come several later. A
    window of `ahead` stamps is kept; codecs reorder by at most 16. The arithmetic is on
    integers, because exact fractions for every picture would cost a tenth of decoding.
    """

    def __init__(self, grid: Grid, time_base: Fraction, start: Fraction, ahead: int = 32) -> None:
        """Start with an empty window; a stamp n means the time `n * time_base - start`."""
        self.ahead = ahead
        self._bare_look = grid.start if grid.is_bare() else None
        self._time_base, self._start = time_base, start
        scale, offset = time_base / grid.interval, start / grid.interval
        self._divisor = math.lcm(scale.denominator, offset.denominator)
        self._factor, self._offset = int(scale * self._divisor), int(offset * self._divisor)
        self._arrived: deque[int] = deque()
        self._sorted: list[int] = []

    def add(self, stamp: int) -> None:
        """Take note of a coded picture; call it `ahead` pictures before asking."""
        self._arrived.append(stamp)
        insort(self._sorted, stamp)
        if len(self._arrived) > 3 * self.ahead:
            self._sorted.remove(self._arrived.popleft())

    def is_needed(self, stamp: int) -> bool:
        """Tell whether a look falls while the picture with this stamp is on screen."""
        place = bisect_right(self._sorted, stamp)
        if place == len(self._sorted):
            return True
        following = self._sorted[place]
        return self._looks_before(stamp) < self._looks_before(following) or self._is_bare_look(
            stamp, following
        )

    def _looks_before(self, stamp: int) -> int:
        """Count the multiples of the interval before a stamp, from zero on."""
        return -((self._offset - stamp * self._factor) // self._divisor)

    def _is_bare_look(self, stamp: int, following: int) -> bool:
        look = self._bare_look
        return (
            look is not None and stamp * self._time_base <= look + self._start < following * self._time_base
        )
