"""`gloss report`: one run as one page that opens anywhere.

The page holds all it shows: no script, nothing from elsewhere, and a policy in it that lets a browser load
nothing. Names and texts come from files of strangers; they are escaped, and what would turn the order of
characters round is replaced.
"""

import base64
import hashlib
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
from jinja2 import Environment, FunctionLoader, StrictUndefined

from jobs.output import EXIT_BROKEN, EXIT_OK, clean, complain, note, one_line
from jobs.page_chart import chart_of, clock_of
from jobs.page_facts import Facts, config_of, read_facts
from jobs.page_pictures import Shot, pictures_of, places
from jobs.read_only import LimitError, open_lake
from operators.lake import LakeError, relation
from schemas.config import ConfigError

_MINUTE = 60.0


def run_report(
    lake_uri: str, *, run_id: str | None = None, output: Path | None = None, pictures: bool = True
) -> int:
    """Write the page of a run.

    Args:
        lake_uri: Path or URL of the lake.
        run_id: Of the run, or its beginning; null means the newest.
        output: The file; null writes to stdout.
        pictures: Whether pages and frames of failures are shown, which reads the sources.

    Returns:
        0, 2 where there is no such run or lake, 1 where reading broke.
    """
    try:
        if output is not None and not output.parent.is_dir():
            msg = f"Wanted to write {output}; there is no folder {output.parent}. Create it first."
            raise ConfigError(msg)
        lake = open_lake(lake_uri)
        with lake.connect() as connection:
            facts = read_facts(connection, relation("costs", {"costs": lake.files("costs")}), run_id)
    except (LakeError, ConfigError) as error:
        return complain(str(error))
    except (duckdb.Error, LimitError) as error:
        return complain(f"Reading the lake broke: {error}", EXIT_BROKEN)
    shots = pictures_of(facts.failures, config_of(facts)) if pictures else {}
    page = render(facts, shots, lake.uri)
    if output is None:
        sys.stdout.write(page)
        return EXIT_OK
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        return complain(f"Wanted to write {output}; it cannot be written to ({error.strerror}).")
    note(f"Run {facts.run['run_id']}: {output} ({len(page.encode()) / 1e6:.1f} MB)")
    return EXIT_OK


def render(facts: Facts, shots: Mapping[int, Shot], lake_uri: str) -> str:
    """Write the page.

    Args:
        facts: Of the run.
        shots: Pictures by the index of their failure.
        lake_uri: Where the lake is, as shown.
    """
    style = _asset("report_page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template("report_page.html.j2")
        .render(
            facts=facts,
            run=facts.run,
            lake=lake_uri,
            style=style,
            policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
            "base-uri 'none'; form-action 'none'",
            chart=chart_of(facts.activities, facts.seconds),
            ledger=_ledger(facts.run),
            throughput=_throughput(facts),
            groups=_groups(facts, shots),
            totals=_sum_stages(facts.stages),
        )
    )


def _asset(name: str) -> str:
    return files("jobs").joinpath(name).read_text(encoding="utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clean": lambda text: clean(str(text)),
        "line": lambda text: one_line(str(text)),
        "name": lambda uri: one_line(str(uri)).rstrip("/").rpartition("/")[2] or one_line(str(uri)),
        "count": lambda value: "–" if value is None else f"{value:,}",
        "seconds": _seconds,
        "clock": clock_of,
        "mega": lambda value: f"{value / 1e6:,.1f}",
        "percent": lambda value: "–" if value is None else f"{value:.0%}",
        "money": _money,
        "number": lambda value: "–" if value is None else f"{value:,.4g}",
        "moment": _moment,
    }
    return environment


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def _money(value: float | None) -> str:
    """Write an amount: cents of large ones, of small ones what there is."""
    if value is None:
        return "–"
    return f"{value:,.2f}" if value >= 10 or value == 0 else f"{value:.3g}"


def _moment(value: datetime | None) -> str:
    return "–" if value is None else f"{value:%Y-%m-%d %H:%M:%S} UTC"


def _ledger(run: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    """Name the four counts, and where each begins and how wide it is, in per cent of the bar."""
    whole = max(1, run["discovered"])
    return [(name, run[name], 100.0 * run[name] / whole) for name in ("ok", "partial", "failed", "skipped")]


def _throughput(facts: Facts) -> list[tuple[str, str, str]]:
    """Say what was read in a minute, and in all."""
    minutes = max(facts.seconds, 1e-3) / _MINUTE
    run, totals = facts.run, facts.totals
    counted = (
        ("assets", run["ok"] + run["partial"]),
        ("pages", totals["pages"]),
        ("frames looked at", run["sampled_frames"]),
        ("different frames", run["distinct_frames"]),
        ("seconds of video and sound", totals["media_seconds"]),
        ("seconds of sound recognised", totals["sound_seconds"]),
    )
    return [(name, f"{value / minutes:,.1f}", f"{value:,.0f}") for name, value in counted if value]


def _groups(facts: Facts, shots: Mapping[int, Shot]) -> list[dict[str, Any]]:
    """Put failures together by reason, each with its place and picture."""
    where = list(places(facts.failures))
    shown = [
        row | {"where": place, "shot": shots.get(index)}
        for index, (row, place) in enumerate(zip(facts.failures, where, strict=True))
    ]
    reasons = dict.fromkeys(row["reason"] for row in facts.reasons)
    return [
        {
            "reason": reason,
            "count": sum(row["count"] for row in facts.reasons if row["reason"] == reason),
            "failures": [row for row in shown if row["reason"] == reason],
        }
        for reason in reasons
    ]


def _sum_stages(stages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = ("seconds", "cpu_seconds", "gpu_seconds", "input_tokens", "output_tokens")
    totals: dict[str, Any] = {name: sum(stage[name] or 0 for stage in stages) for name in names}
    known = [stage["money"] for stage in stages if stage["money"] is not None]
    return totals | {"money": sum(known) if known else None}
