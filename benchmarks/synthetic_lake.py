"""A lake of any size whose rows come from no media: written and committed as a run does, in bulk.

Half of the assets are videos (clips of a minute, lines on the screen, speech with the times of its
words), half are documents (pages with lines). Texts are phrases drawn at random, of which a few
hold what the README's queries look for. A share of the assets is ingested twice, so that there are
rows which must not be seen. What a run's tasks would write as one file each is one file here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators.commit import commit, put_run
from operators.lake import DataFile, Lake
from operators.write import write_table
from schemas import ids
from schemas.arrow import arrow_schema, from_table
from schemas.tables import TABLES, AssetRow, RunRow

_CLIP_SECONDS = 60.0
_LINES, _UTTERANCES = 6, 8
"""Of each clip: lines seen, and stretches of speech (videos alone)."""
_CLIPS_OF_SEGMENT = 5
_AT = datetime(2026, 1, 1, tzinfo=UTC)

_RARE = ("the red light", "a limpet shell", "limpets on rocks", "tide table of June", "crème brûlée")
_SYLLABLES = ("ta", "ri", "mo", "le", "nu", "sha", "ven", "kor", "is", "ap", "el", "dro", "fi", "gan", "ut")

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shape:
    """How much there is, and in what portions it is written."""

    clips: int
    clips_of_asset: int = 20
    assets_of_file: int = 12
    """A task composes some 256 units and writes a file for each table."""
    assets_of_commit: int = 500
    """As `store.commit_assets`."""
    superseded: float = 0.05
    """Share of the assets that are ingested a second time."""
    seed: int = 0


def make_lake(lake: Lake, shape: Shape) -> int:
    """Fill a new lake; returns the number of its commits."""
    lake.create()
    count = max(1, shape.clips // shape.clips_of_asset)
    numbers = np.arange(count)
    again = np.random.default_rng(shape.seed).choice(count, int(count * shape.superseded), replace=False)
    commits = 0
    for night in (numbers, np.sort(again)):
        for chunk in _chunks(night, shape.assets_of_commit):
            commit(lake, *write_assets(lake, shape, chunk, write=commits))
            commits += 1
    put_run(lake, _run(count, shape.clips))
    lake.write_views()
    return commits


def write_assets(
    lake: Lake, shape: Shape, numbers: Ints, write: int
) -> tuple[list[AssetRow], list[DataFile]]:
    """Make assets of such numbers and write their children, as composing tasks would.

    Args:
        lake: An existing lake.
        shape: Of its assets.
        numbers: Of the assets; the same number gives the same asset.
        write: Tells this writing of an asset from another one.
    """
    tables = _Batch(shape, numbers, write).tables()
    assets = tables.pop("assets")
    files: list[DataFile] = []
    for group in _chunks(np.arange(len(numbers)), shape.assets_of_file):
        wanted = assets["asset_id"].slice(group[0], len(group)).combine_chunks()
        for name, rows in tables.items():
            # Rows lie in the order of their assets, so those of a group are one stretch.
            places = pc.index_in(rows["asset_id"], wanted)
            found = np.flatnonzero(places.is_valid().to_numpy())
            if len(found):
                part = rows.slice(int(found[0]), len(found)).sort_by("asset_id")
                files.append(write_table(lake, name, part))
    return from_table(AssetRow, assets), files


def _chunks(values: Ints, size: int) -> Iterator[Ints]:
    return (values[start : start + size] for start in range(0, len(values), size))


class _Batch:
    """Some assets as Arrow tables, made column by column."""

    def __init__(self, shape: Shape, numbers: Ints, write: int) -> None:
        self.shape, self.numbers, self.write = shape, numbers, write
        self.random = np.random.default_rng([shape.seed, write, int(numbers[0])])
        self.phrases = _phrases(shape.seed)
        kinds = np.where(numbers % 2 == 0, "mp4", "pdf")
        self.uris = [f"file:///corpus/{number:07}.{end}" for number, end in zip(numbers, kinds, strict=True)]
        self.asset_ids = pa.array([ids.asset_id(uri) for uri in self.uris])
        self.versions = pa.array([ids.digest("version", uri) for uri in self.uris])
        self.writes = pa.array([ids.digest("write", str(write), uri) for uri in self.uris])
        self.video = numbers % 2 == 0

    def tables(self) -> dict[str, pa.Table]:
        """Make all tables; of children the rows lie in the order of their assets."""
        of_clips = np.repeat(np.arange(len(self.numbers)), self.shape.clips_of_asset)
        clip = np.tile(np.arange(self.shape.clips_of_asset), len(self.numbers))
        regions, shown = self._regions(of_clips, clip)
        utterances, said = self._utterances(of_clips, clip)
        titles, summaries = self._text(len(of_clips), 1), self._text(len(of_clips), 4)
        start = clip * _CLIP_SECONDS
        clips = self._children(
            "clips",
            of_clips,
            clip=clip,
            segment=clip // _CLIPS_OF_SEGMENT,
            **self._places(of_clips, clip, start, start + _CLIP_SECONDS),
            title=titles,
            summary=summaries,
            summary_engine="extractive",
            ocr_text=shown,
            transcript=said,
            text_source="ocr",
        )
        return {
            "assets": self._assets(),
            "segments": self._segments(),
            "clips": clips,
            "text_regions": regions,
            "utterances": utterances,
            "citations": self._citations(of_clips, clip, summaries),
        }

    def _assets(self) -> pa.Table:
        count, clips = len(self.numbers), self.shape.clips_of_asset
        return _filled(
            "assets",
            count,
            asset_id=self.asset_ids,
            version=self.versions,
            uri=pa.array(self.uris),
            kind=pa.array(np.where(self.video, "video", "document").tolist()),
            media_type=pa.array(np.where(self.video, "video/mp4", "application/pdf").tolist()),
            bytes=self.numbers * 1000 + 1,
            duration_seconds=_where(self.video, np.full(count, clips * _CLIP_SECONDS)),
            page_count=_where(~self.video, np.full(count, clips)),
            language="en",
            title=self._text(count, 1),
            found_title=self._text(count, 1),
            summary=self._text(count, 12),
            summary_engine="extractive",
            summary_version="s0",
            status="ok",
            clip_count=np.full(count, clips),
            segment_count=np.full(count, -(-clips // _CLIPS_OF_SEGMENT)),
            run_id="r0",
            ingested_at=pa.array([_AT + timedelta(seconds=self.write)] * count),
            content_hash=self.versions,
            fingerprint=self.versions,
            perception="p0",
            modified_at=pa.array([_AT] * count),
            write_id=self.writes,
            plan_id=self.versions,
            composition="c0",
            summary_write_id=self.writes,
        )

    def _segments(self) -> pa.Table:
        each = -(-self.shape.clips_of_asset // _CLIPS_OF_SEGMENT)
        owner = np.repeat(np.arange(len(self.numbers)), each)
        segment = np.tile(np.arange(each), len(self.numbers))
        video, first = self.video[owner], segment * _CLIPS_OF_SEGMENT
        return self._children(
            "segments",
            owner,
            segment=segment,
            start_seconds=_where(video, first * _CLIP_SECONDS),
            end_seconds=_where(video, (first + _CLIPS_OF_SEGMENT) * _CLIP_SECONDS),
            first_page=_where(~video, first + 1),
            last_page=_where(~video, first + _CLIPS_OF_SEGMENT),
            title=self._text(len(owner), 1),
            found_title=self._text(len(owner), 1),
            summary=self._text(len(owner), 8),
            summary_version="s0",
            summary_engine="extractive",
        )

    def _regions(self, of_clips: Ints, clip: Ints) -> tuple[pa.Table, pa.Array]:
        """Make the lines seen, and what they are together for each clip."""
        owner, inside = np.repeat(of_clips, _LINES), np.repeat(clip, _LINES)
        line = np.tile(np.arange(_LINES), len(of_clips))
        texts = self._text(len(owner), 2)
        video = self.video[owner]
        seen = inside * _CLIP_SECONDS + line * 7.0
        top = 0.1 + 0.12 * line
        rows = self._children(
            "text_regions",
            owner,
            clip=inside,
            time_seconds=_where(video, seen),
            until_seconds=_where(video, seen + 15.0),
            end_seconds=_where(video, seen + 16.0),
            page=_where(~video, inside + 1),
            region=inside * _LINES + line,
            text=texts,
            confidence=self.random.uniform(0.8, 1.0, len(owner)).round(3),
            x0=np.full(len(owner), 0.1),
            y0=top,
            x1=self.random.uniform(0.4, 0.9, len(owner)).round(4),
            y1=top + 0.05,
            source="ocr",
        )
        return rows, _joined(texts, np.arange(0, len(owner) + 1, _LINES), "\n")

    def _utterances(self, of_clips: Ints, clip: Ints) -> tuple[pa.Table, pa.Array]:
        """Make what is said, and what that is together for each clip."""
        spoken = self.video[of_clips]
        owner, inside = np.repeat(of_clips[spoken], _UTTERANCES), np.repeat(clip[spoken], _UTTERANCES)
        turn = np.tile(np.arange(_UTTERANCES), int(spoken.sum()))
        texts = self._text(len(owner), 3)
        length = _CLIP_SECONDS / _UTTERANCES
        start = inside * _CLIP_SECONDS + turn * length + self.random.uniform(0, 0.4, len(owner)).round(2)
        rows = self._children(
            "utterances",
            owner,
            clip=inside,
            start_seconds=start,
            end_seconds=start + length - 0.5,
            text=texts,
            language="en",
            confidence=self.random.uniform(0.6, 1.0, len(owner)).round(3),
            words=self._words(texts, start, length - 0.5),
            source="faster-whisper:small",
            in_transcript=pa.array(np.ones(len(owner), bool)),
            revision="w0",
            log_probability=-self.random.uniform(0, 0.6, len(owner)).round(3),
            temperature=np.zeros(len(owner)),
        )
        offsets = np.concatenate([[0], np.cumsum(np.where(spoken, _UTTERANCES, 0))])
        said = pc.if_else(pa.array(spoken), _joined(texts, offsets, " "), None)
        return rows, said

    def _words(self, texts: pa.Array, start: NDArray[np.float64], length: float) -> pa.Array:
        split = pc.split_pattern(texts, " ")
        counts = pc.list_value_length(split).to_numpy()
        place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        step = np.repeat(length / counts, counts)
        begin = np.repeat(start, counts) + place * step
        kind = arrow_schema(TABLES["utterances"]).field("words").type
        columns = {
            "word": split.values,
            "start_seconds": begin.round(2),
            "end_seconds": (begin + step).round(2),
            "probability": self.random.uniform(0.5, 1.0, len(place)).round(3),
        }
        arrays = [pa.array(columns[item.name], item.type) for item in kind.value_type]
        values = pa.StructArray.from_arrays(arrays, fields=list(kind.value_type))
        return pa.ListArray.from_arrays(
            pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32()), values
        )

    def _citations(self, of_clips: Ints, clip: Ints, summaries: pa.Array) -> pa.Table:
        """Make one citation for the summary of each clip, and of three clips for that of its asset."""
        wanted = np.concatenate([np.arange(len(clip)), np.flatnonzero(clip < 3)])
        level = np.concatenate([np.full(len(clip), "clip"), np.full(len(wanted) - len(clip), "asset")])
        order = np.argsort(of_clips[wanted], kind="stable")
        wanted, level = wanted[order], level[order]
        owner, inside = of_clips[wanted], clip[wanted]
        start = inside * _CLIP_SECONDS
        return self._children(
            "citations",
            owner,
            level=pa.array(level.tolist()),
            segment=inside // _CLIPS_OF_SEGMENT,
            clip=inside,
            sentence=np.where(level == "asset", inside, 0),
            text=summaries.take(pa.array(wanted)),
            score=np.ones(len(wanted)),
            evidence=summaries.take(pa.array(wanted)),
            source="ocr",
            **{
                name: column
                for name, column in self._places(owner, inside, start, start + 10).items()
                if name == "page"
            },
            time_seconds=_where(self.video[owner], start),
            until_seconds=_where(self.video[owner], start + 10.0),
        )

    def _places(self, owner: Ints, clip: Ints, start: NDArray[Any], end: NDArray[Any]) -> dict[str, pa.Array]:
        video = self.video[owner]
        return {
            "start_seconds": _where(video, start),
            "end_seconds": _where(video, end),
            "page": _where(~video, clip + 1),
        }

    def _children(self, name: str, owner: Ints, **columns: Any) -> pa.Table:
        owners = pa.array(owner)
        keys = {
            "asset_id": self.asset_ids.take(owners),
            "version": self.versions.take(owners),
            "write_id": self.writes.take(owners),
        }
        return _filled(name, len(owner), **keys, **columns)

    def _text(self, count: int, phrases: int) -> pa.Array:
        """Draw so many texts of so many phrases each."""
        drawn = [
            self.phrases.take(pa.array(self.random.integers(0, len(self.phrases), count)))
            for _ in range(phrases)
        ]
        return drawn[0] if phrases == 1 else pc.binary_join_element_wise(*drawn, " ")


@cache
def _phrases(seed: int, count: int = 20_000) -> pa.Array:
    """Make phrases of two to five words; one in some thousand is of those that are looked for."""
    random = np.random.default_rng([seed, 1])
    words = ["".join(random.choice(_SYLLABLES, random.integers(1, 5))) for _ in range(8000)]
    # Words of a language are not equally frequent.
    ranks = np.minimum(random.zipf(1.3, size=(count, 5)) - 1, len(words) - 1)
    lengths = random.integers(2, 6, count)
    phrases = [
        " ".join(words[rank] for rank in line[:length])
        for line, length in zip(ranks.tolist(), lengths.tolist(), strict=True)
    ]
    phrases[: len(_RARE)] = _RARE
    return pa.array(phrases)


def _joined(texts: pa.Array, offsets: NDArray[Any], between: str) -> pa.Array:
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), texts)
    return pc.binary_join(lists, between)


def _where(mask: NDArray[np.bool_], values: NDArray[Any]) -> pa.Array:
    return pa.array(values, mask=~mask)


def _filled(name: str, count: int, **columns: Any) -> pa.Table:
    """Make a table of a row type; what is not given is null, empty or 0, a single value is in each row."""
    schema = arrow_schema(TABLES[name])
    return pa.table([_column(item, count, columns) for item in schema], schema=schema)


def _column(item: pa.Field, count: int, columns: Mapping[str, Any]) -> pa.Array:
    given = columns.get(item.name)
    if isinstance(given, pa.Array | np.ndarray):
        return pa.array(given).cast(item.type)
    if given is None and item.nullable:
        return pa.nulls(count, item.type)
    if given is None:
        given = [] if pa.types.is_list(item.type) else {pa.string(): ""}.get(item.type, 0)
    return pa.repeat(pa.scalar(given, item.type), count) if count else pa.array([], item.type)


def _run(assets: int, clips: int) -> RunRow:
    return RunRow(
        "r0", _AT, _AT + timedelta(hours=1), "finished", 0, ["/corpus"], "embedded", "{}", "{}",
        assets, assets, 0, 0, 0, [], [], clips, 0, 0,
    )  # fmt: skip
