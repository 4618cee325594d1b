"""Clips and segments get vectors by their texts.

Which text stands for a clip or a segment is decided here; the model cuts it to what it takes in, so the
words that say most about it come first.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from operators.batch_by_length import batches_by_length
from operators.cost_of import cost_of
from operators.embedding_engine import TextEmbedder
from operators.embedding_engines import text_name, text_revision
from operators.embedding_isolated import text_embedder
from operators.halving import Halving, Tried
from operators.stopwatch import total
from schemas import ids
from schemas.config import Config
from schemas.embedding_work import AssetTexts, Embedded, EmbeddedAsset, TextPlace
from schemas.failure import InputError, Reason, Stage
from schemas.tables import ClipRow, EmbeddingRow, FailureRow, SegmentRow

EMBED_REVISION = 1
"""Raise when a change of the code alters which text is embedded."""

_MOST_CHARACTERS = 16_000
"""Of one text; no model here reads more than 2,048 tokens, which are shorter than this."""

_MARK_DIGITS = 16

Vector = list[float]


# --- which text -----------------------------------------------------------------------------


def embedding_version(config: Config) -> str:
    """Identify how texts are embedded; empty where they are not."""
    embedding = config.embedding
    if not embedding.embeds_text:
        return ""
    return ids.digest("vectors", str(EMBED_REVISION), text_name(embedding), text_revision(embedding))


def write_mark(summary_write_id: str, version: str) -> str:
    """Begin the id under which an asset's vectors are written.

    It says of which texts they are: clips and segments live by `summary_write_id`, so that another one
    means other texts.
    """
    return ids.digest("vectors of", summary_write_id, version)[:_MARK_DIGITS]


def texts_of(segments: Sequence[SegmentRow], clips: Sequence[ClipRow]) -> list[TextPlace]:
    """Choose the texts that stand for segments and clips; those without any are left out.

    Of a clip these are title, caption, transcript and text seen, of a segment title, summary and then
    what its clips hold.

    Args:
        segments: Of one asset.
        clips: Of the same.
    """
    places = []
    for clip in sorted(clips, key=lambda row: row.clip):
        text = _joined([clip.title, *_words(clip)])
        place = TextPlace("clip", clip.segment, clip.clip, clip.start_seconds, clip.page, text)
        places.append(place)
    for segment in sorted(segments, key=lambda row: row.segment):
        inside = [part for clip in clips if clip.segment == segment.segment for part in _words(clip)]
        text = _joined([segment.title, segment.summary, *inside])
        page = segment.first_page
        places.append(TextPlace("segment", segment.segment, None, segment.start_seconds, page, text))
    return [place for place in places if place.text]


def _words(clip: ClipRow) -> list[str | None]:
    return [clip.caption, clip.transcript, clip.ocr_text]


def _joined(parts: Sequence[str | None]) -> str:
    """Join parts, each once: a page's title is often its first line, a segment's its clip's."""
    kept: list[str] = []
    size = 0
    for part in dict.fromkeys(text for part in parts if part and (text := part.strip())):
        if size >= _MOST_CHARACTERS:
            break
        kept.append(part)
        size += len(part)
    return "\n".join(kept)[:_MOST_CHARACTERS].strip()


# --- vectors --------------------------------------------------------------------------------


