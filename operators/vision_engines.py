"""Which vision-language model the configuration chose, and whether it can run here.

The engines are imported where they are loaded and nowhere else: they bring PyTorch along, and
one that is not installed stands in nobody's way.
"""

from functools import lru_cache
from pathlib import Path

from operators.model_arguments import client_of, on_torch
from operators.model_settings import check_model, model_name, model_revision
from operators.text_checkpoints import stated_context
from operators.text_tokens import TextCounter, text_counter
from operators.vision_engine import VisionEngine
from operators.vision_models import WEIGHTS, vision_folder
from operators.visual_tokens import TokenRule, rule_of_family, rule_of_folder
from schemas.config import Vision

# --- whether it can run ---------------------------------------------------------------------


def check_vision(vision: Vision, gpu: bool | None = None) -> str | None:
    """Tell why the configured engine cannot run, without disk, network or importing it.

    Args:
        vision: The section.
        gpu: Whether it gets a share of a GPU; null where that is not settled.

    Returns:
        None when nothing stands in the way; otherwise what was wanted, what was found and
        what to do.
    """
    if not vision.looks:
        return None
    if (problem := check_model(vision, WEIGHTS, "looks at the pictures", gpu)) is not None:
        return problem
    return None if vision.engine == "transformers" else _check_family(vision.family)


def _check_family(family: str | None) -> str | None:
    try:
        rule_of_family(family)
    except ValueError as error:
        return f"vision.family: {error}"
    return None


# --- what captions bear ---------------------------------------------------------------------


def vision_name(vision: Vision) -> str:
    """Name engine and model as captions bear it: `transformers:Qwen2-VL-2B-Instruct`."""
    return model_name(vision) if vision.looks else "off"


def vision_revision(vision: Vision) -> str:
    """Name the libraries and the weights that would look, without loading them.

    Of a server: where it is and what it calls its model; how often and how long it is asked
    changes nothing.

    Raises:
        CheckpointError: The weights are not there; `resolve_vision` sees to that before a run.
    """
    return model_revision(vision, WEIGHTS) if vision.looks else "off"


# --- what it costs --------------------------------------------------------------------------
# Asked for each clip and page; the files that tell are read once.


@lru_cache(maxsize=8)
def token_rule_of(vision: Vision) -> TokenRule:
    """Return the rule by which pictures become tokens.

    Args:
        vision: As `resolve_vision` gave it.

    Raises:
        CheckpointError: The weights are not here.
        ValueError: There is no such family.
    """
    folder = _told_by(vision)
    return rule_of_family(vision.family) if folder is None else rule_of_folder(folder)


@lru_cache(maxsize=8)
def text_counter_of(vision: Vision) -> TextCounter:
    """Return what counts the tokens of a text: exactly where the tokenizer is here.

    Raises:
        CheckpointError: The weights are not here.
    """
    return text_counter(_told_by(vision))


@lru_cache(maxsize=8)
def context_of(vision: Vision) -> int | None:
    """Return how many tokens question and answer may have together, where that is known.

    Raises:
        CheckpointError: The weights are not here.
    """
    folder = _told_by(vision)
    return None if folder is None else stated_context(folder)


def _told_by(vision: Vision) -> Path | None:
    """Return the folder of the checkpoint; none where a server holds it or a family is named for it."""
    if vision.engine == "openai" or (vision.engine == "vllm" and vision.family is not None):
        return None
    return vision_folder(vision)


# --- the engine -----------------------------------------------------------------------------


def load_vision(
    vision: Vision, threads: int, gpu: bool = False, requests_per_minute: float | None = None
) -> VisionEngine:
    """Load the configured engine and its weights, or prepare to ask the server.

    Args:
        vision: The section as `resolve_vision` gave it; its engine must not be `off`.
        threads: Threads of one inference on a CPU.
        gpu: Whether it runs on a GPU.
        requests_per_minute: Most requests of this engine, where several share
            `vision.requests_per_minute`; null takes that.

    Raises:
        ValueError: The engine is off or no engine of a worker, or cannot run for the reason
            `check_vision` gives.
        CheckpointError: The weights are not there, or not those that the run began with.
        MemoryError: They do not fit.
    """
    if vision.engine not in ("transformers", "openai"):
        msg = (
            f"Wanted a vision engine to load; found vision.engine={vision.engine}. In a worker run "
            "transformers and openai; vllm runs in Ray's own pipeline."
        )
        raise ValueError(msg)
    if (problem := check_vision(vision, gpu)) is not None:
        raise ValueError(problem)
    if vision.engine == "openai":
        from operators.vision_openai import OpenAiEngine

        return client_of(OpenAiEngine, vision, WEIGHTS, requests_per_minute)
    from operators.vision_transformers import TransformersVisionEngine

    return TransformersVisionEngine(vision_folder(vision), **on_torch(vision, WEIGHTS, threads, gpu))
