"""The last pass of a run, and all of `gloss compose`: summaries are written from the text in the lake.

read back -> summarise -> commit. No source is opened and nothing is decoded; assets stay in the lake
with the summaries they have until the new ones are there.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from jobs.caption_pass import Tools
from jobs.groups import grouped
from operators.lake import Lake
from operators.read_sources import ReadSources, files_of
from operators.summarise import unwritten
from operators.summary_version import summary_version, text_version
from operators.write import rows_of, write_rows
from schemas.arrow import from_table
from schemas.config import Config
from schemas.failure import Reason
from schemas.summary_work import AssetGroup, Summarised
from schemas.tables import AssetRow

GROUP_CLIPS = 400
"""Clips of the assets that are summarised together: some hundred questions keep batches full."""

GROUP_ASSETS = {False: 256, True: 16}
"""Assets of a group, without and with a model: to read some costs a look into each file of the lake, and
without a model nothing else takes long."""

_COMMIT_ROWS = 20_000
"""Rows that are held before they are committed, however little time has gone by."""

_LOST = (
    "Handed out twice and never came back: the worker with the language model died each time. "
    "Run gloss compose again; if it happens again, lower summary.context_tokens or resources.summary_batch."
)


@dataclass(frozen=True, slots=True)
class Due:
    """An asset whose summaries are to be written."""

    asset_id: str
    clip_count: int
    segment_count: int

    @property
    def questions(self) -> int:
        """How many are asked of it, second attempts aside."""
        return self.clip_count + self.segment_count + 1


@dataclass(slots=True)
class _Held:
    """Summaries that are not committed yet."""

    done: list[Summarised] = field(default_factory=list)
    rows: int = 0
    since: float = field(default_factory=time.monotonic)


def due_assets(lake: Lake, config: Config, asset_ids: Sequence[str] | None = None) -> list[Due]:
    """Find the assets whose summaries are not as configured.

    Args:
        lake: The lake.
        config: Of the run.
        asset_ids: Of those among which to look; null means all.
    """
    sql = (
        "SELECT asset_id, clip_count, segment_count FROM assets "
        "WHERE status <> 'failed' AND clip_count > 0 AND summary_version NOT IN (?, ?)"
    )
    # Those written from text alone are looked into by the pass after this one.
    parameters: list[object] = [summary_version(config), text_version(config)]
    if asset_ids is not None:
        sql += " AND list_contains(?, asset_id)"
        parameters.append(list(asset_ids))
    with lake.connect("assets") as connection:
        # In the order in which files hold them, so that a group lies in few places.
        found = connection.execute(f"{sql} ORDER BY asset_id", parameters).fetchall()
    return [Due(*row) for row in found]


def groups_of(due: Sequence[Due], workers: int, most: int) -> list[list[Due]]:
    """Put assets together that are summarised in one call.

    Args:
        due: The assets.
        workers: Among which they are shared: each should get some.
        most: Assets of a group.
    """
    clips = max(1, min(GROUP_CLIPS, -(-sum(item.clip_count for item in due) // (2 * workers))))
    return grouped(due, lambda item: item.clip_count, clips, most)


class SummaryPass:
    """Writes the summaries of assets, once."""

    def __init__(self, tools: Tools, run_id: str) -> None:
        """Begin.

        Args:
            tools: Of the run; its committer must have nothing under way.
            run_id: Of the run.
        """
        self.tools = tools
        self.run_id = run_id
        self.held = _Held()

    def write(self, due: Sequence[Due]) -> None:
        """Write summaries and commit them, asset by asset."""
        from cluster.nodes import cluster_nodes
        from cluster.resources import plan_workers

        workers = plan_workers(self.tools.config, cluster_nodes()).summary
        waiting = {item.asset_id: item for item in due}
        most = GROUP_ASSETS[self.tools.config.summary.writes]
        self._pass(groups_of(due, workers, most), waiting)
        if waiting:
            self.tools.progress.say(f"summarising {len(waiting)} assets again that a lost worker had")
            self._pass([[item] for item in list(waiting.values())], waiting)
        if waiting:
            self._give_up(list(waiting))
        self._commit()

    def _pass(self, groups: Sequence[Sequence[Due]], waiting: dict[str, Due]) -> None:
        """Summarise groups of assets; what does not come back stays in `waiting`."""
        from jobs.chain import summarise
        from operators.text_isolated import quiet_seconds

        config = self.tools.config
        rows = [AssetGroup([item.asset_id for item in group]) for group in groups]
        most = max((sum(item.questions for item in group) for group in groups), default=0)
        patience = quiet_seconds(config, most) if config.summary.writes else 0.0
        tables: Iterator[pa.Table] = summarise(rows, self.tools.lake, config, self.run_id)
        for table in self.tools.watched(tables, None, patience):
            for done in from_table(Summarised, table):
                waiting.pop(done.asset.asset_id, None)
                self._take(done)

    def _give_up(self, asset_ids: list[str]) -> None:
        """Leave assets their extractive summaries that no worker survived, with the reason."""
        read = ReadSources(self.tools.lake, files_of(self.tools.lake))
        for source in read(AssetGroup(asset_ids)):
            self._take(unwritten(source, self.tools.config, self.run_id, _LOST, Reason.LOST))

    def _take(self, done: Summarised) -> None:
        self.tools.progress.summarised()
        self._hold(done)

    def _hold(self, done: Summarised) -> None:
        """Count summaries, and commit them when there are enough or it is time."""
        self.tools.ledger.summarised(done)
        self.held.done.append(done)
        self.held.rows += len(done.clips) + len(done.citations)
        due = time.monotonic() - self.held.since >= self.tools.config.store.commit_seconds
        if (
            due
            or self.held.rows >= _COMMIT_ROWS
            or len(self.held.done) >= self.tools.config.store.commit_assets
        ):
            self._commit()

    def _commit(self) -> None:
        held, self.held = self.held, _Held()
        if not held.done:
            return
        lake, committer = self.tools.lake, self.tools.committer
        tables = ("segments", "clips", "sentences", "citations", "reviews", "failures")
        files = [
            write_rows(lake, table, [row for done in held.done for row in getattr(done, table)])
            for table in tables
        ]
        assets: list[AssetRow] = [done.asset for done in held.done]
        committer.commit(assets, rows_of(files))