class EmbedTexts:
    """Texts of assets in, their vectors out: the same assets, in order."""

    def __init__(
        self, config: Config, run_id: str, workers: int = 1, embedder: TextEmbedder | None = None
    ) -> None:
        """Prepare the configured model, in a child process of its own; its first text loads it.

        Args:
            config: Of the run, resolved; it must embed texts.
            run_id: Of the run, for failures.
            workers: How many such operators share what a server allows.
            embedder: To embed with instead of the configured one.

        Raises:
            ValueError: The configured model cannot run; the message says what to do.
        """
        embedding = config.embedding
        self.embedder = embedder or text_embedder(config, workers)
        # A client spreads requests of `batch` texts over its connections by itself.
        calls = embedding.concurrency if embedding.engine == "openai" else 1
        self._halving = Halving(embedding.batch * calls, "the vectors of texts")
        self._run_id = run_id
        self._version = embedding_version(config)

    def __call__(self, assets: list[AssetTexts]) -> list[Embedded]:
        """Embed the texts of some assets together."""
        places = [place for asset in assets for place in asset.texts]
        lengths = [len(place.text) for place in places]
        batches = batches_by_length(lengths, self._halving.most)
        tried = self._halving.run(
            batches, lambda batch: self._embed([places[index] for index in batch]), lengths
        )
        outcomes = iter([tried[index] for index in range(len(places))])
        return [self._embedded(asset, [next(outcomes) for _ in asset.texts]) for asset in assets]

    def _embed(self, places: Sequence[TextPlace]) -> list[Vector]:
        return [vector.tolist() for vector in self.embedder.embed_texts([place.text for place in places])]

    def _embedded(self, asset: AssetTexts, tried: Sequence[Tried[Vector]]) -> Embedded:
        errors = [each.outcome for each in tried if isinstance(each.outcome, InputError)]
        version = "" if errors else self._version
        write_id = _write_id(asset, version)
        rows = [
            self._row(asset, place, each.outcome, write_id)
            for place, each in zip(asset.texts, tried, strict=True)
            if not isinstance(each.outcome, InputError)
        ]
        failures = [
            self._failure(asset, place, each.outcome, write_id)
            for place, each in zip(asset.texts, tried, strict=True)
            if isinstance(each.outcome, InputError)
        ]
        cost = cost_of(
            "embed",
            total([each.spent for each in tried]),
            items=len(rows),
            filled=[each.filled for each in tried],
        )
        return Embedded(_asset(asset, version, write_id, len(failures)), rows, failures, [cost])

    def _row(self, asset: AssetTexts, place: TextPlace, vector: Vector, write_id: str) -> EmbeddingRow:
        return EmbeddingRow(
            asset_id=asset.asset_id,
            version=asset.version,
            level=place.level,
            segment=place.segment,
            clip=place.clip,
            time_seconds=place.time_seconds,
            page=place.page,
            model=self.embedder.name,
            revision=self.embedder.revision,
            vector=vector,
            write_id=write_id,
        )

    def _failure(self, asset: AssetTexts, place: TextPlace, error: InputError, write_id: str) -> FailureRow:
        return FailureRow(
            asset_id=asset.asset_id,
            version=asset.version,
            uri=asset.uri,
            stage=Stage.EMBED,
            reason=error.reason,
            message=error.message,
            page=place.page,
            start_seconds=place.time_seconds,
            end_seconds=None,
            run_id=self._run_id,
            at=datetime.now(UTC),
            write_id=write_id,
        )


def not_embedded(asset: AssetTexts, message: str, run_id: str) -> Embedded:
    """Account for an asset that no worker gave back.

    Args:
        asset: As it was read.
        message: What was wanted, found and to do.
        run_id: Of the run.
    """
    write_id = _write_id(asset, "")
    failure = FailureRow(
        asset_id=asset.asset_id,
        version=asset.version,
        uri=asset.uri,
        stage=Stage.EMBED,
        reason=Reason.LOST,
        message=message,
        page=None,
        start_seconds=None,
        end_seconds=None,
        run_id=run_id,
        at=datetime.now(UTC),
        write_id=write_id,
    )
    return Embedded(_asset(asset, "", write_id, 1), [], [failure])


def _write_id(asset: AssetTexts, version: str) -> str:
    """Name the commit: by the texts and the model, and by this attempt, so that no row can be there twice."""
    mark = write_mark(asset.summary_write_id, version) if version else uuid.uuid4().hex[:_MARK_DIGITS]
    return mark + uuid.uuid4().hex[_MARK_DIGITS:]


def _asset(asset: AssetTexts, version: str, write_id: str, failed: int) -> EmbeddedAsset:
    count = asset.failure_count + failed
    return EmbeddedAsset(asset.asset_id, version, write_id, count, "partial" if count else "ok")
