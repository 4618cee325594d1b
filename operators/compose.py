"""The last step before tables: everything perceived in one asset becomes its rows.

No model is asked and no pixel is seen; text, places and times are arithmetic on text. Summaries are
picked from what stands there; a language model may write them anew later. The
result depends on what was perceived and on the configuration alone: the order in which
units came back, the machine and the clock do not show in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from operators.answered_tables import answered_tables
from operators.asset_text import AssetText
from operators.compose_captions import captions_of, is_base, with_captions
from operators.compose_pages import compose_pages
from operators.compose_timeline import compose_timeline
from operators.composition import COMPOSITION, picked_version
from operators.draft import Draft, UtteranceDraft
from operators.extractive import extractive
from operators.frame_rows import frame_rows
from operators.language import detect_language
from operators.reproduce import reproduce
from operators.segment import Segment
from operators.sentence_rows import sentence_rows
from operators.summary_rows import Stamp as SummaryStamp
from operators.summary_rows import summary_rows
from operators.titles import file_title, metadata_title
from operators.unit_id import caption_version, perception_id
from operators.unit_store import is_sound, plan_of
from schemas.config import Config
from schemas.failure import Failure
from schemas.ids import digest
from schemas.look import Caption
from schemas.media import Asset, Kind, UnitKind
from schemas.perception import Perception
from schemas.tables import (
    AssetRow,
    CitationRow,
    ClipRow,
    DecisionRow,
    EmbeddingRow,
    FailureRow,
    PageTableRow,
    ReviewRow,
    SegmentRow,
    SentenceRow,
    TextRegionRow,
    UtteranceRow,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Composed:
    """All rows of one asset."""

    asset: AssetRow
    segments: list[SegmentRow] = field(default_factory=list)
    clips: list[ClipRow] = field(default_factory=list)
    text_regions: list[TextRegionRow] = field(default_factory=list)
    utterances: list[UtteranceRow] = field(default_factory=list)
    page_tables: list[PageTableRow] = field(default_factory=list)
    """Those that a vision-language model read out."""
    sentences: list[SentenceRow] = field(default_factory=list)
    citations: list[CitationRow] = field(default_factory=list)
    reviews: list[ReviewRow] = field(default_factory=list)
    embeddings: list[EmbeddingRow] = field(default_factory=list)
    failures: list[FailureRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What every row of an asset bears."""

    asset_id: str
    version: str
    write_id: str
    summary_version: str

    @property
    def summary_write_id(self) -> str:
        """The id of the rows that are written anew with the summaries alone."""
        return digest("summaries", self.write_id)


def compose(
    perceptions: Sequence[Perception],
    config: Config,
    *,
    run_id: str,
    at: datetime,
    write_id: str,
    captioned: bool = False,
    decisions: Sequence[DecisionRow] = (),
) -> Composed:
    """Turn all units of one asset into its rows.

    Args:
        perceptions: every unit of the asset once, in any order.
        config: the run's configuration.
        run_id: the run that composes.
        at: the time to state as that of ingest and of failures.
        write_id: the commit that the rows belong to.
        captioned: Whether all looks that were planned are among the units.
        decisions: What people decided about its summaries, the newest last.

    Returns:
        The rows. An asset of which nothing could be read has a row in `assets`, with status
        `failed` and no clips, and its failures.

    Raises:
        ValueError: There is no perception, or they are of several assets.
    """
    units = _in_order(perceptions)
    asset = units[0].asset
    stamp = _Stamp(asset.asset_id, asset.version, write_id, picked_version(config))
    failures = [
        _failure_row(unit, failure, stamp, run_id, at, config) for unit in units for failure in unit.failures
    ]
    status = _status(units)
    if status == "failed":
        row = _asset_row(units, config, stamp, run_id, at, status, len(failures))
        return Composed(row, failures=failures)
    draft = draft_of(units, config)
    captions = captions_of(units, len(draft.clips))
    language = language_of(draft, asset)
    draft = with_captions(draft, captions)
    title = metadata_title(asset.title) or draft.title or file_title(asset.uri)
    row = replace(
        _asset_row(units, config, stamp, run_id, at, status, len(failures)),
        language=language,
        title=title,
        found_title=title,
        clip_count=len(draft.clips),
        segment_count=len(draft.segments),
        caption_version=caption_version(config, asset.kind) if captioned else "",
    )
    text = AssetText(
        row,
        _segment_rows(draft, units, stamp),
        _clip_rows(draft, captions, stamp),
        [clip.statements for clip in draft.clips],
        decisions,
    )
    marks = SummaryStamp(stamp.summary_version, stamp.summary_write_id, run_id, at)
    summaries = summary_rows(text, extractive(text, config.summary), marks)
    return Composed(
        summaries.asset,
        segments=summaries.segments,
        clips=summaries.clips,
        text_regions=_region_rows(draft, stamp),
        utterances=[_utterance_row(item, stamp) for item in draft.utterances],
        page_tables=_table_rows(draft, captions, stamp),
        embeddings=frame_rows(units, summaries.clips, stamp.write_id, config.embedding),
        sentences=sentence_rows(
            (statement for clip in draft.clips for statement in clip.statements),
            0,
            asset_id=stamp.asset_id,
            version=stamp.version,
            write_id=stamp.write_id,
        ),
        citations=summaries.citations,
        reviews=summaries.reviews,
        failures=failures,
    )


