"""Cut sound where nobody speaks, into pieces that a recogniser can take.

Whisper hears at most 30 s at once, and pays for 30 s however short a piece is. So neighbouring
stretches of speech are joined while the silence between them is short; a long silence ends a
piece, because Whisper is known to invent words in it. What is longer than 30 s is cut in
its longest pause, and only speech without any pause where a voice was least probable.

Everything is counted in samples from the beginning of one unbroken run of sound.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from operators.speech_engine import PIECE_SECONDS, SAMPLE_RATE
from operators.voice import FRAME_SAMPLES

BEGINS = 0.5
STAYS = 0.35
"""Probabilities from which a voice begins, and down to which it goes on: those of Silero's own tools."""

BRIDGED_FRAMES = 4
"""Silence shorter than this (128 ms) does not divide a stretch: consonants close the mouth for so long."""

LEAST_FRAMES = 3
"""Shorter stretches (under 96 ms) are clicks: the shortest words ("no", "yes") have some 200 ms."""

JOINED_FRAMES = round(2.0 * SAMPLE_RATE / FRAME_SAMPLES)
"""Silence of 2 s ends a piece. Pauses of speakers are mostly shorter, so pieces become full."""

PADDING = round(0.2 * SAMPLE_RATE)
"""Samples kept on both sides of a piece: the model notices soft beginnings and endings late."""

MOST_FRAMES = int(PIECE_SECONDS * SAMPLE_RATE - 2 * PADDING) // FRAME_SAMPLES
"""From the first to the last speech of a piece."""

_SMOOTHED_FRAMES = 3

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece, as half-open ranges of samples."""

    start: int
    end: int
    speech: Sequence[Span]
    """Stretches in which a voice was detected, without padding."""


class SpeechCutter:
    """Turns probabilities of a voice into pieces as soon as nothing can change them any more.

    A piece comes out at the latest 30 s after it began, or when 2 s of silence have ended it.
    """

    def __init__(self) -> None:
        """Begin at sample 0."""
        self._frames = 0
        self._talking = False
        self._latest: list[int] | None = None
        """The latest stretch of frames with a voice, long enough or not."""
        self._stretches: list[list[int]] = []
        """Stretches of the piece that is being collected, long enough each."""
        self._heard: list[float] = []
        """Probabilities of the latest frames, at least those of the piece being collected."""
        self._taken = 0
        """End of the piece before, in samples."""

    @property
    def settled(self) -> int:
        """The sample before which no further piece will begin."""
        first = self._stretches[0] if self._stretches else self._latest
        return self._padded_start(self._frames if first is None else first[0])

    def push(self, probabilities: Iterable[float]) -> Iterator[Cut]:
        """Take the probabilities of the next frames; yield the pieces that are complete."""
        for probability in probabilities:
            self._heard.append(probability)
            self._talking = probability >= (STAYS if self._talking else BEGINS)
            if self._talking:
                self._extend(self._frames)
            self._frames += 1
            yield from self._complete()

    def finish(self, samples: int) -> Iterator[Cut]:
        """Yield what is left when the run ends after so many samples."""
        if self._stretches:
            yield self._cut(self._stretches, samples)
        self._stretches, self._latest = [], None

    def _extend(self, frame: int) -> None:
        if self._latest is not None and frame - self._latest[1] < BRIDGED_FRAMES:
            self._latest[1] = frame + 1
        else:
            self._latest = [frame, frame + 1]
        is_new = not self._stretches or self._stretches[-1] is not self._latest
        if is_new and self._latest[1] - self._latest[0] >= LEAST_FRAMES:
            self._stretches.append(self._latest)

    def _complete(self) -> Iterator[Cut]:
        while self._stretches and self._stretches[-1][1] - self._stretches[0][0] > MOST_FRAMES:
            yield self._split()
        if self._stretches and self._frames - self._stretches[-1][1] >= JOINED_FRAMES:
            yield self._cut(self._stretches, self._frames * FRAME_SAMPLES)
            self._stretches = []
        if self._latest is not None and self._frames - self._latest[1] >= BRIDGED_FRAMES:
            self._latest = None
        if len(self._heard) > 4 * MOST_FRAMES:
            del self._heard[: -2 * MOST_FRAMES]

    def _split(self) -> Cut:
        """Take a piece off the front of what has become too long."""
        start = self._stretches[0][0]
        half, limit = start + MOST_FRAMES // 2, start + MOST_FRAMES
        pauses = list(enumerate(pairwise(self._stretches), 1))
        late = [pause for pause in pauses if pause[1][0][1] >= half]
        if late:
            count = max(late, key=lambda pause: pause[1][1][0] - pause[1][0][1])[0]
        elif pauses:
            count = pauses[-1][0]
        else:
            return self._split_speech(self._weakest(half, limit))
        front, self._stretches = self._stretches[:count], self._stretches[count:]
        middle = (front[-1][1] + self._stretches[0][0]) * FRAME_SAMPLES // 2
        return self._cut(front, middle)

    def _split_speech(self, frame: int) -> Cut:
        (stretch,) = self._stretches
        front = [stretch[0], frame]
        cut = self._cut([front], frame * FRAME_SAMPLES)
        stretch[0] = frame
        return cut

    def _weakest(self, start: int, end: int) -> int:
        """Find the frame of a range where a voice is least probable, the last one of several."""
        oldest = self._frames - len(self._heard)
        heard = np.asarray(self._heard[start - oldest : end - oldest])
        smooth = np.convolve(heard, np.full(_SMOOTHED_FRAMES, 1 / _SMOOTHED_FRAMES), mode="valid")
        last = len(smooth) - 1 - int(np.argmin(smooth[::-1]))
        return start + last + _SMOOTHED_FRAMES // 2

    def _cut(self, stretches: Sequence[Sequence[int]], room: int) -> Cut:
        """Make a piece, padded up to the piece before it and to `room`."""
        speech = [(start * FRAME_SAMPLES, min(end * FRAME_SAMPLES, room)) for start, end in stretches]
        start, end = self._padded_start(stretches[0][0]), min(speech[-1][1] + PADDING, room)
        self._taken = end
        return Cut(start, end, speech)

    def _padded_start(self, frame: int) -> int:
        return max(frame * FRAME_SAMPLES - PADDING, self._taken)
