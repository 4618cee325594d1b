"""A language model in a child process, where it can do no harm."""

import os

from operators.engine_child import bounds_of_model
from operators.generating_child import IsolatedGenerator, OnDevice, longest_silence
from operators.text_engine import Question, TextEngine
from operators.text_engines import check_summary, load_text
from operators.text_models import WEIGHTS
from schemas.config import Config, Summary

ADVICE = "Lower resources.summary_batch or summary.context_tokens if it happens often."


class IsolatedTextEngine(IsolatedGenerator[Question]):
    """A `TextEngine` that forwards to one in a child process."""

    what = "language model"

    def tokens_of(self, asked: Question) -> int:
        """Return how many tokens a question has; never too low."""
        return asked.tokens


def quiet_seconds(config: Config, questions: int) -> float:
    """Say how long a worker may legitimately be silent over so many questions, all tries included.

    Args:
        config: Of the run.
        questions: That are handed to it in one call.
    """
    return longest_silence(
        config.summary,
        questions,
        read=config.summary.context_tokens,
        written=config.summary.max_new_tokens,
        gpu=config.resources.summary_gpus > 0,
        unit_seconds=config.limits.unit_seconds,
    )


def load_isolated(section: str, threads: int, gpu: float) -> TextEngine:
    """Load the engine inside the child; arguments as of `load_text`, the section as JSON."""
    engine = load_text(Summary.model_validate_json(section), threads, gpu)
    return OnDevice(engine, ADVICE) if gpu else engine


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
    summary, use = config.summary, config.resources
    gpu, threads = use.summary_gpus, min(use.summary_threads, os.cpu_count() or 1)
    if summary.engine != "transformers":
        share = summary.requests_per_minute / max(1, workers)
        return load_text(summary, threads, gpu, requests_per_minute=share)
    if (problem := check_summary(summary, gpu > 0)) is not None:
        raise ValueError(problem)
    bounds = bounds_of_model(config.limits, threads, use.summary_memory_bytes)
    section = summary.model_dump_json()  # its lists cannot be hashed
    return IsolatedTextEngine.of(summary, WEIGHTS, bounds, load_isolated, section, threads, gpu, gpu=gpu > 0)
