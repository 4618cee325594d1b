"""The levels of an asset's summaries: what each is written from, and what is made of the answers."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from operators.asset_text import AssetText
from operators.decisions import Place
from operators.extractive import extractive
from operators.prompt_files import Prompt
from operators.prompts import clock
from operators.summary_prompts import NumberedLine, heading_of
from operators.summary_rows import FALLBACK, KEY_POINT, Result
from operators.support import Supporter
from operators.titles import file_title
from operators.words import word_count
from operators.write_summary import Asking, Source, Writer, Written
from schemas.config import Summary

LEVELS = ("clip", "segment", "asset")
"""From below: each is written from the one before it."""

_COUNTED = 4096
"""Texts whose tokens are remembered: lines are counted for several questions."""

_HEADING_TITLE = 80
"""Characters of a chapter's title that a heading shows."""


@dataclass(frozen=True, slots=True)
class Model:
    """Who writes, as far as outlining has to know."""

    name: str
    revision: str
    window: int
    """Most tokens of question and answer together."""
    count: Callable[[str], int]
    """Counts tokens; never too low."""
    prompts: Mapping[str, Prompt]


def writer_of(text: AssetText, settings: Summary, model: Model) -> Writer:
    """Make what all summaries of an asset are written with."""
    language = text.asset.language
    wanted = settings.language or language
    return Writer(
        settings=settings,
        prompts=model.prompts,
        count=lru_cache(maxsize=_COUNTED)(model.count),
        window=model.window,
        evidence=text.evidence,
        supporter=Supporter(text.evidence, language),
        language=wanted,
        same_language=language is None or wanted is None or _primary(wanted) == _primary(language),
    )


class Outline:
    """The summaries of one asset under way: extractive first, replaced level by level."""

    def __init__(self, text: AssetText, settings: Summary, model: Model | None) -> None:
        """Pick sentences; without a model that is all.

        Args:
            text: Of the asset.
            settings: The section.
            model: Who writes.
        """
        self.text = text
        self.settings = settings
        self.model = model
        self.results = extractive(text, settings)
        self._index = {item: place for place, item in reversed(list(enumerate(text.evidence)))}
        self._writer = None if model is None else writer_of(text, settings, model)

    def asking(self, level: str) -> list[tuple[Place, Asking]]:
        """Begin to write the summaries of a level; those below must have been taken.

        Returns:
            For each place with enough to sum up, its summary under way.
        """
        if self._writer is None or level not in self.settings.levels:
            return []
        most, points = self._most(level)
        return [
            (place, self._writer.write(level, self._source(place), most, points))
            for place in self.results
            if place.level == level and most and self._words(place) >= self.settings.min_words
        ]

    def take(self, place: Place, written: Written) -> None:
        """Put a written summary in the place of the extractive one."""
        assert self.model is not None
        picked = self.results[place]
        prompt = self.model.prompts[place.level]
        result = Result(
            written.sentences,
            self.model.name,
            self.model.revision,
            f"{prompt.name}@{prompt.version}",
            title=written.title if self._wants_title(place) else None,
            doubtful=[item for item in written.doubtful if not item.point],
            failure=written.failure,
        )
        if not written.sentences:
            result = replace(picked, doubts=[FALLBACK], doubtful=result.doubtful, failure=written.failure)
        self.results[place] = result
        points = [item for item in written.doubtful if item.point]
        if written.key_points or points:
            self.results[Place(KEY_POINT)] = replace(
                result, sentences=written.key_points, doubts=[], title=None, doubtful=points, failure=None
            )

    def _most(self, level: str) -> tuple[int, int]:
        settings = self.settings
        match level:
            case "clip":
                return settings.clip_sentences, 0
            case "segment":
                return settings.segment_sentences, 0
            case _:
                return settings.asset_sentences, settings.key_points

    def _words(self, place: Place) -> float:
        clips = self.text.clips_of(place.level, place.index)
        return sum(word_count(item.text) for clip in clips for item in self.text.statements[clip])

    def _wants_title(self, place: Place) -> bool:
        if self.settings.titles == "written":
            return True
        if place.level == "asset":
            asset = self.text.asset
            return asset.found_title in (None, file_title(asset.uri))
        return place.level == "segment" and self.text.segments[place.index].found_title is None

    # --- what a summary is written from ------------------------------------------------------

    def _source(self, place: Place) -> Source:
        clips = self.text.clips_of(place.level, place.index)
        lines: list[NumberedLine] = []
        indices: list[tuple[int, ...]] = []
        for heading, result in self._below(place, clips):
            for sentence in result.sentences:
                lines.append(NumberedLine(sentence.text, heading))
                indices.append(tuple(self._index[item] for item in sentence.rests_on if item in self._index))
        if not lines:
            for clip in clips:
                for index in self.text.indices[clip]:
                    item = self.text.evidence[index]
                    lines.append(NumberedLine(item.text, heading_of(item.kind)))
                    indices.append((index,))
        return Source(lines, clips, indices)

    def _below(self, place: Place, clips: Sequence[int]) -> list[tuple[str, Result]]:
        """List the summaries that one is made from, with headings; none where it is made from text itself.

        A level of a single part would only repeat it, so that the level below that is taken.
        """
        written = self.settings.levels
        if place.level == "asset" and "segment" in written and len(self.text.segments) > 1:
            return [
                (self._chapter(index), self.results[Place("segment", segment=index)])
                for index in range(len(self.text.segments))
            ]
        if place.level != "clip" and "clip" in written and len(clips) > 1:
            return [
                (self._part(clip), self.results[Place("clip", self.text.clips[clip].segment, clip)])
                for clip in clips
            ]
        return []

    def _chapter(self, index: int) -> str:
        row = self.text.segments[index]
        title = self.results[Place("segment", segment=index)].title or row.found_title
        first = self.text.clips[self.text.spans[index][0]]
        named = f", “{title[:_HEADING_TITLE]}”" if title else ""
        return f"Chapter {index + 1}, from {_where(first.page, first.start_seconds)}{named}:"

    def _part(self, clip: int) -> str:
        row = self.text.clips[clip]
        where = _where(row.page, row.start_seconds)
        return f"{where[0].upper()}{where[1:]}:"


def _where(page: int | None, seconds: float | None) -> str:
    return f"page {page}" if page is not None else clock(seconds or 0.0)


def _primary(tag: str) -> str:
    return re.split(r"[-_]", tag.casefold())[0]
