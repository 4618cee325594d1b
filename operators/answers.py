"""Judging what a model said: an answer, a fault, or an answer to be doubted.

A fault is asked about again and ends as a failure; a doubt stays with the caption. The rules are
conservative: what could be a good answer is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from operators.clean_answer import clean_answer
from operators.refusals import is_refusal
from operators.repeats import is_loop, words_of
from operators.sentences import ends_sentence, split_sentences
from operators.vision_engine import Answer
from schemas.failure import Reason

MOST_CHARACTERS = 100_000
"""Of an answer. A server may send more than it was asked for; the rest is cut off."""

_SAME_WORDS = 6
"""Words in a row that two texts hardly share by chance."""

_MOSTLY = 0.7
"""Share of an answer that comes from the quoted text: it was copied, or dictated."""

_LONGER = 1.5
"""How much longer than what it copies a copy may be."""

_ECHO = 0.5
"""Share of an answer that is the prompt itself."""


class Problem(StrEnum):
    """Why an answer is none."""

    EMPTY = "empty"
    CUT_OFF = "cut_off"
    REPETITION = "repetition"
    REFUSAL = "refusal"
    ECHO = "echo"
    """The prompt was said again."""
    MALFORMED = "malformed"
    """It is no object as it was asked for."""


class AnswerDoubt(StrEnum):
    """Why an answer may be wrong, although it is kept."""

    CUT_OFF = "cut_off"
    """Its end is missing; it was shortened to its last whole sentence or line."""
    COPIED = "copied"
    """It is the quoted text, or a part of it: said by the corpus, perhaps on demand, not by the model."""


REASONS: Mapping[Problem, Reason] = {
    Problem.EMPTY: Reason.NO_ANSWER,
    Problem.CUT_OFF: Reason.CUT_OFF,
    Problem.REPETITION: Reason.REPETITION,
    Problem.REFUSAL: Reason.REFUSAL,
    Problem.ECHO: Reason.MALFORMED,
    Problem.MALFORMED: Reason.MALFORMED,
}
"""Under which name a problem is counted as a failure."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer after it was judged."""

    text: str
    """Cleaned; of an answer cut off, what is whole of it."""
    problem: Problem | None = None
    doubts: tuple[str, ...] = ()


def judge(answer: Answer, told: str, quotes: Sequence[str] = (), *, verbatim: bool = False) -> Judged:
    """Judge what a model said.

    Args:
        answer: As the engine gave it.
        told: The prompt, without what it quotes.
        quotes: What was quoted of the corpus.
        verbatim: It was asked to transcribe, so that copying is its task.
    """
    finished = answer.finished and len(answer.text) <= MOST_CHARACTERS
    text = clean_answer(answer.text[:MOST_CHARACTERS], verbatim=verbatim)
    copied = any(_is_of(text, quote) for quote in quotes)
    # A letter may be sorry that it cannot help, a song may run in a loop: then they were read as well.
    genuine = copied and verbatim and finished
    if answer.refused or (is_refusal(text) and not genuine):
        return Judged(text, Problem.REFUSAL)
    if not any(sign.isalnum() for sign in text):
        return Judged(text, Problem.EMPTY)
    if is_loop(text, finished) and not genuine:
        return Judged(text, Problem.REPETITION)
    # A few words may be in the prompt by chance: `people and objects`.
    if len(words_of(text)) >= _SAME_WORDS and share_from(text, told) >= _ECHO:
        return Judged(text, Problem.ECHO)
    doubts: tuple[str, ...] = (str(AnswerDoubt.COPIED),) if copied and not verbatim else ()
    if finished:
        return Judged(text, doubts=doubts)
    whole = whole_part(text, lines=verbatim)
    return Judged(whole, Problem.CUT_OFF, (*doubts, str(AnswerDoubt.CUT_OFF)))


def whole_part(text: str, *, lines: bool = False) -> str:
    """Return a text up to the end of its last whole sentence; empty where it has none.

    Args:
        text: That ends anywhere.
        lines: The last line that was ended will do.
    """
    if ends_sentence(text):
        return text
    begun = [start for start, _ in split_sentences(text)]
    # What stands before the last sentence that was begun is whole.
    end = begun[-1] if begun else 0
    if lines:
        end = max(end, text.rfind("\n"))
    return text[: max(0, end)].strip()


def _is_of(text: str, quote: str) -> bool:
    """Tell whether a text is a quoted one or a part of it, not many times over."""
    return share_from(text, quote) >= _MOSTLY and len(words_of(text)) <= _LONGER * len(words_of(quote))


def share_from(text: str, source: str) -> float:
    """Tell which share of the words of a text stand in a row in another, 0-1."""
    words, others = words_of(text), words_of(source)
    count = min(_SAME_WORDS, len(words))
    if not count:
        return 0.0
    rows = {tuple(others[at : at + count]) for at in range(len(others) - count + 1)}
    shared = [False] * len(words)
    for at in range(len(words) - count + 1):
        if tuple(words[at : at + count]) in rows:
            shared[at : at + count] = [True] * count
    return sum(shared) / len(words)
