"""Choose which of several tellings of the same speech a transcript is made of.

Recognised speech, a sidecar file and embedded tracks in several languages tell the same thing.
All are kept; joined in one transcript, every sentence would stand twice.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Literal

from operators.language import iso_639_1
from schemas.perception import Doubt, Utterance

COVERED_SHARE = 0.5
"""Subtitles win over recognised speech if they stand for at least this share of its seconds:
forced ones (signs and foreign words only) and what is left of a damaged file do not."""

_SUBTITLE = "subtitle:"

_UNSPOKEN = frozenset({Doubt.NO_SPEECH, Doubt.NO_VOICE})
"""Words that a recogniser heard where probably nobody speaks need no subtitle."""


def main_sources(
    utterances: Sequence[Utterance],
    language: str | None,
    prefer: Literal["subtitles", "speech"] = "subtitles",
) -> frozenset[str]:
    """Choose the sources of the transcript.

    Among subtitle tracks the one in the language that is heard wins (if nothing is heard, the
    asset's own), then the longest.

    Args:
        utterances: Of all sources.
        language: The asset's own (ISO 639-1), if it is stated.
        prefer: What wins where there are subtitles and recognised speech.

    Returns:
        One subtitle track, or all that was recognised (the engine may have changed on the way);
        empty where there is no utterance.
    """
    heard = [item for item in utterances if not item.source.startswith(_SUBTITLE)]
    spoken = [item for item in heard if _UNSPOKEN.isdisjoint(item.doubts)]
    if prefer == "speech" and spoken:
        return frozenset(item.source for item in heard)
    told = _merged(spoken)
    least = COVERED_SHARE * sum(end - start for start, end in told)
    ordered = sorted(utterances, key=lambda item: item.source)
    tracks = {source: list(items) for source, items in groupby(ordered, key=lambda item: item.source)}
    ranks = {
        source: _rank(items, _language(spoken) or language)
        for source, items in tracks.items()
        if source.startswith(_SUBTITLE) and _shared(_merged(items), told) >= least
    }
    best = max(ranks, key=lambda source: (ranks[source], source), default=None)
    return frozenset(item.source for item in heard) if best is None else frozenset({best})


def _rank(track: Sequence[Utterance], language: str | None) -> tuple[bool, int]:
    languages = {iso_639_1(item.language) for item in track}
    return language in languages - {None}, sum(len(item.text) for item in track)


def _language(spoken: Sequence[Utterance]) -> str | None:
    """Name the language in which most is said."""
    letters: Counter[str] = Counter()
    for item in spoken:
        if language := iso_639_1(item.language):
            letters[language] += len(item.text)
    return max(sorted(letters), key=lambda name: letters[name], default=None)


def _merged(utterances: Iterable[Utterance]) -> list[tuple[float, float]]:
    """Return the stretches of time that utterances cover, apart from each other and in order."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted((item.start_seconds, item.end_seconds) for item in utterances):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _shared(left: Sequence[tuple[float, float]], right: Sequence[tuple[float, float]]) -> float:
    """Sum the seconds that two lists of stretches, as `_merged` gives them, have in common."""
    seconds, i, j = 0.0, 0, 0
    while i < len(left) and j < len(right):
        seconds += max(0.0, min(left[i][1], right[j][1]) - max(left[i][0], right[j][0]))
        if left[i][1] <= right[j][1]:
            i += 1
        else:
            j += 1
    return seconds
