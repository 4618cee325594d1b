"""The last pass of a run: texts of clips and segments get vectors, from the lake alone.

read back -> embed -> commit. It comes after everything that writes titles, captions and summaries, and
again wherever those were written anew. Only the columns of `assets` that tell of vectors change, so
that the vectors of an asset are replaced at once and nothing else is touched.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from jobs.groups import grouped
from operators.commit import append_files, mark_embedded
from operators.costs import Work
from operators.embed_text import embedding_version, not_embedded, write_mark
from operators.lake import Lake, relation
from operators.read_texts import TABLES, ReadTexts
from operators.retrying import with_retries
from operators.write import rows_of, write_rows
from schemas.arrow import from_table
from schemas.config import Config
from schemas.embedding_work import Embedded, EmbeddedAsset
from schemas.summary_work import AssetGroup

_GROUP_TEXTS = 500
"""Texts of the assets that are embedded together: batches are full and of like length."""

_GROUP_ASSETS = 64

_COMMIT_ROWS = 20_000
"""Vectors that are held before they are committed, however little time has gone by."""

_LOST = (
    "Handed out twice and never came back: the worker with the embedding model died each time. "
    "Run again; if it happens again, lower embedding.batch."
)

Watched = Callable[[Iterator[pa.Table]], Iterator[pa.Table]]
"""Yields tables as they come and raises where none does."""


@dataclass(frozen=True, slots=True)
class Due:
    """An asset whose texts are to be embedded."""

    asset_id: str
    texts: int
    """About how many."""
    version: str = ""
    uri: str = ""


@dataclass(slots=True)
class Counts:
    """What a pass did."""

    assets: int = 0
    vectors: int = 0
    failures: list[str] = field(default_factory=list)
    """Their reasons."""
    work: list[Work] = field(default_factory=list)
    """What it cost, by asset."""


def due_assets(lake: Lake, config: Config, asset_ids: Iterable[str] | None = None) -> list[Due]:
    """Find the assets whose vectors are not those of their texts by the configured model.

    Args:
        lake: The lake.
        config: Of the run.
        asset_ids: Of those among which to look; null means all.
    """
    version = embedding_version(config)
    if not version and not lake.files("embeddings"):
        return []  # as in most lakes; a million assets need not be looked at to know it
    assets = relation("assets", {"assets": lake.files("assets")})
    with lake.bare() as connection:
        rows = connection.execute(
            "SELECT asset_id, clip_count + segment_count, version, uri, summary_write_id, embedding_version, "
            f"embedding_write_id FROM {assets} WHERE status <> 'failed' AND clip_count > 0 ORDER BY uri"
        ).fetchall()
    chosen = None if asset_ids is None else set(asset_ids)
    return [
        Due(asset_id, texts, asset_version, uri)
        for asset_id, texts, asset_version, uri, summaries, found, write_id in rows
        if (chosen is None or asset_id in chosen) and not _is_embedded(version, summaries, found, write_id)
    ]


def _is_embedded(version: str, summary_write_id: str, found: str, write_id: str) -> bool:
    if not version:
        return not write_id
    return found == version and write_id.startswith(write_mark(summary_write_id, version))


def embed(
    lake: Lake,
    config: Config,
    asset_ids: Iterable[str] | None = None,
    *,
    run_id: str,
    watched: Watched = iter,
    may_commit: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda _: None,
) -> Counts:
    """Give assets the vectors that they lack, on a cluster; or take out those that nobody wants.

    Args:
        lake: The lake; nothing else may be writing to it.
        config: Of the run, resolved. Where it embeds no texts, vectors of texts are taken out.
        asset_ids: Of the assets to look at; null means all.
        run_id: Of the run, for failures.
        watched: Guards the pipeline.
        may_commit: Called before each commit; raises when this run may no longer write.
        say: Tells people what goes on.
    """
    due = due_assets(lake, config, asset_ids)
    work = _Pass(lake, config, run_id, watched, may_commit)
    if not due:
        return work.counts
    if not config.embedding.embeds_text:
        say(f"taking the vectors of {len(due)} assets out")
        work.take_out(due)
        return work.counts
    say(f"embedding the texts of {len(due)} assets")
    work.run(_groups(due))
    if work.waiting:
        say(f"embedding {len(work.waiting)} assets again that a lost worker had")
        work.run([[item] for item in work.waiting.values()])
    work.give_up()
    work.commit()
    with_retries(lake.write_views)
    return work.counts


class _Pass:
    """The state of one pass."""

    def __init__(
        self, lake: Lake, config: Config, run_id: str, watched: Watched, may_commit: Callable[[], None]
    ) -> None:
        self.lake, self.config, self.run_id = lake, config, run_id
        self.watched, self.may_commit = watched, may_commit
        self.waiting: dict[str, Due] = {}
        self._places: dict[str, Due] = {}
        self.counts = Counts()
        self._held: list[Embedded] = []
        self._rows = 0
        self._since = time.monotonic()

    def run(self, groups: Sequence[Sequence[Due]]) -> None:
        """Embed groups of assets; what does not come back stays in `waiting`."""
        from jobs.chain import embed as pipeline

        self.waiting = {item.asset_id: item for group in groups for item in group}
        self._places |= self.waiting
        asked = [AssetGroup([item.asset_id for item in group]) for group in groups]
        for table in self.watched(pipeline(asked, self.lake, self.config, self.run_id)):
            for done in from_table(Embedded, table):
                self.waiting.pop(done.asset.asset_id, None)
                self._take(done)

    def give_up(self) -> None:
        """Account for assets that no worker survived."""
        if self.waiting:
            for asset in self._reader()(AssetGroup(list(self.waiting))):
                self._take(not_embedded(asset, _LOST, self.run_id))

    def take_out(self, due: Sequence[Due]) -> None:
        """Leave assets without vectors of texts."""
        read = self._reader()
        for group in _groups(due):
            found = read(AssetGroup([item.asset_id for item in group]))
            assets = [
                EmbeddedAsset(
                    asset.asset_id, "", "", asset.failure_count, "partial" if asset.failure_count else "ok"
                )
                for asset in found
            ]
            self.may_commit()
            mark_embedded(self.lake, assets)
            self.counts.assets += len(assets)
        with_retries(self.lake.write_views)

    def commit(self) -> None:
        """Let what is held take the place of what was there."""
        held, self._held, self._rows, self._since = self._held, [], 0, time.monotonic()
        if not held:
            return
        files = [
            write_rows(self.lake, table, [row for done in held for row in getattr(done, table)])
            for table in ("embeddings", "failures")
        ]
        self.may_commit()
        append_files(self.lake, rows_of(files))
        mark_embedded(self.lake, [done.asset for done in held])
        with_retries(self.lake.write_views)

    def _reader(self) -> ReadTexts:
        return ReadTexts(self.lake, {name: self.lake.files(name) for name in TABLES})

    def _take(self, done: Embedded) -> None:
        self.counts.assets += 1
        self.counts.vectors += len(done.embeddings)
        self.counts.failures += [failure.reason for failure in done.failures]
        due = self._places.get(done.asset.asset_id, Due(done.asset.asset_id, 0))
        self.counts.work.append(Work(due.asset_id, due.version, due.uri, done.costs))
        self._held.append(done)
        self._rows += len(done.embeddings)
        store = self.config.store
        is_late = time.monotonic() - self._since >= store.commit_seconds
        if is_late or self._rows >= _COMMIT_ROWS or len(self._held) >= store.commit_assets:
            self.commit()


def _groups(due: Sequence[Due]) -> list[list[Due]]:
    """Put assets together that are embedded in one call."""
    return grouped(due, lambda item: item.texts, _GROUP_TEXTS, _GROUP_ASSETS)
