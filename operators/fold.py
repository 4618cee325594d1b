"""Small files of a table become one, now and then, as part of a commit.

A run commits every few seconds, and each commit leaves a file or more in most tables: 50,000 assets that
take their time leave 50,000 files in each, every one of which a query opens and `views.sql` names. So as
soon as a table has some small files they are written again as one, and some of those as one that is not
small any more (the tiers of a log-structured merge tree). That costs the same however large the lake
is, and leaves some tens of files instead of one for each commit. Which rows are live is of no concern
here; `gloss compact` drops the others and sorts what it keeps.

Finished work (`units`, `plans`) is left alone: it is looked up by content, within small sorted files.
"""

import logging
from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from operators.lake import DataFile, Lake
from operators.retrying import is_transient, with_retries
from operators.transact import transact
from operators.upsert import REPLACED, read_file
from operators.write import PARQUET, ROW_GROUP_ROWS, statistics
from schemas.arrow import arrow_schema
from schemas.tables import TABLES

FILES = 16
"""So many files of one tier become one of the next."""

TIERS = ((0, 1 << 20), (1 << 20, 8 << 20))
"""Sizes of the files in each, in bytes. Beyond the last they stay until `gloss compact`."""

_APART = ("units", "plans")

_PORTION_BYTES = 64 << 20
"""Rows that are sorted together in memory."""

_log = logging.getLogger(__name__)


def fold(lake: Lake, table: str) -> int:
    """Write small files of a table again as one, if there are many.

    Returns:
        The number of files that were replaced.
    """
    if table in _APART:
        return 0
    folded = 0
    for tier in TIERS[: 1 if table in REPLACED else None]:
        # At first the table is taken as this process left it; after a failure it is looked at anew.
        tries = iter([False])
        try:
            folded += with_retries(lambda: _attempt(lake, table, tier, next(tries, True)))  # noqa: B023
        except (OSError, pa.ArrowException) as error:
            if is_transient(error):
                raise
            # A damaged file must not keep a run from committing; `gloss status --check` finds it.
            _log.warning("Small files of %s are left as they are: %s", lake.table_uri(table), error)
    return folded


def _attempt(lake: Lake, table: str, tier: tuple[int, int], newest: bool) -> int:
    with lake.alone(table):
        delta = lake.table(table, newest=newest)
        log = pa.table(delta.get_add_actions(flatten=True))
        sizes = zip(log["path"].to_pylist(), log["size_bytes"].to_pylist(), strict=True)
        names = sorted(path.rpartition("/")[2] for path, size in sizes if tier[0] <= size < tier[1])
        if len(names) < FILES:
            return 0
        transact(table, delta, [_written(lake, table, names)], names, changed=False, strict=True)
        return len(names)


def _written(lake: Lake, table: str, names: Sequence[str]) -> DataFile:
    """Write the rows of some files as one file, in sorted portions."""
    schema = arrow_schema(TABLES[table])
    key = "asset_id" if "asset_id" in schema.names else "run_id"
    path, target = lake.new_file(table)
    rows, bounds = 0, []
    with lake.filesystem.open(target, "wb") as file:
        with pq.ParquetWriter(file, schema, **PARQUET) as writer:
            for portion in _portions(lake, table, names):
                writer.write_table(portion.sort_by(key), row_group_size=ROW_GROUP_ROWS)
                rows += portion.num_rows
                bounds += pc.min_max(portion[key]).as_py().values()
        size = int(file.tell())
    return DataFile(table, path, size, rows, statistics(rows, (min(bounds), max(bounds)), key))


def _portions(lake: Lake, table: str, names: Sequence[str]) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    for name in names:
        held.append(with_retries(partial(read_file, lake, table, name)))
        if sum(part.nbytes for part in held) >= _PORTION_BYTES:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)
