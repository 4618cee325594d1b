"""Cutting loses no speech, doubles none, and gives pieces that Whisper can take."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.cut_speech import (
    BEGINS,
    BRIDGED_FRAMES,
    JOINED_FRAMES,
    LEAST_FRAMES,
    MOST_FRAMES,
    PADDING,
    STAYS,
    Cut,
    SpeechCutter,
)
from operators.speech_engine import PIECE_SECONDS, SAMPLE_RATE
from operators.voice import FRAME_SAMPLES

MOST_SAMPLES = int(PIECE_SECONDS * SAMPLE_RATE)

Runs = list[tuple[float, int]]

# A run of frames of one probability: (probability, frames).
_levels = st.sampled_from([0.0, 0.1, 0.34, 0.36, 0.45, 0.5, 0.7, 0.99])
_lengths = st.one_of(st.integers(1, 12), st.integers(1, 120), st.integers(1, 1500))
runs = st.lists(st.tuples(_levels, _lengths), max_size=25)


def spread(shape: Runs) -> list[float]:
    """Write runs out frame by frame."""
    return [level for level, length in shape for _ in range(length)]


def cut(probabilities: Sequence[float], block: int | None = None, missing: int = 0) -> list[Cut]:
    """Push all, in blocks of a size; the last frame lacks some samples."""
    cutter, cuts = SpeechCutter(), list[Cut]()
    step = block or max(len(probabilities), 1)
    for first in range(0, len(probabilities), step):
        cuts += cutter.push(probabilities[first : first + step])
    return [*cuts, *cutter.finish(max(len(probabilities) * FRAME_SAMPLES - missing, 0))]


def detected(probabilities: Sequence[float]) -> set[int]:
    """Say in which frames a voice is detected, by the definition and without streaming."""
    talking, voiced = False, list[bool]()
    for probability in probabilities:
        talking = probability >= (STAYS if talking else BEGINS)
        voiced.append(talking)
    frames: set[int] = set()
    stretch: list[int] = []
    for frame in [index for index, voice in enumerate(voiced) if voice]:
        if stretch and frame - stretch[-1] > BRIDGED_FRAMES:
            frames |= _filled(stretch)
            stretch = []
        stretch.append(frame)
    return frames | _filled(stretch)


def _filled(stretch: list[int]) -> set[int]:
    if not stretch or stretch[-1] + 1 - stretch[0] < LEAST_FRAMES:
        return set()
    return set(range(stretch[0], stretch[-1] + 1))


def seconds(samples: int) -> float:
    """Turn samples into seconds."""
    return samples / SAMPLE_RATE


@given(runs, st.integers(0, FRAME_SAMPLES - 1))
def test_nothing_detected_is_lost_or_doubled(shape: Runs, missing: int) -> None:
    """The stretches of all pieces together are exactly what was detected, in order."""
    probabilities = spread(shape)
    total = max(len(probabilities) * FRAME_SAMPLES - missing, 0)
    found = [span for piece in cut(probabilities, missing=missing) for span in piece.speech]
    covered = [sample for start, end in found for sample in range(start, end, FRAME_SAMPLES)]
    assert covered == [frame * FRAME_SAMPLES for frame in sorted(detected(probabilities))]
    assert all(start < end <= total for start, end in found)


@given(runs)
def test_pieces_are_in_order_apart_and_not_too_long(shape: Runs) -> None:
    """No piece is longer than 30 s, none overlaps its neighbour, each holds its own speech."""
    probabilities = spread(shape)
    taken = 0
    for piece in cut(probabilities):
        assert taken <= piece.start <= piece.speech[0][0]
        assert piece.speech[-1][1] <= piece.end <= len(probabilities) * FRAME_SAMPLES
        assert piece.speech[0][0] - piece.start <= PADDING
        assert piece.end - piece.speech[-1][1] <= PADDING
        assert piece.end - piece.start <= MOST_SAMPLES
        taken = piece.end


@given(runs, st.integers(1, 700))
def test_blocks_do_not_matter(shape: Runs, block: int) -> None:
    """The same probabilities give the same pieces, whatever blocks they come in."""
    probabilities = spread(shape)
    assert cut(probabilities, block) == cut(probabilities)


@given(runs)
def test_pieces_come_out_soon_and_never_before_what_was_settled(shape: Runs) -> None:
    """A piece waits for at most 30 s of sound after its start, and `settled` keeps its promise."""
    cutter, settled = SpeechCutter(), 0
    for frame, probability in enumerate(spread(shape)):
        for piece in cutter.push([probability]):
            assert piece.start >= settled
            waited = (frame + 1) * FRAME_SAMPLES - piece.start
            assert waited <= MOST_SAMPLES + (JOINED_FRAMES + BRIDGED_FRAMES) * FRAME_SAMPLES
        assert cutter.settled >= settled
        settled = cutter.settled


def test_short_pauses_join_and_long_ones_divide() -> None:
    """Sentences with 1 s between them are one piece; 3 s of silence make two."""
    sentence, pause, silence = (0.9, 60), (0.0, 31), (0.0, 94)
    joined = cut(spread([silence, sentence, pause, sentence, silence]))
    assert [len(piece.speech) for piece in joined] == [2]
    divided = cut(spread([silence, sentence, silence, sentence, silence]))
    assert [len(piece.speech) for piece in divided] == [1, 1]
    assert divided[0].start == 94 * FRAME_SAMPLES - PADDING
    assert divided[0].end == 154 * FRAME_SAMPLES + PADDING


def test_a_click_is_no_speech_but_a_word_is() -> None:
    """64 ms are ignored, 0.1 s are kept: the shortest words are little longer."""
    assert cut(spread([(0.0, 50), (0.9, 2), (0.0, 50)])) == []
    (word,) = cut(spread([(0.0, 50), (0.9, 3), (0.0, 50)]))
    assert word.speech == [(50 * FRAME_SAMPLES, 53 * FRAME_SAMPLES)]


def test_long_speech_is_cut_in_its_longest_late_pause() -> None:
    """Of pauses at 10, 18 and 25 s the one at 18 s is longest in the second half, and is taken."""
    shape = [(0.9, 310), (0.0, 40), (0.9, 210), (0.0, 20), (0.9, 200), (0.0, 8), (0.9, 400), (0.0, 80)]
    first, second = cut(spread(shape))
    assert first.speech[-1][1] == 560 * FRAME_SAMPLES
    assert second.speech[0][0] == 580 * FRAME_SAMPLES
    assert first.end == second.start or first.end - first.speech[-1][1] == PADDING


def test_an_early_pause_is_better_than_none() -> None:
    """Speech without a pause in its second half is cut in the pause before, not in a word."""
    first, second = cut(spread([(0.9, 200), (0.0, 10), (0.9, 800), (0.0, 80)]))
    assert first.speech == [(0, 200 * FRAME_SAMPLES)]
    assert second.speech == [(210 * FRAME_SAMPLES, 1010 * FRAME_SAMPLES)]


def test_speech_without_pause_is_cut_where_a_voice_is_least_probable() -> None:
    """A dip that is no silence decides; the two pieces touch there."""
    shape = [(0.9, 700), (0.4, 3), (0.9, 600), (0.0, 80)]
    first, second = cut(spread(shape))
    assert first.end == second.start == 701 * FRAME_SAMPLES


def test_hours_of_unbroken_speech_stay_small_in_memory() -> None:
    """Two hours of voice without any pause become pieces of 15 to 30 s, and little is remembered."""
    cutter, cuts = SpeechCutter(), list[Cut]()
    noise = np.random.default_rng(0)
    for _ in range(7200 // 32):
        cuts += cutter.push(noise.uniform(0.6, 1, 1000).tolist())
    assert all(14 <= seconds(piece.end - piece.start) <= PIECE_SECONDS for piece in cuts)
    assert len(cutter._heard) <= 4 * MOST_FRAMES
