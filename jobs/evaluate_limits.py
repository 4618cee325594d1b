"""Hold numbers against limits and against an earlier measurement.

A limit says how good a lake must be, a baseline how good it was. What was measured before and is not
any more counts as worse: otherwise a stage that is switched off by mistake would pass.
"""

import difflib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from operators.scores import METRICS, Value
from schemas.config import ConfigError

SECONDS_SHARE = 0.1
SECONDS_LEAST = 0.05
"""A time may become worse by a tenth, or by this many seconds if that is more."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The least or most that a number of all assets together may be."""

    metric: str
    side: Literal["min", "max"]
    bound: float


@dataclass(frozen=True, slots=True)
class Miss:
    """A number that is not as it should be."""

    metric: str
    asset: str | None
    wanted: str
    found: float | None


def parse_limit(text: str, side: Literal["min", "max"]) -> Limit:
    """Read `METRIC=VALUE`.

    Raises:
        ConfigError: Not of that form, no such metric, or no number.
    """
    name, _, number = text.partition("=")
    name = name.strip()
    if name not in METRICS:
        near = difflib.get_close_matches(name, METRICS, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        msg = f"--{side} wants METRIC=VALUE; there is no metric {name!r}.{hint} Known: {', '.join(METRICS)}."
        raise ConfigError(msg)
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        msg = f"--{side} wants METRIC=VALUE with a number ({name}=0.95); found {text!r}."
        raise ConfigError(msg)
    return Limit(name, side, bound)


def missed_limits(limits: Sequence[Limit], overall: Iterable[Value]) -> list[Miss]:
    """Name the limits that do not hold; what was not measured holds none."""
    found = {value.metric: value.value for value in overall}
    misses = []
    for limit in limits:
        value = found.get(limit.metric)
        holds = value is not None and (value >= limit.bound if limit.side == "min" else value <= limit.bound)
        if not holds:
            misses.append(Miss(limit.metric, None, f"{limit.side} {limit.bound:g}", value))
    return misses


def read_baseline(path: Path) -> list[Value]:
    """Read what an earlier `gloss evaluate --format json` has printed.

    Raises:
        ConfigError: It cannot be read or is something else.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"Wanted a baseline at {path}; it cannot be read ({error})."
        raise ConfigError(msg) from None
    if not isinstance(rows, list):
        msg = f"{path}: wanted the JSON array that gloss evaluate --format json prints; found something else."
        raise ConfigError(msg)
    return [_value(path, number, row) for number, row in enumerate(rows, 1)]


def _value(path: Path, number: int, row: object) -> Value:
    match row:
        case {
            "asset": None | str() as asset,
            "metric": str() as metric,
            "value": None | int() | float() as value,
            "count": int() as count,
        }:
            return Value(metric, value, count, asset)
        case _:
            msg = (
                f"{path}, row {number}: wanted asset, metric, value and count, as gloss evaluate prints; "
                f"found {row!r}."
            )
            raise ConfigError(msg)


def unknown_metrics(baseline: Iterable[Value]) -> list[str]:
    """Name the metrics of a baseline that another version of Gloss had."""
    return sorted({value.metric for value in baseline} - METRICS.keys())


def dropped(
    baseline: Iterable[Value], now: Iterable[Value], assets: Iterable[str], tolerance: float
) -> list[Miss]:
    """Name the numbers that are worse than they were.

    Args:
        baseline: What was measured before.
        now: What is measured now.
        assets: URIs of all assets in the lake; what is no longer there is not compared.
        tolerance: By how much a share may become worse.
    """
    found = {(value.asset, value.metric): value.value for value in now}
    here = {None, *assets}
    return [
        Miss(before.metric, before.asset, f"{before.value:.6g}", found.get((before.asset, before.metric)))
        for before in baseline
        if before.value is not None
        and before.metric in METRICS
        and before.asset in here
        and _is_worse(before.metric, before.value, found.get((before.asset, before.metric)), tolerance)
    ]


def _is_worse(metric: str, before: float, now: float | None, tolerance: float) -> bool:
    if now is None:
        return True
    loss = before - now if METRICS[metric].better == "higher" else now - before
    allowed: Mapping[str, float] = {
        "share": tolerance,
        "seconds": max(SECONDS_SHARE * before, SECONDS_LEAST),
        "count": 0.0,
    }
    # Sums of fractions differ in their last digits.
    return loss > allowed[METRICS[metric].unit] + 1e-9
