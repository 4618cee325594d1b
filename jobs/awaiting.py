"""Assets that were read and heard, and that a model has still to look at or to write about.

They are in the lake already, without captions and with extractive summaries: people can search them,
and a run that ends here loses nothing. They count as done when the models have done their part.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from operators.fan_in import Complete, FanIn
from operators.summary_version import summary_version
from operators.unit_id import caption_version
from schemas import ids
from schemas.arrow import to_table
from schemas.config import Config
from schemas.failure import Failure, Reason, Stage
from schemas.media import Asset, Listing, Unit, UnitKind
from schemas.perception import Perception
from schemas.tables import AssetRow


def awaits_captions(row: AssetRow, config: Config) -> bool:
    """Tell whether a model has still to look at an asset that is in the lake."""
    wanted = caption_version(config, row.kind)
    return row.status != "failed" and row.clip_count > 0 and row.caption_version != wanted != ""


def awaits_summaries(row: AssetRow, version: str) -> bool:
    """Tell whether the summaries of an asset that is in the lake are not those of a version."""
    return row.status != "failed" and row.clip_count > 0 and row.summary_version != version


class Awaiting:
    """What a run has to remember between reading an asset and having a model look at it."""

    def __init__(self, config: Config) -> None:
        """Begin with nothing.

        Args:
            config: Of the run.
        """
        self.config = config
        self.held: dict[str, pa.Table] = {}
        """By asset id, rows that belong to the asset and are not worth keeping in the lake."""
        self._files: dict[str, Listing] = {}
        self._ready: dict[str, Listing] = {}
        self._version = summary_version(config)
        self.unsummarised: dict[str, None] = {}
        """Assets that a language model has still to write about, in order."""

    def expect(self, files: Iterable[Listing]) -> None:
        """Take note of files that are about to be read, perhaps once more."""
        for file in files:
            asset_id = ids.asset_id(file.uri)
            self._files[asset_id] = file
            self.held.pop(asset_id, None)

    def hold(self, complete: Complete) -> None:
        """Keep those units of an asset that something was wrong with: the lake does not."""
        if not caption_version(self.config, complete.asset.kind):
            return
        failed = complete.rows.filter(pc.greater(pc.list_value_length(complete.rows["failures"]), 0))
        if failed.num_rows:
            self.held[complete.asset.asset_id] = failed

    def committed(self, rows: Sequence[AssetRow]) -> list[AssetRow]:
        """Note which assets that have become visible await a model; return the others."""
        done = []
        for row in rows:
            if awaits_captions(row, self.config):
                file = replace(self._files[row.asset_id], known_version=None)
                # An unsound plan is not kept: such a file is probed again.
                known = (row.content_hash, row.plan_id) if row.plan_id else (None, None)
                self._ready[row.asset_id] = replace(file, content_hash=known[0], known_plan=known[1])
            else:
                self.held.pop(row.asset_id, None)
                self._ready.pop(row.asset_id, None)
                if awaits_summaries(row, self._version):
                    self.unsummarised[row.asset_id] = None
                else:
                    self.unsummarised.pop(row.asset_id, None)
                    done.append(row)
        return done

    def ready(self) -> list[Listing]:
        """Return the files of the assets that await captions."""
        return list(self._ready.values())


def unanswered(under_way: tuple[Asset, set[int]] | None, fan_in: FanIn) -> Complete:
    """Complete an asset of which looks were lost twice, with a failure for each.

    Args:
        under_way: The asset and its missing units, as the fan-in knows them; null if it knows nothing.
        fan_in: What has come back of it.

    Raises:
        RuntimeError: Not all that was read came along: the asset stays in the lake as it is.
    """
    if under_way is None or min(under_way[1]) < under_way[0].unit_count - under_way[0].look_count:
        msg = "Wanted what was read of a file beside its captions; it was lost twice on the way. Run again."
        raise RuntimeError(msg)
    message = (
        "Handed out twice and never came back: the worker with the model died each time. "
        "Run gloss retry; if it happens again, lower vision.max_visual_tokens or resources.vision_batch."
    )
    asset, missing = under_way
    rows = [
        Perception(
            asset, Unit(index, UnitKind.LOOK), failures=[Failure(Stage.VLM, Reason.LOST, message, index)]
        )
        for index in sorted(missing)
    ]
    (complete,) = [done for _, done in fan_in.add(to_table(Perception, rows)) if done is not None]
    return complete
