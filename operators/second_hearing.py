"""What a recogniser of speech got wrong is found by signals that cost nothing, and heard again.

Whisper is known to run in loops, to invent text where nobody speaks, to take one language for
another in short pieces, and to leave out stretches of speech without a word. Its own figures
(Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022, section 4.5)
tell of the first two; what is said around a piece, of the third; the voice detector, of the last.
What stays doubtful is kept and marked; speech without words becomes a failure.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from operators.speech_engine import (
    MAX_COMPRESSION_RATIO,
    MAX_NO_SPEECH_PROBABILITY,
    MIN_LOG_PROBABILITY,
    Heard,
    Transcript,
)
from operators.utterances import uncovered
from schemas.perception import Doubt, Piece, Stretch, Word

WORD_SLACK_SECONDS = 0.5
"""How far from a word its voice may lie. Word times of Whisper are off by up to 0.3 s, and a
voice goes on in the short pauses between words."""

_SILENT_SECONDS = 0.5
"""A stretch of voice shorter than this need not hold a word: it may be a cough or a breath."""

_GAP_SECONDS = 2.0
"""A gap between the words of one stretch from which something may have been left out."""

_SURE_LANGUAGE = 0.5
"""Probability from which another language than before is believed."""

_SHORT_SECONDS = 3.0
_SURE_SHORT_LANGUAGE = 0.9
"""Of a piece so short the language is believed against its neighbours only from here on."""

_JOINED_SECONDS = 5.0
"""Stretches without words that are nearer than this are one failure."""


@dataclass(frozen=True, slots=True)
class Said:
    """What was heard together, on the asset's clock, and what is doubtful about it."""

    heard: Heard
    """Its times, and those of its words, are on the asset's clock."""
    transcript: Transcript
    """Of the piece it is from; its times are not used."""
    doubts: tuple[Doubt, ...] = ()


def is_doubtful(transcript: Transcript) -> bool:
    """Tell whether a piece is worth another hearing at other temperatures."""
    return any(_doubts(heard) for heard in transcript.heard)


def _doubts(heard: Heard) -> list[Doubt]:
    doubts = []
    if heard.compression_ratio > MAX_COMPRESSION_RATIO:
        doubts.append(Doubt.REPETITION)
    if heard.log_probability < MIN_LOG_PROBABILITY:
        doubts.append(Doubt.IMPROBABLE)
    return doubts


def better(first: Transcript, second: Transcript) -> Transcript:
    """Choose between two hearings of a piece; the first where they are equal.

    No words are better than doubtful ones only if the model holds that nobody speaks.
    """
    return max(first, second, key=_trust)


def _trust(transcript: Transcript) -> tuple[int, float]:
    if not transcript.heard:
        return (2 if transcript.no_speech_probability > MAX_NO_SPEECH_PROBABILITY else 0), 0.0
    repeats = any(Doubt.REPETITION in _doubts(heard) for heard in transcript.heard)
    rank = 3 if not is_doubtful(transcript) else 0 if repeats else 1
    return rank, log_probability(transcript)


def log_probability(transcript: Transcript) -> float:
    """Mean over what was heard, weighted by its length; minus infinity where nothing was."""
    weights = [max(len(heard.words), 1) for heard in transcript.heard]
    if not weights:
        return float("-inf")
    total = sum(
        heard.log_probability * weight for heard, weight in zip(transcript.heard, weights, strict=True)
    )
    return total / sum(weights)


def main_language(pieces: Sequence[Piece], transcripts: Sequence[Transcript | None]) -> str | None:
    """Return the language that most is said in, by seconds and how sure it is."""
    weights: dict[str, float] = defaultdict(float)
    for piece, transcript in zip(pieces, transcripts, strict=True):
        if transcript is not None and transcript.heard and transcript.language is not None:
            seconds = piece.end_seconds - piece.start_seconds
            weights[transcript.language] += seconds * (transcript.language_probability or 0.0)
    return max(sorted(weights), key=lambda language: weights[language], default=None)


