"""A vision-language model in a child process, where it can do no harm."""

import os
from collections.abc import Callable, Sequence
from functools import partial

from operators.asked import most_new_tokens
from operators.engine_child import ModelChild, bounds_of_model
from operators.isolate import Bounds
from operators.vision_engine import Answer, Generation, Request, VisionEngine
from operators.vision_engines import check_vision, load_vision, vision_name, vision_revision
from operators.vision_models import is_vision_folder, vision_folder
from schemas.config import Config, Vision
from schemas.failure import InputError, Reason

_TOKENS_READ = 1200
_TOKENS_WRITTEN = 120
"""On a CPU so many tokens are allowed as much time as a request has anyway. With the default
`limits.unit_seconds` that is 0.1 s for each token read and 1 s for each written, which a core
needs for 2 billion parameters in float32: 4 GFLOP to read one, 9 GB of memory to write one."""


class IsolatedVisionEngine(ModelChild):
    """A `VisionEngine` that forwards to one in a child process."""

    def __init__(
        self,
        name: str,
        revision: str,
        bounds: Bounds,
        load: Callable[..., VisionEngine],
        *args: object,
        gpu: bool = False,
    ) -> None:
        """Prepare without starting anything.

        Args:
            name: Of the engine and its model.
            revision: Of the weights.
            bounds: What the child may take; its times are those of one request.
            load: Loads the engine; importable by name.
            args: Its arguments, which can be hashed and pickled.
            gpu: Whether it runs on a GPU, which makes the time independent of the tokens.
        """
        super().__init__("vision-language model", name, revision, bounds, load, *args)
        self.gpu = gpu

    def generate(self, requests: Sequence[Request], how: Generation) -> list[Answer | InputError]:
        """Answer requests together, as one batch.

        Returns:
            One outcome for each request, in order.

        Raises:
            InputError: The engine died, hung or needed too much on these requests.
        """
        if not requests:
            return []
        seconds = self.bounds.item_seconds * self._shares(requests, how)
        answers: list[Answer | InputError] = self.call("generate", list(requests), how, item_seconds=seconds)
        return answers

    def _shares(self, requests: Sequence[Request], how: Generation) -> float:
        """Count how many times the time of one request a batch may take."""
        read = sum(request.visual_tokens + request.text_tokens for request in requests)
        return time_shares(len(requests), read, how.max_new_tokens * len(requests), self.gpu)


def time_shares(requests: int, read: int, written: int, gpu: bool) -> float:
    """Count how many times the time of one request a batch may take.

    Args:
        requests: In it.
        read: Tokens of all its prompts.
        written: Most tokens of all its answers.
        gpu: Whether it runs on a GPU, where tokens take no time to speak of.
    """
    return requests if gpu else requests + read / _TOKENS_READ + written / _TOKENS_WRITTEN


def quiet_seconds(config: Config, looks: int) -> float:
    """Say how long a worker may legitimately be silent over so many looks, all tries included.

    Args:
        config: Of the run.
        looks: That are handed to it in one call.
    """
    vision, use = config.vision, config.resources
    if vision.engine == "openai":
        waits = -(-looks // vision.concurrency)
        pace = 60.0 * looks / vision.requests_per_minute if vision.requests_per_minute else 0.0
        return vision.tries * (waits * (vision.patience_seconds + vision.timeout_seconds) + pace)
    shares = 1.0
    if not use.vision_gpus:
        answer = most_new_tokens(vision, "read" if vision.pages == "read" else "caption")
        shares += (
            vision.max_visual_tokens + vision.max_quoted_tokens
        ) / _TOKENS_READ + answer / _TOKENS_WRITTEN
    return config.limits.unit_seconds * vision.tries * looks * shares


class _OnDevice:
    """An engine whose want of a GPU's memory ends a batch, not the process that holds its weights.

    A heap without room may be in any state, so a child that lacks memory of its own is ended.
    """

    def __init__(self, engine: VisionEngine) -> None:
        self.engine = engine
        self.name = engine.name
        self.revision = engine.revision

    def generate(self, requests: Sequence[Request], how: Generation) -> list[Answer | InputError]:
        """Answer requests; the error of a batch that is too large can be handed on."""
        try:
            return self.engine.generate(requests, how)
        except MemoryError as error:
            msg = (
                f"Wanted memory of the GPU for {len(requests)} requests at once; there was none ({error}). "
                "Lower resources.vision_batch_tokens or vision.max_visual_tokens if it happens often."
            )
            raise InputError(Reason.MEMORY, msg) from error


def load_isolated(vision: Vision, threads: int, gpu: bool) -> VisionEngine:
    """Load the engine inside the child; arguments as of `load_vision`."""
    engine = load_vision(vision, threads, gpu)
    return _OnDevice(engine) if gpu else engine


def vision_engine(config: Config, workers: int = 1) -> VisionEngine:
    """Prepare the configured engine; a child with it is started by the first call.

    A server's client holds no weights and runs no native code, so it needs no child.

    Args:
        config: Of the run, resolved; its engine must be `transformers` or `openai`.
        workers: How many such engines share `vision.requests_per_minute`.

    Raises:
        ValueError: The engine cannot run, for the reason `check_vision` gives, or not in a worker.
    """
    vision, limits, use = config.vision, config.limits, config.resources
    gpu, threads = use.vision_gpus > 0, min(use.vision_threads, os.cpu_count() or 1)
    if vision.engine != "transformers":
        share = vision.requests_per_minute / max(1, workers)
        return load_vision(vision, threads, gpu, requests_per_minute=share)
    if (problem := check_vision(vision, gpu)) is not None:
        raise ValueError(problem)
    bounds = bounds_of_model(limits, threads, use.vision_memory_bytes)
    name, revision = vision_name(vision), vision_revision(vision)
    engine = IsolatedVisionEngine(name, revision, bounds, load_isolated, vision, threads, gpu, gpu=gpu)
    if not is_vision_folder(vision.model or ""):  # a folder is there, and the child looks at it anyway
        engine.fetch = partial(vision_folder, vision)
    return engine
