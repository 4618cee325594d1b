"""Check what summaries say they rest on.

A citation names a source, a place and a time. Here that place is looked up and its words are read
again: the evidence holds if all of its letters stand there. What the citation itself says of its
evidence, and how well it was scored when it was written, is not believed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from operators.facts import Stated, facts, unstated
from operators.score_text import tokens
from operators.sentences import split_sentences
from schemas.box import Box

_TOLERANCE = 1e-3
"""Of times in seconds and of places in fractions of the picture; both went through rounding."""


_TORN_LETTERS = 12
"""A line that begins and ends within words (`ing … em-`) is one all the same if it has so many letters."""


@dataclass(frozen=True, slots=True)
class Source:
    """A line, an utterance or a caption as it stands in the lake."""

    text: str
    source: str
    clip: int | None
    start_seconds: float | None = None
    end_seconds: float | None = None
    page: int | None = None
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class ClipPlace:
    """Where a clip or page is in its asset."""

    start_seconds: float | None
    end_seconds: float | None
    page: int | None


@dataclass(frozen=True, slots=True)
class Cited:
    """A row of `citations`."""

    level: str
    segment: int
    clip: int
    sentence: int
    rank: int
    text: str
    """The sentence of the summary."""
    evidence: str
    source: str
    time_seconds: float | None = None
    until_seconds: float | None = None
    page: int | None = None
    box: Box | None = None

    @property
    def of(self) -> tuple[str, int, int]:
        """Which summary the sentence stands in: level and number, and the sentence's place in it."""
        numbers = {"segment": self.segment, "clip": self.clip, "key_point": self.sentence}
        return self.level, numbers.get(self.level, 0), self.sentence


class Sources:
    """What an asset shows and says, by the page or minute at which it stands.

    A recording of hours has thousands of lines and as many citations; each looks at a few.
    """

    def __init__(self, sources: Iterable[Source], clips: Mapping[int, ClipPlace]) -> None:
        """Sort the sources into their places.

        Args:
            sources: Of one asset.
            clips: Its clips or pages, by number (0-based).
        """
        self._clips = clips
        self._at: dict[tuple[str, int | None, int | None], list[Source]] = defaultdict(list)
        for item in sources:
            for place in _shelves(item.source, item.page, item.start_seconds, item.end_seconds):
                self._at[place].append(item)

    def bear_out(self, citation: Cited) -> bool:
        """Tell whether the words of the evidence stand where the citation says."""
        clip = self._clips.get(citation.clip)
        if clip is None or not _is_in(citation, clip):
            return False
        places = _shelves(citation.source, citation.page, citation.time_seconds, citation.until_seconds)
        # Something that stands for minutes is found at each of them.
        near = {id(item): item for place in places for item in self._at.get(place, ())}
        return stands_in(citation.evidence, [item.text for item in near.values() if is_there(citation, item)])


def _is_in(citation: Cited, clip: ClipPlace) -> bool:
    """Tell whether the page or time of a citation is in the clip that it names."""
    if citation.page is not None or clip.page is not None:
        return citation.page == clip.page
    if citation.time_seconds is None or clip.start_seconds is None or clip.end_seconds is None:
        return True
    until = citation.time_seconds if citation.until_seconds is None else citation.until_seconds
    return citation.time_seconds <= clip.end_seconds + _TOLERANCE and until >= clip.start_seconds - _TOLERANCE


def _shelves(
    source: str, page: int | None, start: float | None, end: float | None
) -> Iterator[tuple[str, int | None, int | None]]:
    if page is not None or start is None:
        yield source, page, None
        return
    first, last = (start - _TOLERANCE) // 60, ((start if end is None else end) + _TOLERANCE) // 60
    for minute in range(int(first), int(last) + 1):
        yield source, None, minute


def is_there(citation: Cited, item: Source) -> bool:
    """Tell whether something is of the source, page, time and part of the picture that a citation names."""
    if item.source != citation.source:
        return False
    if citation.page is not None or item.page is not None:
        if citation.page != item.page:
            return False
    elif citation.time_seconds is None:
        if item.clip != citation.clip:
            return False
    elif not _at_that_time(citation, item):
        return False
    return citation.box is None or item.box is None or _touch(citation.box, item.box)


