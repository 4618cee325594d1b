"""Is a lake sound: does every row have its neighbours, and is every file whole?

A disk that flips a bit, a file deleted by hand, a store restored from two backups of different
age: none of it raises an error until someone asks for just these rows. Here every data file is
read to its end against its checksums, and every relation that rows of different tables have to
each other is counted. Each finding says what to do; what concerns single assets can be done
again by `gloss repair`, because everything in a lake comes from its sources.

Files are read one after another, a few thousand rows at a time, and relations are counted by
DuckDB within its limits, so memory stays bounded however large the lake is. Files that Gloss
wrote bear checksums of their pages; of the small ones that Delta's merge writes (`assets`, `runs`,
`skips`) only what breaks their format is noticed.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.output import size
from jobs.read_only import Limits, read_only
from operators.claim import read_holder
from operators.lake import VIEWS_FILE, Lake, LakeError, relation
from operators.retrying import is_transient, one_line, with_retries
from schemas.arrow import arrow_schema
from schemas.tables import CHILDREN, TABLES, WRITES

_BATCH_ROWS = 4096

_EXAMPLES = 3

_REDO = "gloss repair takes {them} out of the lake; the next gloss ingest of the source reads {them} again"

_RESTORE = (
    "Restore the file from a backup under the same name. Without one, gloss repair drops it and what "
    "cannot be whole without it; the next gloss ingest of the sources makes that again"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a lake, or worth knowing."""

    severity: str
    """error, warning or info."""
    check: str
    """A short name, the same in every lake."""
    what: str
    todo: str
    assets: list[str] = field(default_factory=list)
    """Ids of the assets that are to be read again."""
    file: str | None = None
    """The data file (`TABLE/NAME`) that cannot be used."""


@dataclass(frozen=True, slots=True)
class _Logged:
    """A data file as its table's log describes it."""

    table: str
    name: str
    size_bytes: int
    rows: int | None
    bounds: tuple[str, str] | None
    """First and last `asset_id` in it."""


def check_lake(lake: Lake, limits: Limits | None = None) -> list[Finding]:
    """Check a lake; the gravest findings come first.

    Args:
        lake: The lake; it may be written to meanwhile.
        limits: What counting may cost; reading all files takes as long as it takes.
    """
    # Object stores are listed once and remembered; files come and go meanwhile.
    lake.filesystem.invalidate_cache()
    lake.forget()
    findings, logs = _open_tables(lake)
    if not any(item.check == "table" for item in findings):
        broken = list(_check_files(lake, logs))
        bad = {item.file for item in broken}
        sound = {
            table: [f"{table}/{file.name}" for file in files if f"{table}/{file.name}" not in bad]
            for table, files in logs.items()
        }
        findings += broken
        findings += _check_rows(lake, sound, Limits(seconds=None) if limits is None else limits)
        findings += _check_views(lake, logs)
        findings += _check_leftovers(lake, logs)
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(findings, key=lambda item: order[item.severity])


# --- tables and files -----------------------------------------------------------------------


def _open_tables(lake: Lake) -> tuple[list[Finding], dict[str, list[_Logged]]]:
    findings: list[Finding] = []
    logs: dict[str, list[_Logged]] = {}
    for name in TABLES:
        try:
            delta = with_retries(lambda name=name: lake.table(name))  # type: ignore[misc]  # bound now
            log = pa.table(delta.get_add_actions(flatten=True)).to_pydict()
            found = set(pa.schema(delta.schema()).names)
        except Exception as error:  # Delta's errors have no common base; the message is kept
            if not isinstance(error, LakeError) and is_transient(error):
                raise
            what = f"Table {name} cannot be opened: {one_line(error)}"
            todo = f"Restore the folder {name} from a backup, or ingest the sources into a new lake"
            findings.append(Finding("error", "table", what, todo))
            continue
        if lacking := sorted(set(arrow_schema(TABLES[name]).names) ^ found):
            what = f"Table {name} is of another version of Gloss: it differs in {', '.join(lacking)}"
            findings.append(Finding("error", "table", what, "Ingest the sources into a new lake"))
        logs[name] = _logged(name, log)
    return findings, logs


