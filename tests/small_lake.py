"""A lake written by hand, so that tests of the reading verbs know every row of it.

A talk of two clips (the second slide in Chinese), a report of two pages, a picture whose text
would steer a terminal, and a broken file. One finished run and one that found nothing new.
"""

from dataclasses import replace
from pathlib import Path

from operators.commit import commit, put_run
from operators.lake import Lake
from operators.write import write_rows
from schemas.tables import (
    AssetRow,
    CitationRow,
    ClipRow,
    Count,
    FailureRow,
    PageTableRow,
    StageCost,
    TextRegionRow,
    UtteranceRow,
)
from tests.rows import NOW, asset_row, run_row, segment_row, utterance_row

TALK, REPORT, PICTURE, BROKEN = "aa11talk", "bb22report", "cc33picture", "aa99broken"

STEERING = "\x1b[31mred\x1b[0m \x9b2J \u202eevil"


def _assets() -> list[AssetRow]:
    return [
        asset_row(
            asset_id=TALK,
            uri="file:///data/talks/moon.mp4",
            title="The Moon",
            summary="The Moon moves the sea.",
            duration_seconds=60.0,
            clip_count=2,
            segment_count=2,
            write_id="w1",
        ),
        asset_row(
            asset_id=REPORT,
            uri="file:///data/docs/café report.pdf",
            kind="document",
            media_type="application/pdf",
            duration_seconds=None,
            page_count=2,
            clip_count=2,
            title="Café report",
            summary="The café sold 412 croissants.",
            status="partial",
            failure_count=1,
            write_id="w2",
        ),
        asset_row(
            asset_id=PICTURE,
            uri="file:///data/pictures/poster.png",
            kind="image",
            title=STEERING,
            summary=None,
            duration_seconds=None,
            write_id="w3",
        ),
        asset_row(
            asset_id=BROKEN,
            uri="file:///data/talks/broken.mp4",
            title=None,
            summary=None,
            duration_seconds=None,
            status="failed",
            clip_count=0,
            segment_count=0,
            failure_count=1,
            write_id="w4",
        ),
    ]


def clip_row(asset: str, clip: int, text: str, write_id: str, **columns: object) -> ClipRow:
    """A row of `clips`."""
    values: dict[str, object] = {
        "asset_id": asset,
        "version": "v0",
        "segment": 0,
        "clip": clip,
        "start_seconds": None,
        "end_seconds": None,
        "page": None,
        "title": None,
        "summary": None,
        "summary_version": "s0",
        "summary_engine": None,
        "summary_revision": None,
        "summary_prompt": None,
        "summary_doubts": [],
        "caption": None,
        "caption_engine": None,
        "caption_revision": None,
        "caption_prompt": None,
        "caption_doubts": [],
        "planned_visual_tokens": None,
        "visual_tokens": None,
        "planned_text_tokens": None,
        "input_tokens": None,
        "output_tokens": None,
        "ocr_text": text,
        "transcript": None,
        "text_source": "ocr",
        "turned_degrees": 0,
        "width_px": 640,
        "height_px": 360,
        "write_id": write_id,
    }
    return ClipRow(**(values | columns))  # type: ignore[arg-type]  # checked when the table is built


def _clips() -> list[ClipRow]:
    return [
        clip_row(TALK, 0, "The Moon\nTides rise twice a day", "w1", start_seconds=0.0, end_seconds=30.0),
        clip_row(
            TALK,
            1,
            "秋夜观星\n请先让眼睛适应黑暗二十分钟",
            "w1",
            start_seconds=30.0,
            end_seconds=60.0,
            segment=1,
            caption="A telescope below the stars.",
        ),
        clip_row(
            REPORT, 0, "Café report\nSpring tide of visitors in May", "w2", page=1, text_source="text_layer"
        ),
        clip_row(REPORT, 1, "We sold 412 croissants and 96 éclairs.", "w2", page=2, text_source="text_layer"),
        clip_row(PICTURE, 0, STEERING, "w3", page=1),
    ]


def _region(
    asset: str, clip: int, text: str, write_id: str, at: float | None, page: int | None
) -> TextRegionRow:
    until, end = (None, None) if at is None else (at + 5, at + 6)
    return TextRegionRow(
        asset, "v0", clip, at, until, end, page, 0, text, 0.98, 0.1, 0.1, 0.6, 0.2, "ocr", write_id
    )


