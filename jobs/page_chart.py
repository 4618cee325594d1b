"""The time line of a run as shapes of an SVG: how many workers each stage kept busy, and when.

Pure arithmetic; what a shape is called and how it is coloured is the template's affair.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.page_facts import Activity

WIDTH, LEFT, RIGHT = 960.0, 104.0, 92.0
LANE, GAP, TOP, BOTTOM = 30.0, 12.0, 8.0, 26.0
BINS = 240
_TICKS = 6
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Lane:
    """One stage."""

    stage: str
    top: float
    path: str
    """Outline of the area, as the attribute `d`."""
    most: float
    """Workers busy at once, at most, averaged over a bin."""
    seconds: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of time."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The whole picture."""

    width: float
    height: float
    lanes: list[Lane]
    ticks: list[Tick]
    most: float


def chart_of(activities: Sequence[Activity], seconds: float) -> Chart:
    """Draw the time line.

    Args:
        activities: Of the run.
        seconds: From its beginning to its end.
    """
    length = max(seconds, 1e-3)
    stages = list(dict.fromkeys(item.stage for item in sorted(activities, key=lambda item: item.start)))
    busy = {stage: spread([a for a in activities if a.stage == stage], length, BINS) for stage in stages}
    most = max((max(values) for values in busy.values()), default=0.0)
    lanes = []
    for place, stage in enumerate(stages):
        mine = [item for item in activities if item.stage == stage]
        top = TOP + place * (LANE + GAP)
        lanes.append(
            Lane(
                stage,
                top,
                _area(busy[stage], most, top),
                max(busy[stage]),
                sum(item.seconds for item in mine),
                min(item.start for item in mine),
                max(item.end for item in mine),
            )
        )
    height = TOP + len(lanes) * (LANE + GAP) + BOTTOM
    return Chart(WIDTH, height, lanes, _ticks(length), most)


def spread(activities: Sequence[Activity], length: float, bins: int) -> list[float]:
    """Share the work of activities evenly over their time.

    Args:
        activities: Of one stage.
        length: Of the whole, in seconds.
        bins: Into which it is cut.

    Returns:
        For each bin how many workers were busy, on average. Times the length of a bin they add up to
        the seconds of all activities.
    """
    width = length / bins
    found = [0.0] * bins
    for item in activities:
        start, end = min(item.start, length - width), min(max(item.end, item.start), length)
        # What took no time that can be told took place in one bin.
        end = max(end, start + 1e-9)
        first, last = int(start / width), min(bins - 1, int(end / width))
        for place in range(min(first, bins - 1), last + 1):
            inside = min(end, (place + 1) * width) - max(start, place * width)
            found[place] += item.seconds * max(0.0, inside) / (end - start) / width
    return found


def _area(values: Sequence[float], most: float, top: float) -> str:
    plot, base = WIDTH - LEFT - RIGHT, top + LANE
    step = plot / len(values)
    points = [f"M{LEFT:.1f},{base:.1f}"]
    for place, value in enumerate(values):
        y = base - (LANE * value / most if most else 0.0)
        # What is there must be seen, however little it is.
        y = min(y, base - 1.5) if value else base
        points.append(f"L{LEFT + place * step:.1f},{y:.1f}L{LEFT + (place + 1) * step:.1f},{y:.1f}")
    return "".join([*points, f"L{WIDTH - RIGHT:.1f},{base:.1f}Z"])


def _ticks(length: float) -> list[Tick]:
    step = next((step for step in _STEPS if length / step <= _TICKS), _STEPS[-1])
    step *= max(1, math.ceil(length / step / (_TICKS * 2)))
    plot = WIDTH - LEFT - RIGHT
    return [
        Tick(LEFT + plot * at / length, clock_of(at)) for at in range(0, math.floor(length) + 1, round(step))
    ]


def clock_of(seconds: float) -> str:
    """Write a time as people read it: 45 s, 12:30, 3:05:00."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