def compose_failed(
    perceptions: Sequence[Perception],
    failure: Failure,
    config: Config,
    *,
    run_id: str,
    at: datetime,
    write_id: str,
) -> Composed:
    """Write an asset off that could not be composed, with the reason.

    Args:
        perceptions: as for `compose`.
        failure: what stopped composing; joins the failures of the units.
        config: the run's configuration.
        run_id: the run that composes.
        at: the time to state.
        write_id: the commit that the rows belong to.
    """
    units = _in_order(perceptions)
    asset = units[0].asset
    stamp = _Stamp(asset.asset_id, asset.version, write_id, picked_version(config))
    failures = [
        _failure_row(unit, item, stamp, run_id, at, config) for unit in units for item in unit.failures
    ]
    failures.append(_failure_row(units[0], failure, stamp, run_id, at, config))
    row = _asset_row(units, config, stamp, run_id, at, "failed", len(failures))
    return Composed(row, failures=failures)


def _in_order(perceptions: Sequence[Perception]) -> list[Perception]:
    ids = {item.asset.asset_id for item in perceptions}
    if len(ids) != 1:
        msg = f"Wanted the units of one asset; found {len(perceptions)} units of {len(ids)} assets."
        raise ValueError(msg)
    return sorted(perceptions, key=lambda item: item.unit.index)


def draft_of(units: Sequence[Perception], config: Config) -> Draft:
    """Cut an asset into clips or pages with what was read and heard; captions play no part in it.

    Args:
        units: every unit of the asset once, in order; looks are passed over.
        config: the run's configuration.
    """
    base = [unit for unit in units if is_base(unit)]
    if base[0].asset.kind in (Kind.DOCUMENT, Kind.IMAGE):
        return compose_pages(base)
    speech = config.speech
    distance = speech.speaker_distance if speech.listens and speech.speakers != "off" else None
    return compose_timeline(base, config.sampling.clip_seconds, speech.prefer, distance)


def language_of(draft: Draft, asset: Asset) -> str | None:
    """Tell the main language of what was read and said."""
    return detect_language(_texts(draft), asset.language)


def _texts(draft: Draft) -> list[str]:
    """List what tells an asset's language: translations of what is said do not."""
    said = [item.utterance.text for item in draft.utterances if item.in_transcript]
    return [region.line.text for region in draft.regions] + said


# --- status --------------------------------------------------------------------------------


def _status(units: Sequence[Perception]) -> str:
    """Sum up: ok, partial (something was lost) or failed (nothing was kept)."""
    if not any(unit.failures for unit in units):
        return "ok"
    return "partial" if any(_kept(unit, units) for unit in units) else "failed"


def _kept(unit: Perception, units: Sequence[Perception]) -> bool:
    """Tell whether anything of a unit was read; a blank page counts when nothing failed on it.

    So does sound in which nothing is said, but not beside pictures that all failed; and that
    there are no subtitles saves nothing where there was something else to be read.
    """
    if unit.utterances or any(view.lines or view.read != "none" for view in unit.views):
        return True
    match unit.unit.kind:
        case UnitKind.SPAN if unit.failures:
            return unit.sampled > 0
        case UnitKind.SPEECH if unit.asset.kind == Kind.AUDIO:
            return _lost_seconds(unit) < unit.sound_seconds / 2 if unit.failures else True
        case UnitKind.SPEECH:
            return False
        case UnitKind.SUBTITLES if not unit.failures:
            return unit.asset.kind == Kind.AUDIO and len(units) == 1
        case _:
            return not unit.failures


