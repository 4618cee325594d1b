"""Questions to a language model that want a JSON object, each with an outcome.

Questions of like length go together; an answer that is none is asked for again under other conditions,
and where it was no object as it was asked for, the model is told what was wrong. No question is
ever asked that the window of the model could not hold together with its answer.
"""

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from operators.answers import REASONS, Problem
from operators.asked import ask_again
from operators.batch_by_tokens import batches_by_tokens
from operators.cost_of import sum_filled
from operators.halving import Halving
from operators.judge_object import Verdict, judge_object
from operators.stopwatch import Spent
from operators.structured import schema_of
from operators.text_engine import Question, TextEngine
from operators.text_engines import chat_tokens_of, context_of, text_counter_of
from operators.vision_engine import Answer, Generation
from schemas.config import Config
from schemas.failure import InputError, Reason
from schemas.perception import UNBATCHED, Filled

_BATCH_TOKENS = {False: 16_384, True: 131_072}
"""Most tokens of a batch, padding and answers included, without and with a GPU: of a model of 1.5 billion
parameters that keeps 28 kB for each token, half a gigabyte and four."""

_TOGETHER = 1 << 16
"""Most questions that are handed at once to what forms batches of its own."""

_CORRECTION = (
    "\n\nAn answer to this could not be used: {fault} Write the JSON object once more, in exactly the form "
    "that is wanted, and nothing else."
)
_GLIMPSE = 80
"""Characters of an answer that a message shows."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of a question: a value or a failure, never both."""

    value: BaseModel | None
    failure: InputError | None
    tries: int
    repaired: bool
    """The object was mended, or is the whole part of one that was cut off."""
    prompt_tokens: int
    """Of one try, the marks of a chat included; never too low."""
    input_tokens: int | None
    """Of all tries, where the engine says."""
    output_tokens: int | None
    spent: Spent
    filled: Filled = UNBATCHED


@dataclass(slots=True)
class _Open:
    """A question while it is asked."""

    prompt: str
    model: type[BaseModel]
    schema: Mapping[str, Any]
    tokens: int
    tried: list[tuple[Answer, Verdict[BaseModel]]] = field(default_factory=list)
    error: InputError | None = None
    spent: Spent = field(default_factory=Spent)
    filled: list[Filled] = field(default_factory=list)

    @property
    def wants_more(self) -> bool:
        """Whether it was answered, and wrongly."""
        return self.error is None and bool(self.tried) and self.tried[-1][1].problem is not None

    def take(self, outcome: Answer | InputError, spent: Spent, filled: Filled = UNBATCHED) -> None:
        """Judge what came of asking."""
        self.spent += spent
        self.filled.append(filled)
        if isinstance(outcome, InputError):
            self.error = outcome
        else:
            self.tried.append((outcome, judge_object(outcome, self.model)))

    def outcome(self) -> Asked:
        """Say what came of it; a beginning that was cut off is better than nothing, and only that."""
        begun = [verdict.parsed for _, verdict in self.tried if verdict.parsed is not None]
        parsed = begun[-1] if begun else None
        return Asked(
            value=None if parsed is None else parsed.value,
            failure=self._failure() if parsed is None else None,
            tries=len(self.tried) + (self.error is not None),
            repaired=parsed is not None and parsed.repaired,
            prompt_tokens=self.tokens,
            input_tokens=_total([answer.input_tokens for answer, _ in self.tried]),
            output_tokens=_total([answer.output_tokens for answer, _ in self.tried]),
            spent=self.spent,
            filled=sum_filled(self.filled),
        )

    def _failure(self) -> InputError:
        if self.error is not None:
            return self.error
        if not self.tried:
            return InputError(Reason.INTERNAL, "Wanted a summary; the engine was never asked.")
        answer, verdict = self.tried[-1]
        assert verdict.problem is not None
        times = "once" if len(self.tried) == 1 else f"{len(self.tried)} times"
        begins = " ".join(answer.text.split())
        begins = begins if len(begins) <= _GLIMPSE else begins[:_GLIMPSE] + "…"
        match verdict.problem:
            case Problem.EMPTY:
                found = f"the model said nothing (asked {times}). Try another summary.model."
            case Problem.REPETITION:
                found = f"the model's answer ran in a loop (asked {times}): {begins!r}. Try a larger model."
            case Problem.REFUSAL:
                found = f"the model declined (asked {times}): {begins!r}."
            case Problem.CUT_OFF:
                found = (
                    f"the model's answer did not end within its limit (asked {times}), and no part of it is "
                    "whole. Raise summary.max_new_tokens."
                )
            case _:
                found = (
                    f"the model's answer was no object as it was asked for (asked {times}): {begins!r}. "
                    f"{verdict.fault} Try a larger model, or a server that holds answers to a schema."
                )
        return InputError(REASONS[verdict.problem], f"Wanted a summary; {found}")


