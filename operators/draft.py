"""What composing makes of an asset before it is written as rows.

Videos and documents become the same thing here: clips with text, joined to segments.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from operators.extract import Candidate
from operators.segment import Block, Segment
from operators.sentences import Sentence
from operators.summaries import Statement
from operators.words import words
from schemas.box import Box
from schemas.perception import Line, Utterance

TITLE_FORM = 0.3
"""Titles stand in a column of their own; a summary takes one only where there is no more."""


@dataclass(frozen=True, slots=True)
class ClipDraft:
    """A clip or page with its text."""

    start_seconds: float | None = None
    end_seconds: float | None = None
    page: int | None = None
    title: str | None = None
    title_strength: float = 1.0
    title_confidence: float = 1.0
    ocr_text: str | None = None
    transcript: str | None = None
    text_source: str = "none"
    turned_degrees: int = 0
    width_px: int | None = None
    height_px: int | None = None
    statements: list[Statement] = field(default_factory=list)

    def block(self) -> Block:
        """Reduce to what segmenting looks at."""
        seconds = (self.end_seconds or 0.0) - (self.start_seconds or 0.0)
        text = f"{self.ocr_text or ''}\n{self.transcript or ''}"
        return Block(1.0 if self.page else seconds, self.title, Counter(words(text)), self.title_strength)


@dataclass(frozen=True, slots=True)
class RegionDraft:
    """A line of text and the clip in which it is first seen."""

    line: Line
    clip: int
    time_seconds: float | None = None
    until_seconds: float | None = None
    end_seconds: float | None = None
    """Exclusive: when it is gone."""
    page: int | None = None


@dataclass(frozen=True, slots=True)
class UtteranceDraft:
    """A stretch of speech and the clip that holds most of it."""

    utterance: Utterance
    clip: int | None
    in_transcript: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """An asset, composed but for its summaries."""

    clips: list[ClipDraft]
    segments: list[Segment]
    regions: list[RegionDraft]
    """In order of first sight, then of reading."""
    utterances: list[UtteranceDraft]
    title: str | None
    """The title its pictures or pages show."""


def union_box(lines: Iterable[Line]) -> Box | None:
    """Smallest box around some lines; None without any."""
    found = list(lines)
    if not found:
        return None
    return Box(
        min(line.x0 for line in found),
        min(line.y0 for line in found),
        max(line.x1 for line in found),
        max(line.y1 for line in found),
    )


def line_candidate(
    sentence: Sentence, lines: Sequence[Line], *, running: bool, factor: float = 1.0
) -> Candidate:
    """Judge a sentence read from lines; badly recognised ones count less."""
    judged = Candidate.of(sentence.text, whole=sentence.whole, running=running and not sentence.listed)
    confidence = min((lines[part].confidence for part in sentence.parts), default=1.0)
    return scaled(judged, factor * confidence)


def scaled(candidate: Candidate, factor: float) -> Candidate:
    """Lower (or raise) the form of a candidate."""
    return Candidate(candidate.text, candidate.form * factor, candidate.tokens)


def title_candidate(title: str) -> Candidate:
    """Let a title stand for a picture that says nothing else."""
    return scaled(Candidate.of(title, whole=False, running=False), TITLE_FORM)


def joined(texts: Iterable[str], separator: str) -> str | None:
    """Join texts; None where there is nothing to read."""
    text = separator.join(text.strip() for text in texts if text.strip())
    return text or None


def most_common_source(lines: Iterable[Line], default: str = "none") -> str:
    """Where most lines come from."""
    counts: Mapping[str, int] = Counter(line.source for line in lines)
    return max(sorted(counts), key=lambda source: counts[source], default=default)
