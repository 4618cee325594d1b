"""Benchmarks compare rows before speeds, and rivals give the same rows as Gloss."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.corpora import make
from benchmarks.rivals.work import frames_of, spans_of
from benchmarks.rows import compare, recall, require_same
from benchmarks.sides import DAFT, EVERY, LOOP, gloss, rival

ONE = {("a.mp4", 0): Counter(["High water"]), ("a.mp4", 1): Counter(["High water", "Low water"])}


def test_rows_are_compared_second_by_second() -> None:
    """The same line a second later is lost in one place and added in another."""
    later = {("a.mp4", 1): Counter(["High water"]), ("a.mp4", 2): Counter(["High water", "Low water"])}
    assert compare(ONE, ONE).rows == 1
    found = compare(ONE, later)
    assert found.rows == pytest.approx(1 / 3)
    assert found.lost == pytest.approx(2 / 3)
    assert found.added == pytest.approx(2 / 3)
    assert compare(ONE, {}).lost == 1


def test_different_rows_are_refused() -> None:
    """A ratio of speeds of different work is never printed."""
    assert require_same(ONE, ONE, ("one", "other")).lost == 0
    with pytest.raises(ValueError, match=r"Wanted the same words from one and other; 100.0% of the first"):
        require_same(ONE, {}, ("one", "other"))


def test_each_wanted_frame_is_given_once(tmp_path: Path) -> None:
    """One at each whole second, though pictures are skipped and spans begin between key frames."""
    _, (made,) = make("slides", tmp_path, seconds=5, slide_seconds=1)
    times = [time for span in spans_of(str(made.path), 2) for time, _ in frames_of(span)]
    assert times == [0, 1, 2, 3, 4]


def test_all_sides_give_the_rows_that_are_true(tmp_path: Path) -> None:
    """Each in a process of its own, as it is measured."""
    _, made = make("slides", tmp_path, seconds=2, slide_seconds=1, size=(640, 360))
    sides = [rival("loop", LOOP), gloss(EVERY, "sampling.strategy=interval", "run.cpus=2")]
    if importlib.util.find_spec("daft") is not None:
        sides.append(rival("daft_frames", DAFT))
    read = [side.read([item.path for item in made], tmp_path / str(at)) for at, side in enumerate(sides)]
    for side, turn in zip(sides, read, strict=True):
        assert recall(made, turn.result) == 1, side.name
        require_same(read[0].result, turn.result, (sides[0].name, side.name))
        assert turn.cpu_seconds > 0
