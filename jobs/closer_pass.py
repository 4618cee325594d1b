"""A pass after the summaries: pictures are looked at again for sentences that no text bears out.

read back and plan on the cluster -> recall or decode -> show -> fan in, and then
read back -> write once more -> commit. Until the second half an asset keeps the summaries it has, marked
as written from text alone: a run that ends in between goes on here, and what was answered is recalled.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from jobs.caps import NO_CAPS, Caps, check_caps
from jobs.caption_pass import Tools
from jobs.summary_pass import GROUP_ASSETS, Due, SummaryPass, groups_of
from operators.fan_in import Complete, FanIn
from operators.lake import Lake
from operators.mend_summaries import unmended
from operators.read_stored import ReadDoubted, stored_files
from operators.summary_version import text_version
from operators.unit_store import open_store
from operators.vision_isolated import quiet_seconds
from schemas.arrow import from_table
from schemas.config import Config
from schemas.failure import Failure, Reason, Stage
from schemas.perception import Perception
from schemas.summary_work import AssetGroup, LookAnswer, Looked, LookedGroup, Summarised

_LOST = "Handed out twice and never came back: the worker with the model died each time. Run gloss retry."


def unlooked_assets(lake: Lake, config: Config, asset_ids: Sequence[str]) -> list[Due]:
    """Find the assets whose summaries are written as configured, but from text alone.

    Args:
        lake: The lake.
        config: Of the run.
        asset_ids: Of those among which to look.
    """
    sql = (
        "SELECT asset_id, clip_count, segment_count FROM assets WHERE status <> 'failed' AND clip_count > 0 "
        "AND summary_version = ? AND list_contains(?, asset_id) ORDER BY asset_id"
    )
    with lake.connect("assets") as connection:
        found = connection.execute(sql, [text_version(config), list(asset_ids)]).fetchall()
    return [Due(*row) for row in found]


class CloserPass(SummaryPass):
    """Looks at pictures for doubtful sentences and mends summaries, once."""

    def __init__(self, tools: Tools, run_id: str) -> None:
        """Begin.

        Args:
            tools: Of the run; its committer must have nothing under way.
            run_id: Of the run.
        """
        super().__init__(tools, run_id)
        self.looked: dict[str, Looked] = {}

    def look(self, assets: Sequence[Due], caps: Caps = NO_CAPS) -> None:
        """Look closer at assets; every one of them is committed with the version that says so.

        Args:
            assets: Their summaries are written from text alone.
            caps: What the looks may cost, apart from captions.

        Raises:
            BudgetSpent: They would cost more; nothing was shown.
        """
        waiting = [item.asset_id for item in assets]
        if caps:
            self._check(waiting, caps)
        self._show(waiting)
        if lost := self._unlooked(waiting):
            self.tools.progress.say(f"looking again at {len(lost)} assets that a lost worker had")
            self._show(lost, careful=True)
        for asset_id in self._unlooked(waiting):
            self.looked[asset_id] = Looked(asset_id, [], [Failure(Stage.VLM, Reason.LOST, _LOST)])
        # The units that were answered are in the lake before anything else is committed.
        self.tools.committer.flush()
        self._mend(assets)

    def _check(self, asset_ids: Sequence[str], caps: Caps) -> None:
        from jobs.chain import survey_closer

        tools = self.tools
        store = open_store(tools.lake, self._sizes(asset_ids))
        planned = survey_closer(_grouped(asset_ids, GROUP_ASSETS[True]), tools.lake, tools.config, store)
        check_caps(tools.watched(planned), tools.config, caps)

    def _unlooked(self, asset_ids: Sequence[str]) -> list[str]:
        return [asset_id for asset_id in asset_ids if asset_id not in self.looked]

    def _show(self, asset_ids: Sequence[str], *, careful: bool = False) -> None:
        """Show pictures; what does not come back is not in `looked`."""
        from jobs.chain import look_closer, looks_per_call

        tools = self.tools
        tools.committer.flush()
        fan_in = FanIn()
        store = open_store(tools.lake, self._sizes(asset_ids))
        groups = _grouped(asset_ids, 1 if careful else GROUP_ASSETS[True])
        tables = look_closer(groups, tools.lake, tools.config, store, careful=careful)
        patience = quiet_seconds(tools.config, looks_per_call(tools.config))
        for table in tools.watched(tables, tools.committer, patience):
            come = list(fan_in.add(table))
            for header, _ in come:
                tools.ledger.looked_closer(header)
            tools.committer.put_units(table)
            for _, complete in come:
                if complete is not None:
                    self.looked[complete.asset.asset_id] = _looked(complete)

    def _sizes(self, asset_ids: Sequence[str]) -> list[int]:
        with self.tools.lake.connect("assets") as connection:
            sql = "SELECT DISTINCT bytes FROM assets WHERE list_contains(?, asset_id)"
            return [size for (size,) in connection.execute(sql, [list(asset_ids)]).fetchall()]

    def _mend(self, assets: Sequence[Due]) -> None:
        """Write summaries once more with what was seen, and commit them."""
        from cluster.nodes import cluster_nodes
        from cluster.resources import plan_workers

        waiting = {item.asset_id: item for item in assets}
        workers = plan_workers(self.tools.config, cluster_nodes()).summary
        self._mended(groups_of(assets, workers, GROUP_ASSETS[True]), waiting)
        if waiting:
            self.tools.progress.say(f"writing about {len(waiting)} assets again that a lost worker had")
            self._mended([[item] for item in list(waiting.values())], waiting)
        if waiting:
            self._leave(list(waiting))
        self._commit()

    def _mended(self, groups: Sequence[Sequence[Due]], waiting: dict[str, Due]) -> None:
        """Mend groups of assets; what does not come back stays in `waiting`."""
        from jobs.chain import mend
        from operators.text_isolated import quiet_seconds as quiet_writing

        tools = self.tools
        rows = [LookedGroup([self.looked[item.asset_id] for item in group]) for group in groups]
        most = max((sum(len(item.answers) for item in row.assets) for row in rows), default=0)
        tables: Iterator[pa.Table] = mend(rows, tools.lake, tools.config, self.run_id)
        for table in tools.watched(tables, None, quiet_writing(tools.config, most)):
            for done in from_table(Summarised, table):
                waiting.pop(done.asset.asset_id, None)
                self._hold(done)

    def _leave(self, asset_ids: Sequence[str]) -> None:
        """Leave assets as they are that no worker survived, with the reason."""
        read = ReadDoubted(self.tools.lake, stored_files(self.tools.lake))
        for doubted in read(LookedGroup([self.looked[asset_id] for asset_id in asset_ids])):
            self._hold(unmended(doubted, self.tools.config, self.run_id, _LOST, Reason.LOST))


def _grouped(asset_ids: Sequence[str], size: int) -> list[AssetGroup]:
    return [AssetGroup(list(asset_ids[at : at + size])) for at in range(0, len(asset_ids), size)]


def _looked(complete: Complete) -> Looked:
    """Keep of an asset's looks what was answered and what went wrong."""
    rows = from_table(Perception, complete.rows)
    return Looked(
        complete.asset.asset_id,
        [LookAnswer(row.unit.index, row.captions[0].text) for row in rows if row.captions],
        [failure for row in rows for failure in row.failures],
    )
