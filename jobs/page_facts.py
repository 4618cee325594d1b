"""What the page of a run tells, read from its lake with a few queries."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from schemas.config import Config, ConfigError, differences

MOST_ASSETS = 12
"""Of the lists of slow and of expensive assets."""

MOST_FAILURES = 60
"""Failures that are told one by one; all are counted."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Activity:
    """What a stage spent on an asset between two commits."""

    stage: str
    start: float
    """Seconds since the run began."""
    end: float
    seconds: float
    """Of work, at least 0; more than `end - start` where several workers were at it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a page tells of a run, in plain values."""

    run: Row
    seconds: float
    """From its beginning to its end, or to the last that is known of it."""
    stages: list[Row]
    activities: list[Activity]
    totals: Row
    """What was read of the assets whose newest version is of this run."""
    slowest: list[Row]
    dearest: list[Row]
    has_money: bool
    reasons: list[Row]
    failures: list[Row]
    failure_count: int
    drift: list[Row]
    settings: list[tuple[str, Any, Any]]
    """Key, default and value of what was configured."""
    versions: Mapping[str, str]
    currency: str


_STAGES = """
    SELECT stage, sum(seconds) AS seconds, sum(cpu_seconds) AS cpu_seconds, sum(gpu_seconds) AS gpu_seconds,
           sum(items)::BIGINT AS items, sum(bytes)::BIGINT AS bytes,
           sum(fetched_bytes)::BIGINT AS fetched_bytes,
           sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens,
           sum(money) AS money, sum(batched) / nullif(sum(places), 0) AS fill,
           1 - sum(length) / nullif(sum(padded), 0) AS waste, min(started_at) AS began
    FROM costs WHERE run_id = $run GROUP BY stage ORDER BY began NULLS LAST, stage"""

_ASSETS = """
    SELECT c.asset_id, c.uri, a.kind, a.status, a.duration_seconds, a.page_count,
           sum(c.seconds) AS seconds, sum(c.cpu_seconds) AS cpu_seconds, sum(c.gpu_seconds) AS gpu_seconds,
           sum(c.input_tokens + c.output_tokens)::BIGINT AS tokens, sum(c.money) AS money,
           list({{stage: c.stage, seconds: c.seconds}} ORDER BY c.stage) AS stages
    FROM (FROM costs WHERE run_id = $run) c LEFT JOIN assets a ON a.asset_id = c.asset_id
    GROUP BY ALL ORDER BY {order} DESC NULLS LAST, c.uri LIMIT {limit}"""

_TOTALS = """
    SELECT count(*) AS assets, coalesce(sum(page_count), 0)::BIGINT AS pages,
           coalesce(sum(duration_seconds), 0) AS media_seconds,
           coalesce(sum(sound_seconds), 0) AS sound_seconds
    FROM assets WHERE run_id = $run AND status <> 'failed'"""

_FAILURES = f"""
    SELECT f.asset_id, f.uri, f.stage, f.reason, f.message, f.page, f.start_seconds, f.end_seconds,
           f.reproduce, a.kind, a.bytes, coalesce(c.width_px, a.width_px) AS width_px,
           coalesce(c.height_px, a.height_px) AS height_px, coalesce(c.turned_degrees, 0) AS turned_degrees
    FROM (FROM failures WHERE run_id = $run) f
    LEFT JOIN assets a ON a.asset_id = f.asset_id
    LEFT JOIN clips c ON c.asset_id = f.asset_id AND c.page = f.page
    ORDER BY f.reason, f.uri, f.page, f.start_seconds, f.message LIMIT {MOST_FAILURES}"""

_DRIFT = "SELECT * FROM drift WHERE run_id = $run ORDER BY missed DESC, metric, part"


