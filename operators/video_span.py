"""The borders of a span as exact times, and the looks that are taken at it."""

from fractions import Fraction

from operators.sample import Grid, exact
from schemas.config import Config
from schemas.media import Unit


class Span:
    """The span's borders as exact times."""

    def __init__(self, unit: Unit, config: Config, duration: float | None) -> None:
        """Read the borders of a unit.

        Args:
            unit: The span.
            config: `sampling` gives the interval.
            duration: Of the whole asset, in seconds; null if it does not say.
        """
        self.index = unit.index
        self.start = exact(unit.start_seconds or 0.0)
        self.interval = exact(config.sampling.interval_seconds)
        end = unit.end_seconds if unit.end_seconds is not None else duration
        self.stated_end = None if end is None else exact(end)
        self.end = max(self.stated_end or self.start, self.start + Fraction(1, 1000))
        # The last span, or the last part of it, takes all that comes after it too.
        self.last = unit.end_seconds is None or duration is None or unit.end_seconds >= duration

    def grid(self, lead: bool) -> Grid:
        """Return the looks at the span; with `lead`, also the last one before it."""
        return Grid(self.start, self.end, self.interval, open=self.last, lead=lead and self.start > 0)

    def clamp(self, moment: Fraction) -> float:
        """Return a time in seconds, that of the start if it lies before."""
        return float(max(moment, self.start))
