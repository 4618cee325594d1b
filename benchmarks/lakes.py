"""Lakes of any size: the README's queries against plain Parquet, search, compaction, cost of a commit.

    python -m benchmarks.lakes --clips 100000 --assets 1000,10000,50000

A synthetic lake is written through the real commits. Its live rows are copied into one well-sorted
Parquet file for each table, which is what a query would read if nothing had ever been replaced; both must
give the same rows. Each query is timed by turns: on those files, on the lake's `views.sql` in plain DuckDB,
and as `gloss query` does it (opening the tables it names, nothing but the lake within reach), without
Python's start.
"""

import argparse
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from benchmarks.report import by_turns, publish, ratio, timed
from benchmarks.synthetic_lake import Shape, make_lake, write_assets
from jobs.compact import run_compact
from jobs.named_tables import named_tables
from jobs.read_only import read_only
from jobs.search import SEARCHED, search
from operators.commit import commit
from operators.lake import VIEWS_FILE, Lake, quote, relation
from operators.timeline import TIMELINE
from schemas.tables import TABLES

_SORTED_BY = ("asset_id", "clip", "segment", "page", "start_seconds", "time_seconds")

_SEARCHES = ("limpet", '"tide table" limpet*', "ta ri")
"""A rare word, a phrase and a beginning, and two words that stand in most clips."""

Rows = list[tuple[Any, ...]]


def readme_queries() -> list[str]:
    """Take the queries that the README shows."""
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```sql\n(.*?)```", text, re.DOTALL)


def plain_files(lake: Lake, folder: Path) -> str:
    """Write the live rows of each table as one sorted file; returns SQL for the same views over them."""
    folder.mkdir()
    statements = []
    with lake.connect() as connection:
        connection.execute("SET memory_limit = '4GB'")
        for name in TABLES:
            columns = [column for column, *_ in connection.execute(f"DESCRIBE {name}").fetchall()]
            order = ", ".join(column for column in _SORTED_BY if column in columns) or "ALL"
            files = {name: [str(folder / f"{name}.parquet")]}
            connection.execute(
                f"COPY (SELECT * FROM {name} ORDER BY {order}) TO {quote(files[name][0])} "
                "(FORMAT parquet, COMPRESSION zstd)"
            )
            statements.append(f"CREATE VIEW {name} AS SELECT * FROM {relation(name, files)};")
    return "\n".join([*statements, f"CREATE VIEW timeline AS{TIMELINE};"])


def compare(lake: Lake, plain: str, state: str, rounds: int) -> list[dict[str, object]]:
    """Time each query on both sides by turns.

    Args:
        lake: The lake.
        plain: Views over the sorted files.
        state: What the lake is like.
        rounds: Turns of each.

    Raises:
        RuntimeError: The two sides give different rows.
    """
    views = Path(lake.root, VIEWS_FILE).read_text(encoding="utf-8")
    found: list[dict[str, object]] = []
    for number, sql in enumerate(readme_queries(), 1):
        ways: dict[str, Callable[[], Rows]] = {
            "files": partial(_ask, plain, sql),
            "views": partial(_ask, views, sql),
            "gloss": partial(_query, lake, sql),
        }
        taken = by_turns(ways, rounds)
        results = {way: sorted(map(repr, times[0].result)) for way, times in taken.items()}
        if not results["files"] == results["views"] == results["gloss"]:
            msg = f"Wanted the same rows of query {number} on both sides; found others: {sql}"
            raise RuntimeError(msg)
        seconds = {way: [item.wall_seconds for item in times] for way, times in taken.items()}
        found.append(
            {
                "lake": state,
                "query": str(number),
                "rows": len(results["files"]),
                "files s": min(seconds["files"]),
                "views / files": ratio(seconds["views"], seconds["files"]),
                "gloss query / files": ratio(seconds["gloss"], seconds["files"]),
            }
        )
    return found


def _ask(views: str, sql: str) -> Rows:
    with duckdb.connect() as connection:
        connection.execute(views)
        return connection.execute(sql).fetchall()


