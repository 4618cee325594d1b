"""Write one summary: ask for it in parts that fit, check every sentence, mend what does not hold.

Nothing is asked here: each step is a generator that yields `Ask`s and is sent the answers, so that
whoever drives many of them can put the questions of all into one batch.
"""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

from pydantic import BaseModel

from operators.citations import Cited
from operators.evidence import Evidence
from operators.evidence_pool import MOST_EVIDENCE
from operators.fit_window import HEADING_TOKENS, pack, sentences_for
from operators.prompt_files import Prompt
from operators.quote import neutral
from operators.summary_prompts import (
    ANSWERS,
    NumberedLine,
    Outline,
    Said,
    Sentences,
    Titled,
    heading_of,
    line_text,
    question,
)
from operators.support import Support, Supporter
from schemas.config import Summary
from schemas.failure import InputError
from schemas.failure import Reason as FailureReason

PART_SENTENCES = 12
"""Most sentences that a stretch becomes."""

SENTENCE_TOKENS = 40
"""Of a sentence in an answer with its lines, about: 25 words are 33 tokens of English."""

LONGEST_LINE = 0.25
"""Most of the window that one line may take; a longer one is cut."""

QUOTE_TOKENS = 48
"""For the two marks, and a heading that a stretch begins with although its line stood further down."""

CLOSER_LINES = 24
"""Lines around the nearest evidence that a second attempt at a sentence gets."""

_CUT = "…"


class Reason(StrEnum):
    """Why a sentence is put up for review."""

    UNSUPPORTED = "unsupported"
    FACTS = "facts"


class Action(StrEnum):
    """What became of it."""

    DROPPED = "dropped"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Ask:
    """A question on its way to the model."""

    prompt: str
    answer: type[BaseModel]


Answered = BaseModel | InputError
"""The object asked for, or why there is none."""

Asking = Generator[Ask, Answered, "Written"]


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A sentence that does not hold."""

    text: str
    reason: Reason
    message: str
    score: float
    action: Action
    evidence: list[Evidence]
    place: int
    """0-based place in the summary, or where it would stand."""
    point: bool = False
    """It is a key point."""


@dataclass(frozen=True, slots=True)
class Written:
    """What came of one summary."""

    sentences: list[Cited]
    title: str | None = None
    key_points: list[Cited] = field(default_factory=list)
    doubtful: list[Doubtful] = field(default_factory=list)
    failure: InputError | None = None
    """Why there is none."""
    rewritten: int = 0
    """Sentences that held only when they were written once more."""
    withdrawn: int = 0
    """Sentences without support that the model itself took back."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a summary is written from, and checked against."""

    lines: list[NumberedLine]
    clips: Collection[int]
    """Those whose evidence bears on it."""
    indices: list[tuple[int, ...]]
    """For each line the evidence that it is, or that it rests on."""


