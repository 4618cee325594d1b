"""`gloss ingest --dry-run`: what a run would do, why, and how much of it is done already."""

import json
import sys
from collections import Counter
from typing import Any

import pyarrow as pa

from jobs.estimate import as_json, estimate
from jobs.run import Task
from operators.lake import Lake, file_list
from operators.unit_id import recipes, stages_of, unit_id
from operators.unit_store import open_store
from schemas.arrow import arrow_schema, from_table
from schemas.config import Config, differences
from schemas.failure import SkipReason
from schemas.media import Listing, UnitKind
from schemas.tables import PlanRow

_CHUNK_PLANS = 10_000


def print_forecast(lake: Lake, task: Task, config: Config) -> None:
    """Print as JSON what a run would do."""
    sys.stdout.write(json.dumps(forecast(lake, task, config), indent=2) + "\n")


def forecast(lake: Lake, task: Task, config: Config) -> dict[str, Any]:
    """Say what a run would do and why, without decoding any file.

    Args:
        lake: The lake; need not exist.
        task: What the run would be asked to do.
        config: Of the run.
    """
    discovery, work = task.discovery, task.work
    skips = Counter(str(skip.reason) for skip in discovery.skips)
    skips[str(SkipReason.UNSUPPORTED)] += len(work.unsupported)
    skips[str(SkipReason.NOT_SELECTED)] += work.unselected
    planned = [item for item in work.todo if item.known_plan is not None]
    return {
        "discovered": len(discovery.listings) + len(discovery.skips) + len(discovery.unlisted),
        "to_ingest": len(work.todo) + len(work.captions) + len(work.summaries),
        "because": work.reasons,
        "settings": _settings(lake, work.before, config),
        "units": _units(lake, planned, config) | {"files_to_be_probed": len(work.todo) - len(planned)},
        "bytes": sum(listing.size_bytes for listing in work.todo),
        "unchanged": len(work.unchanged),
        "skipped": {reason: count for reason, count in sorted(skips.items()) if count},
        "cannot_be_listed": len(discovery.unlisted),
        "vanished": len(task.vanished),
        "to_prune": len(task.vanished) if task.prune else 0,
    } | _captions(lake, task, config)


def _captions(lake: Lake, task: Task, config: Config) -> dict[str, Any]:
    """Say what captions will take, and whether that is allowed; reads the headers of new files."""
    work, caps = task.work, task.caps
    if not config.vision.looks:
        return {}
    found = estimate(lake, work.todo, work.captions, config)
    tokens_allowed = caps.tokens is None or found.takes.tokens <= caps.tokens
    cost_allowed = caps.cost is None or found.takes.cost(config.vision) <= caps.cost
    return {"captions": as_json(found, config) | {"allowed": tokens_allowed and cost_allowed}}


def _settings(lake: Lake, before: dict[str, int], config: Config) -> list[dict[str, Any]]:
    """Say which settings differ from those that files were read with, and for how many files."""
    if not before:
        return []
    with lake.connect() as connection:
        stored = dict(connection.execute("SELECT run_id, config FROM runs").fetchall())
    found: Counter[tuple[str, str, str]] = Counter()
    for run_id, count in before.items():
        changes = [
            change
            for change in differences(stored.get(run_id, "{}"), config)
            if change[0].partition(".")[0] in _PERCEPTION
        ]
        # Equal settings and yet another result: what reads them has another version.
        for key, old, new in changes or [("version of an engine or of gloss", "", "")]:
            found[key, json.dumps(old), json.dumps(new)] += count
    return [
        {"setting": key, "was": json.loads(old), "is": json.loads(new), "files": count}
        for (key, old, new), count in sorted(found.items())
    ]


_PERCEPTION = ("sampling", "documents", "ocr", "speech", "vision", "summary", "embedding")


def _units(lake: Lake, planned: list[Listing], config: Config) -> dict[str, int]:
    """Count the units of files whose plan is in the lake: those it holds, and those to be computed."""
    counts = {"in_the_lake": 0, "to_compute": 0}
    if not planned:
        return counts
    store = open_store(lake, (listing.size_bytes for listing in planned))
    wanted = Counter(listing.known_plan for listing in planned)
    for plan in _plans(lake, [name for name in wanted if name is not None]):
        if plan.recipe != recipes(config).plan:
            counts["to_compute"] += len(plan.units) * wanted[plan.plan_id]
            continue
        units = [unit for unit in plan.units if unit.kind != UnitKind.NOTHING]
        names = {
            unit_id(plan.asset, unit, config, stage): unit.index
            for unit in units
            for stage in stages_of(unit)
        }
        held = len({names[name] for name in store.units.find(list(names))})
        counts["in_the_lake"] += held * wanted[plan.plan_id]
        counts["to_compute"] += (len(units) - held) * wanted[plan.plan_id]
    return counts


def _plans(lake: Lake, names: list[str]) -> list[PlanRow]:
    plans: dict[str, PlanRow] = {}
    files = lake.files("plans")
    with lake.connect() as connection:
        for at in range(0, len(names) if files else 0, _CHUNK_PLANS):
            found: pa.Table = connection.sql(
                f"SELECT * FROM read_parquet({file_list(files)}) WHERE list_contains(?, plan_id)",
                params=[names[at : at + _CHUNK_PLANS]],
            ).to_arrow_table()
            rows = from_table(PlanRow, found.select(arrow_schema(PlanRow).names))
            plans.update((plan.plan_id, plan) for plan in rows)
    return list(plans.values())
