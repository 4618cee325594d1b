"""Small interfaces in front of every model that turns texts and pictures into vectors.

The operators know only these, so that an engine can be exchanged by configuration and replaced by
a fake in a test.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from operators.vision_engine import Pixels

Vectors = NDArray[np.float32]
"""One vector of length 1 for each row, shape (rows, dimension); the inner product of two is their cosine."""


class Embedder(Protocol):
    """Turns what is searched for into a vector."""

    name: str
    """As rows of `embeddings` bear it: `transformers:multilingual-e5-small`."""
    revision: str
    """Which weights, or what the server calls its model."""

    def embed_query(self, words: str) -> Vectors:
        """Embed what is searched for; shape (1, dimension).

        Raises:
            InputError: It cannot be embedded.
        """
        ...


class TextEmbedder(Embedder, Protocol):
    """Turns texts into vectors; near ones mean the like."""

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, none of them empty, cut to what the model takes in.

        The vector of a text does not depend on what it is embedded together with, as far as the
        arithmetic of the device allows.

        Raises:
            InputError: They cannot be embedded.
        """
        ...


class FrameEmbedder(Embedder, Protocol):
    """Turns pictures into vectors; those of words that describe a picture are near it."""

    def embed_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        """Embed pictures of any sizes.

        Raises:
            InputError: They cannot be embedded.
        """
        ...


def of_length_one(vectors: NDArray[np.floating]) -> Vectors:
    """Scale each row to length 1.

    Args:
        vectors: Shape (rows, dimension).

    Raises:
        ValueError: A row has no direction: it holds something that is no number, or nothing but zeros.
    """
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not (lengths > 0).all():
        msg = (
            "Wanted vectors with a direction; the model gave one of zeros, or numbers that are none. Its "
            "weights are damaged, or not those of an embedding model."
        )
        raise ValueError(msg)
    scaled: Vectors = (vectors / lengths).astype(np.float32)
    return scaled