def _at_that_time(citation: Cited, item: Source) -> bool:
    start = citation.time_seconds or 0.0
    end = start if citation.until_seconds is None else citation.until_seconds
    if item.start_seconds is None or item.end_seconds is None:
        return False
    return item.start_seconds <= end + _TOLERANCE and item.end_seconds >= start - _TOLERANCE


def _touch(left: Box, right: Box) -> bool:
    width = min(left.x1, right.x1) - max(left.x0, right.x0)
    height = min(left.y1, right.y1) - max(left.y0, right.y0)
    return min(width, height) >= -_TOLERANCE


@dataclass(frozen=True, slots=True)
class _Spelled:
    """The letters of a text, and where in them words begin and end."""

    letters: str
    starts: frozenset[int]
    ends: frozenset[int]

    @classmethod
    def of(cls, text: str) -> "_Spelled":
        words = tokens(text)
        ends = list(accumulate(map(len, words)))
        return cls("".join(words), frozenset([0, *ends[:-1]]), frozenset(ends))


def stands_in(text: str, pieces: Sequence[str]) -> bool:
    """Tell whether every letter of a text stands in one of the pieces (lines) it was joined from.

    A piece counts where it stands whole in the text, holds the whole text, or runs into its
    beginning or out of its end; words are not torn apart, but for one that a line break divides. The
    order of pieces does not matter, because columns and rows can be read in more than one; bullets,
    spaces and hyphens do not either.

    Args:
        text: What is to stand there.
        pieces: The lines.
    """
    wanted = _Spelled.of(text)
    size = len(wanted.letters)
    covered = bytearray(size)
    for piece in map(_Spelled.of, pieces):
        for start in _places(wanted.letters, piece.letters):
            if start in piece.starts and start + size in piece.ends:
                return True
        for start in _places(piece.letters, wanted.letters):
            end = start + len(piece.letters)
            if start in wanted.starts or end in wanted.ends or len(piece.letters) >= _TORN_LETTERS:
                covered[start : start + len(piece.letters)] = b"\x01" * len(piece.letters)
        head = max(_begins(piece, start, wanted) for start in piece.starts)
        covered[:head] = b"\x01" * head
        tail = max((end for end in piece.ends if wanted.letters.endswith(piece.letters[:end])), default=0)
        covered[size - tail :] = b"\x01" * tail
    return size > 0 and all(covered)


def _places(part: str, whole: str) -> Iterator[int]:
    place = whole.find(part) if part else -1
    while place >= 0:
        yield place
        place = whole.find(part, place + 1)


def _begins(piece: _Spelled, start: int, wanted: _Spelled) -> int:
    """Length of the end of a piece, from a word on, if the text begins with it."""
    end = piece.letters[start:]
    return len(end) if wanted.letters.startswith(end) else 0


def uncited(summary: str, sentences: Iterable[str]) -> list[str]:
    """List the sentences of a summary that no citation is about.

    Args:
        summary: The whole text.
        sentences: Those that are cited, as they stand in it.
    """
    rest = summary
    for sentence in sorted(sentences, key=len, reverse=True):
        rest = rest.replace(sentence, "\n", 1)
    return [
        line[start:end]
        for line in rest.splitlines()
        for start, end in split_sentences(line)
        if tokens(line[start:end])
    ]


def exact(sentence: str, sources: Sequence[Stated], language: str | None) -> bool:
    """Tell whether the sources state every number, date and name of a sentence.

    Args:
        sentence: One sentence.
        sources: All that the asset shows and says.
        language: ISO 639-1 code of both.
    """
    return not unstated(facts(sentence, language), sources)


def shared_words(sentence: str, evidence: Sequence[str]) -> float:
    """Tell which share of the words of a sentence stands in its evidence, 0-1.

    Low where a sentence says more than its evidence, says it in other words or in another language.
    """
    wanted = tokens(sentence)
    have = {token for text in evidence for token in tokens(text)}
    return sum(token in have for token in wanted) / len(wanted) if wanted else 0.0