@dataclass(frozen=True, slots=True)
class Writer:
    """What all summaries of an asset are written with."""

    settings: Summary
    prompts: Mapping[str, Prompt]
    count: Callable[[str], int]
    """Counts tokens; never too low."""
    window: int
    """Most tokens of question and answer together."""
    evidence: Sequence[Evidence]
    """All of the asset."""
    supporter: Supporter
    language: str | None
    """To write in."""
    same_language: bool
    """Whether that is the language of the evidence."""

    def write(self, kind: str, source: Source, most: int, points: int = 0) -> Asking:
        """Write one summary.

        Args:
            kind: clip, segment or asset.
            source: What to write it from.
            most: Sentences of it.
            points: Key points of it.

        Yields:
            Questions, each to be sent its answer.
        """
        shortened = yield from self._shortened(source, self._room(kind, most, points))
        if isinstance(shortened, InputError):
            return Written([], failure=shortened)
        if not shortened.lines:
            return Written([], failure=_nothing(kind))
        answer = yield self._ask(kind, shortened.lines, most, points)
        if isinstance(answer, InputError):
            return Written([], failure=answer)
        assert isinstance(answer, Sentences)
        if not answer.sentences:
            return Written([], failure=_nothing(kind))
        told = yield from self._checked(answer.sentences[:most], shortened, source.clips)
        made = yield from self._checked(
            answer.key_points[:points] if isinstance(answer, Outline) else [], shortened, source.clips
        )
        title = self._title(answer.title, source.clips) if isinstance(answer, Titled) else None
        return Written(
            told.cited,
            title,
            made.cited,
            [*told.doubtful, *(replace(item, point=True) for item in made.doubtful)],
            rewritten=told.rewritten + made.rewritten,
            withdrawn=told.withdrawn + made.withdrawn,
        )

    def again(self, item: Doubtful, looked: Sequence[int], clips: Collection[int]) -> Asking:
        """Check a doubtful sentence once more, now that a closer look has shown something.

        Where it does not hold as it is, it is written again from what was seen and what stands around.

        Args:
            item: The doubt.
            looked: Indices of the evidence that came of the look.
            clips: Those whose evidence bears on it.

        Yields:
            At most one question, to be sent its answer.

        Returns:
            The sentence, where it holds now; else the doubt, with what was seen as its evidence.
        """
        source = Source([], clips, [(index,) for index in looked])
        said = Said(text=item.text, lines=list(range(1, len(looked) + 1)))
        support = self._support(said, source, clips)
        if self._holds(support):
            return Written([self._cited(said, support)], rewritten=1)
        again = yield from self._closer(said, support, source, clips)
        if again is not None and again is not said:
            borne_out = self._support(again, source, clips)
            if self._holds(borne_out):
                return Written([self._cited(again, borne_out)], rewritten=1)
        doubt = self._doubtful(said, support, item.place, item.action)
        seen = [*(self.evidence[index] for index in looked), *doubt.evidence, *item.evidence]
        nearest = list(dict.fromkeys(seen))[:MOST_EVIDENCE]
        return Written([], doubtful=[replace(doubt, evidence=nearest, point=item.point)])

    # --- within the window -------------------------------------------------------------------

    def _room(self, kind: str, most: int, points: int = 0) -> int:
        """Say how many tokens of lines fit a question."""
        return self._left(self._ask(kind, [], most, points).prompt)

    def _left(self, bare: str) -> int:
        """Say how many tokens of lines fit a question that is written without them."""
        return self.window - self.settings.max_new_tokens - self.count(bare) - QUOTE_TOKENS

    def _ask(self, kind: str, lines: Sequence[NumberedLine], most: int, points: int = 0) -> Ask:
        text = question(self.prompts[kind], lines, language=self.language, sentences=most, points=points)
        return Ask(text, ANSWERS[kind])

    def _tokens(self, lines: Sequence[NumberedLine]) -> list[int]:
        """Count what each line takes, its heading included where one is written."""
        tokens = []
        heading = ""
        for number, line in enumerate(lines, 1):
            each = self.count(line_text(number, line)) + HEADING_TOKENS
            if line.heading != heading:
                heading = line.heading
                each += self.count(heading) + HEADING_TOKENS
            tokens.append(each)
        return tokens

    def _cut(self, lines: Sequence[NumberedLine], most: int) -> list[NumberedLine]:
        """Cut lines that alone would fill the window, which only broken text has."""
        cut = []
        digits = len(str(len(lines)))
        for line, tokens in zip(lines, self._tokens(lines), strict=True):
            text, held = line.text, tokens
            while held > most and len(text) > 1:
                text = text[: max(1, int(len(text) * most / held) - 1)]
                held = self._tokens([NumberedLine(f"{text}{_CUT}", line.heading)])[0] + digits
            cut.append(line if text == line.text else NumberedLine(f"{text}{_CUT}", line.heading))
        return cut

    def _shortened(self, source: Source, room: int) -> Generator[Ask, Answered, Source | InputError]:
        """Tell what is too long in parts, until it fits."""
        lines, indices = self._cut(source.lines, int(room * LONGEST_LINE)), list(source.indices)
        most = min(room, self._room("part", PART_SENTENCES))
        while sum(tokens := self._tokens(lines)) > room:
            shorter: list[NumberedLine] = []
            rests_on: list[tuple[int, ...]] = []
            for first, end in pack(tokens, most):
                count = sentences_for(sum(tokens[first:end]), PART_SENTENCES, SENTENCE_TOKENS)
                answer = yield self._ask("part", lines[first:end], count)
                if isinstance(answer, InputError):
                    return answer
                assert isinstance(answer, Sentences)
                kept = self._within(answer.sentences[:count], sum(tokens[first:end]) // 2)
                heading = lines[first].heading
                shorter += [NumberedLine(item.text, heading) for item in kept]
                rests_on += [_behind(item.lines, indices[first:end]) for item in kept]
            lines, indices = self._cut(shorter, int(room * LONGEST_LINE)), rests_on
        return Source(lines, source.clips, indices)

    def _within(self, sentences: Sequence[Said], most: int) -> list[Said]:
        """Keep as many sentences as make a stretch shorter: a model may be longer-winded than its source."""
        kept: list[Said] = []
        held = 0
        for sentence in sentences:
            held += self.count(neutral(sentence.text)) + 3 * HEADING_TOKENS
            if held > most and kept:
                break
            kept.append(sentence)
        return kept

    # --- what holds --------------------------------------------------------------------------

    def _support(self, said: Said, source: Source, clips: Collection[int]) -> Support:
        return self.supporter.support(
            said.text,
            clips,
            cited=_behind(said.lines, source.indices),
            same_language=self.same_language,
            language=self.language,
        )

    def _holds(self, support: Support) -> bool:
        return support.supported(self.settings.min_support)

    def _checked(
        self, sentences: Sequence[Said], source: Source, clips: Collection[int]
    ) -> Generator[Ask, Answered, "_Checked"]:
        """Check sentences, and have those that do not hold written once more."""
        cited: list[Cited] = []
        doubtful: list[Doubtful] = []
        rewritten = withdrawn = 0
        for first in _distinct(sentences):
            said, support = first, self._support(first, source, clips)
            if not self._holds(support) and self.settings.closer_look != "off":
                again = yield from self._closer(said, support, source, clips)
                if again is None:
                    withdrawn += 1  # nothing of the kind is said there, so there is nothing to review
                    continue
                if again is not said:
                    said, support = again, self._support(again, source, clips)
                    rewritten += self._holds(support)
            if self._holds(support):
                cited.append(self._cited(said, support))
                continue
            keep = self.settings.unsupported == "keep"
            doubtful.append(
                self._doubtful(said, support, len(cited), Action.KEPT if keep else Action.DROPPED)
            )
            if keep:
                cited.append(self._cited(said, support))
        return _Checked(cited, doubtful, rewritten, withdrawn)

    def _closer(
        self, said: Said, support: Support, source: Source, clips: Collection[int]
    ) -> Generator[Ask, Answered, Said | None]:
        """Have a sentence written again from all that stands around its nearest evidence.

        Returns:
            The new sentence; the old one where no answer came; null where the model takes it back.
        """
        missing = ", ".join(support.missing) or "most of its words"
        asked = partial(
            question, self.prompts["rewrite"], language=self.language, sentence=said.text, missing=missing
        )
        room = self._left(asked([]))
        around = self._around([*support.evidence, *_behind(said.lines, source.indices)], clips)
        near, lines = self._fitting(around, room)
        if not lines:
            return said
        answer = yield Ask(asked(lines), ANSWERS["rewrite"])
        if isinstance(answer, InputError):
            return said
        assert isinstance(answer, Sentences)
        if not answer.sentences:
            return None
        first = answer.sentences[0]
        # The numbers are those of the lines in this question.
        behind = [near[number - 1] for number in first.lines if 0 < number <= len(lines)]
        numbers = [place for place, indices in enumerate(source.indices, 1) if set(indices) & set(behind)]
        return Said(text=first.text, lines=numbers[:200])

    def _around(self, indices: Sequence[int], clips: Collection[int]) -> list[int]:
        """List the evidence around some, the nearest first."""
        chosen: dict[int, None] = {}
        for reach in range(CLOSER_LINES):
            for index in indices:
                for near in (index - reach, index + reach):
                    if 0 <= near < len(self.evidence) and self.evidence[near].clip in clips:
                        chosen[near] = None
        return list(chosen)[:CLOSER_LINES]

    def _fitting(self, near: Sequence[int], room: int) -> tuple[list[int], list[NumberedLine]]:
        """Take as much evidence, of that which is listed first, as fits; put it in its order."""
        items = [self.evidence[index] for index in near]
        lines = self._cut([NumberedLine(item.text, heading_of(item.kind)) for item in items], room // 4)
        kept: dict[int, NumberedLine] = {}
        for index, line in zip(near, lines, strict=True):
            # A heading is counted for each: in their order, lines of one kind may stand apart.
            room -= self._tokens([line])[0] + HEADING_TOKENS
            if room < 0:
                break
            kept[index] = line
        order = sorted(kept, key=lambda index: (self.evidence[index].clip, self.evidence[index].kind, index))
        return order, [kept[index] for index in order]

    def _cited(self, said: Said, support: Support) -> Cited:
        text = " ".join(said.text.split())
        return Cited(text, [self.evidence[index] for index in support.evidence], support.score)

    def _doubtful(self, said: Said, support: Support, place: int, action: Action) -> Doubtful:
        if support.missing:
            reason = Reason.FACTS
            message = f"Not found in its sources: {', '.join(support.missing)}."
        else:
            reason = Reason.UNSUPPORTED
            message = (
                f"Wanted support of at least {self.settings.min_support:g}; its sources bear out "
                f"{support.score:.2f} of it."
            )
        evidence = [self.evidence[index] for index in support.evidence]
        return Doubtful(" ".join(said.text.split()), reason, message, support.score, action, evidence, place)

    def _title(self, title: str, clips: Collection[int]) -> str | None:
        """Take a title that the source bears out; in another language, one whose facts stand there."""
        support = self.supporter.support(
            title, clips, same_language=self.same_language, language=self.language
        )
        holds = self._holds(support) if self.same_language else not support.missing
        return " ".join(title.split()) if holds else None


@dataclass(frozen=True, slots=True)
class _Checked:
    cited: list[Cited]
    doubtful: list[Doubtful]
    rewritten: int
    withdrawn: int


def _nothing(kind: str) -> InputError:
    msg = (
        f"Wanted sentences about the {kind}; the model's answer holds none, so the extractive summary stands."
    )
    return InputError(FailureReason.NO_ANSWER, msg)


def _behind(lines: Sequence[int], indices: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Resolve numbers of lines, as a model gives them, to evidence; numbers there are not are passed over."""
    found = [index for number in lines if 0 < number <= len(indices) for index in indices[number - 1]]
    return tuple(dict.fromkeys(found))


def _distinct(sentences: Sequence[Said]) -> list[Said]:
    """Drop sentences that stand there already."""
    seen: dict[str, Said] = {}
    for said in sentences:
        seen.setdefault(" ".join(said.text.casefold().split()), said)
    return list(seen.values())