def read_facts(connection: duckdb.DuckDBPyConnection, raw_costs: str, run_id: str | None) -> Facts:
    """Read what a page tells.

    Args:
        connection: To the views of a lake.
        raw_costs: What rows of `costs` are read from as they were written, commit by commit.
        run_id: Of the run, or its beginning; null means the newest.

    Raises:
        ConfigError: There is no such run, or there are several.
    """
    run = _run(connection, run_id)
    named = {"run": run["run_id"]}
    stages = _rows(connection, _STAGES, named)
    activities = _activities(connection, raw_costs, run)
    has_money = any(stage["money"] is not None for stage in stages)
    order = "money" if has_money else "cpu_seconds"
    config = _config(run)
    ((failure_count,),) = connection.execute(
        "SELECT count(*) FROM failures WHERE run_id = $run", named
    ).fetchall()
    return Facts(
        run=run,
        seconds=_length(run, activities),
        stages=stages,
        activities=activities,
        totals=_rows(connection, _TOTALS, named)[0],
        slowest=_rows(connection, _ASSETS.format(order="seconds", limit=MOST_ASSETS), named),
        dearest=_rows(connection, _ASSETS.format(order=order, limit=MOST_ASSETS), named),
        has_money=has_money,
        reasons=_rows(
            connection,
            "SELECT reason, stage, count(*) AS count FROM failures WHERE run_id = $run "
            "GROUP BY ALL ORDER BY count DESC, reason, stage",
            named,
        ),
        failures=_rows(connection, _FAILURES, named),
        failure_count=failure_count,
        drift=_rows(connection, _DRIFT, named) if _has_view(connection, "drift") else [],
        settings=differences(Config().model_dump_json(), config),
        versions=json.loads(run["versions"]),
        currency=config.prices.currency,
    )


def _run(connection: duckdb.DuckDBPyConnection, run_id: str | None) -> Row:
    sql, named = "FROM runs ORDER BY started_at DESC LIMIT 1", {}
    if run_id is not None:
        sql, named = "FROM runs WHERE starts_with(run_id, $run) LIMIT 2", {"run": run_id}
    found = _rows(connection, sql, named)
    if not found:
        wanted = "a run" if run_id is None else f"a run whose id begins with {run_id!r}"
        msg = f"Wanted {wanted}; the lake has none. List them with: gloss status --lake LAKE"
        raise ConfigError(msg)
    if len(found) > 1:
        msg = f"{run_id!r} fits several runs, such as {found[0]['run_id']} and {found[1]['run_id']}."
        raise ConfigError(msg)
    return found[0]


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, named: Mapping[str, Any]) -> list[Row]:
    cursor = connection.execute(sql, dict(named)) if named else connection.execute(sql)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]


def _has_view(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    sql = "SELECT count(*) FROM duckdb_views() WHERE view_name = ?"
    return bool(connection.execute(sql, [name]).fetchall()[0][0])


def _activities(connection: duckdb.DuckDBPyConnection, raw_costs: str, run: Row) -> list[Activity]:
    began: datetime = run["started_at"]
    rows = connection.execute(
        f"""SELECT stage, epoch_us(started_at) / 1e6, epoch_us(ended_at) / 1e6, seconds FROM {raw_costs}
            WHERE run_id = $run AND started_at IS NOT NULL ORDER BY started_at""",
        {"run": run["run_id"]},
    ).fetchall()
    zero = (began - datetime(1970, 1, 1)).total_seconds()
    return [
        Activity(stage, max(0.0, start - zero), max(0.0, start - zero, end - zero), seconds)
        for stage, start, end, seconds in rows
    ]


def _length(run: Row, activities: Sequence[Activity]) -> float:
    last = max((activity.end for activity in activities), default=0.0)
    finished = run["finished_at"]
    return max(last, 0.0 if finished is None else (finished - run["started_at"]).total_seconds())


def _config(run: Row) -> Config:
    """Read the configuration of a run; of another version of Gloss only what is known here matters."""
    try:
        return Config.model_validate_json(run["config"])
    except ValueError:
        return Config()


def config_of(facts: Facts) -> Config:
    """Return the configuration by which sources are read again."""
    return _config(facts.run)
