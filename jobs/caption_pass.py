"""The second pass of a run: a vision-language model looks at what was read and heard.

recall and plan on the cluster -> show -> fan in -> compose -> commit, each asset once more with its
captions. What was read of an asset is in the lake whatever happens here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from jobs.awaiting import unanswered
from jobs.ledger import Ledger
from jobs.progress import Progress
from operators.content import copies_last
from operators.fan_in import Complete, FanIn
from operators.lake import Lake
from operators.unit_store import UnitStore, open_store
from operators.vision_isolated import quiet_seconds
from schemas import ids
from schemas.config import Config
from schemas.media import Listing

if TYPE_CHECKING:
    from jobs.committer import Committer


class Watched(Protocol):
    """Passes tables on while nothing is wrong with the run."""

    def __call__(
        self, tables: Iterator[pa.Table], committer: "Committer | None" = None, patience: float = 0.0
    ) -> Iterator[pa.Table]:
        """Pass on; `patience` is how many seconds may go by without a table."""
        ...


def store_of(lake: Lake, listings: Sequence[Listing], held: Mapping[str, pa.Table]) -> UnitStore:
    """Find out what is known of files that were read.

    Args:
        lake: Where finished work lies.
        listings: The files.
        held: What this run knows besides, as `Awaiting` holds it.
    """
    return replace(open_store(lake, (listing.size_bytes for listing in listings)), held=held)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a pass shares with its run."""

    lake: Lake
    config: Config
    ledger: Ledger
    progress: Progress
    watched: Watched
    committer: "Committer"


class CaptionPass:
    """Shows files to the model, once."""

    def __init__(self, tools: Tools, held: Mapping[str, pa.Table]) -> None:
        """Begin.

        Args:
            tools: Of the run.
            held: Rows that belong to assets and are not in the lake, as `Awaiting` holds them.
        """
        self.tools = tools
        self.held = held
        self.fan_in = FanIn()
        self.waiting: dict[str, Listing] = {}
        self.unread: list[Listing] = []

    def look(self, todo: Sequence[Listing]) -> list[Listing]:
        """Show files; return those of which not all that was read is in the lake: nobody looked at them.

        Raises:
            RuntimeError: What was read of a file was lost on the way, twice.
        """
        committer, progress = self.tools.committer, self.tools.progress
        self.waiting = {ids.asset_id(listing.uri): listing for listing in todo}
        progress.begin_looks(len(todo))
        committer.flush()
        committer.captioned = True
        first, copies = copies_last(todo, {})
        self._pass(first)
        self._pass(copies)
        if self.waiting:
            progress.say(f"looking at {len(self.waiting)} files again that a lost worker had")
            self._pass(list(self.waiting.values()), careful=True)
        unfinished = self.fan_in.unfinished()
        for asset_id in list(self.waiting):
            self._completed(unanswered(unfinished.get(asset_id), self.fan_in))
        committer.flush()
        committer.captioned = False
        return self.unread

    def _pass(self, listings: Sequence[Listing], *, careful: bool = False) -> None:
        """Show files; what does not come back stays in `waiting`."""
        from jobs.chain import caption, looks_per_call

        if not listings:
            return
        tools = self.tools
        tools.committer.flush()
        for listing in listings:
            self.fan_in.forget(ids.asset_id(listing.uri))
        store = store_of(tools.lake, listings, self.held)
        tables = caption(listings, tools.config, store, careful=careful)
        patience = quiet_seconds(tools.config, looks_per_call(tools.config))
        for table in tools.watched(tables, tools.committer, patience):
            come = list(self.fan_in.add(table))
            for header, _ in come:
                tools.ledger.looked(header)
                tools.progress.look(header)
            tools.committer.put_units(table)
            for _, complete in come:
                if complete is not None:
                    self._completed(complete)

    def _completed(self, complete: Complete) -> None:
        listing = self.waiting.pop(complete.asset.asset_id)
        if complete.skipped is not None:
            self.unread.append(replace(listing, known_plan=None, content_hash=None))
            return
        self.tools.ledger.captioned(complete)
        self.tools.committer.put(complete)