def _lost_seconds(unit: Perception) -> float:
    """Sum the stretches of sound that could not be understood; without times, it is all of it."""
    return sum(
        failure.end_seconds - failure.start_seconds
        if failure.start_seconds is not None and failure.end_seconds is not None
        else unit.sound_seconds
        for failure in unit.failures
    )


# --- rows ----------------------------------------------------------------------------------


def _asset_row(
    units: Sequence[Perception],
    config: Config,
    stamp: _Stamp,
    run_id: str,
    at: datetime,
    status: str,
    failure_count: int,
) -> AssetRow:
    asset = units[0].asset
    reads = [view.read for unit in units for view in unit.views]
    return AssetRow(
        asset_id=asset.asset_id,
        version=asset.version,
        uri=asset.uri,
        kind=asset.kind,
        media_type=asset.media_type,
        bytes=asset.size_bytes,
        duration_seconds=asset.duration_seconds,
        page_count=asset.page_count,
        width_px=asset.width_px,
        height_px=asset.height_px,
        video_codec=asset.video_codec,
        audio_codec=asset.audio_codec,
        language=None,
        title=metadata_title(asset.title) or file_title(asset.uri),
        found_title=metadata_title(asset.title) or file_title(asset.uri),
        summary=None,
        summary_version=stamp.summary_version,
        composition=COMPOSITION,
        summary_write_id=stamp.summary_write_id,
        status=status,
        clip_count=0,
        segment_count=0,
        failure_count=failure_count,
        sampled_frames=sum(unit.sampled for unit in units),
        distinct_frames=sum(view.read != "parts" for unit in units if unit.sampled for view in unit.views),
        read_whole=reads.count("whole"),
        read_parts=reads.count("parts"),
        sound_seconds=sum(unit.sound_seconds for unit in units),
        speech_seconds=sum(unit.speech_seconds for unit in units),
        worded_seconds=sum(unit.worded_seconds for unit in units),
        run_id=run_id,
        ingested_at=at,
        content_hash=asset.content_hash,
        fingerprint=asset.fingerprint,
        perception=perception_id(config, asset.kind),
        modified_at=_modified_at(asset),
        etag=asset.etag,
        write_id=stamp.write_id,
        plan_id=plan_of(asset, config) if is_sound(units) else "",
    )


