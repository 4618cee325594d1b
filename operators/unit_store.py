"""Finished work is kept in the lake and found again by what it depends on.

The tables `units` and `plans` hold results under the ids of `operators.unit_id`. A run asks
once, for the sizes of the files it has to do, which ids there are: a size costs nothing to
know, and a file of another size cannot have the same content. What comes back is a sorted
array that all workers of a node share in memory; the rows themselves are read where they are
needed, by content.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from operators.lake import DataFile, Lake, file_list
from operators.retrying import with_retries
from operators.unit_id import plan_id, recipes
from operators.write import write_table
from schemas.arrow import arrow_schema, from_table, to_table
from schemas.config import Config
from schemas.failure import Stage
from schemas.media import Asset, UnitKind
from schemas.perception import Perception
from schemas.tables import PlanRow, UnitRow

Row = TypeVar("Row")

_log = logging.getLogger(__name__)

_ID_CHARACTERS = 32

STORE_GROUP_ROWS = 1000
"""Rows of a row group: what is read to find one content."""


@dataclass(frozen=True, slots=True)
class Index:
    """Which ids one table holds, and in which of its files."""

    table: str
    ids: NDArray[np.bytes_]
    """Sorted."""
    places: NDArray[np.int32]
    """For each id the place of its file in `files`."""
    files: list[str]
    """Names within the table's folder."""

    def find(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the file of each id that there is."""
        if not len(self.ids) or not ids:
            return {}
        wanted = np.array(ids, dtype=f"S{_ID_CHARACTERS}")
        at = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        found = self.ids[at] == wanted
        return {
            name: self.files[self.places[place]]
            for name, place, here in zip(ids, at, found, strict=True)
            if here
        }


def no_index(table: str) -> Index:
    """An index of nothing."""
    return Index(table, np.array([], dtype=f"S{_ID_CHARACTERS}"), np.array([], dtype=np.int32), [])


@dataclass(frozen=True, slots=True)
class UnitStore:
    """What a run may find in its lake instead of computing it."""

    lake: Lake
    units: Index
    plans: Index
    held: Mapping[str, pa.Table] = field(default_factory=dict)
    """For assets of which something failed in this run, those of their `Perception` rows that are not
    worth keeping."""

    def read_units(self, content_hash: str, ids: Sequence[str]) -> dict[str, UnitRow]:
        """Read the results of one content by id; those that are not there are left out."""
        rows = self._read(UnitRow, self.units, content_hash, "unit_id", ids)
        return {row.unit_id: row for row in rows}

    def held_units(self, asset_id: str) -> dict[int, Perception]:
        """Return what this run knows of an asset's units and does not keep, by index."""
        rows = from_table(Perception, self.held[asset_id]) if asset_id in self.held else []
        return {row.unit.index: row for row in rows}

    def read_plan(self, content_hash: str, wanted: str) -> PlanRow | None:
        """Read one plan."""
        rows = self._read(PlanRow, self.plans, content_hash, "plan_id", [wanted])
        return rows[0] if rows else None

    def _read(
        self, row: type[Row], index: Index, content_hash: str, key: str, ids: Sequence[str]
    ) -> list[Row]:
        by_file: dict[str, list[str]] = defaultdict(list)
        for name, file in index.find(ids).items():
            by_file[file].append(name)
        rows: list[Row] = []
        for file, names in by_file.items():
            where = (pc.field("content_hash") == content_hash) & pc.field(key).isin(names)
            path = f"{self.lake.root}/{index.table}/{file}"
            try:
                found = with_retries(partial(_read_rows, self.lake, path, where))
                # Checksums are of pages; names in the footer may be damaged, too, and none may go unnoticed.
                rows += from_table(row, found.select(arrow_schema(row).names).cast(arrow_schema(row)))
            except (OSError, ValueError, KeyError, pa.ArrowException) as error:
                # What cannot be read is computed again; `gloss status --check` finds the file.
                _log.warning("Finished work in %s cannot be used: %s", path, error)
        return rows


def _read_rows(lake: Lake, path: str, where: pc.Expression) -> pa.Table:
    return pq.read_table(path, filesystem=lake.filesystem, filters=where, page_checksum_verification=True)


def open_store(lake: Lake, sizes: Iterable[int]) -> UnitStore:
    """Find out which finished work a run can use.

    Args:
        lake: The lake.
        sizes: Sizes in bytes of the files to be done.
    """
    wanted = pa.table({"size_bytes": pa.array(sorted(set(sizes)), pa.int64())})
    return UnitStore(lake, _index(lake, "units", "unit_id", wanted), _index(lake, "plans", "plan_id", wanted))


def _index(lake: Lake, table: str, key: str, sizes: pa.Table) -> Index:
    files = lake.files(table)
    if not files or not sizes.num_rows:
        return no_index(table)
    try:
        found: pa.Table | None = _ids(lake, files, key, sizes)
    except duckdb.Error:
        # One file is damaged: the others still save their work.
        sound = [part for file in files if (part := _ids_or_none(lake, table, file, key, sizes)) is not None]
        found = pa.concat_tables(sound).sort_by("id") if sound else None
    if found is None or not found.num_rows:
        return no_index(table)
    names = pc.dictionary_encode(found["file"].combine_chunks())
    return Index(
        table,
        np.array(found["id"].to_numpy(), dtype=f"S{_ID_CHARACTERS}"),
        names.indices.to_numpy(zero_copy_only=False).astype(np.int32),
        [_name(file) for file in names.dictionary.to_pylist()],
    )


def _ids(lake: Lake, files: Sequence[str], key: str, sizes: pa.Table) -> pa.Table:
    """List the ids of files of such sizes, in order, and one data file that holds each."""
    with lake.bare() as connection:
        connection.register("wanted_sizes", sizes)
        found: pa.Table = connection.sql(
            f"SELECT {key} AS id, min(filename) AS file FROM read_parquet({file_list(files)}, filename=true) "
            "WHERE size_bytes IN (SELECT size_bytes FROM wanted_sizes) GROUP BY ALL ORDER BY id"
        ).to_arrow_table()
    return found


def _ids_or_none(lake: Lake, table: str, file: str, key: str, sizes: pa.Table) -> pa.Table | None:
    """List the ids of one data file; none of one that is damaged.

    Raises:
        OSError: It cannot be reached, which says nothing about the work in it.
    """
    try:
        return _ids(lake, [file], key, sizes)
    except duckdb.Error as error:
        with_retries(partial(lake.filesystem.cat_file, f"{lake.root}/{table}/{_name(file)}", 0, 4))
        # What cannot be read is computed again; `gloss status --check` finds the file.
        _log.warning("Finished work in %s cannot be used: %s", file, error)
        return None


def _name(file: str) -> str:
    return file.rpartition("/")[2]


def worth_keeping(perceptions: pa.Table) -> pa.Table:
    """Leave only the rows of `Perception` that another run could use: whole, new, and with an id."""
    mask = pc.and_(
        pc.and_(pc.not_equal(perceptions["unit_id"], ""), pc.invert(perceptions["recalled"])),
        pc.equal(pc.list_value_length(perceptions["failures"]), 0),
    )
    return perceptions.filter(mask)


def unit_rows(perceptions: pa.Table, run_id: str, at: datetime) -> pa.Table:
    """Turn rows of `Perception` into rows of `units`, sorted by content, without Python objects.

    Args:
        perceptions: Rows worth keeping.
        run_id: The run that computed them.
        at: When.
    """
    count = perceptions.num_rows
    seconds = [sum(cost["seconds"] for cost in costs) for costs in perceptions["costs"].to_pylist()]
    columns: dict[str, Any] = {
        "content_hash": _field(perceptions["asset"], "content_hash"),
        "size_bytes": _field(perceptions["asset"], "size_bytes"),
        "seconds": pa.array(seconds, pa.float64()),
        "run_id": pa.array([run_id] * count, pa.string()),
        "at": pa.array([at] * count, pa.timestamp("us", tz="UTC")),
    }
    schema = arrow_schema(UnitRow)
    rows = pa.table(
        [columns[name] if name in columns else perceptions[name] for name in schema.names], schema=schema
    )
    index = _field(rows["unit"], "index")
    order = pc.sort_indices(
        pa.table({"content_hash": rows["content_hash"], "index": index}),
        [("content_hash", "ascending"), ("index", "ascending")],
    )
    return rows.take(order)


def _field(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    return pc.struct_field(column, name)


def is_sound(perceptions: Sequence[Perception]) -> bool:
    """Tell whether probing found nothing wrong with an asset all of whose units are given.

    Otherwise its plan is not kept: the next run opens the file again, which may be sound then.
    """
    failures = [failure for item in perceptions for failure in item.failures]
    lost = any(item.unit.kind == UnitKind.NOTHING and item.failures for item in perceptions)
    read = bool(perceptions[0].asset.content_hash)
    return read and not lost and not any(failure.stage == Stage.PROBE for failure in failures)


def plan_of(asset: Asset, config: Config) -> str:
    """Identify the plan of an asset."""
    return plan_id(asset.content_hash, asset.sidecar_hash, asset.container, config)


def plan_row(perceptions: Sequence[Perception], config: Config, run_id: str, at: datetime) -> PlanRow:
    """Return the plan of an asset all of whose units are given; looks are planned anew from what was read."""
    units = [item.unit for item in perceptions if item.unit.kind != UnitKind.LOOK]
    asset = replace(perceptions[0].asset, unit_count=len(units), look_count=0)
    return PlanRow(
        plan_id=plan_of(asset, config),
        content_hash=asset.content_hash,
        size_bytes=asset.size_bytes,
        recipe=recipes(config).plan,
        asset=asset,
        units=sorted(units, key=lambda unit: unit.index),
        run_id=run_id,
        at=at,
    )


def write_units(lake: Lake, rows: pa.Table) -> DataFile:
    """Write rows of `units`, as `unit_rows` gives them, as one data file."""
    return write_table(lake, "units", rows, key="content_hash", row_group_rows=STORE_GROUP_ROWS)


def write_plans(lake: Lake, plans: Sequence[PlanRow]) -> DataFile:
    """Write plans as one data file."""
    rows = to_table(PlanRow, sorted(plans, key=lambda plan: plan.content_hash))
    return write_table(lake, "plans", rows, key="content_hash", row_group_rows=STORE_GROUP_ROWS)