def is_flip(piece: Piece, transcript: Transcript, main: str | None) -> bool:
    """Tell whether the language of a piece differs from the main one without being sure."""
    if main is None or not transcript.heard or transcript.language in (main, None):
        return False
    short = piece.end_seconds - piece.start_seconds < _SHORT_SECONDS
    sure = _SURE_SHORT_LANGUAGE if short else _SURE_LANGUAGE
    return (transcript.language_probability or 0.0) < sure


def on_clock(piece: Piece, transcript: Transcript, *, flipped: bool = False) -> list[Said]:
    """Put what was heard in a piece on the asset's clock, with its doubts.

    Args:
        piece: The piece.
        transcript: What was heard; times from the piece's start.
        flipped: Whether its language is doubtful.
    """
    said = []
    for heard in transcript.heard:
        moved = _moved(heard, piece)
        doubts = [*_doubts(heard)]
        if transcript.no_speech_probability > MAX_NO_SPEECH_PROBABILITY:
            doubts.append(Doubt.NO_SPEECH)
        if flipped:
            doubts.append(Doubt.LANGUAGE)
        said.append(Said(moved, transcript, tuple(doubts)))
    return said


def _moved(heard: Heard, piece: Piece) -> Heard:
    seconds = piece.start_seconds
    words = [
        _voiced(
            replace(
                word,
                start_seconds=round(word.start_seconds + seconds, 3),
                end_seconds=round(word.end_seconds + seconds, 3),
            ),
            piece.speech,
        )
        for word in heard.words
    ]
    return replace(
        heard,
        start_seconds=round(heard.start_seconds + seconds, 3),
        end_seconds=round(heard.end_seconds + seconds, 3),
        words=words,
    )


def _voiced(word: Word, speech: Sequence[Stretch]) -> Word:
    """Take silence off the ends of a word.

    Whisper's alignment begins with the piece, so the first word takes the silence before it, and
    each word the pause that follows.
    """
    voices = [
        stretch
        for stretch in speech
        if stretch.end_seconds > word.start_seconds and stretch.start_seconds < word.end_seconds
    ]
    if not voices:
        return word
    start = max(word.start_seconds, voices[0].start_seconds)
    end = min(word.end_seconds, voices[-1].end_seconds)
    return replace(word, start_seconds=round(start, 3), end_seconds=round(max(end, start), 3))


def wordless(speech: Sequence[Stretch], words: Sequence[Word]) -> list[Stretch]:
    """Find where a voice was detected and no word is: whole stretches, or long gaps in one."""
    found: list[Stretch] = []
    for stretch in speech:
        for gap in uncovered([stretch], words, WORD_SLACK_SECONDS):
            least = _SILENT_SECONDS if gap == stretch else _GAP_SECONDS
            if gap.end_seconds - gap.start_seconds >= least:
                found.append(gap)
    return found


def within(said: Said, stretch: Stretch, known: Iterable[Word]) -> Said | None:
    """Leave only the new words that are spoken in a stretch, by their middle; None without any."""
    taken = [(word.start_seconds, word.end_seconds) for word in known]
    words = [
        word
        for word in said.heard.words
        if _is_between(
            word, stretch.start_seconds - WORD_SLACK_SECONDS, stretch.end_seconds + WORD_SLACK_SECONDS
        )
        and not any(_is_between(word, *span) for span in taken)
    ]
    if not any(word.word.strip() for word in words):
        return None
    return replace(said, heard=replace(said.heard, words=words))


def _is_between(word: Word, start_seconds: float, end_seconds: float) -> bool:
    return start_seconds <= (word.start_seconds + word.end_seconds) / 2 <= end_seconds


def is_voiced(words: Sequence[Word], speech: Iterable[Stretch]) -> bool:
    """Tell whether any of some words is near a detected voice."""
    return any(
        word.start_seconds - WORD_SLACK_SECONDS < stretch.end_seconds
        and word.end_seconds + WORD_SLACK_SECONDS > stretch.start_seconds
        for stretch in speech
        for word in words
    )


def joined(stretches: Iterable[Stretch]) -> list[list[Stretch]]:
    """Group stretches, in order of time, that are near each other."""
    groups: list[list[Stretch]] = []
    for stretch in stretches:
        if groups and stretch.start_seconds - groups[-1][-1].end_seconds <= _JOINED_SECONDS:
            groups[-1].append(stretch)
        else:
            groups.append([stretch])
    return groups
