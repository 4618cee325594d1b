"""Rows with sensible defaults, for tests that care about one or two columns."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.media import Asset, Unit
from schemas.perception import Perception
from schemas.tables import AssetRow, CostRow, RunRow, SegmentRow, UtteranceRow

NOW = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)

_ASSET_ROW = AssetRow(
    asset_id="a0",
    version="v0",
    uri="file:///data/a0.mp4",
    kind="video",
    media_type="video/mp4",
    bytes=10,
    duration_seconds=60.0,
    page_count=None,
    width_px=640,
    height_px=360,
    video_codec="h264",
    audio_codec=None,
    language="en",
    title="A title",
    summary="A summary.",
    summary_version="s0",
    status="ok",
    clip_count=1,
    segment_count=1,
    failure_count=0,
    sampled_frames=60,
    distinct_frames=3,
    read_whole=3,
    read_parts=0,
    sound_seconds=60.0,
    speech_seconds=40.0,
    worded_seconds=38.0,
    run_id="r0",
    ingested_at=NOW,
    content_hash="c0",
    fingerprint="f0",
    perception="p0",
    modified_at=NOW,
    etag=None,
    write_id="w0",
)


def asset_row(**columns: Any) -> AssetRow:
    """A row of `assets`."""
    return replace(_ASSET_ROW, **columns)


def segment_row(**columns: Any) -> SegmentRow:
    """A row of `segments`."""
    row = SegmentRow(
        asset_id="a0",
        version="v0",
        segment=0,
        start_seconds=0.0,
        end_seconds=60.0,
        first_page=None,
        last_page=None,
        title="A segment",
        found_title="A segment",
        summary="A summary.",
        summary_version="s0",
        summary_engine="extractive",
        summary_revision=None,
        summary_prompt=None,
        summary_doubts=[],
        write_id="w0",
    )
    return replace(row, **columns)


def run_row(**columns: Any) -> RunRow:
    """A row of `runs`."""
    row = RunRow(
        "r0", NOW, NOW, "finished", 0, ["/data"], "embedded", "{}", "{}", 1, 1, 0, 0, 0, [], [], 1, 60, 3
    )
    return replace(row, **columns)


def perception(asset_id: str = "a0", unit: int = 0, units: int = 1, **columns: Any) -> Perception:
    """A travelling row."""
    asset = Asset(asset_id, "v0", f"file:///data/{asset_id}.mp4", "video", 10, "f0", "c0", unit_count=units)
    return replace(Perception(asset, Unit(unit, "span", unit * 60.0, unit * 60.0 + 60)), **columns)


def utterance_row(**columns: Any) -> UtteranceRow:
    """A row of `utterances`."""
    row = UtteranceRow(
        asset_id="a0",
        version="v0",
        clip=0,
        start_seconds=1.0,
        end_seconds=3.0,
        text="Good evening.",
        language="en",
        confidence=0.9,
        words=[],
        source="faster-whisper:small",
        in_transcript=True,
        speaker=None,
        revision="w0",
        language_probability=0.99,
        log_probability=-0.2,
        no_speech_probability=0.01,
        compression_ratio=1.2,
        temperature=0.0,
        doubts=[],
        write_id="w0",
    )
    return replace(row, **columns)


def cost_row(**columns: Any) -> CostRow:
    """A row of `costs`."""
    row = CostRow(
        asset_id="a0",
        run_id="r0",
        version="v0",
        uri="file:///data/a0.mp4",
        stage="ocr",
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=10),
        seconds=10.0,
        cpu_seconds=8.0,
        gpu_seconds=0.0,
        items=5,
        bytes=100,
        fetched_bytes=0,
        input_tokens=0,
        output_tokens=0,
        money=None,
        batched=0,
        places=0.0,
        length=0.0,
        padded=0.0,
    )
    return replace(row, **columns)
