"""Ids of work follow what a result depends on, and nothing else."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from operators.unit_id import DECODE, OCR, perception_id, plan_id, unit_id
from schemas.config import Config, load_config
from schemas.media import Asset, Unit

VIDEO = Asset("a", "v", "file:///a.mp4", "video", 9, "f", "c0", container="mov", unit_count=3)
SPAN = Unit(1, "span", 60.0, 120.0)
PDF = Asset("b", "v", "file:///b.pdf", "document", 9, "f", "c1", container="pdf", unit_count=9)
PAGE = Unit(4, "page", page=5)
WORDS = Unit(2, "subtitles")


def configured(*settings: str) -> Config:
    """The defaults with some settings."""
    return load_config("embedded", None, settings)


def span_read(config: Config) -> str:
    """A span whose pictures were recognised."""
    return unit_id(VIDEO, SPAN, config, OCR)


def page_read(config: Config) -> str:
    """A page that was recognised."""
    return unit_id(PDF, PAGE, config, OCR)


def page_text(config: Config) -> str:
    """A page with a text layer."""
    return unit_id(PDF, PAGE, config, DECODE)


def subtitles(config: Config) -> str:
    """Subtitle tracks."""
    return unit_id(VIDEO, WORDS, config, DECODE)


def plan(config: Config) -> str:
    """Where units begin and end."""
    return plan_id("c0", "", "mov", config)


@pytest.mark.parametrize(
    ("setting", "redone"),
    [
        ("ocr.engine=off", {span_read, page_read}),
        ("ocr.min_confidence=0.6", {span_read, page_read}),
        ("sampling.interval_seconds=2", {span_read, plan}),
        ("sampling.strategy=interval", {span_read}),
        ("sampling.clip_seconds=20", set()),
        ("documents.dpi=200", {page_read, page_text}),
        ("documents.pages_per_task=2", set()),
        ("summary.asset_sentences=2", set()),
        ("resources.ocr_workers=3", set()),
        ("limits.memory_bytes=999999999", set()),
        ("limits.pages=5", {plan}),
    ],
)
def test_setting_redoes_what_depends_on_it(setting: str, redone: set[Callable[[Config], str]]) -> None:
    """Another recogniser does not read text layers again; another summary reads nothing again."""
    before, after = configured(), configured(setting)
    works = (span_read, page_read, page_text, subtitles, plan)

    assert {work for work in works if work(before) != work(after)} == redone


def test_place_and_content_are_in_the_id() -> None:
    """Equal bytes elsewhere are the same work; other bytes or another place are not."""
    config = Config()
    moved = replace(VIDEO, asset_id="z", uri="file:///elsewhere/z.mp4", version="w", fingerprint="g")
    others = {
        unit_id(VIDEO, SPAN, config, OCR),
        unit_id(VIDEO, SPAN, config, DECODE),
        unit_id(replace(VIDEO, content_hash="c9"), SPAN, config, OCR),
        unit_id(VIDEO, replace(SPAN, start_seconds=61.0), config, OCR),
    }

    assert unit_id(moved, SPAN, config, OCR) == unit_id(VIDEO, SPAN, config, OCR)
    assert len(others) == 4


def test_sidecars_concern_subtitles_alone() -> None:
    """A corrected subtitle file does not decode the video again."""
    corrected = replace(VIDEO, sidecar_hash="s1")

    assert unit_id(corrected, SPAN, Config(), OCR) == unit_id(VIDEO, SPAN, Config(), OCR)
    assert unit_id(corrected, WORDS, Config(), DECODE) != unit_id(VIDEO, WORDS, Config(), DECODE)


@pytest.mark.parametrize(
    ("setting", "kinds"),
    [
        ("sampling.interval_seconds=2", {"video", "audio", ""}),
        ("sampling.clip_seconds=20", {"video", "audio", ""}),
        ("documents.dpi=200", {"document", "image", ""}),
        ("ocr.engine=off", {"video", "document", "image", ""}),
        ("summary.asset_sentences=2", set()),
    ],
)
def test_versions_follow_the_settings_of_their_kind(setting: str, kinds: set[str]) -> None:
    """Another resolution of pages makes no new versions of videos."""
    everything = ("video", "audio", "document", "image", "")
    before, after = configured(), configured(setting)

    assert {kind for kind in everything if perception_id(before, kind) != perception_id(after, kind)} == kinds
