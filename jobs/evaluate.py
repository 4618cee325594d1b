"""`gloss evaluate`: the quality of a lake in numbers.

Engines, prompts and settings are changed to make results better; whether they did is measured here,
against files of which the truth is known. Without a truth there are still the numbers that a lake
tells of itself: whether summaries rest on what they cite, what failed, what waits for a review.
"""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import duckdb
from rich.text import Text

from jobs.evaluate_limits import (
    Miss,
    dropped,
    missed_limits,
    parse_limit,
    read_baseline,
    unknown_metrics,
)
from jobs.evaluate_read import read_assets
from jobs.output import (
    EXIT_BROKEN,
    EXIT_OK,
    check_format,
    complain,
    console,
    emit_json,
    file_name,
    grid,
    note,
    one_line,
)
from jobs.read_only import LimitError, Limits, open_lake, read_only
from operators.lake import Lake, LakeError
from operators.score_asset import score_asset
from operators.scores import METRICS, Scores, Tally, Value, merged, values
from schemas.config import ConfigError
from schemas.truth import Truth, load_truth

EXIT_MISSED = 4
"""A limit was missed, a number is worse than it was, or an entry of the truth fits no asset."""

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured."""

    overall: list[Value]
    by_asset: list[Value]
    """Those that have a truth first, in its order; then the others by URI."""
    assets: list[str]
    """URIs of all assets."""
    findings: list[str]
    """Entries of the truth that do not fit exactly one asset."""

    @property
    def values(self) -> list[Value]:
        """All numbers."""
        return [*self.overall, *self.by_asset]


def run_evaluate(
    lake_uri: str,
    *,
    truth: Path | None = None,
    format: str = "table",  # noqa: A002
    baseline: Path | None = None,
    minima: Sequence[str] = (),
    maxima: Sequence[str] = (),
    tolerance: float = 0.01,
    storage_options: dict[str, str] | None = None,
) -> int:
    """Measure a lake and hold the numbers against limits.

    Args:
        lake_uri: Path or URL of the lake.
        truth: What is known of some of its assets; without, only what the lake tells of itself.
        format: table (for people) or json.
        baseline: What an earlier call has printed as JSON.
        minima: The least that a metric may be, as `METRIC=VALUE`.
        maxima: The most.
        tolerance: By how much a share may be worse than in the baseline.
        storage_options: Options of the object store.

    Returns:
        0, 4 when something is not as good as it should be, 2 for a lake, truth, baseline or limit
        that cannot be used, 1 when reading broke.
    """
    try:
        check_format(format, known=("table", "json"))
        limits = [parse_limit(text, "min") for text in minima] + [parse_limit(text, "max") for text in maxima]
        if not (math.isfinite(tolerance) and tolerance >= 0):
            msg = f"--tolerance wants a number from 0 on; found {tolerance}."
            raise ConfigError(msg)
        truths = [] if truth is None else load_truth(truth)
        before = [] if baseline is None else read_baseline(baseline)
        result = evaluate(open_lake(lake_uri, storage_options), truths)
    except (LakeError, ConfigError) as error:
        return complain(str(error))
    except (duckdb.Error, LimitError) as error:
        return complain(f"Reading the lake broke: {error}", EXIT_BROKEN)
    if format == "json":
        emit_json([_row(value) for value in result.values])
    else:
        _print(result)
    for name in unknown_metrics(before):
        note(f"The baseline's {name} is a metric of another version of Gloss; it is not compared.")
    for finding in result.findings:
        complain(finding)
    missed = _tell("Limits that are missed", "wanted", missed_limits(limits, result.overall))
    worse = _tell(
        "Worse than the baseline", "before", dropped(before, result.values, result.assets, tolerance)
    )
    return EXIT_MISSED if missed or worse or result.findings else EXIT_OK


def evaluate(lake: Lake, truths: Sequence[Truth] = ()) -> Evaluation:
    """Measure every asset of a lake, and all of them together.

    Raises:
        duckdb.Error: The lake cannot be read.
    """
    # A large lake takes longer than a query may.
    with read_only(lake, Limits(seconds=None)) as connection:
        uris = [str(row[0]) for row in connection.execute("SELECT uri FROM assets ORDER BY uri").fetchall()]
        known, findings = match(truths, uris)
        scores = {found.uri: score_asset(found, known.get(found.uri)) for found in read_assets(connection)}
    matching: Scores = {"truth_unmatched": Tally(len(findings), len(truths))} if truths else {}
    order = [*known, *(uri for uri in uris if uri not in known)]
    return Evaluation(
        values(merged([*scores.values(), matching])),
        [value for uri in order for value in values(scores[uri], uri)],
        uris,
        findings,
    )


def match(truths: Sequence[Truth], uris: Sequence[str]) -> tuple[dict[str, Truth], list[str]]:
    """Find the asset that each entry of a truth is about.

    Returns:
        The entry of each URI that has one, and what is wrong with those that do not fit exactly one
        asset, or fit one that another entry is about.
    """
    named: dict[str, list[str]] = {}
    for uri in uris:
        named.setdefault(file_name(uri), []).append(uri)
    known: dict[str, Truth] = {}
    findings = []
    for truth in truths:
        fits = [uri for uri in named.get(file_name(truth.uri), ()) if f"/{uri}".endswith(f"/{truth.uri}")]
        # A name may hold brackets and be no glob.
        fits = fits or [uri for uri in uris if fnmatchcase(uri, truth.uri)]
        if len(fits) != 1:
            some = ", ".join(fits[:_MOST_NAMED]) + (", …" if len(fits) > _MOST_NAMED else "")
            found = f"{len(fits)} do: {some}" if fits else "none does"
            findings.append(f"Wanted one asset whose URI ends with {truth.uri!r}; {found}.")
        elif fits[0] in known:
            findings.append(f"{truth.uri!r} and {known[fits[0]].uri!r} are both about {fits[0]}.")
        else:
            known[fits[0]] = truth
    return known, findings


# --- output -------------------------------------------------------------------------------


def _row(value: Value) -> dict[str, object]:
    return {"asset": value.asset, "metric": value.metric, "value": value.value, "count": value.count}


def _print(result: Evaluation) -> None:
    """Show the numbers of all assets together, each with the asset that is worst in it."""
    worst: dict[str, Value] = {}
    for value in result.by_asset:
        if value.value is not None:
            before = worst.setdefault(value.metric, value)
            if _badness(value) > _badness(before):
                worst[value.metric] = value
    rows = []
    for value in result.overall:
        bad = worst.get(value.metric)
        bad = None if bad is None or bad.value == value.value or bad.value == 0 == _badness(bad) else bad
        rows.append(
            (
                value.metric,
                _shown(value.metric, value.value),
                f"{value.count:,} {METRICS[value.metric].counts}",
                _shown(value.metric, bad.value) if bad else "",
                one_line(file_name(bad.asset or "")) if bad else "",
            )
        )
    screen = console()
    screen.print(Text(f"{len(result.assets)} assets", style="bold"))
    screen.print(grid(("metric", "value", "of", "worst", "asset"), rows))


def _badness(value: Value) -> float:
    amount = value.value or 0.0
    return amount if METRICS[value.metric].better == "lower" else -amount


def _shown(metric: str, value: float | None) -> str | None:
    if value is None:
        return None
    match METRICS[metric].unit:
        case "share":
            return f"{value:.4f}"
        case "seconds":
            return f"{value:.3f} s"
        case _:
            return f"{value:g}"


def _tell(title: str, wanted: str, misses: Iterable[Miss]) -> bool:
    """Name on stderr what is not as it should be; tells whether anything is."""
    rows = [
        (
            miss.metric,
            one_line(miss.asset or "all together"),
            miss.wanted,
            "not measured" if miss.found is None else f"{miss.found:.6g}",
        )
        for miss in misses
    ]
    if rows:
        screen = console(sys.stderr)
        screen.print(Text(f"\n{title}", style="bold underline"))
        screen.print(grid(("metric", "asset", wanted, "found"), rows))
    return bool(rows)