class Asker:
    """Asks the configured language model."""

    def __init__(self, config: Config, engine: TextEngine | None = None) -> None:
        """Prepare the configured engine; it is loaded with the first question, which may never come.

        Args:
            config: Of the run, its summary resolved.
            engine: To ask instead of the configured one.

        Raises:
            ValueError: The configured engine cannot run, or writes no summaries; the message says
                what to do.
        """
        summary, use = config.summary, config.resources
        self._summary = summary
        # Servers and vLLM form batches of their own from what they are asked at once.
        self._batched = summary.engine not in ("openai", "vllm")
        self._budget = _BATCH_TOKENS[use.summary_gpus > 0]
        most = use.summary_batch or (16 if use.summary_gpus else 2)
        self._batches = Halving(most if self._batched else _TOGETHER, "a summary")
        if engine is None:
            from operators.text_isolated import text_engine

            engine = text_engine(config)
        self.engine = engine
        self.calls = 0
        """Questions that were asked, each try counted."""
        self.largest_prompt = 0
        """Tokens of the largest of them, the marks of a chat included."""
        # Also when the actor ends without a word to this.
        self._release = weakref.finalize(self, _close, engine)

    @property
    def name(self) -> str:
        """Of engine and model, as summaries bear it."""
        return self.engine.name

    @property
    def revision(self) -> str:
        """Which weights answer."""
        return self.engine.revision

    def ask(self, prompts: Sequence[str], answer: type[BaseModel]) -> list[Asked]:
        """Ask all questions; what cannot be answered becomes a failure.

        Args:
            prompts: Whole questions.
            answer: What each is to be answered with.

        Returns:
            One outcome for each prompt, in order.

        Raises:
            ValueError: A prompt does not fit the window of the model together with its answer.
            CheckpointError: The weights are not here.
        """
        schema = schema_of(answer)
        questions = [_Open(prompt, answer, schema, self._tokens(prompt)) for prompt in prompts]
        for question in questions:
            self._require_fit(question)
        waiting = questions
        for _ in range(self._summary.tries):
            self._ask(waiting)
            waiting = [question for question in waiting if question.wants_more]
        return [question.outcome() for question in questions]

    def close(self) -> None:
        """Release the engine, as the end of the process does."""
        self._release()

    def _tokens(self, prompt: str) -> int:
        return text_counter_of(self._summary)(prompt) + chat_tokens_of(self._summary)

    def _require_fit(self, question: _Open) -> None:
        most, answer = context_of(self._summary), self._summary.max_new_tokens
        if question.tokens + answer > most:
            msg = (
                f"Wanted a prompt of at most {most - answer} tokens, which the window of {most} holds "
                f"together with an answer of {answer} (summary.max_new_tokens); found {question.tokens}."
            )
            raise ValueError(msg)

    def _ask(self, questions: Sequence[_Open]) -> None:
        """Ask each question once, those under the same conditions together."""
        alike: dict[tuple[Generation, int], list[tuple[_Open, Question]]] = {}
        for place, opened in enumerate(questions):
            question = self._question(opened)
            how = self._conditions(opened, question.tokens)
            # What is drawn at random may depend on the batch; alone, the same question gets the same words.
            alone = place if how.temperature > 0 and self._batched else -1
            alike.setdefault((how, alone), []).append((opened, question))
        for (how, _), group in alike.items():
            self._ask_alike(group, how)

    def _question(self, opened: _Open) -> Question:
        """Write the question, with what was wrong with the last answer where there is room for it."""
        plain = Question(opened.prompt, opened.tokens, opened.schema)
        if not opened.tried or opened.tried[-1][1].problem is not Problem.MALFORMED:
            return plain
        text = opened.prompt + _CORRECTION.format(fault=opened.tried[-1][1].fault)
        tokens = self._tokens(text)
        fits = tokens + self._summary.max_new_tokens <= context_of(self._summary)
        return Question(text, tokens, opened.schema) if fits else plain

    def _conditions(self, opened: _Open, tokens: int) -> Generation:
        summary = self._summary
        first = Generation(summary.max_new_tokens, summary.temperature, summary.seed)
        how = ask_again(first, [(answer.finished, verdict.problem) for answer, verdict in opened.tried])
        return replace(how, max_new_tokens=min(how.max_new_tokens, context_of(summary) - tokens))

    def _ask_alike(self, group: Sequence[tuple[_Open, Question]], how: Generation) -> None:
        tokens = [question.tokens for _, question in group]
        batches = (
            batches_by_tokens(
                tokens,
                [None] * len(tokens),
                answer=how.max_new_tokens,
                budget=self._budget,
                most=self._batches.size,
            )
            if self._batched
            else [list(range(len(group)))]
        )

        def generate(batch: list[int]) -> list[Answer | InputError]:
            self.calls += len(batch)
            self.largest_prompt = max(self.largest_prompt, *(tokens[index] for index in batch))
            return self.engine.generate([group[index][1] for index in batch], how)

        found = self._batches.run(batches, generate, tokens if self._batched else None)
        for index, tried in found.items():
            group[index][0].take(tried.outcome, tried.spent, tried.filled)


def _close(engine: TextEngine) -> None:
    close = getattr(engine, "close", None)
    if close is not None:
        close()


def _total(counts: Sequence[int | None]) -> int | None:
    """Add what is known; null where nothing is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
