"""Looks become captions: what a vision-language model says of a clip or page.

Looks of all units of a call are answered in batches of like length; an answer that is none is
asked for again under other conditions. Every look ends as a caption, as a failure, or as both
where only the beginning of an answer could be had.
"""

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from operators.asked import Asked, conditions, lost
from operators.batch_by_tokens import batches_by_tokens
from operators.halving import Halving
from operators.prompt_files import Prompt
from operators.prompts import NAMES, load_prompt, request_of
from operators.stopwatch import Spent
from operators.vision_engine import Answer, Generation, Request, VisionEngine
from schemas.config import Config, Vision
from schemas.failure import InputError
from schemas.perception import Perception


@dataclass(frozen=True, slots=True)
class _Question:
    """A look and its request, which is the same in every try."""

    asked: Asked
    request: Request


class Vlm:
    """Perceptions with pictures to be shown in, perceptions with captions out: the same, in order."""

    def __init__(
        self,
        config: Config,
        engine: VisionEngine | None = None,
        prompts: Mapping[str, Prompt] | None = None,
    ) -> None:
        """Prepare the configured engine; it is loaded with the first look, which may never come.

        Args:
            config: Of the run, its vision resolved.
            engine: To ask instead of the configured one.
            prompts: By name, instead of those of the configuration.

        Raises:
            ConfigError: A prompt cannot be used.
            ValueError: The configured engine cannot run; the message says what to do.
        """
        self._vision = config.vision
        self._budget = config.resources.tokens_per_batch()
        # A server forms batches of its own from what it is asked at once.
        self._batched = config.vision.engine != "openai"
        most = config.resources.looks_per_batch() if self._batched else 2 * config.vision.concurrency
        self._batches = Halving(most, "words for what is shown")
        self.engine = engine
        self.prompts: Mapping[str, Prompt] = {}
        if engine is None and config.vision.looks:
            from operators.vision_isolated import vision_engine

            self.engine = vision_engine(config)
        if self.engine is not None:
            self.prompts = all_prompts(config.vision) if prompts is None else prompts
            # Also when the actor ends without a word to this.
            self._release = weakref.finalize(self, _close, self.engine)

    def __call__(self, perceptions: list[Perception]) -> list[Perception]:
        """Ask about all looks; what cannot be answered becomes a failure."""
        if self.engine is None:
            return [replace(perception, shown=[]) for perception in perceptions]
        done = list(perceptions)
        questions: dict[int, _Question] = {}
        for index, perception in enumerate(perceptions):
            if not perception.shown:
                continue
            try:
                asked = Asked(perception, self.prompts)
                questions[index] = _Question(asked, request_of(asked.look, perception.shown, asked.prompt))
            except InputError as error:
                done[index] = lost(perception, error)
        waiting = list(questions.values())
        for _ in range(self._vision.tries):
            self._ask(self.engine, waiting)
            waiting = [question for question in waiting if question.asked.wants_more]
        for index, question in questions.items():
            done[index] = question.asked.given_back(self.engine.name, self.engine.revision)
        return done

    def close(self) -> None:
        """Release the engine, as the end of the process does."""
        if self.engine is not None:
            self._release()

    def _ask(self, engine: VisionEngine, questions: Sequence[_Question]) -> None:
        """Ask each question once, those under the same conditions together."""
        alike: dict[tuple[Generation, int], list[_Question]] = {}
        for place, question in enumerate(questions):
            asked = question.asked
            how = conditions(self._vision, asked.prompt.name, asked.tried)
            # What is drawn at random may depend on the batch; alone, the same look gets the same words.
            alone = place if asked.tried and how.temperature > 0 and self._batched else -1
            alike.setdefault((how, alone), []).append(question)
        for (how, _), group in alike.items():
            self._ask_alike(engine, group, how)

    def _ask_alike(self, engine: VisionEngine, questions: Sequence[_Question], how: Generation) -> None:
        requests = [question.request for question in questions]
        batches = (
            batches_by_tokens(
                [request.visual_tokens + request.text_tokens for request in requests],
                [_shapes(request) for request in requests],
                answer=how.max_new_tokens,
                budget=self._budget,
                most=self._batches.size,
            )
            if self._batched
            else [list(range(len(requests)))]
        )
        found = self._batches.run(
            batches,
            lambda batch: engine.generate([requests[index] for index in batch], how),
            [request.visual_tokens + request.text_tokens for request in requests] if self._batched else None,
        )
        for index, tried in found.items():
            questions[index].asked.take(tried.outcome, tried.spent, tried.filled)


def all_prompts(vision: Vision) -> dict[str, Prompt]:
    """Load the prompts of a configuration, by name.

    Raises:
        ConfigError: One cannot be used.
    """
    return {name: load_prompt(name, vision.prompts) for name in NAMES}


def finish(
    perception: Perception,
    outcome: Answer | InputError,
    *,
    prompts: Mapping[str, Prompt],
    name: str,
    revision: str,
    seconds: float = 0.0,
) -> Perception:
    """Judge an answer that was given elsewhere, and cannot be asked for again.

    Args:
        perception: Of the look; its pictures may be gone already.
        outcome: What became of the request.
        prompts: By name.
        name: Of the engine and its model.
        revision: Which weights answered.
        seconds: What it took.
    """
    try:
        asked = Asked(perception, prompts)
    except InputError as error:
        return lost(perception, error)
    asked.take(outcome, Spent(seconds))
    return asked.given_back(name, revision)


def _shapes(request: Request) -> tuple[tuple[int, ...], ...]:
    return tuple(part.shape for part in request.parts if not isinstance(part, str))


def _close(engine: VisionEngine) -> None:
    close = getattr(engine, "close", None)
    if close is not None:
        close()