def _logged(table: str, log: Mapping[str, list[Any]]) -> list[_Logged]:
    nothing = [None] * len(log["path"])
    columns = (
        log["path"],
        log["size_bytes"],
        log["num_records"],
        log.get("min.asset_id", nothing),
        log.get("max.asset_id", nothing),
    )
    return [
        _Logged(table, path.rpartition("/")[2], bytes_, rows, (low, high) if low and high else None)
        for path, bytes_, rows, low, high in zip(*columns, strict=True)
    ]


def _check_files(lake: Lake, logs: Mapping[str, Sequence[_Logged]]) -> Iterator[Finding]:
    for files in logs.values():
        for file in files:
            wrong = _wrong_with(lake, file)
            if wrong is not None:
                place = f"{file.table}/{file.name}"
                # Rows of an asset that lie on the border of two files are lost only in part.
                assets = sorted(set(file.bounds or ())) if file.table in CHILDREN else []
                yield Finding("error", "file", f"{place} {wrong}", _RESTORE, assets, place)


def _wrong_with(lake: Lake, file: _Logged) -> str | None:
    """Read one file to its end; say what is wrong with it."""
    place = f"{lake.root}/{file.table}/{file.name}"
    try:
        return with_retries(lambda: _read(lake, place, file))
    except FileNotFoundError:
        return "is missing"
    except Exception as error:  # whatever reading it raises is the finding
        if is_transient(error):
            raise
        return f"cannot be read to the end: {one_line(error)}"


def _read(lake: Lake, place: str, file: _Logged) -> str | None:
    found = int(lake.filesystem.info(place)["size"])
    if found != file.size_bytes:
        return f"has {found:,} bytes, and should have {file.size_bytes:,}"
    with (
        lake.filesystem.open(place, "rb") as opened,
        pq.ParquetFile(
            opened, page_checksum_verification=True, pre_buffer=False, buffer_size=1 << 20
        ) as data,
    ):
        rows = sum(batch.num_rows for batch in data.iter_batches(_BATCH_ROWS))
    if file.rows is not None and rows != file.rows:
        return f"has {rows:,} rows, and should have {file.rows:,}"
    return None


# --- rows -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Check:
    """A query that gives one row (`id`, shown) for each thing that is wrong."""

    name: str
    severity: str
    what: str
    """With {count} and {examples}."""
    sql: str
    todo: str = _REDO.format(them="them")
    by_asset: bool = True
    """Whether `id` is an asset to be read again."""


def _counted(column: str, table: str) -> str:
    return f"""
        SELECT a.asset_id AS id, a.uri || ' says ' || {column} || ', has ' || count(c.write_id) AS shown
        FROM (SELECT DISTINCT asset_id, uri, {column}, write_id FROM writes) a
        LEFT JOIN {table} c USING (write_id)
        GROUP BY a.asset_id, a.uri, {column} HAVING {column} <> count(c.write_id)"""


def _numbered(column: str, table: str) -> str:
    return f"""
        SELECT min(asset_id) AS id, min(asset_id) AS shown FROM {table} GROUP BY write_id
        HAVING min({column}) <> 0 OR max({column}) <> count(*) - 1 OR count(DISTINCT {column}) <> count(*)"""


def _owned(table: str) -> str:
    """Give each row the asset that it is live through, whatever it bears itself."""
    return f"(SELECT t.*, w.asset_id AS owner FROM {table} t JOIN writes w USING (write_id))"


def _orphaned(table: str, parent: str, column: str) -> str:
    return f"""
        SELECT DISTINCT asset_id AS id, asset_id AS shown
        FROM {_owned(table)} ANTI JOIN {_owned(parent)} USING (owner, {column})"""


def _reversed(table: str, first: str, last: str) -> str:
    return f"SELECT DISTINCT asset_id AS id, asset_id AS shown FROM {table} WHERE {first} > {last}"


