"""The units of an asset come back in any order; the last one completes it.

Ray's `groupby` would wait for the whole corpus. The plan of an asset says how many units it
has, so it is complete the moment that many have come, in memory bounded by the assets under
way. Rows stay Arrow tables here: only their small columns are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrow import arrow_schema, from_table
from schemas.failure import Failure
from schemas.look import Caption
from schemas.media import Asset, Unit, UnitKind
from schemas.perception import Cost


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a `Perception` that the driver reads."""

    asset: Asset
    unit: Unit
    failures: list[Failure]
    costs: list[Cost]
    captions: list[Caption]
    sampled: int
    skipped: str | None
    recalled: bool


_HEADER_COLUMNS = arrow_schema(Header).names


@dataclass(slots=True)
class _Pending:
    asset: Asset
    rows: dict[int, pa.Table] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Complete:
    """An asset all of whose units have come back."""

    asset: Asset
    rows: pa.Table
    """Its `Perception` rows, in order of their units."""
    skipped: str | None


def looks(rows: pa.Table) -> pa.ChunkedArray:
    """Tell which rows of `Perception` are looks of a vision-language model."""
    return pc.equal(pc.struct_field(rows["unit"], "kind"), str(UnitKind.LOOK))


class FanIn:
    """Collects rows by asset until each asset is complete."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._pending: dict[str, _Pending] = {}
        self.completed: set[str] = set()
        """Ids of assets that were handed on."""

    def add(self, table: pa.Table) -> Iterator[tuple[Header, Complete | None]]:
        """Take a table of perceptions; for each row, tell what it is and what it completes.

        A unit that comes twice (a task was repeated) counts once.
        """
        for position, header in enumerate(from_table(Header, table.select(_HEADER_COLUMNS))):
            asset = header.asset
            if asset.asset_id in self.completed:
                continue
            pending = self._pending.setdefault(asset.asset_id, _Pending(asset))
            if header.unit.index in pending.rows:
                continue
            pending.rows[header.unit.index] = table.slice(position, 1)
            done = None
            if len(pending.rows) == asset.unit_count:
                del self._pending[asset.asset_id]
                self.completed.add(asset.asset_id)
                parts = [pending.rows[index] for index in sorted(pending.rows)]
                rows = pa.concat_tables(parts) if len(parts) > 1 else parts[0]
                done = Complete(asset, rows, header.skipped)
            yield header, done

    def unfinished(self) -> dict[str, tuple[Asset, set[int]]]:
        """Return, for each asset under way, what is known of it and the units still missing."""
        return {
            asset_id: (pending.asset, set(range(pending.asset.unit_count)) - set(pending.rows))
            for asset_id, pending in self._pending.items()
        }

    def forget(self, asset_id: str) -> None:
        """Drop what has come of an asset, before all of it is tried again."""
        self._pending.pop(asset_id, None)
