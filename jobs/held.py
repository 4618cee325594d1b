"""What the lake holds, asked no more than a night needs to know.

Nearly all files of a nightly run are unchanged, and an unchanged file is known by its fingerprint alone:
URI, size and date (or etag) are in it. So only the fingerprints of assets that are as they should be are
read, as one column, and compared with those of the listings in one step. Everything else that is held of an
asset is read for the files that are left.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import pyarrow as pa
import pyarrow.compute as pc

from operators.lake import Lake
from schemas.arrow import to_table
from schemas.failure import Reason

_PASSING = (Reason.LOST, Reason.UNREADABLE, Reason.UNREACHABLE)
"""What failed because of a worker, a store or a server may be well the next time, and is tried then."""


@dataclass(frozen=True, slots=True)
class State:
    """What decides whether an asset is as it should be; many assets share one."""

    kind: str
    perception: str
    composition: str
    summary_version: str
    status: str
    caption_version: str
    has_clips: bool
    in_passing: bool
    """Whether something of it failed for a reason that may have passed."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the lake holds of an asset."""

    uri: str
    fingerprint: str
    version: str
    content_hash: str
    plan_id: str
    run_id: str
    state: State


_STATE = ", ".join(item.name for item in fields(State))
_FETCHED = 10_000
"""Rows that are Python objects at a time."""


class Held:
    """The assets of a lake at one moment. To be closed."""

    def __init__(self, lake: Lake) -> None:
        """Look at the lake, and count its assets by what they share.

        Raises:
            LakeError: There is no lake here.
        """
        self._connection = lake.connect("assets", "failures")
        # Texts without vectors are tried again without reading anything.
        failed = self._connection.sql(
            "SELECT DISTINCT asset_id FROM failures WHERE list_contains(?, reason) AND stage <> 'embed'",
            params=[[str(reason) for reason in _PASSING]],
        ).to_arrow_table()
        self._connection.register("failed_in_passing", failed)
        passing = "asset_id IN (SELECT asset_id FROM failed_in_passing)" if failed.num_rows else "false"
        computed = f"clip_count > 0 AS has_clips, {passing} AS in_passing"
        self._connection.execute(f"CREATE TEMP VIEW held AS SELECT *, {computed} FROM assets")
        states = self._connection.execute(f"SELECT {_STATE}, count(*) FROM held GROUP BY ALL").fetchall()
        self._states = [State(*row[:-1]) for row in states]
        self.count: int = sum(row[-1] for row in states)

    def __enter__(self) -> "Held":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._connection.close()

    def settled(self, is_settled: Callable[[State], bool]) -> pa.Table:
        """Return the `fingerprint` and `status` of the assets that are as they should be.

        Args:
            is_settled: Tells it of what several assets share; asked once for each such state.
        """
        good = [state for state in self._states if is_settled(state)]
        where = ""
        if len(good) < len(self._states):
            self._connection.register("settled", to_table(State, good))
            where = f"SEMI JOIN settled USING ({_STATE})"
        return self._connection.sql(f"SELECT fingerprint, status FROM held {where}").to_arrow_table()

    def known(self, uris: Sequence[str]) -> dict[str, Known]:
        """Read what is held of some files, by URI; files that the lake does not know are left out."""
        if not uris or not self.count:
            return {}
        self._connection.register("wanted", pa.table({"uri": pa.array(uris, pa.string())}))
        found = self._connection.execute(
            f"SELECT uri, fingerprint, version, content_hash, plan_id, run_id, {_STATE} "
            "FROM held WHERE uri IN (SELECT uri FROM wanted)"
        )
        rows = iter(lambda: found.fetchmany(_FETCHED), [])
        return {
            uri: Known(uri, mark, version, content, plan, run, State(*state))
            for part in rows
            for uri, mark, version, content, plan, run, *state in part
        }

    def others(self, prints: pa.ChunkedArray, found: int) -> Iterator[tuple[str, str]]:
        """Yield id and URI of the assets whose fingerprint is not among these.

        Args:
            prints: Fingerprints of listings.
            found: How many of them stand in the lake, at least: with all, there are no others.
        """
        if found >= self.count:
            return
        self._connection.register("listed", pa.table({"fingerprint": prints}))
        rows = self._connection.execute(
            "SELECT asset_id, uri FROM held WHERE fingerprint NOT IN (SELECT fingerprint FROM listed)"
        )
        while part := rows.fetchmany(_FETCHED):
            yield from part


def places_in(prints: pa.ChunkedArray, settled: pa.Table) -> pa.ChunkedArray:
    """Say for each fingerprint in which row of `settled` it stands; null where in none."""
    return pc.index_in(prints, value_set=settled["fingerprint"].combine_chunks())