def _lacking(table: str, holders: str) -> str:
    return f"""
        SELECT asset_id AS id, min(uri) AS shown
        FROM ({holders}) ANTI JOIN (SELECT DISTINCT owner AS asset_id FROM {_owned(table)}) USING (asset_id)
        GROUP BY asset_id"""


_ALL_CHILDREN = " UNION ALL BY NAME ".join(
    f"SELECT '{name}' AS name, asset_id, version, write_id FROM {name}" for name in CHILDREN
)

_CLIPS_WITH = "SELECT a.asset_id, a.uri FROM clips c JOIN writes a USING (write_id) WHERE "

_CHECKS = (
    _Check(
        "ledger",
        "error",
        "{count} runs do not account for every file: {examples}",
        """SELECT run_id AS id, format('{} ({}; of {} files {} ok, {} partial, {} failed, {} skipped)',
               run_id, status, discovered, ok, partial, failed, skipped) AS shown
           FROM all_runs WHERE status <> 'running' AND ok + partial + failed + skipped <> discovered""",
        "Run gloss ingest on the same sources again, which looks at every file anew, and report the run",
        by_asset=False,
    ),
    _Check(
        "duplicate-asset",
        "error",
        "{count} assets stand in assets more than once: {examples}",
        "SELECT asset_id AS id, min(uri) AS shown FROM all_assets GROUP BY asset_id HAVING count(*) > 1",
    ),
    _Check(
        "duplicate-write",
        "error",
        "{count} assets share their rows with another asset: {examples}",
        """SELECT DISTINCT asset_id AS id, uri AS shown FROM writes WHERE write_id IN (
               SELECT write_id FROM writes GROUP BY write_id HAVING count(DISTINCT asset_id) > 1)""",
    ),
    _Check(
        "mixed-up",
        "error",
        "{count} assets have rows that bear the name or version of another: {examples}",
        f"""SELECT DISTINCT a.asset_id AS id, c.name || ' of ' || a.uri AS shown FROM ({_ALL_CHILDREN}) c
            JOIN writes a USING (write_id)
            WHERE (c.asset_id, c.version) IS DISTINCT FROM (a.asset_id, a.version)""",
    ),
    _Check(
        "clip-count", "error", "{count} assets have not the clips they say: {examples}",
        _counted("clip_count", "clips"),
    ),
    _Check(
        "segment-count", "error", "{count} assets have not the segments they say: {examples}",
        _counted("segment_count", "segments"),
    ),
    _Check(
        "failure-count", "error", "{count} assets have not the failures they say: {examples}",
        _counted("failure_count", "failures"),
    ),
    _Check(
        "clip-numbers", "error", "{count} assets have clips not numbered from 0 on: {examples}",
        _numbered("clip", "clips"),
    ),
    _Check(
        "segment-numbers", "error", "{count} assets have segments not numbered from 0 on: {examples}",
        _numbered("segment", "segments"),
    ),
    _Check(
        "clip-segment", "error", "{count} assets have clips of no segment: {examples}",
        _orphaned("clips", "segments", "segment"),
    ),
    _Check(
        "region-clip", "error", "{count} assets have lines of text of no clip: {examples}",
        _orphaned("text_regions", "clips", "clip"),
    ),
    _Check(
        "utterance-clip", "error", "{count} assets have utterances of no clip: {examples}",
        _orphaned("(FROM utterances WHERE clip IS NOT NULL)", "clips", "clip"),
    ),
    _Check(
        "citation-clip", "error", "{count} assets have citations of no clip: {examples}",
        _orphaned("citations", "clips", "clip"),
    ),
    _Check(
        "citation-segment", "error", "{count} assets have citations of no segment: {examples}",
        _orphaned("citations", "segments", "segment"),
    ),
    _Check(
        "lost-regions", "error", "{count} assets have text and not one line with its place: {examples}",
        _lacking("text_regions", _CLIPS_WITH + "trim(c.ocr_text) <> ''"),
    ),
    _Check(
        "lost-utterances", "error", "{count} assets have a transcript and not one utterance: {examples}",
        _lacking("utterances", _CLIPS_WITH + "trim(c.transcript) <> ''"),
    ),
    _Check(
        "lost-citations", "error", "{count} assets have a summary and not one citation: {examples}",
        _lacking("citations", "SELECT asset_id, uri FROM all_assets WHERE trim(summary) <> ''"),
    ),
    _Check(
        "status",
        "error",
        "{count} assets have a status that their failures contradict: {examples}",
        """SELECT asset_id AS id, uri || ' is ' || status || ' with ' || failure_count || ' failures' AS shown
           FROM all_assets WHERE (status = 'ok') <> (failure_count = 0)""",
    ),
    _Check(
        "failed-with-rows",
        "error",
        "{count} assets have failed, and have rows: {examples}",
        f"""SELECT DISTINCT a.asset_id AS id, c.name || ' of ' || a.uri AS shown FROM ({_ALL_CHILDREN}) c
            JOIN writes a USING (write_id) WHERE a.status = 'failed' AND CASE c.name
                WHEN 'failures' THEN false
                WHEN 'segments' THEN a.segment_count = 0
                ELSE a.clip_count = 0 END""",
    ),
    _Check(
        "spans",
        "error",
        "{count} assets have spans that end before they begin: {examples}",
        " UNION ".join(
            [
                *(_reversed(name, "start_seconds", "end_seconds")
                  for name in ("segments", "clips", "utterances", "failures")),
                *(_reversed(name, "time_seconds", "until_seconds") for name in ("text_regions", "citations")),
                _reversed("segments", "first_page", "last_page"),
            ]
        ),
    ),
    _Check(
        "plan",
        "warning",
        "{count} assets have a plan that is gone: {examples}",
        """SELECT asset_id AS id, uri AS shown FROM all_assets
           WHERE plan_id <> '' AND plan_id NOT IN (SELECT plan_id FROM all_plans)""",
        "Nothing: they are planned again when needed",
        by_asset=False,
    ),
    _Check(
        "costs",
        "info",
        "{count} runs did not cost what their rows in costs say, of which some are lost: {examples}",
        """WITH said AS (
               SELECT run_id, unnest(stages, recursive := true) FROM all_runs
               WHERE status NOT IN ('running', 'died') AND run_id IN (SELECT run_id FROM all_costs)
           ), told AS (SELECT run_id, stage, sum(seconds) AS seconds FROM all_costs GROUP BY ALL)
           SELECT DISTINCT run_id AS id, run_id AS shown FROM said LEFT JOIN told USING (run_id, stage)
           WHERE abs(said.seconds - coalesce(told.seconds, 0)) > 1e-6 * greatest(1, said.seconds)""",
        "Nothing: what was read is whole, and costs cannot be known again",
        by_asset=False,
    ),
)  # fmt: skip


