"""Slide videos, with a pointer that never rests or without, and what stands on each slide."""

from pathlib import Path

from benchmarks.corpora.truth import Made, Shown
from benchmarks.slides import make_slide_video, slide_lines


def make_slides(
    folder: Path,
    *,
    seconds: int,
    files: int = 1,
    slide_seconds: int = 10,
    size: tuple[int, int] = (1280, 720),
    pointer: bool = True,
) -> list[Made]:
    """Write slide videos, no slide of which is in another."""
    made, first = [], 0
    for number in range(files):
        path = folder / f"slides-{number:04}.mp4"
        count = make_slide_video(
            path, seconds=seconds, slide_seconds=slide_seconds, size=size, first=first, pointer=pointer
        )
        made.append(Made(path, slide_truth(first, count, slide_seconds, seconds)))
        first += count
    return made


def slide_truth(first: int, count: int, slide_seconds: int, seconds: int) -> tuple[Shown, ...]:
    """State what stands when."""
    return tuple(
        Shown(
            "\n".join(slide_lines(first + number)),
            float(number * slide_seconds),
            float(min((number + 1) * slide_seconds, seconds)),
        )
        for number in range(count)
    )