def _query(lake: Lake, sql: str) -> Rows:
    with read_only(Lake(lake.uri), tables=named_tables(sql)) as connection:
        return connection.execute(sql).fetchall()


def searches(lake: Lake, state: str) -> list[dict[str, object]]:
    """Time searches; the memory is the most that this process has had until then."""
    found = []
    for words in _SEARCHES:
        taken = timed(partial(_search, lake, words))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found.append(
            {
                "lake": state,
                "words": words,
                "places": len(taken.result),
                "wall s": taken.wall_seconds,
                "CPU s": taken.cpu_seconds,
                "peak MB": round(peak),
            }
        )
    return found


def _search(lake: Lake, words: str) -> list[dict[str, Any]]:
    with read_only(Lake(lake.uri), tables=SEARCHED) as connection:
        return search(connection, words)


def commits(folder: Path, assets: int, batch: int, rounds: int) -> dict[str, object]:
    """Time commits of new and of replaced assets on a lake that holds so many."""
    lake, shape = Lake(folder), Shape(assets, clips_of_asset=1, assets_of_file=batch, superseded=0.0)
    make_lake(lake, shape)
    seconds: dict[str, list[float]] = {"new": [], "replaced": []}
    for turn in range(rounds):
        for what, first in (("new", assets + turn * batch), ("replaced", turn * batch)):
            rows, files = write_assets(lake, shape, np.arange(first, first + batch), write=10**6 + turn)
            started = time.perf_counter()
            commit(lake, rows, files)
            seconds[what].append(time.perf_counter() - started)
    ((count,),) = lake.connect("assets").execute("SELECT count(*) FROM assets").fetchall()
    if count != assets + rounds * batch:
        msg = f"Wanted {assets + rounds * batch} assets after the commits; found {count}"
        raise RuntimeError(msg)
    medians = {f"{what}: ms": 1000 * float(np.median(values)) for what, values in seconds.items()}
    return {"assets": assets, "of a commit": batch, **medians}


def file_counts(lake: Lake) -> str:
    """Say of how many files each table with rows is made."""
    return ", ".join(f"{name} {len(files)}" for name, files in lake.all_files().items() if files)


def measure(
    folder: Path, shape: Shape, rounds: int, assets: Sequence[int]
) -> Mapping[str, list[dict[str, object]]]:
    """Take all measurements, in a folder of their own."""
    lake = Lake(folder / "lake")
    notes: list[dict[str, object]] = []
    made = timed(lambda: make_lake(lake, shape))
    notes.append({"what": f"{made.result} commits", "wall s": made.wall_seconds, "files": file_counts(lake)})
    plain = plain_files(lake, folder / "plain")
    queries = compare(lake, plain, "as committed", rounds)
    found = searches(lake, "as committed")
    done = timed(lambda: run_compact(lake.uri))
    notes.append({"what": "gloss compact", "wall s": done.wall_seconds, "files": file_counts(lake)})
    queries += compare(lake, plain, "compacted", rounds)
    found += searches(lake, "compacted")
    curve = [commits(folder / f"lake-{count}", count, min(100, count), 5) for count in assets]
    return {"lake": notes, "queries": queries, "searches": found, "commits": curve}


def main() -> None:
    """Generate, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lakes", description=__doc__)
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--assets", default="1000,10000", help="sizes of the lakes that are committed to")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each query")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = [int(count) for count in arguments.assets.split(",") if count]
        found = measure(Path(folder), Shape(arguments.clips), arguments.rounds, counts)
    sys.stdout.write(f"{arguments.clips} clips\n")
    titles = {
        "lake": "What the lake is made of",
        "searches": "gloss search",
        "commits": "A commit, by the assets that the lake holds",
    }
    for name, title in titles.items():
        publish(title, found[name])
    publish(
        "The README's queries, against one sorted file for each table",
        found["queries"],
        arguments.json,
        lake=found["lake"],
        searches=found["searches"],
        commits=found["commits"],
    )


if __name__ == "__main__":
    main()
