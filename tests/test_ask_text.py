"""Questions that want an object: asked in batches, asked again, told what was wrong, and never too long."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from operators.ask_text import Asked, Asker
from operators.quote import quoted
from operators.text_engine import Question
from operators.text_tokens import estimate_tokens
from operators.vision_engine import Answer, Generation
from schemas.config import Config, load_config
from schemas.failure import InputError, Reason
from tests.tiny_lm import TINY_LM


class Sentence(BaseModel):
    """One sentence and what it rests on."""

    text: str
    evidence: list[int] = Field(min_length=1)


class Summary(BaseModel):
    """What is asked for."""

    sentences: list[Sentence] = Field(min_length=1, max_length=5)


GOOD = '{"sentences":[{"text":"A boat.","evidence":[1]}]}'
Outcome = Answer | InputError
Script = Callable[[Question, Generation, int], Outcome]


def says(text: str, finished: bool = True, refused: bool = False) -> Answer:
    """Answer with a text."""
    return Answer(text, finished, 10, None, 5, refused)


@dataclass
class Scripted:
    """An engine that answers by a script, given the question, the conditions and how often it was asked."""

    script: Script
    most: int = 1 << 30
    """Questions that fit its memory."""
    name: str = "scripted:writer"
    revision: str = "1"
    batches: list[list[Question]] = field(default_factory=list)
    hows: list[Generation] = field(default_factory=list)
    closed: int = 0

    def generate(self, questions: Sequence[Question], how: Generation) -> list[Outcome]:
        """Answer by the script."""
        if len(questions) > self.most:
            msg = f"{len(questions)} at once"
            raise MemoryError(msg)
        self.batches.append(list(questions))
        self.hows.append(how)
        asked = len(self.batches) - 1
        return [self.script(question, how, asked) for question in questions]

    def close(self) -> None:
        """Count."""
        self.closed += 1


def config(*settings: str) -> Config:
    """Configure a server, which is never asked: its counts are estimates and need no weights."""
    server = ["summary.engine=openai", "summary.base_url=http://127.0.0.1:1/v1", "summary.model=writer"]
    return load_config(settings=[*server, *settings])


def local(*settings: str) -> Config:
    """Configure the tiny model."""
    return load_config(settings=["summary.engine=transformers", f"summary.model={TINY_LM}", *settings])


def in_turn(*outcomes: Outcome) -> Script:
    """Give one outcome after the other, one for each batch."""
    return lambda _question, _how, asked: outcomes[min(asked, len(outcomes) - 1)]


def ask_one(script: Script, *settings: str) -> tuple[Asked, Scripted]:
    """Ask one question."""
    engine = Scripted(script)
    [asked] = Asker(config(*settings), engine).ask(["What is it?"], Summary)
    assert (asked.value is None) != (asked.failure is None)
    return asked, engine


# --- one question ---------------------------------------------------------------------------


def test_a_good_answer_is_a_value() -> None:
    """Asked once, greedily, with the schema of what is wanted."""
    asked, engine = ask_one(in_turn(says(f"Here it is:\n```json\n{GOOD}\n```")))
    assert asked.value == Summary(sentences=[Sentence(text="A boat.", evidence=[1])])
    assert (asked.tries, asked.repaired, asked.input_tokens, asked.output_tokens) == (1, False, 10, 5)
    [[question]] = engine.batches
    assert question.schema is not None
    assert question.schema["additionalProperties"] is False
    assert question.tokens == asked.prompt_tokens > estimate_tokens("What is it?")
    assert engine.hows == [Generation(max_new_tokens=640)]


def test_what_is_no_object_is_asked_for_again_with_what_was_wrong() -> None:
    """Warmer, from another seed; costs of all tries are counted."""
    asked, engine = ask_one(in_turn(says('{"sentences":[{"text":"A boat."}]}'), says("A boat."), says(GOOD)))
    assert asked.value is not None
    assert (asked.tries, asked.input_tokens, asked.output_tokens) == (3, 30, 15)
    first, second, third = (batch[0] for batch in engine.batches)
    assert first.text == "What is it?"
    assert second.text.startswith("What is it?\n\n")
    assert "sentences.0.evidence: Field required" in second.text
    assert "found no object" in third.text
    assert second.tokens > first.tokens
    assert [how.seed for how in engine.hows] == [0, 1, 2]
    assert engine.hows[0].temperature == 0
    assert 0 < engine.hows[1].temperature < engine.hows[2].temperature


def test_an_object_that_is_mended_is_one() -> None:
    """At once: another try would cost more and might be worse."""
    asked, _ = ask_one(in_turn(says('{"sentences":[{"text":"A boat." "evidence":[1]}]')))
    assert asked.value is not None
    assert (asked.tries, asked.repaired) == (1, True)


LOOP = "the boat and the sea and " * 40


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (says(""), Reason.NO_ANSWER),
        (says("<think>Well.</think>\n"), Reason.NO_ANSWER),
        (says("<think>Well, it may be", finished=False), Reason.CUT_OFF),
        (says("I'm sorry, but I can't help with that."), Reason.REFUSAL),
        (says("", refused=True), Reason.REFUSAL),
        (says(LOOP), Reason.REPETITION),
        (says('{"sentences":[{"text":"' + LOOP, finished=False), Reason.REPETITION),
        (says(json.dumps({"sentences": [{"text": LOOP, "evidence": [1]}]})), Reason.REPETITION),
        (says("A boat lies at the pier."), Reason.MALFORMED),
        (says('{"sentences":[]}'), Reason.MALFORMED),
        (says('{"sentences":[{"text":"A bo', finished=False), Reason.CUT_OFF),
    ],
)
def test_what_is_no_answer_has_a_name(outcome: Answer, reason: Reason) -> None:
    """After all tries, with what to do."""
    asked, engine = ask_one(lambda *_: outcome)
    assert asked.failure is not None
    assert asked.failure.reason == reason
    assert asked.failure.message.startswith("Wanted a summary; the model")
    assert asked.tries == len(engine.batches) == 3


def test_a_loop_is_broken_by_a_penalty() -> None:
    """On words that were said."""
    _, engine = ask_one(in_turn(says(LOOP), says(GOOD)))
    assert [how.repetition_penalty > 1 for how in engine.hows] == [False, True]


BEGUN = '{"sentences":[{"text":"A boat.","evidence":[1]},{"text":"A sea and'


def test_what_was_cut_off_is_asked_for_again_with_more_room() -> None:
    """And not warmer: it was only too long."""
    asked, engine = ask_one(in_turn(says(BEGUN, finished=False), says(GOOD)))
    assert (asked.tries, asked.repaired) == (2, False)
    assert [how.max_new_tokens for how in engine.hows] == [640, 1280]
    assert engine.hows[1].temperature == 0


def test_the_whole_part_of_what_was_cut_off_is_the_last_resort() -> None:
    """After all tries, and said to be mended; a sentence without its end is left out."""
    asked, _ = ask_one(lambda *_: says(BEGUN, finished=False))
    assert asked.value == Summary(sentences=[Sentence(text="A boat.", evidence=[1])])
    assert (asked.tries, asked.repaired) == (3, True)
    asked, _ = ask_one(in_turn(says(BEGUN, finished=False), says(""), says("")))
    assert asked.repaired


def test_an_error_of_the_engine_is_final() -> None:
    """It has had its patience; another question is answered."""
    away = InputError(Reason.UNREACHABLE, "nobody there", transient=True)
    engine = Scripted(lambda question, *_: away if question.text == "a" else says(GOOD))
    first, second = Asker(config(), engine).ask(["a", "b"], Summary)
    assert first.failure is away
    assert first.tries == 1
    assert second.value is not None


# --- many questions -------------------------------------------------------------------------


def test_a_server_is_asked_all_at_once() -> None:
    """It forms batches of its own, and each question has its outcome, in order."""

    def answer(question: Question, how: Generation, asked: int) -> Answer:
        number = int(question.text.split()[0])
        if number % 3 == 0 and asked == 0:
            return says("no object")
        return says(json.dumps({"sentences": [{"text": question.text.split()[0], "evidence": [number]}]}))

    engine = Scripted(answer)
    asker = Asker(config(), engine)
    found = asker.ask([f"{number} " + "word " * number for number in range(1, 31)], Summary)
    assert [len(batch) for batch in engine.batches] == [30, 10]
    assert [one.value.sentences[0].evidence for one in found if isinstance(one.value, Summary)] == [
        [number] for number in range(1, 31)
    ]
    assert [one.tries for one in found] == [2 if number % 3 == 0 else 1 for number in range(1, 31)]
    assert asker.calls == 40
    assert asker.ask([], Summary) == []


def test_batches_of_a_model_here_are_small_and_of_like_length() -> None:
    """And what is drawn at random is drawn alone, so that it is the same in any company."""
    engine = Scripted(lambda _, how, __: says(GOOD) if how.temperature == 0 else says("none"))
    asker = Asker(local("resources.summary_batch=4"), engine)
    prompts = ["word " * count for count in (5, 500, 6, 490, 7, 480, 8, 470)]
    asker.ask(prompts, Summary)
    assert [len(batch) for batch in engine.batches] == [4, 4]
    assert all(question.tokens > 100 for question in engine.batches[0])
    warm = Scripted(lambda *_: says(GOOD))
    Asker(local("resources.summary_batch=4", "summary.temperature=0.7"), warm).ask(prompts, Summary)
    assert [len(batch) for batch in warm.batches] == [1] * 8


def test_a_batch_that_does_not_fit_is_halved() -> None:
    """Nothing is lost, and later batches stay small."""
    engine = Scripted(lambda *_: says(GOOD), most=2)
    found = Asker(local("resources.summary_batch=8"), engine).ask(["What?"] * 8, Summary)
    assert all(one.value is not None for one in found)
    assert [len(batch) for batch in engine.batches] == [2, 2, 2, 2]


# --- the window -----------------------------------------------------------------------------


def test_a_prompt_that_the_window_cannot_hold_is_refused() -> None:
    """Before anything is asked."""
    engine = Scripted(lambda *_: says(GOOD))
    asker = Asker(config("summary.context_tokens=1024", "summary.max_new_tokens=200"), engine)
    with pytest.raises(ValueError, match="at most 824 tokens"):
        asker.ask(["short", "word " * 800], Summary)
    assert not engine.batches
    assert asker.calls == asker.largest_prompt == 0


@given(
    st.lists(st.integers(0, 380), min_size=1, max_size=4), st.sampled_from([GOOD, BEGUN, "none", "", LOOP])
)
def test_the_window_is_never_exceeded(lengths: list[int], text: str) -> None:
    """Whatever is answered: a correction or more room for the answer are given only where there is room."""
    engine = Scripted(lambda *_: says(text, finished=text != BEGUN))
    asker = Asker(config("summary.context_tokens=1024", "summary.max_new_tokens=200"), engine)
    asker.ask(["word " * length for length in lengths], Summary)
    for batch, how in zip(engine.batches, engine.hows, strict=True):
        for question in batch:
            assert question.tokens >= estimate_tokens(question.text)
            assert question.tokens + how.max_new_tokens <= 1024
    assert asker.largest_prompt == max(question.tokens for batch in engine.batches for question in batch)
    assert asker.calls == sum(map(len, engine.batches))


# --- the engine -----------------------------------------------------------------------------


def test_the_engine_is_released_once() -> None:
    """By name, and not again at the end."""
    engine = Scripted(lambda *_: says(GOOD))
    asker = Asker(config(), engine)
    assert (asker.name, asker.revision) == ("scripted:writer", "1")
    asker.close()
    asker.close()
    del asker
    assert engine.closed == 1


def test_without_an_engine_that_writes_there_is_no_asker() -> None:
    """Extractive summaries ask nobody."""
    with pytest.raises(ValueError, match=r"summary\.engine=extractive"):
        Asker(load_config())


def test_a_real_model_is_asked() -> None:
    """From its child: it copies the first two lines of evidence, and cites them."""
    asker = Asker(local("summary.max_new_tokens=200"))
    try:
        assert asker.name == "transformers:tiny_lm"
        lines = ["The budget for 2024 is 350 euros.", "Ships leave the harbour at noon.", "Nobody came."]
        shown = quoted("\n".join(f"[{number}] {line}" for number, line in enumerate(lines, 1)))
        [asked] = asker.ask([f"Summarise what was said.\n\n{shown}\n\nAnswer with JSON."], Summary)
    finally:
        asker.close()
    assert asked.value == Summary(
        sentences=[Sentence(text=lines[0], evidence=[1]), Sentence(text=lines[1], evidence=[2])]
    )
    assert (asked.tries, asked.repaired) == (1, False)
    assert asked.input_tokens is not None
    assert asked.input_tokens <= asked.prompt_tokens == asker.largest_prompt