def _check_rows(lake: Lake, files: dict[str, list[str]], limits: Limits) -> Iterator[Finding]:
    with read_only(lake, limits, files, _raw_views) as connection:
        for check in _CHECKS:
            found = connection.execute(f"SELECT id, shown FROM ({check.sql}) ORDER BY ALL").fetchall()
            if found:
                named = ", ".join(dict.fromkeys(shown for _, shown in found[: _EXAMPLES * 2]))
                ids = list(dict.fromkeys(str(key) for key, _ in found))
                shown = f"{named}{' …' if len(found) > _EXAMPLES * 2 else ''}"
                yield Finding(
                    check.severity,
                    check.name,
                    check.what.format(count=f"{len(ids):,}", examples=shown),
                    check.todo,
                    ids if check.by_asset else [],
                )
        running = connection.execute("SELECT run_id FROM all_runs WHERE status = 'running'").fetchall()
        superseded = {
            name: connection.execute(
                f"SELECT count(*) FROM all_{name} WHERE write_id NOT IN (SELECT write_id FROM writes)"
            ).fetchall()[0][0]
            for name in CHILDREN
        }
    yield from _running(lake, [run_id for (run_id,) in running])
    if count := sum(superseded.values()):
        where = ", ".join(f"{rows:,} in {name}" for name, rows in superseded.items() if rows)
        what = f"{count:,} rows are superseded, or of a commit that was never finished: {where}"
        yield Finding("info", "superseded", what, "gloss compact removes them")


