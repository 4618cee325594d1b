"""The benchmark of decoding compares equal work."""

from pathlib import Path

import pytest

from benchmarks.decoding import DISTINCT, VIDEOS, is_equal, measure


@pytest.mark.parametrize("video", sorted(VIDEOS))
def test_every_tool_gives_the_frames_at_each_second(tmp_path: Path, video: str) -> None:
    """Gloss and PyAV at least; the default mode gives what decoding everything gives."""
    path = tmp_path / "made.mp4"
    VIDEOS[video](path, 4, (320, 192))

    measured = measure(path, 4, 1)

    assert {"Gloss, interval", "PyAV, plain loop", DISTINCT} <= set(measured.figures)
    assert is_equal(path)
