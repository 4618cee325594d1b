"""Rows of a table are replaced by their key, by writing again just the files that hold them.

Delta's `merge` reads the whole table to find them, so that a commit takes longer with every asset that
there is. Here the keys of each data file are read once and remembered, which is safe because files never
change: rows that are new cost one small file, whatever the table holds, and a replaced row costs the file
that it lies in. Old files leave and new ones enter the table in one transaction, which fails if anybody
else has committed since, and is then made anew.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from operators.lake import DataFile, Lake
from operators.retrying import with_retries
from operators.transact import file_names, transact
from operators.write import write_table
from schemas.arrow import arrow_schema
from schemas.tables import TABLES

REPLACED = ("assets", "runs", "skips")
"""Tables whose rows are replaced one by one, each with its file; so these stay small."""

Keys = NDArray[np.bytes_]
Edit = Callable[[pa.Table], pa.Table]


def upsert(lake: Lake, table: str, rows: pa.Table, key: str) -> None:
    """Insert rows, or put them in the place of those with the same key, in one transaction.

    Args:
        lake: The lake.
        table: The table's name.
        rows: All its columns; of several with one key the last counts.
        key: The column that tells rows apart.
    """
    last = {value: place for place, value in enumerate(rows[key].to_pylist())}
    rows = rows.take(pa.array(sorted(last.values()), pa.int64()))

    def edit(held: pa.Table) -> pa.Table:
        places = pc.index_in(held[key], rows[key].combine_chunks())
        kept = held.filter(pc.is_null(places))
        return pa.concat_tables([kept, rows.take(places.drop_null())])

    _write_again(lake, table, key, rows, edit, insert=True)


def update(lake: Lake, table: str, rows: pa.Table, key: str) -> None:
    """Replace some columns of the rows with the same key, in one transaction; others are not looked for.

    Args:
        lake: The lake.
        table: The table's name.
        rows: The key and the columns to be replaced.
        key: The column that tells rows apart.
    """

    def edit(held: pa.Table) -> pa.Table:
        places = pc.index_in(held[key], rows[key].combine_chunks())
        found = pc.is_valid(places)
        for name in rows.schema.names:
            place = held.schema.get_field_index(name)
            column = pc.if_else(found, rows[name].take(places), held[name])
            held = held.set_column(place, held.schema.field(place), column)
        return held

    _write_again(lake, table, key, rows, edit)


def remove(lake: Lake, table: str, rows: pa.Table, key: str) -> None:
    """Take out the rows with the same key, in one transaction.

    Args:
        lake: The lake.
        table: The table's name.
        rows: Of which the key alone matters.
        key: The column that tells rows apart.
    """

    def edit(held: pa.Table) -> pa.Table:
        return held.filter(pc.invert(pc.is_in(held[key], rows[key].combine_chunks())))

    _write_again(lake, table, key, rows, edit)


def read_file(lake: Lake, table: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one data file of a table, in the types of its rows."""
    schema = arrow_schema(TABLES[table])
    names = list(columns or schema.names)
    with lake.filesystem.open(f"{lake.root}/{table}/{name}", "rb") as file:
        rows = pq.ParquetFile(file, page_checksum_verification=True).read(names)
    return rows.select(names).cast(pa.schema([schema.field(name) for name in names]))


def _write_again(
    lake: Lake, table: str, key: str, rows: pa.Table, edit: Edit, *, insert: bool = False
) -> None:
    if rows.num_rows:
        # Who inserts is told when somebody else has committed; who finds nothing to do would not be. So he
        # alone takes the table as this process left it, and looks at it anew after a failure.
        tries = iter([not insert])
        with_retries(lambda: _attempt(lake, table, key, rows, edit, insert, next(tries, True)))


def _attempt(
    lake: Lake, table: str, key: str, rows: pa.Table, edit: Edit, insert: bool, newest: bool
) -> None:
    with lake.alone(table):
        delta = lake.table(table, newest=newest)
        wanted = _keys(rows[key])
        looked = _found(lake, table, key, file_names(delta), wanted)
        hits = {name: found for name, found in looked if found.any()}
        written: list[DataFile] = []
        for name in hits:
            edited = edit(with_retries(partial(read_file, lake, table, name)))
            written += _written(lake, table, key, edited)
        if insert:
            known = np.logical_or.reduce([np.zeros(len(wanted), bool), *hits.values()])
            written += _written(lake, table, key, rows.filter(pa.array(~known)))
        if hits or written:
            transact(table, delta, written, list(hits), strict=True)


def _written(lake: Lake, table: str, key: str, rows: pa.Table) -> list[DataFile]:
    if not rows.num_rows:
        return []
    file = write_table(lake, table, rows.sort_by(key), key)
    lake.keys[f"{table}/{file.path}"] = np.sort(_keys(rows[key]))
    return [file]


def _found(
    lake: Lake, table: str, key: str, names: Sequence[str], wanted: Keys
) -> "list[tuple[str, NDArray[np.bool_]]]":
    """Tell for each file of a table which of the keys it holds."""
    found = []
    known = {f"{table}/{name}" for name in names}
    # Of a copy, because other threads note keys of other tables meanwhile.
    for gone in [path for path in list(lake.keys) if path.startswith(f"{table}/") and path not in known]:
        del lake.keys[gone]
    for name in names:
        path = f"{table}/{name}"
        if path not in lake.keys:
            column = with_retries(partial(read_file, lake, table, name, [key]))[key]
            lake.keys[path] = np.sort(_keys(column))
        held = lake.keys[path]
        at = np.minimum(np.searchsorted(held, wanted), max(len(held) - 1, 0))
        found.append((name, held[at] == wanted if len(held) else np.zeros(len(wanted), bool)))
    return found


def _keys(column: pa.ChunkedArray) -> Keys:
    return np.array([value.encode() for value in column.to_pylist()], dtype=np.bytes_)
