"""Measure what a lake holds of one asset against what is known of it.

With a truth: text, times, speech, chapters, title and facts. Without: whether its summaries rest on
what they say they rest on, and what is known to be wrong.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from operators.facts import stated
from operators.score_summaries import Cited, ClipPlace, Source, Sources, exact, shared_words, uncited
from operators.score_text import (
    character_errors,
    compare_bags,
    holds_phrase,
    similarity,
    tokens,
    word_errors,
)
from operators.score_times import (
    Heard,
    Standing,
    box_overlap,
    compare_speech,
    pair_lines,
    pair_places,
)
from operators.scores import Errors, Scores, Tally, merged
from operators.words import is_unspaced
from schemas.box import Box
from schemas.truth import Truth


@dataclass(frozen=True, slots=True)
class FoundSegment:
    """A row of `segments`."""

    begin: float
    """Seconds or page."""
    title: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary, by level and number, as citations name it."""

    level: str
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a lake holds of one asset."""

    uri: str
    kind: str
    language: str | None
    title: str | None
    pages: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    """Text and title of each page, 1-based."""
    lines: Sequence[Standing] = ()
    """With times of 0 on pages."""
    heard: Sequence[Heard] = ()
    segments: Sequence[FoundSegment] = ()
    summaries: Sequence[Summary] = ()
    citations: Sequence[Cited] = ()
    sources: Sequence[Source] = ()
    clips: Mapping[int, ClipPlace] = field(default_factory=dict)
    open_reviews: int = 0
    failures: int = 0


def score_asset(found: Found, truth: Truth | None = None) -> Scores:
    """Measure one asset; only what the truth states is compared with it."""
    scores: dict[str, Tally | Errors] = {**_support(found)}
    scores["open_reviews"] = Tally(found.open_reviews, 1)
    scores["failures"] = Tally(found.failures, 1)
    if truth is None:
        return scores
    return scores | {
        **_seen(found, truth),
        **_shown(found, truth),
        **_said(found, truth),
        **_segments(found, truth),
        **_facts(found, truth),
    }


# --- what is seen -------------------------------------------------------------------------


def _seen(found: Found, truth: Truth) -> Scores:
    scores: dict[str, Tally] = {}
    bags = []
    if truth.pages is not None:
        pairs = [(page, *found.pages.get(page.page, ("", None))) for page in truth.pages]
        bags = [compare_bags(page.text, text) for page, text, _ in pairs]
        errors = [character_errors(page.text, text) for page, text, _ in pairs]
        scores["page_cer"] = Tally(sum(wrong for wrong, _ in errors), sum(count for _, count in errors))
        titles = [similarity(page.title, title or "") for page, _, title in pairs if page.title is not None]
        if titles:
            scores["page_title_similarity"] = Tally(sum(titles), len(titles))
    if truth.text is not None:
        bags = [compare_bags(truth.text, "\n".join(line.text for line in found.lines))]
    if bags:
        shared = sum(bag.shared for bag in bags)
        scores["word_recall"] = Tally(shared, sum(bag.true for bag in bags))
        scores["word_precision"] = Tally(shared, sum(bag.found for bag in bags))
    return scores


def _shown(found: Found, truth: Truth) -> Scores:
    if truth.shown is None:
        return {}
    lines = [
        Standing(line, item.start_seconds, item.end_seconds, Box(*item.box) if item.box else None)
        for item in truth.shown
        for line in item.text.splitlines()
        if tokens(line)
    ]
    pairs = [(lines[true], found.lines[other]) for true, other in pair_lines(lines, found.lines).items()]
    boxes = [box_overlap(true.box, other.box) for true, other in pairs if true.box and other.box]
    scores: dict[str, Tally | Errors] = {
        "shown_recall": Tally(len(pairs), len(lines)),
        "shown_start": Errors(tuple(abs(true.start_seconds - other.start_seconds) for true, other in pairs)),
        "shown_end": Errors(tuple(abs(true.end_seconds - other.end_seconds) for true, other in pairs)),
    }
    if any(line.box for line in lines):
        scores["box_iou"] = Tally(sum(boxes), len(boxes))
    return scores


# --- what is said -------------------------------------------------------------------------


def _said(found: Found, truth: Truth) -> Scores:
    scores: dict[str, Tally | Errors] = {}
    said = truth.transcript
    if said is None and truth.utterances is not None:
        said = "\n".join(item.text for item in truth.utterances)
    if said is not None:
        scores |= _heard_wrong(said, [word.token for word in found.heard])
    if truth.utterances is not None:
        spoken = compare_speech(
            [(item.text, item.start_seconds, item.end_seconds, item.speaker) for item in truth.utterances],
            found.heard,
        )
        scores["said_start"] = Errors(tuple(spoken.starts))
        scores["said_end"] = Errors(tuple(spoken.ends))
        if any(item.speaker for item in truth.utterances):
            scores["speaker_accuracy"] = Tally(spoken.right_speakers, spoken.speaker_words)
    return scores


def _heard_wrong(said: str, heard: Sequence[str]) -> Scores:
    wrong = word_errors(tokens(said), heard)
    if is_unspaced(said):
        return {"speech_cer": Tally(wrong.errors, wrong.true)}
    return {
        "wer": Tally(wrong.errors, wrong.true),
        "wer_substitutions": Tally(wrong.substitutions, wrong.true),
        "wer_deletions": Tally(wrong.deletions, wrong.true),
        "wer_insertions": Tally(wrong.insertions, wrong.true),
    }


# --- chapters, title, facts ---------------------------------------------------------------


def _segments(found: Found, truth: Truth) -> Scores:
    if not truth.segments:
        return {}
    by_time = truth.segments[0].start_seconds is not None
    within = truth.boundary_seconds if by_time else float(truth.boundary_pages)
    true = [segment.begin for segment in truth.segments]
    have = [segment.begin for segment in found.segments]
    # The first chapter begins where the asset does; finding it is no merit.
    hits = len(pair_places(true[1:], have[1:], within))
    wanted, cut = len(true) - 1, max(0, len(have) - 1)
    titles = [
        similarity(segment.title, _nearest_title(segment.begin, found.segments, within) or "")
        for segment in truth.segments
        if segment.title is not None
    ]
    scores = {
        "boundary_precision": Tally(hits, cut),
        "boundary_recall": Tally(hits, wanted),
        "boundary_f1": Tally(2 * hits, wanted + cut),
    }
    return scores | ({"segment_title_similarity": Tally(sum(titles), len(titles))} if titles else {})


def _nearest_title(begin: float, segments: Sequence[FoundSegment], within: float) -> str | None:
    near = [segment for segment in segments if abs(segment.begin - begin) <= within]
    return min(near, key=lambda segment: abs(segment.begin - begin)).title if near else None


def _facts(found: Found, truth: Truth) -> Scores:
    scores: dict[str, Tally] = {}
    if truth.title is not None:
        title = found.title or ""
        scores["title_exact"] = Tally(tokens(truth.title) == tokens(title), 1)
        scores["title_similarity"] = Tally(similarity(truth.title, title), 1)
    if truth.language is not None:
        scores["language_right"] = Tally(truth.language == found.language, 1)
    if truth.kind is not None:
        scores["kind_right"] = Tally(truth.kind == found.kind, 1)
    if truth.summary_facts is not None:
        told = [item.text for item in found.summaries if item.level in ("asset", "key_point")]
        stated = sum(any(holds_phrase(text, fact) for text in told) for fact in truth.summary_facts)
        scores["summary_facts_recall"] = Tally(stated, len(truth.summary_facts))
    if truth.summary_false is not None:
        wrong = sum(
            any(holds_phrase(item.text, phrase) for item in found.summaries) for phrase in truth.summary_false
        )
        scores["summary_false_hits"] = Tally(wrong, len(truth.summary_false))
    return scores


# --- what summaries rest on ---------------------------------------------------------------


def _support(found: Found) -> Scores:
    """Look every citation up; a sentence is borne out by its first, and not at all without one."""
    sources = Sources(found.sources, found.clips)
    holds = [sources.bear_out(citation) for citation in found.citations]
    borne_out: dict[tuple[str, int, int], bool] = {}
    evidence: dict[tuple[str, int, int], list[str]] = {}
    sentences: dict[tuple[str, int], list[str]] = defaultdict(list)
    for citation, held in zip(found.citations, holds, strict=True):
        level, number, _ = citation.of
        if citation.of not in evidence:
            sentences[level, number].append(citation.text)
        borne_out[citation.of] = borne_out.get(citation.of, False) or (held and citation.rank == 0)
        evidence.setdefault(citation.of, []).extend([citation.evidence] if held else [])
    bare: dict[str, list[str]] = defaultdict(list)
    for item in found.summaries:
        bare[item.level] += uncited(item.text, sentences[item.level, item.number])
    levels = {}
    for level in ("asset", "key_point", "segment", "clip"):
        cited = [held for (of, *_), held in borne_out.items() if of == level]
        levels[f"support_{level}"] = Tally(sum(cited), len(cited) + len(bare[level]))
    texts = {citation.of: citation.text for citation in found.citations}
    overlaps = [shared_words(texts[of], pieces) for of, pieces in evidence.items()]
    told = [*texts.values(), *chain(*bare.values())]
    return merged([{"support": tally} for tally in levels.values()]) | {
        **levels,
        "citations_hold": Tally(sum(holds), len(holds)),
        "evidence_overlap": Tally(sum(overlaps), len(overlaps)),
        "facts_stated": Tally(_exact(told, found), len(told)),
    }


def _exact(sentences: Sequence[str], found: Found) -> int:
    """Count the sentences of whose numbers, dates and names none is new."""
    if not sentences:
        return 0
    text = "\n".join(item.text for item in found.sources)
    sources = [stated(text, found.language)]
    # The same sentence often stands in the summaries of a clip, a segment and the asset.
    return sum(
        count * exact(sentence, sources, found.language) for sentence, count in Counter(sentences).items()
    )
