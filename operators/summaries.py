"""Summaries in three levels, every sentence of which can be traced.

A clip's summary is picked from its own sentences, a segment's from those of its clips, an
asset's from those of its segments. A long video or document is never looked at as a whole,
so that cost grows with its length and not faster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from operators.extract import Candidate, fit, pick, unit_vector
from operators.sentences import ends_sentence
from schemas.box import Box
from schemas.config import Summary

CLIP_CHARACTERS = 500
SEGMENT_CHARACTERS = 900
ASSET_CHARACTERS = 1500
"""Most characters of a summary, whatever its number of sentences."""

CHOSEN_BELOW = 1.5
"""How much more a sentence counts that already stands in the summary below."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence with the evidence for it."""

    candidate: Candidate
    source: str
    clip: int
    time_seconds: float | None = None
    until_seconds: float | None = None
    page: int | None = None
    box: Box | None = None

    @property
    def text(self) -> str:
        """The sentence as it stands in a summary."""
        return self.candidate.text


@dataclass(frozen=True, slots=True)
class Summaries:
    """Sentences of each summary, in the order of the source."""

    clips: list[list[Statement]]
    segments: list[list[Statement]]
    asset: list[Statement]


def joined_text(sentences: Sequence[str]) -> str | None:
    """Write a summary: sentences follow each other, lines of slides stand by themselves."""
    if not sentences:
        return None
    text = sentences[0]
    for before, sentence in pairwise(sentences):
        joined = ends_sentence(before) and ends_sentence(sentence)
        text += (" " if joined else "\n") + sentence
    return text


def summarise(
    clips: Sequence[Sequence[Statement]],
    segments: Sequence[tuple[int, int]],
    rarity: Mapping[str, float],
    settings: Summary,
) -> Summaries:
    """Pick sentences for clips, segments and the asset.

    Args:
        clips: statements of each clip, in order.
        segments: `[first, end)` clips of each segment.
        rarity: inverse document frequency of each word.
        settings: how many sentences each level takes.

    Returns:
        The picked statements. A level chooses what stands in the summaries below it and
        falls back to their runners-up when those are fewer than it wants.
    """
    most = max(settings.clip_sentences, settings.segment_sentences, settings.asset_sentences)
    clip_levels = [
        _level(_Choice.new(statements, rarity), settings.clip_sentences, CLIP_CHARACTERS, most)
        for statements in clips
    ]
    segment_levels = [
        _level(_Choice.below(clip_levels[first:end]), settings.segment_sentences, SEGMENT_CHARACTERS, most)
        for first, end in segments
    ]
    asset = _level(_Choice.below(segment_levels), settings.asset_sentences, ASSET_CHARACTERS, most)
    return Summaries(
        [level.chosen for level in clip_levels], [level.chosen for level in segment_levels], asset.chosen
    )


@dataclass(frozen=True, slots=True)
class _Choice:
    """What a level chooses from, as parallel lists."""

    statements: Sequence[Statement]
    vectors: Sequence[Mapping[str, float]]
    bonus: Sequence[float] | None = None
    parts: Sequence[int] | None = None

    @classmethod
    def new(cls, statements: Sequence[Statement], rarity: Mapping[str, float]) -> "_Choice":
        return cls(statements, [unit_vector(item.candidate.tokens, rarity) for item in statements])

    @classmethod
    def below(cls, levels: Sequence["_Level"]) -> "_Choice":
        return cls(
            [statement for level in levels for statement in level.pool.statements],
            [vector for level in levels for vector in level.pool.vectors],
            [factor for level in levels for factor in level.pool.bonus or ()],
            [part for part, level in enumerate(levels) for _ in level.pool.statements],
        )


@dataclass(frozen=True, slots=True)
class _Level:
    """A summary, and its sentences with the runners-up, both in order of the source."""

    chosen: list[Statement]
    pool: _Choice


def _level(choice: _Choice, count: int, characters: int, most: int) -> _Level:
    candidates = [statement.candidate for statement in choice.statements]
    order = pick(candidates, choice.vectors, most, choice.bonus, choice.parts)
    chosen = sorted(fit(candidates, order, count, characters))
    kept = sorted(order)
    ahead = set(chosen)
    pool = _Choice(
        [choice.statements[index] for index in kept],
        [choice.vectors[index] for index in kept],
        [CHOSEN_BELOW if index in ahead else 1.0 for index in kept],
    )
    return _Level([choice.statements[index] for index in chosen], pool)
