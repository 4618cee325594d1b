"""A plan names every unit once, fits memory, and never raises for what is in a file."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.discover import discover
from operators.probe import Probe, plan_media, span_seconds
from operators.probe_video import MediaFacts
from schemas.config import Config, load_config
from schemas.media import Asset, Kind, Sidecar

ASSET = Asset("a", "v", "file:///a.mp4", "video", 1, "f", "c", container="mov")
HD = MediaFacts(kind=Kind.VIDEO, duration_seconds=3600.0, width_px=1280, height_px=720)


@given(st.integers(1, 8000), st.integers(1, 8000), st.floats(0.05, 60))
def test_span_carries_a_bounded_number_of_bytes(width: int, height: int, interval: float) -> None:
    """Whatever the resolution and the interval, a span holds under 200 MB of pixels or one sample."""
    config = load_config("embedded", None, [f"sampling.interval_seconds={interval}"])
    seconds = span_seconds(replace(HD, width_px=width, height_px=height), config)
    pixels = min(width * height, config.sampling.max_pixels)

    assert interval <= seconds <= 60
    assert pixels * 3 * seconds / interval <= 202e6 or seconds == interval


def test_hour_of_video_is_sixty_tasks_and_subtitles() -> None:
    """Each span is a task of its own, so that one video uses every core; indices have no gap."""
    asset = replace(ASSET, sidecars=[Sidecar("file:///a.srt", 1)])
    tasks = plan_media(asset, HD, Config())

    assert [unit.index for task in tasks for unit in task.units] == list(range(61))
    assert tasks[0].asset.unit_count == 61
    assert [len(task.units) for task in tasks] == [1] * 61
    assert tasks[-1].units[0].kind == "subtitles"


def test_audio_without_subtitles_is_one_unit_with_nothing_to_decode() -> None:
    """Plain audio is an asset too."""
    (task,) = plan_media(ASSET, MediaFacts(kind=Kind.AUDIO, duration_seconds=5.0), Config())

    assert (task.asset.kind, task.asset.unit_count, task.units[0].kind) == ("audio", 1, "nothing")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.mp4", b"", "empty"),
        ("a.mp4", b"#EXTM3U\nfile:///etc/passwd\n", "refused"),
        ("a.mp4", b"plain text", "corrupt"),
        ("a.pdf", b"%PDF-1.4\nnothing more", "corrupt"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "corrupt"),
    ],
)
def test_unreadable_file_is_a_plan_with_a_failure(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    """Its version follows its bytes, so that a mended file is new."""
    path = tmp_path / name
    path.write_bytes(content)
    (listing,) = discover([str(path)]).listings
    (task,) = Probe(Config())(listing)

    assert task.failures[0].stage == "probe"
    assert task.failures[0].reason in (reason, "truncated")
    assert task.asset.version
    assert task.skipped is None


def test_too_large_file_is_refused_by_its_listing(tmp_path: Path) -> None:
    """`limits.bytes` needs no decoder."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (listing,) = discover([str(tmp_path)]).listings
    (task,) = Probe(load_config("embedded", None, ["limits.bytes=50"]))(listing)

    assert task.failures[0].reason == "too_large"


def test_file_that_vanished_after_listing_is_a_failure(tmp_path: Path) -> None:
    """Between the listing and the reading anything can happen."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (listing,) = discover([str(tmp_path)]).listings
    (tmp_path / "a.png").unlink()
    (task,) = Probe(Config())(listing)

    assert task.failures[0].reason == "unreadable"
