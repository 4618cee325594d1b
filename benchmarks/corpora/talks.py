"""Talks: sound in which sentences of different lengths are said, with pauses.

Words come from the bank of the tests, spoken by eSpeak NG; nothing has to be installed.
"""

from pathlib import Path

import numpy as np

from benchmarks.corpora.truth import Made, Shown
from tests.speech_media import Placed, say, sentence, track, write_sound


def make_talks(
    folder: Path, *, files: int, least_seconds: float = 4, most_seconds: float = 120
) -> list[Made]:
    """Write talks of many lengths."""
    rng = np.random.default_rng(1)
    made = []
    for number in range(files):
        seconds = float(rng.uniform(least_seconds, most_seconds))
        placed = speak(rng, seconds)
        path = folder / f"talk-{number:04}.mp3"
        write_sound(path, track(placed, seconds).samples, bit_rate=64_000)
        shown = (
            Shown(one.text, one.start_seconds, one.start_seconds + say(one.text).seconds) for one in placed
        )
        made.append(Made(path, tuple(shown)))
    return made


def speak(rng: np.random.Generator, seconds: float) -> list[Placed]:
    """Say one to four sentences at a time, which become one piece, and pause."""
    placed: list[Placed] = []
    at = 0.3
    while True:
        for _ in range(int(rng.integers(1, 5))):
            text = sentence(rng)
            length = say(text).seconds
            if at + length > seconds:
                return placed
            placed.append(Placed(at, text))
            at += length + 0.8
        at += float(rng.uniform(1.7, 4))