def _regions() -> list[TextRegionRow]:
    rows = [
        _region(TALK, 0, "The Moon", "w1", 0.0, None),
        _region(TALK, 0, "Tides rise twice a day", "w1", 12.0, None),
        _region(TALK, 1, "秋夜观星", "w1", 30.0, None),
        _region(TALK, 1, "请先让眼睛适应黑暗二十分钟", "w1", 31.0, None),
        _region(REPORT, 0, "Café report", "w2", None, 1),
        _region(REPORT, 1, "We sold 412 croissants and 96 éclairs.", "w2", None, 2),
        _region(PICTURE, 0, STEERING, "w3", None, 1),
    ]
    return [replace(row, region=index) for index, row in enumerate(rows)]


def _utterance(start: float, end: float, text: str) -> UtteranceRow:
    return utterance_row(
        asset_id=TALK,
        clip=int(start >= 30),
        start_seconds=start,
        end_seconds=end,
        text=text,
        source="subtitle:embedded:2",
        revision="",
        write_id="w1",
    )


def make(root: Path) -> Lake:
    """Write the lake below `root`."""
    lake = Lake(root / "lake")
    lake.create()
    utterances = [
        _utterance(1.0, 3.0, "Good evening, this is about the Moon."),
        _utterance(14.0, 17.0, "High water follows the"),
        _utterance(17.0, 20.0, "Moon around the Earth."),
        _utterance(33.0, 36.0, "Let your eyes get used to the dark."),
    ]
    segments = [
        segment_row(asset_id=TALK, end_seconds=30.0, title="The Moon", summary="Tides rise.", write_id="w1"),
        segment_row(
            asset_id=TALK, segment=1, start_seconds=30.0, title="秋夜观星", summary=None, write_id="w1"
        ),
        segment_row(
            asset_id=REPORT,
            start_seconds=None,
            end_seconds=None,
            first_page=1,
            last_page=2,
            title="Café report",
            summary=None,
            write_id="w2",
        ),
        segment_row(
            asset_id=PICTURE,
            start_seconds=None,
            end_seconds=None,
            first_page=1,
            last_page=1,
            title=None,
            summary=None,
            write_id="w3",
        ),
    ]
    failures = [
        FailureRow(
            BROKEN, "v0", "file:///data/talks/broken.mp4", "probe", "truncated",
            "The index is missing. Copy the file again.", None, None, None, "r0", NOW, "w4",
        ),
        FailureRow(
            REPORT, "v0", "file:///data/docs/café report.pdf", "ocr", "timeout",
            "Page 2 took too long.", 2, None, None, "r0", NOW, "w2",
            "gloss try '/data/docs/café report.pdf' --page 2",
        ),
    ]  # fmt: skip
    files = [
        write_rows(lake, "segments", segments),
        write_rows(lake, "clips", _clips()),
        write_rows(lake, "text_regions", _regions()),
        write_rows(lake, "utterances", utterances),
        write_rows(lake, "failures", failures),
        write_rows(lake, "page_tables", [PageTableRow(REPORT, "v0", 2, 0, "<table/>", [["a", "b"]], "w2")]),
        write_rows(
            lake,
            "citations",
            [
                CitationRow(
                    TALK, "v0", "asset", 0, 0, 0, "The Moon moves the sea.", 0, 1.0,
                    "The Moon moves the sea.", "subtitle:embedded:2", 14.0, 20.0,
                    None, None, None, None, None, "w1",
                ),
                CitationRow(
                    REPORT, "v0", "asset", 0, 1, 0, "The café sold 412 croissants.", 0, 1.0,
                    "The café sold 412 croissants.", "text_layer", None, None, 2, 0.1, 0.1, 0.6, 0.2, "w2",
                ),
            ],
        ),
        # A row of a commit that was never finished: nothing may show it.
        write_rows(
            lake, "clips", [clip_row(TALK, 7, "ghostword", "never", start_seconds=0.0, end_seconds=1.0)]
        ),
    ]  # fmt: skip
    commit(lake, _assets(), [file for file in files if file is not None])
    put_run(
        lake,
        run_row(
            run_id="r0",
            exit_code=3,
            discovered=6,
            ok=2,
            partial=1,
            failed=1,
            skipped=2,
            skipped_by_reason=[Count("unsupported", 2)],
            failures_by_reason=[Count("timeout", 1), Count("truncated", 1)],
            stages=[StageCost("decode", 12.5, 4, 1000), StageCost("ocr", 30.0, 6, 0)],
        ),
    )
    lake.write_views()
    return lake
