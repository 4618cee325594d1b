"""Vectors of texts from any server with the embeddings endpoint of the OpenAI protocol.

vLLM, llama.cpp, Ollama, Text Embeddings Inference and clouds have it. What a server takes in cannot be
known here, so texts are cut to a number of characters that fits the usual 512 tokens and more.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from operators.chat_client import CHECK_SECONDS, CHECKING, ChatClient, Patience
from operators.chat_protocol import Json
from operators.embedding_engine import Vectors, of_length_one
from schemas.config import Embedding
from schemas.failure import InputError, Reason

MOST_CHARACTERS = 8000
"""Of one text: some 2,000 tokens of English. Servers cut what is longer, or refuse it."""

_SHORTER = (1.0, 0.25, 0.0625)
"""Shares of it that are tried where a server finds a text too long: 8,000 to 500 characters."""


class OpenAiTextEmbedder:
    """Asks a server, `embedding.batch` texts a request and `embedding.concurrency` requests at once."""

    def __init__(
        self, embedding: Embedding, name: str, revision: str, requests_per_minute: float | None = None
    ) -> None:
        """Take the key from the environment of this process; nothing is sent yet.

        Args:
            embedding: The section, with `base_url` and `model`.
            name: As rows bear it.
            revision: What the server calls its model, and where it is.
            requests_per_minute: The share of this process; null takes the whole.

        Raises:
            ValueError: The URL or the key cannot be used.
        """
        self.name = name
        self.revision = revision
        self.embedding = embedding
        pace = embedding.requests_per_minute if requests_per_minute is None else requests_per_minute
        self.client = ChatClient(
            embedding.base_url or "",
            embedding.api_key_env,
            timeout_seconds=embedding.timeout_seconds,
            requests_per_minute=pace,
            concurrency=embedding.concurrency,
            patience=Patience(total_seconds=embedding.patience_seconds),
            # As text a number takes a dozen bytes or more: 32 vectors of 4,096 are 3 MB.
            most_answer_bytes=(8 << 20) + embedding.batch * (128 << 10),
            section="embedding",
        )

    def __repr__(self) -> str:
        return f"OpenAiTextEmbedder({self.name!r}, {self.client.base_url!r})"

    def close(self) -> None:
        """Close connections; a later question opens them again."""
        self.client.close()

    def embed_query(self, words: str) -> Vectors:
        """Embed what is searched for; shape (1, dimension).

        Raises:
            InputError: The server did not.
        """
        return self._embed([self.embedding.query_prefix + words])

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, none of them empty.

        Raises:
            InputError: The server did not, or gave something else than a vector for each.
        """
        return self._embed([self.embedding.text_prefix + text for text in texts])

    def _embed(self, texts: list[str]) -> Vectors:
        if not texts:
            return np.zeros((0, 0), np.float32)
        size = self.embedding.batch
        parts = [texts[start : start + size] for start in range(0, len(texts), size)]
        found = [self._whole(part, reply) for part, reply in zip(parts, self._ask(parts, 1.0), strict=True)]
        dimensions = {len(vector) for vectors in found for vector in vectors}
        if len(dimensions) != 1:
            raise self._wrong(f"vectors of {', '.join(map(str, sorted(dimensions)))} numbers")
        return of_length_one(np.array([vector for vectors in found for vector in vectors], np.float64))

    def _ask(self, parts: Sequence[Sequence[str]], share: float) -> list[Json | InputError]:
        most = round(MOST_CHARACTERS * share)
        bodies = [partial(self._body, [text[:most] for text in part]) for part in parts]
        return self.client.post_all("embeddings", bodies)

    def _body(self, texts: list[str]) -> Json:
        return {"model": self.embedding.model, "input": texts, "encoding_format": "float"}

    def _whole(self, texts: Sequence[str], reply: Json | InputError) -> list[list[float]]:
        """Read an answer; ask again with less of the texts where they were too long."""
        for share in _SHORTER[1:]:
            if isinstance(reply, InputError) and reply.reason == Reason.TOO_LARGE:
                [reply] = self._ask([texts], share)
        if isinstance(reply, InputError):
            raise reply
        return self._read(reply, len(texts))

    def _read(self, reply: Json, count: int) -> list[list[float]]:
        """Take the vectors out of an answer, in the order of the texts."""
        entries = reply.get("data")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise self._wrong("no list of vectors")
        placed: dict[Any, Any] = {
            entry.get("index", place): entry.get("embedding") for place, entry in enumerate(entries)
        }
        if set(placed) != set(range(count)) or len(entries) != count:
            raise self._wrong(f"{len(entries)} for {count} texts")
        vectors = [placed[place] for place in range(count)]
        for vector in vectors:
            if not isinstance(vector, list) or not vector or not all(type(n) in (float, int) for n in vector):
                raise self._wrong("vectors that are no lists of numbers")
        return vectors

    def _wrong(self, found: str) -> InputError:
        msg = (
            f"Wanted a vector of one length for each text from {self.client.base_url}; found {found}. Is "
            f"{self.embedding.model} (embedding.model) an embedding model?"
        )
        return InputError(Reason.MALFORMED, msg)


def check_embedding_server(embedding: Embedding) -> str | None:
    """Tell why a server cannot be used, by asking for the vector of one word.

    Args:
        embedding: The section, which `check_embedding` has let pass.

    Returns:
        None when it answers; otherwise what was wanted, what was found and what to do.
    """
    seconds = min(embedding.timeout_seconds, CHECK_SECONDS)
    brief = embedding.model_copy(update={"timeout_seconds": seconds})
    try:
        embedder = OpenAiTextEmbedder(brief, "", "")
    except ValueError as error:
        return str(error)
    embedder.client.patience = CHECKING
    try:
        embedder.embed_texts(["word"])
    except InputError as error:
        return f"Wanted embeddings by {embedding.model} (embedding.model). {error.message}"
    except ValueError as error:
        return str(error)
    finally:
        embedder.close()
    return None
