"""Embedding models in child processes, where they can do no harm."""

import os
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from operators.embedding_engine import FrameEmbedder, TextEmbedder, Vectors
from operators.embedding_engines import (
    check_embedding,
    frames_name,
    frames_revision,
    load_frames,
    load_text,
    text_name,
    text_revision,
)
from operators.embedding_models import FRAME_WEIGHTS, TEXT_WEIGHTS, embedding_folder
from operators.engine_child import ModelChild, bounds_of_model
from operators.hub_weights import Kind, is_folder
from operators.vision_engine import Pixels
from schemas.config import Config

_MEMORY_BYTES = 8 << 30
"""Resident memory at which a child is replaced; embedding models have 20 million to 600 million weights."""


_CALLS = 16
"""Requests one after the other that a call may take: 500 texts in batches of 32."""


class IsolatedEmbedder(ModelChild):
    """An embedder that forwards to one in a child process: of texts or of pictures."""

    def embed_query(self, words: str) -> Vectors:
        """Embed what is searched for; shape (1, dimension).

        Raises:
            InputError: The engine died, hung or needed too much.
        """
        found: Vectors = self.call("embed_query", words)
        return found

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed texts.

        Raises:
            InputError: The engine died, hung or needed too much on them.
        """
        return self._embed("embed_texts", list(texts))

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        """Embed pictures.

        Raises:
            InputError: The engine died, hung or needed too much on them.
        """
        return self._embed("embed_pictures", list(pictures))

    def _embed(self, method: str, items: list[str] | list[Pixels]) -> Vectors:
        if not items:
            return np.zeros((0, 0), np.float32)
        found: Vectors = self.call(method, items, item_seconds=self.bounds.item_seconds * len(items))
        return found


def quiet_seconds(config: Config) -> float:
    """Say how long a worker may legitimately be silent over the texts of one call, all tries included."""
    embedding = config.embedding
    if embedding.engine == "openai":
        pace = 60.0 / embedding.requests_per_minute if embedding.requests_per_minute else 0.0
        return _CALLS * (embedding.patience_seconds + embedding.timeout_seconds + pace)
    return config.limits.unit_seconds * embedding.batch


def text_embedder(config: Config, workers: int = 1) -> TextEmbedder:
    """Prepare the model for texts; a child with it is started by the first call.

    A server's client holds no weights and runs no native code, so it needs no child.

    Args:
        config: Of the run, resolved; it must embed texts.
        workers: How many such engines share `embedding.requests_per_minute`.

    Raises:
        ValueError: The engine cannot run, for the reason `check_embedding` gives.
    """
    embedding, gpu = config.embedding, config.resources.embedding_gpus > 0
    if embedding.engine == "openai":
        share = embedding.requests_per_minute / max(1, workers)
        return load_text(embedding, 1, requests_per_minute=share)
    name, revision = text_name(embedding), text_revision(embedding)
    return _child(config, TEXT_WEIGHTS, name, revision, load_text, gpu)


def frame_embedder(config: Config) -> FrameEmbedder:
    """Prepare the model for pictures; a child with it is started by the first call.

    Args:
        config: Of the run, resolved; it must embed pictures.

    Raises:
        ValueError: The engine cannot run, for the reason `check_embedding` gives.
    """
    embedding, gpu = config.embedding, config.resources.embedding_gpus > 0
    name, revision = frames_name(embedding), frames_revision(embedding)
    return _child(config, FRAME_WEIGHTS, name, revision, load_frames, gpu)


def _child(
    config: Config, kind: Kind, name: str, revision: str, load: Callable[..., object], gpu: bool
) -> IsolatedEmbedder:
    embedding = config.embedding
    if (problem := check_embedding(embedding, gpu)) is not None:
        raise ValueError(problem)
    threads = min(config.resources.embedding_threads, os.cpu_count() or 1)
    bounds = bounds_of_model(config.limits, threads, _MEMORY_BYTES)
    child = IsolatedEmbedder("embedding model", name, revision, bounds, load, embedding, threads, gpu)
    if not is_folder(kind.named(embedding)[0]):  # a folder is there, and the child looks at it anyway
        child.fetch = partial(embedding_folder, embedding, kind)
    return child
