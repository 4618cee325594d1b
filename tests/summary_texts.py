"""Assets with known sentences, and a model in their place whose answers are written by the test."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel

from operators.ask_text import Asked
from operators.asset_text import AssetText
from operators.extract import Candidate
from operators.stopwatch import Spent
from operators.summaries import Statement
from operators.words import words
from schemas.failure import InputError
from schemas.tables import ClipRow, SegmentRow
from tests.rows import asset_row, segment_row
from tests.small_lake import clip_row

Answer = Callable[[str], "dict[str, Any] | InputError"]
"""What is answered to a prompt, as the JSON of it."""


def statement(text: str, clip: int, source: str = "faster-whisper:small", **place: Any) -> Statement:
    """A sentence of a source."""
    return Statement(Candidate(text, 1.0, tuple(words(text))), source, clip, **place)


def asset_text(chapters: Sequence[Sequence[Sequence[str]]], *, language: str | None = "en") -> AssetText:
    """An asset of chapters, each of clips of half a minute, each of sentences that are said."""
    clips: list[ClipRow] = []
    statements: list[list[Statement]] = []
    segments: list[SegmentRow] = []
    for segment, chapter in enumerate(chapters):
        first = len(clips)
        for sentences in chapter:
            clip = len(clips)
            start = 30.0 * clip
            clips.append(
                clip_row("a0", clip, "", "w0", segment=segment, start_seconds=start, end_seconds=start + 30)
            )
            statements.append(
                [
                    statement(text, clip, time_seconds=start + place, until_seconds=start + place + 1)
                    for place, text in enumerate(sentences)
                ]
            )
        segments.append(
            segment_row(
                segment=segment, start_seconds=30.0 * first, end_seconds=30.0 * len(clips), found_title=None
            )
        )
    row = asset_row(
        found_title="On tides", language=language, clip_count=len(clips), segment_count=len(segments)
    )
    return AssetText(row, segments, clips, statements)


class ScriptedAsker:
    """Answers by a function of the prompt, and remembers what it was asked."""

    name = "scripted:model"
    revision = "r1"

    def __init__(self, answer: Answer) -> None:
        """Take the function that answers."""
        self.answer = answer
        self.prompts: list[str] = []
        self.rounds: list[int] = []

    def ask(self, prompts: Sequence[str], answer: type[BaseModel]) -> list[Asked]:
        """Answer each prompt."""
        self.rounds.append(len(prompts))
        return [self._one(prompt, answer) for prompt in prompts]

    def close(self) -> None:
        """Nothing is held."""

    def _one(self, prompt: str, answer: type[BaseModel]) -> Asked:
        self.prompts.append(prompt)
        found = self.answer(prompt)
        return Asked(
            value=None if isinstance(found, InputError) else answer.model_validate(found),
            failure=found if isinstance(found, InputError) else None,
            tries=1,
            repaired=False,
            prompt_tokens=len(prompt.split()),
            input_tokens=len(prompt.split()),
            output_tokens=5,
            spent=Spent(),
        )
