"""Judging what a model said when it was asked for an object: a value, or what is wrong with it."""

from dataclasses import dataclass
from typing import Generic

from operators.answers import Problem
from operators.clean_answer import clean_answer
from operators.refusals import is_refusal
from operators.repeats import is_loop
from operators.structured import MOST_CHARACTERS, Model, Parsed, parse, parse_beginning, texts_of
from operators.vision_engine import Answer
from schemas.failure import InputError


@dataclass(frozen=True, slots=True)
class Verdict(Generic[Model]):
    """An answer after it was judged."""

    parsed: Parsed[Model] | None
    """Also beside a problem: the whole parts of an object that was cut off, for want of a better one."""
    problem: Problem | None = None
    fault: str = ""
    """What is wrong with the object, to be told to the model."""


def judge_object(answer: Answer, model: type[Model]) -> Verdict[Model]:
    """Judge what a model said.

    Args:
        answer: As the engine gave it.
        model: What is wanted.
    """
    finished = answer.finished and len(answer.text) <= MOST_CHARACTERS
    said = clean_answer(answer.text[:MOST_CHARACTERS])
    if answer.refused or is_refusal(said):
        return Verdict(None, Problem.REFUSAL)
    if not any(sign.isalnum() for sign in said):
        return Verdict(None, Problem.EMPTY if finished else Problem.CUT_OFF)
    try:
        parsed = parse(answer.text, model)
    except InputError as error:
        if is_loop(said, finished):
            return Verdict(None, Problem.REPETITION)
        if finished:
            return Verdict(None, Problem.MALFORMED, error.message)
        return Verdict(parse_beginning(answer.text, model), Problem.CUT_OFF)
    # The object itself repeats its keys rightly, a key point may be a sentence once more, and sentences
    # about like things are alike: in an object that was ended, only a text by itself may run in a loop.
    texts = texts_of(parsed.value)
    if any(map(is_loop, texts)) or (not finished and is_loop("\n".join(texts), finished)):
        return Verdict(None, Problem.REPETITION)
    if parsed.repaired and not finished:
        return Verdict(parse_beginning(answer.text, model), Problem.CUT_OFF)
    return Verdict(parsed)
