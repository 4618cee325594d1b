"""How a night differs from the nights before it.

A corpus, a codec or a model's server changes, and what comes out gets worse without any error: pages with
half the text, talks with no words. So the numbers of a night are compared with the median of the finished
runs before it, which one bad night does not move, and held to limits. Pure arithmetic; `run_measures`
reads the numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from schemas.nightly import Nightly


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which number of a run."""

    metric: str
    """`failure_rate`, `text_per_page`, …"""
    part: str = ""
    """Kind, status or reason, for those that are told by it."""


Measures = Mapping[Key, float | None]
"""What a run amounts to; null where there is nothing to measure it on (no pages, no sound)."""

FILES = Key("files")
"""Files that a run discovered."""
ASSETS = Key("assets")
"""Files that it read: not the unchanged ones."""
FAILURE_RATE = Key("failure_rate")
_COUNTS = frozenset({"files", "assets", "failures", "vanished"})
"""Numbers of things: a part that a run does not name is 0 there."""
_SHARES = frozenset({"failure_rate", "failures_per_asset"})
"""Their change is a difference, because shares of almost nothing multiply at once."""
_ROUNDING = 1e-9
"""700 is thirty in a hundred below 1000, and not more than that."""


@dataclass(frozen=True, slots=True)
class Change:
    """One number of a run beside what it was before."""

    metric: str
    part: str
    value: float | None
    baseline: float | None
    """Median of the runs before; null without any."""
    change: float | None
    """A difference for shares, a share of the baseline for all else; null where either is missing, and
    where the baseline is 0 and the value is not."""
    limit: float | None
    """The limit of `value` or `change` that is missed, or else the one that applies."""
    missed: bool


def compare(now: Measures, before: Sequence[Measures], limits: Nightly) -> list[Change]:
    """Compare a run with finished runs before it.

    Args:
        now: Of the run.
        before: Of the others, in any order.
        limits: What may change by how much.

    Returns:
        A row for each number that the run or a run before it has, by name.
    """
    baselines = {key: _baseline(key, before) for key in {key for run in (now, *before) for key in run}}
    enough = (now.get(ASSETS) or 0) >= limits.min_assets
    known = enough and (baselines.get(ASSETS) or 0) >= limits.min_assets
    rows = []
    for key in sorted(baselines):
        value = now.get(key, 0.0 if key.metric in _COUNTS else None)
        change = _change(key, value, baselines[key])
        limit, missed = _held(key, value, baselines[key], change, limits, enough, known)
        rows.append(Change(key.metric, key.part, value, baselines[key], change, limit, missed))
    return rows


def _baseline(key: Key, before: Sequence[Measures]) -> float | None:
    default = 0.0 if key.metric in _COUNTS else None
    found = [value for run in before if (value := run.get(key, default)) is not None]
    return median(found) if found else None


def _change(key: Key, value: float | None, baseline: float | None) -> float | None:
    if value is None or baseline is None:
        return None
    if key.metric in _SHARES:
        return value - baseline
    if baseline == 0:
        return 0.0 if value == 0 else None
    return value / baseline - 1


def _held(
    key: Key,
    value: float | None,
    baseline: float | None,
    change: float | None,
    limits: Nightly,
    enough: bool,
    known: bool,
) -> tuple[float | None, bool]:
    """Return the limit that applies to a number, and whether it is missed.

    Args:
        key: Which number.
        value: Of the run.
        baseline: What it was before.
        change: Between the two.
        limits: All of them.
        enough: Whether the run read enough files to say something by them.
        known: Whether the baseline did, too.
    """
    if key == FAILURE_RATE:
        most, rise = limits.max_failure_rate, limits.max_failure_rate_change
        if enough and most is not None and value is not None and value > most + _ROUNDING:
            return most, True
        if known and rise is not None and change is not None and change > rise + _ROUNDING:
            return rise, True
        return (most if most is not None else rise), False
    limit = limits.max_change.get(key.metric) if not key.part else None  # type: ignore[call-overload]
    if limit is None:
        return None, False
    from_nothing = change is None and baseline == 0 and bool(value)
    # The number of files is no average over them: it says something however small it is.
    moved = change is not None and abs(change) > limit + _ROUNDING
    return limit, (known or key == FILES) and (from_nothing or moved)
