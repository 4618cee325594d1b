"""A span that kills its decoder is halved until what is lost is the bad stretch alone.

Halves are tried level by level, so that whatever is bad, all good halves of one size are saved
before time goes into smaller ones.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from schemas.failure import Failure, InputError, Reason, Stage
from schemas.media import Asset, Unit
from schemas.perception import Cost, Perception

DEADLY = frozenset({Reason.CRASHED, Reason.TIMEOUT, Reason.MEMORY})
"""Reasons for which a smaller part may still be decoded; others concern the whole file."""

_FINEST = 16
"""The smallest part is a 16th of the span: 4 s of a minute, about the distance of key frames."""

_SHORTEST_DEADLINE_SECONDS = 10.0
"""Opening a long file and seeking in it takes its time, however short the part."""

_BUDGET_UNITS = 3.0
"""Wall time for all parts together, in deadlines of one unit: a file that hangs everywhere takes
four of them with its first attempt, and a part begun at the end at most half of one more."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a span and what became of it."""

    unit: Unit
    """The span with narrower borders."""
    outcome: Perception | InputError


def bisect_span(
    unit: Unit,
    error: InputError,
    decode: Callable[[Unit, float], Perception],
    interval_seconds: float,
    unit_seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> list[Part]:
    """Decode by parts a span that could not be decoded whole.

    Args:
        unit: The span.
        error: How decoding it ended.
        decode: Decodes a part within a deadline in seconds, or raises InputError.
        interval_seconds: Distance of looks; no part is shorter.
        unit_seconds: Deadline of a whole span.
        clock: Tells the time in seconds.

    Returns:
        Parts in order of time that cover the span without gaps.
    """
    whole = _seconds(unit)
    shortest = max(whole / _FINEST, interval_seconds) * 0.999  # halving rounds
    until = clock() + _BUDGET_UNITS * unit_seconds
    queue = deque([(unit, error)])
    parts: list[Part] = []
    while queue:
        part, known = queue.popleft()
        halves = _halves(part) if _seconds(part) >= 2 * shortest and clock() < until else []
        if known.reason not in DEADLY or not halves:
            parts.append(Part(part, known))
            continue
        for half in halves:
            share = _seconds(half) / whole
            outcome = _attempt(decode, half, known, _deadline(share, unit_seconds), clock() < until)
            if isinstance(outcome, InputError):
                queue.append((half, outcome))
            else:
                parts.append(Part(half, outcome))
    return sorted(parts, key=lambda part: part.unit.start_seconds or 0.0)


def _attempt(
    decode: Callable[[Unit, float], Perception],
    part: Unit,
    known: InputError,
    deadline_seconds: float,
    in_time: bool,
) -> Perception | InputError:
    if not in_time:
        return known
    try:
        return decode(part, deadline_seconds)
    except InputError as error:
        return error


def _deadline(share: float, unit_seconds: float) -> float:
    return max(min(_SHORTEST_DEADLINE_SECONDS, unit_seconds), share * unit_seconds)


def _seconds(unit: Unit) -> float:
    """Length of a span; one without an end cannot be halved."""
    if unit.end_seconds is None:
        return 0.0
    return unit.end_seconds - (unit.start_seconds or 0.0)


def _halves(unit: Unit) -> list[Unit]:
    assert unit.end_seconds is not None
    start = unit.start_seconds or 0.0
    middle = (start + unit.end_seconds) / 2
    return [replace(unit, end_seconds=middle), replace(unit, start_seconds=middle)]


def merge_parts(asset: Asset, unit: Unit, parts: Sequence[Part], seconds: float) -> Perception:
    """Make one perception of a span of its parts.

    Args:
        asset: The video.
        unit: The span.
        parts: As `bisect_span` gives them.
        seconds: Wall time that all attempts took.
    """
    kept = [part.outcome for part in parts if isinstance(part.outcome, Perception)]
    costs = [cost for each in kept for cost in each.costs]
    items, size = sum(cost.items for cost in costs), sum(cost.bytes for cost in costs)
    return Perception(
        asset,
        unit,
        pictures=[picture for each in kept for picture in each.pictures],
        cuts=[cut for each in kept for cut in each.cuts],
        failures=_join(failure for part in parts for failure in _failures(part)),
        costs=[Cost("decode", seconds, items, size)],
        sampled=sum(each.sampled for each in kept),
    )


def _failures(part: Part) -> list[Failure]:
    if isinstance(part.outcome, Perception):
        return part.outcome.failures
    return [lost_stretch(part.unit, part.outcome)]


def lost_stretch(unit: Unit, error: InputError, stage: Stage = Stage.DECODE) -> Failure:
    """Account for a unit, or a part of one, that could not be decoded."""
    return Failure(
        stage, error.reason, error.message, unit.index, unit.page, unit.start_seconds, unit.end_seconds
    )


def _join(failures: Iterable[Failure]) -> list[Failure]:
    """Make one failure of those that continue each other."""
    joined: list[Failure] = []
    for failure in failures:
        if joined and _continues(joined[-1], failure):
            joined[-1] = replace(joined[-1], end_seconds=failure.end_seconds)
        else:
            joined.append(failure)
    return joined


def _continues(earlier: Failure, later: Failure) -> bool:
    alike = earlier.reason == later.reason and (earlier.reason in DEADLY or earlier.message == later.message)
    return alike and earlier.end_seconds == later.start_seconds
