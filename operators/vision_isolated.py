"""A vision-language model in a child process, where it can do no harm."""

import os

from operators.asked import most_new_tokens
from operators.engine_child import bounds_of_model
from operators.generating_child import IsolatedGenerator, OnDevice, longest_silence
from operators.vision_engine import Request, VisionEngine
from operators.vision_engines import check_vision, load_vision
from operators.vision_models import WEIGHTS
from schemas.config import Config, Vision

ADVICE = "Lower resources.vision_batch_tokens or vision.max_visual_tokens if it happens often."


class IsolatedVisionEngine(IsolatedGenerator[Request]):
    """A `VisionEngine` that forwards to one in a child process."""

    what = "vision-language model"

    def tokens_of(self, asked: Request) -> int:
        """Return how many tokens pictures and text of a request have; never too low."""
        return asked.visual_tokens + asked.text_tokens


def quiet_seconds(config: Config, looks: int) -> float:
    """Say how long a worker may legitimately be silent over so many looks, all tries included.

    Args:
        config: Of the run.
        looks: That are handed to it in one call.
    """
    vision = config.vision
    return longest_silence(
        vision,
        looks,
        read=vision.max_visual_tokens + vision.max_quoted_tokens,
        written=most_new_tokens(vision, "read" if vision.pages == "read" else "caption"),
        gpu=config.resources.vision_gpus > 0,
        unit_seconds=config.limits.unit_seconds,
    )


def load_isolated(vision: Vision, threads: int, gpu: bool) -> VisionEngine:
    """Load the engine inside the child; arguments as of `load_vision`."""
    engine = load_vision(vision, threads, gpu)
    return OnDevice(engine, ADVICE) if gpu else engine


def vision_engine(config: Config, workers: int = 1) -> VisionEngine:
    """Prepare the configured engine; a child with it is started by the first call.

    A server's client holds no weights and runs no native code, so it needs no child.

    Args:
        config: Of the run, resolved; its engine must be `transformers` or `openai`.
        workers: How many such engines share `vision.requests_per_minute`.

    Raises:
        ValueError: The engine cannot run, for the reason `check_vision` gives, or not in a worker.
        CheckpointError: The weights are not here.
    """
    vision, use = config.vision, config.resources
    gpu, threads = use.vision_gpus > 0, min(use.vision_threads, os.cpu_count() or 1)
    if vision.engine != "transformers":
        share = vision.requests_per_minute / max(1, workers)
        return load_vision(vision, threads, gpu, requests_per_minute=share)
    if (problem := check_vision(vision, gpu)) is not None:
        raise ValueError(problem)
    bounds = bounds_of_model(config.limits, threads, use.vision_memory_bytes)
    return IsolatedVisionEngine.of(vision, WEIGHTS, bounds, load_isolated, vision, threads, gpu, gpu=gpu)
