"""Which language model writes the summaries, and what its questions cost.

The engines are imported where they are loaded and nowhere else: they bring PyTorch along, and
one that is not installed stands in nobody's way.
"""

from functools import lru_cache
from pathlib import Path

from operators.model_arguments import client_of, on_torch
from operators.model_settings import model_name, model_revision
from operators.text_checkpoints import folder_also_sees, stated_context
from operators.text_engine import TextEngine
from operators.text_models import WEIGHTS, check_summary, text_folder
from operators.text_tokens import TextCounter, text_counter
from schemas.config import Summary

__all__ = [
    "chat_tokens_of",
    "check_summary",
    "context_of",
    "load_text",
    "room_of",
    "summary_name",
    "summary_revision",
    "text_counter_of",
]

_SERVER_CHAT_TOKENS = 64
"""Room for what a server's chat template puts around a question: 9 tokens for ChatML, 20 with the usual
system message, 40 for Llama 3."""


_JOINTS = 2
"""A text may be cut into other tokens where it meets the marks."""


# --- what summaries bear --------------------------------------------------------------------


def summary_name(summary: Summary) -> str:
    """Name engine and model as summaries bear it: `transformers:Qwen2.5-1.5B-Instruct`."""
    return model_name(summary) if summary.writes else summary.engine


def summary_revision(summary: Summary) -> str:
    """Name the libraries and the weights that would write, without loading them; `off` where none does.

    Of a server: where it is and what it calls its model; how often and how long it is asked
    changes nothing.

    Raises:
        CheckpointError: The weights are not there; `resolve_summary` sees to that before a run.
    """
    return model_revision(summary, WEIGHTS) if summary.writes else "off"


# --- what it costs --------------------------------------------------------------------------
# Asked for each question; the files that tell are read once.


def text_counter_of(summary: Summary) -> TextCounter:
    """Return what counts the tokens of a text: exactly where the tokenizer is here, else never too low.

    Raises:
        CheckpointError: The weights are not here.
    """
    return _counter(*_weights(summary))


def context_of(summary: Summary) -> int:
    """Return how many tokens question and answer may have together, the marks of a chat included.

    Raises:
        CheckpointError: The weights are not here.
    """
    stated = _stated_context(*_weights(summary))
    return summary.context_tokens if stated is None else min(summary.context_tokens, stated)


def chat_tokens_of(summary: Summary) -> int:
    """Return how many tokens the marks of a chat add to a question: counted where the tokenizer is here.

    Raises:
        CheckpointError: The weights are not here.
    """
    return _chat_tokens(*_weights(summary))


def room_of(summary: Summary) -> int:
    """Return how many tokens the text of a question may have, as `text_counter_of` counts them.

    Raises:
        CheckpointError: The weights are not here.
    """
    return context_of(summary) - chat_tokens_of(summary) - summary.max_new_tokens


def _weights(summary: Summary) -> tuple[str | None, str | None]:
    """Return model and revision of the weights; none where a server holds them."""
    return (summary.model, summary.revision) if summary.engine in ("transformers", "vllm") else (None, None)


@lru_cache(maxsize=8)
def _folder(model: str | None, revision: str | None) -> Path | None:
    return None if model is None else WEIGHTS.folder(model, revision)


@lru_cache(maxsize=8)
def _counter(model: str | None, revision: str | None) -> TextCounter:
    return text_counter(_folder(model, revision))


@lru_cache(maxsize=8)
def _stated_context(model: str | None, revision: str | None) -> int | None:
    folder = _folder(model, revision)
    return None if folder is None else stated_context(folder)


@lru_cache(maxsize=8)
def _chat_tokens(model: str | None, revision: str | None) -> int:
    folder = _folder(model, revision)
    if folder is None:
        return _SERVER_CHAT_TOKENS
    if folder_also_sees(folder):
        from operators.vision_engine import Request
        from operators.vision_processing import Processing

        alone = Processing(folder).length(Request(["word"], 0, 0, []))
        return alone - _counter(model, revision)("word") + _JOINTS
    from operators.text_chat import Chat

    return Chat(folder).marks() + _JOINTS


# --- the engine -----------------------------------------------------------------------------


def load_text(
    summary: Summary, threads: int, gpu: float = 0.0, requests_per_minute: float | None = None
) -> TextEngine:
    """Load the configured engine and its weights, or prepare to ask the server.

    Args:
        summary: The section as `resolve_summary` gave it; its engine must be one that writes.
        threads: Threads of one inference on a CPU.
        gpu: Share of a GPU that it runs on; 0 runs it on the CPU.
        requests_per_minute: Most requests of this engine, where several share
            `summary.requests_per_minute`; null takes that.

    Raises:
        ValueError: No engine that writes is configured, or it cannot run for the reason
            `check_summary` gives.
        CheckpointError: The weights are not there, or not those that the run began with.
        MemoryError: They do not fit.
    """
    if not summary.writes:
        msg = (
            f"Wanted an engine that writes summaries; found summary.engine={summary.engine}. Take "
            "transformers, vllm or openai."
        )
        raise ValueError(msg)
    if (problem := check_summary(summary, gpu > 0)) is not None:
        raise ValueError(problem)
    if summary.engine == "openai":
        from operators.text_openai import OpenAiTextEngine

        asks = summary.schema_in_request
        return client_of(OpenAiTextEngine, summary, WEIGHTS, requests_per_minute, with_schema=asks)
    folder, context = text_folder(summary), context_of(summary)
    if summary.engine == "vllm":
        from operators.text_vllm import VllmTextEngine

        return VllmTextEngine(
            folder,
            name=model_name(summary),
            revision=model_revision(summary, WEIGHTS),
            precision=summary.precision,
            context=context,
            gpu=gpu,
            seed=summary.seed,
        )
    if folder_also_sees(folder):
        from operators.text_sighted import SightedTextEngine

        return SightedTextEngine(folder, **on_torch(summary, WEIGHTS, threads, gpu > 0))
    from operators.text_transformers import TransformersTextEngine

    return TransformersTextEngine(folder, context=context, **on_torch(summary, WEIGHTS, threads, gpu > 0))