def _raw_views(files: dict[str, list[str]]) -> str:
    """Render every table as it is (`all_clips`), and the live rows of the children (`clips`).

    `writes` has each asset once for each of its ids by which rows are live.
    """
    views = [f"CREATE VIEW all_{name} AS SELECT * FROM {relation(name, files)};" for name in TABLES]
    hidden = ", ".join(WRITES)
    writes = f"SELECT * EXCLUDE ({hidden}), unnest([{hidden}]) AS write_id FROM all_assets"
    views.append(f"CREATE VIEW writes AS SELECT * FROM ({writes}) WHERE write_id <> '';")
    live = "WHERE write_id IN (SELECT write_id FROM writes)"
    views += [f"CREATE VIEW {name} AS SELECT * FROM all_{name} {live};" for name in CHILDREN]
    return "\n".join(views)


def _running(lake: Lake, run_ids: Sequence[str]) -> Iterator[Finding]:
    holder = read_holder(lake) if run_ids else None
    for run_id in run_ids:
        if holder is not None and holder.run_id == run_id and not holder.is_gone():
            process = f"process {holder.process.pid} on {holder.process.host}"
            what = f"Run {run_id} is in progress ({process}, last heard of at {holder.at})"
            yield Finding("info", "running", what, "Wait for its end to check the whole")
        else:
            what = f"Run {run_id} is said to be running, and does not hold the lake: it has died"
            yield Finding(
                "warning", "running", what, "Run the same gloss ingest again: it goes on from there"
            )


# --- beside the tables ----------------------------------------------------------------------

_VIEW_FILE = re.compile(r"/(\w+)/([^/']+\.parquet)'")


def _check_views(lake: Lake, logs: Mapping[str, Sequence[_Logged]]) -> Iterator[Finding]:
    todo = "The next gloss ingest, gloss compact or gloss repair writes it anew"
    try:
        text = with_retries(lambda: lake.filesystem.cat_file(f"{lake.root}/{VIEWS_FILE}")).decode()
    except FileNotFoundError:
        what = f"{VIEWS_FILE} is missing, so plain DuckDB cannot read the lake"
        yield Finding("error", "views", what, todo)
        return
    named = set(_VIEW_FILE.findall(text))
    committed = {(table, file.name) for table, files in logs.items() for file in files}
    gone = sorted(
        item for item in named - committed if not lake.filesystem.exists(f"{lake.root}/{'/'.join(item)}")
    )
    if gone:
        what = f"{VIEWS_FILE} names {len(gone)} files that are gone, such as {'/'.join(gone[0])}"
        yield Finding("error", "views", what, todo)
    elif named != committed:
        what = (
            f"{VIEWS_FILE} is stale: it lacks {len(committed - named)} files and names "
            f"{len(named - committed)} superseded ones, so plain DuckDB sees an older state"
        )
        yield Finding("warning", "views", what, f"If no run is just committing: {todo[0].lower()}{todo[1:]}")


def _check_leftovers(lake: Lake, logs: Mapping[str, Sequence[_Logged]]) -> Iterator[Finding]:
    lake.filesystem.invalidate_cache()
    counts: dict[str, list[int]] = defaultdict(list)
    for table, files in logs.items():
        known = {file.name for file in files}
        for place, facts in lake.filesystem.find(f"{lake.root}/{table}", detail=True).items():
            path = PurePosixPath(place)
            if path.suffix == ".parquet" and path.parent.name == table and path.name not in known:
                counts[table].append(int(facts["size"]))
    if counts:
        where = ", ".join(f"{len(sizes)} in {table}" for table, sizes in counts.items())
        total = size(sum(sum(sizes) for sizes in counts.values()))
        what = f"{sum(map(len, counts.values()))} files ({total}) are of no table's newest version: {where}"
        yield Finding("info", "leftover", what, "gloss compact removes them once their readers are gone")