def _modified_at(asset: Asset) -> datetime | None:
    if asset.modified_ns is None:
        return None
    return _EPOCH + timedelta(microseconds=asset.modified_ns // 1000)


def _segment_of(segments: Sequence[Segment]) -> list[int]:
    """Segment of each clip."""
    return [index for index, segment in enumerate(segments) for _ in range(segment.first, segment.end)]


def _segment_rows(draft: Draft, units: Sequence[Perception], stamp: _Stamp) -> list[SegmentRow]:
    pages = _page_ranges(draft, units)
    rows = []
    for index, segment in enumerate(draft.segments):
        first_page, last_page = pages[index] if pages else (None, None)
        rows.append(
            SegmentRow(
                asset_id=stamp.asset_id,
                version=stamp.version,
                segment=index,
                start_seconds=draft.clips[segment.first].start_seconds,
                end_seconds=draft.clips[segment.end - 1].end_seconds,
                first_page=first_page,
                last_page=last_page,
                title=segment.title,
                found_title=segment.title,
                summary=None,
                summary_version=stamp.summary_version,
                summary_engine=None,
                summary_revision=None,
                summary_prompt=None,
                summary_doubts=[],
                write_id=stamp.summary_write_id,
            )
        )
    return rows


def _page_ranges(draft: Draft, units: Sequence[Perception]) -> list[tuple[int, int]]:
    """Pages of each segment, without gaps: a page that failed belongs to the one before it."""
    firsts = [page for segment in draft.segments if (page := draft.clips[segment.first].page) is not None]
    if not firsts:
        return []
    last = max(unit.unit.page or unit.unit.index + 1 for unit in units)
    last = max(last, *(clip.page or 0 for clip in draft.clips))
    firsts[0] = 1
    return list(zip(firsts, [*(page - 1 for page in firsts[1:]), last], strict=True))


def _clip_rows(draft: Draft, captions: Mapping[int, Caption], stamp: _Stamp) -> list[ClipRow]:
    segments = _segment_of(draft.segments)
    return [
        ClipRow(
            asset_id=stamp.asset_id,
            version=stamp.version,
            segment=segments[index],
            clip=index,
            start_seconds=clip.start_seconds,
            end_seconds=clip.end_seconds,
            page=clip.page,
            title=clip.title,
            summary=None,
            summary_version=stamp.summary_version,
            summary_engine=None,
            summary_revision=None,
            summary_prompt=None,
            summary_doubts=[],
            caption=caption.text if (caption := captions.get(index)) else None,
            caption_engine=caption.engine if caption else None,
            caption_revision=caption.revision if caption else None,
            caption_prompt=f"{caption.prompt}@{caption.prompt_version}" if caption else None,
            caption_doubts=caption.doubts if caption else [],
            planned_visual_tokens=caption.planned_visual_tokens
            if caption and caption.clip == index
            else None,
            visual_tokens=caption.visual_tokens if caption and caption.clip == index else None,
            planned_text_tokens=caption.planned_text_tokens if caption and caption.clip == index else None,
            input_tokens=caption.input_tokens if caption and caption.clip == index else None,
            output_tokens=caption.output_tokens if caption and caption.clip == index else None,
            ocr_text=clip.ocr_text,
            transcript=clip.transcript,
            text_source=clip.text_source,
            turned_degrees=clip.turned_degrees,
            width_px=clip.width_px,
            height_px=clip.height_px,
            write_id=stamp.summary_write_id,
        )
        for index, clip in enumerate(draft.clips)
    ]


def _table_rows(draft: Draft, captions: Mapping[int, Caption], stamp: _Stamp) -> list[PageTableRow]:
    return [
        PageTableRow(
            asset_id=stamp.asset_id,
            version=stamp.version,
            page=clip.page,
            table=number,
            html=table.html,
            cells=table.cells,
            write_id=stamp.write_id,
        )
        for index, clip in enumerate(draft.clips)
        if clip.page is not None and index in captions and captions[index].prompt == "read"
        for number, table in enumerate(answered_tables(captions[index].text))
    ]


def _region_rows(draft: Draft, stamp: _Stamp) -> list[TextRegionRow]:
    return [
        TextRegionRow(
            asset_id=stamp.asset_id,
            version=stamp.version,
            clip=region.clip,
            time_seconds=region.time_seconds,
            until_seconds=region.until_seconds,
            end_seconds=region.end_seconds,
            page=region.page,
            region=index,
            text=region.line.text,
            confidence=region.line.confidence,
            x0=region.line.x0,
            y0=region.line.y0,
            x1=region.line.x1,
            y1=region.line.y1,
            source=region.line.source,
            write_id=stamp.write_id,
        )
        for index, region in enumerate(draft.regions)
    ]


def _utterance_row(placed: UtteranceDraft, stamp: _Stamp) -> UtteranceRow:
    utterance = placed.utterance
    return UtteranceRow(
        asset_id=stamp.asset_id,
        version=stamp.version,
        clip=placed.clip,
        start_seconds=utterance.start_seconds,
        end_seconds=utterance.end_seconds,
        text=utterance.text,
        language=utterance.language,
        confidence=utterance.confidence,
        words=utterance.words,
        source=utterance.source,
        in_transcript=placed.in_transcript,
        speaker=utterance.speaker,
        revision=utterance.revision,
        language_probability=utterance.language_probability,
        log_probability=utterance.log_probability,
        no_speech_probability=utterance.no_speech_probability,
        compression_ratio=utterance.compression_ratio,
        temperature=utterance.temperature,
        doubts=utterance.doubts,
        write_id=stamp.write_id,
    )


def _failure_row(
    unit: Perception, failure: Failure, stamp: _Stamp, run_id: str, at: datetime, config: Config
) -> FailureRow:
    """Say where a failure lies; what concerns a unit lies where the unit does."""
    place = unit.unit if failure.unit is not None else None
    start, end, page = failure.start_seconds, failure.end_seconds, failure.page
    if place is not None and (start, end, page) == (None, None, None):
        start, end, page = place.start_seconds, place.end_seconds, place.page
    return FailureRow(
        asset_id=stamp.asset_id,
        version=stamp.version,
        uri=unit.asset.uri,
        stage=failure.stage,
        reason=failure.reason,
        message=failure.message,
        page=page,
        start_seconds=start,
        end_seconds=end,
        run_id=run_id,
        at=at,
        write_id=stamp.write_id,
        reproduce=reproduce(unit.asset.uri, page, start, config),
    )
