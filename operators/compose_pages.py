"""Compose the pages of a document or the frames of a picture file."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from operators.boilerplate import page_boilerplate
from operators.draft import (
    ClipDraft,
    Draft,
    RegionDraft,
    joined,
    line_candidate,
    title_candidate,
    union_box,
)
from operators.headings import LARGER, LARGER_RECOGNISED, body_size, headings
from operators.segment import segment_document
from operators.sentences import ends_sentence, hyphen_vocabulary, line_sentences, page_of
from operators.summaries import Statement
from operators.titles import Heading, Layout, picture_title
from operators.words import word_count
from schemas.perception import Perception, View

TITLE_PAGES = 3
"""The title of a document is looked for on so many first pages with text."""

PLAIN_TITLE_WORDS = 12
PLAIN_TITLE_WIDTH = 0.6
"""A title no larger than the text must be short, and not run from margin to margin."""


def compose_pages(perceptions: Sequence[Perception]) -> Draft:
    """Compose a document: one clip for each page that was read.

    A page that failed has no clip. Clips are numbered without gaps; `page` keeps the number
    of the page.

    Args:
        perceptions: in order of their units.
    """
    views = sorted(
        (
            (view.page or item.unit.page or item.unit.index + 1, view)
            for item in perceptions
            for view in item.views
        ),
        key=lambda pair: pair[0],
    )
    skips = _skips([view for _, view in views])
    body_px = body_size([(view.width_px, view.height_px, view.lines) for _, view in views])
    vocabulary = hyphen_vocabulary(line.text for _, view in views for line in view.lines)
    clips = [
        _clip(clip, page, view, body_px, vocabulary, skips[clip]) for clip, (page, view) in enumerate(views)
    ]
    regions = [
        RegionDraft(line, clip, page=page) for clip, (page, view) in enumerate(views) for line in view.lines
    ]
    title = _title([view for _, view in views], skips, body_px)
    if title is not None and clips[title.clip].title is None:
        clips[title.clip] = replace(clips[title.clip], title=title.text)
    return Draft(
        clips, segment_document([clip.block() for clip in clips]), regions, [], title.text if title else None
    )


def _skips(views: Sequence[View]) -> list[set[int]]:
    skips: list[set[int]] = [set() for _ in views]
    for page, line in page_boilerplate([view.lines for view in views]):
        skips[page].add(line)
    return skips


def _clip(
    clip: int, page: int, view: View, body_px: float, vocabulary: Collection[str], skip: set[int]
) -> ClipDraft:
    found = headings(Layout.of(view.lines, view.width_px, view.height_px), body_px, skip)
    best = max(found, key=lambda heading: heading.strength, default=None)
    return ClipDraft(
        page=page,
        title=best.text if best else None,
        title_strength=best.strength if best else 1.0,
        ocr_text=joined((line.text for line in view.lines), "\n"),
        text_source=view.text_source,
        turned_degrees=view.turned_degrees,
        width_px=view.width_px,
        height_px=view.height_px,
        statements=_statements(clip, page, view, vocabulary, skip, found),
    )


def _statements(
    clip: int,
    page: int,
    view: View,
    vocabulary: Collection[str],
    skip: set[int],
    found: Sequence[Heading],
) -> list[Statement]:
    lines = view.lines
    layout = page_of(lines, view.width_px, view.height_px)
    in_headings = {line for heading in found for line in heading.lines}
    titles = [
        Statement(
            title_candidate(heading.text),
            lines[heading.lines[0]].source,
            clip,
            page=page,
            box=union_box(lines[line] for line in heading.lines),
        )
        for heading in found
    ]
    sentences = [
        Statement(
            line_candidate(sentence, lines, running=not layout.slide),
            lines[sentence.parts[0]].source,
            clip,
            page=page,
            box=union_box(lines[part] for part in sentence.parts),
        )
        for sentence in line_sentences(lines, layout, vocabulary, skip | in_headings)
    ]
    return titles + sentences


@dataclass(frozen=True, slots=True)
class _Title:
    text: str
    clip: int


def _title(views: Sequence[View], skips: Sequence[set[int]], body_px: float) -> _Title | None:
    """Find what the first pages with text show as their title."""
    looked = 0
    for clip, (view, skip) in enumerate(zip(views, skips, strict=True)):
        if not view.lines:
            continue
        layout = Layout.of(view.lines, view.width_px, view.height_px)
        found = picture_title(layout, skip)
        if found is not None and _stands_out(found, layout, body_px):
            return _Title(found.text, clip)
        looked += 1
        if looked == TITLE_PAGES:
            break
    return None


def _stands_out(title: Heading, layout: Layout, body_px: float) -> bool:
    line = layout.lines[title.lines[0]]
    if layout.letter_size(title.lines[0]) >= LARGER_RECOGNISED * body_px:
        return True  # whatever stands close below it
    if layout.words[title.lines[0]] > word_count(title.text) + 2:
        return False  # the beginning of a paragraph
    if layout.letter_size(title.lines[0]) >= LARGER * body_px:
        return True
    short = word_count(title.text) <= PLAIN_TITLE_WORDS and not ends_sentence(title.text)
    return short and line.x1 - line.x0 <= PLAIN_TITLE_WIDTH
