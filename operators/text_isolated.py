"""A language model in a child process, where it can do no harm."""

import os
from collections.abc import Callable, Sequence
from functools import partial

from operators.engine_child import ModelChild, bounds_of_model
from operators.hub_weights import is_folder
from operators.isolate import Bounds
from operators.text_engine import Question, TextEngine
from operators.text_engines import check_summary, load_text, summary_name, summary_revision
from operators.text_models import text_folder
from operators.vision_engine import Answer, Generation
from operators.vision_isolated import time_shares
from schemas.config import Config, Summary
from schemas.failure import InputError, Reason


class IsolatedTextEngine(ModelChild):
    """A `TextEngine` that forwards to one in a child process."""

    def __init__(
        self,
        name: str,
        revision: str,
        bounds: Bounds,
        load: Callable[..., TextEngine],
        *args: object,
        gpu: bool = False,
    ) -> None:
        """Prepare without starting anything.

        Args:
            name: Of the engine and its model.
            revision: Of the weights.
            bounds: What the child may take; its times are those of one question.
            load: Loads the engine; importable by name.
            args: Its arguments, which can be hashed and pickled.
            gpu: Whether it runs on a GPU, which makes the time independent of the tokens.
        """
        super().__init__("language model", name, revision, bounds, load, *args)
        self.gpu = gpu

    def generate(self, questions: Sequence[Question], how: Generation) -> list[Answer | InputError]:
        """Answer questions together, as one batch.

        Returns:
            One outcome for each question, in order.

        Raises:
            InputError: The engine died, hung or needed too much on these questions.
        """
        if not questions:
            return []
        read = sum(question.tokens for question in questions)
        shares = time_shares(len(questions), read, how.max_new_tokens * len(questions), self.gpu)
        seconds = self.bounds.item_seconds * shares
        answers: list[Answer | InputError] = self.call("generate", list(questions), how, item_seconds=seconds)
        return answers


def quiet_seconds(config: Config, questions: int) -> float:
    """Say how long a worker may legitimately be silent over so many questions, all tries included.

    Args:
        config: Of the run.
        questions: That are handed to it in one call.
    """
    summary, use = config.summary, config.resources
    if summary.engine == "openai":
        waits = -(-questions // summary.concurrency)
        pace = 60.0 * questions / summary.requests_per_minute if summary.requests_per_minute else 0.0
        return summary.tries * (waits * (summary.patience_seconds + summary.timeout_seconds) + pace)
    gpu, read, written = use.summary_gpus > 0, summary.context_tokens, summary.max_new_tokens
    shares = time_shares(questions, read * questions, written * questions, gpu)
    return config.limits.unit_seconds * summary.tries * shares


class _OnDevice:
    """An engine whose want of a GPU's memory ends a batch, not the process that holds its weights.

    A heap without room may be in any state, so a child that lacks memory of its own is ended.
    """

    def __init__(self, engine: TextEngine) -> None:
        self.engine = engine
        self.name = engine.name
        self.revision = engine.revision

    def generate(self, questions: Sequence[Question], how: Generation) -> list[Answer | InputError]:
        """Answer questions; the error of a batch that is too large can be handed on."""
        try:
            return self.engine.generate(questions, how)
        except MemoryError as error:
            msg = (
                f"Wanted memory of the GPU for {len(questions)} questions at once; there was none ({error}). "
                "Lower resources.summary_batch or summary.context_tokens if it happens often."
            )
            raise InputError(Reason.MEMORY, msg) from error


def load_isolated(section: str, threads: int, gpu: float) -> TextEngine:
    """Load the engine inside the child; arguments as of `load_text`, the section as JSON."""
    engine = load_text(Summary.model_validate_json(section), threads, gpu)
    return _OnDevice(engine) if gpu else engine


def text_engine(config: Config, workers: int = 1) -> TextEngine:
    """Prepare the configured engine; nothing is loaded before the first question.

    A server's client holds no weights and runs no native code, and vLLM keeps a process of its own, so
    these need no child.

    Args:
        config: Of the run, resolved; its engine must be one that writes.
        workers: How many such engines share `summary.requests_per_minute`.

    Raises:
        ValueError: The engine cannot run, for the reason `check_summary` gives.
        CheckpointError: The weights are not here.
    """
    summary, limits, use = config.summary, config.limits, config.resources
    gpu, threads = use.summary_gpus, min(use.summary_threads, os.cpu_count() or 1)
    if summary.engine != "transformers":
        share = summary.requests_per_minute / max(1, workers)
        return load_text(summary, threads, gpu, requests_per_minute=share)
    if (problem := check_summary(summary, gpu > 0)) is not None:
        raise ValueError(problem)
    bounds = bounds_of_model(limits, threads, use.summary_memory_bytes)
    name, revision = summary_name(summary), summary_revision(summary)
    section = summary.model_dump_json()
    engine = IsolatedTextEngine(name, revision, bounds, load_isolated, section, threads, gpu, gpu=gpu > 0)
    if not is_folder(summary.model or ""):  # a folder is there, and the child looks at it anyway
        engine.fetch = partial(text_folder, summary)
    return engine
