"""Which embedding models the configuration chose, and whether they can run here.

The engines are imported where they are loaded and nowhere else: they bring PyTorch along, and one that is
not installed stands in nobody's way.
"""

import importlib.util
from urllib.parse import urlsplit

from operators.embedding_engine import FrameEmbedder, TextEmbedder
from operators.embedding_models import (
    EXAMPLES,
    Named,
    check_name,
    embedding_folder,
    frame_model,
    text_model,
    weights_revision,
)
from schemas.config import Embedding
from schemas.ids import digest

_PACKAGES = ("transformers", "torch", "safetensors")

_FRAMES_ENGINE = "transformers"
"""The protocol of servers has no pictures."""


# --- whether it can run ---------------------------------------------------------------------


def check_embedding(embedding: Embedding, gpu: bool | None = None) -> str | None:
    """Tell why what is configured cannot run, without disk, network or importing an engine.

    Args:
        embedding: The section.
        gpu: Whether it gets a share of a GPU; null where that is not settled.

    Returns:
        None when nothing stands in the way; otherwise what was wanted, what was found and what to do.
    """
    if embedding.engine == "off":
        return None
    if not embedding.embeds_text and not embedding.embeds_frames:
        return (
            f"Wanted a model for embedding.engine={embedding.engine}; found none. Name one for texts (--set "
            f"embedding.model={EXAMPLES['model'][0]}), one for pictures (--set embedding.frames="
            f"{EXAMPLES['frames'][0]}), or both; or a folder."
        )
    here = [text_model(embedding)] if embedding.embeds_text and embedding.engine == "transformers" else []
    here += [frame_model(embedding)] if embedding.embeds_frames else []
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if here and missing:
        return (
            f"Wanted {', '.join(missing)} for embedding.{here[0].embeds}; found none installed. "
            "Run `pip install 'gloss[transformers]'`."
        )
    if embedding.embeds_text and embedding.engine == "openai":
        if (problem := _check_address(embedding)) is not None:
            return problem
        if gpu and not here:
            return (
                "Wanted a GPU for embeddings of a server, which computes elsewhere; set "
                "resources.embedding_gpus=0."
            )
    return next((problem for named in here if (problem := check_name(named)) is not None), None)


def _check_address(embedding: Embedding) -> str | None:
    """Look at what is said of a server. An address is shown only when it holds no secret."""
    if not embedding.base_url:
        return (
            "Wanted embedding.base_url for embedding.engine=openai, the address of a server; found none. Set "
            "it: --set embedding.base_url=http://127.0.0.1:8000/v1"
        )
    try:
        address = urlsplit(embedding.base_url)
        host, _ = address.hostname, address.port  # which raises for a port that is no number
    except ValueError:
        host = None
    if host is None or address.scheme not in ("http", "https"):
        return (
            "Wanted embedding.base_url to be an http or https address such as http://127.0.0.1:8000/v1; "
            f"found {'another kind' if host else 'none that can be read'}."
        )
    if address.username is not None or address.password is not None or address.query or address.fragment:
        return (
            "Wanted embedding.base_url without a user, a password or parameters, because it is stored with "
            "the run; found one with. Put the key into an environment variable and name that: "
            f"embedding.api_key_env={embedding.api_key_env}."
        )
    return None


# --- what rows bear -------------------------------------------------------------------------


def text_name(embedding: Embedding) -> str:
    """Name engine and model of texts as rows bear it: `transformers:multilingual-e5-small`."""
    if not embedding.embeds_text:
        return ""
    model = embedding.model if embedding.engine == "openai" else text_model(embedding).short_name
    return f"{embedding.engine}:{model}"


def text_revision(embedding: Embedding) -> str:
    """Name the weights that texts are embedded by, and what is put before them, without loading them.

    Another release of a library changes vectors by a few parts in a million, which changes no ranking.

    Raises:
        CheckpointError: The weights are not there; `resolve_embedding` sees to that before a run.
    """
    if not embedding.embeds_text:
        return ""
    if embedding.engine == "openai":
        at = f"@{embedding.revision}" if embedding.revision else ""
        named = f"{_place(embedding.base_url or '')} {embedding.model}{at}"
    else:
        named = _weights(text_model(embedding))
    prefix = embedding.text_prefix
    return f"{named} prefix-{digest(prefix)[:8]}" if prefix else named


def frames_name(embedding: Embedding) -> str:
    """Name engine and model of pictures as rows bear it: `transformers:siglip-base-patch16-224`."""
    return f"{_FRAMES_ENGINE}:{frame_model(embedding).short_name}" if embedding.embeds_frames else ""


def frames_revision(embedding: Embedding) -> str:
    """Name the weights that pictures are embedded by, without loading them.

    Raises:
        CheckpointError: The weights are not there; `resolve_embedding` sees to that before a run.
    """
    return _weights(frame_model(embedding)) if embedding.embeds_frames else ""


def _weights(named: Named) -> str:
    return f"{named.short_name}@{weights_revision(named)[:12]}"


def _place(base_url: str) -> str:
    """Return host, port and path of an address, without what may be secret."""
    address = urlsplit(base_url)
    port = f":{address.port}" if address.port is not None else ""
    return f"{address.hostname}{port}{address.path.rstrip('/')}"


# --- the engines ----------------------------------------------------------------------------


def load_text(
    embedding: Embedding, threads: int, gpu: bool = False, requests_per_minute: float | None = None
) -> TextEmbedder:
    """Load the model for texts and its weights, or prepare to ask the server.

    Args:
        embedding: The section as `resolve_embedding` gave it; it must embed texts.
        threads: Threads of one inference on a CPU.
        gpu: Whether it runs on a GPU.
        requests_per_minute: Most requests of this engine, where several share
            `embedding.requests_per_minute`; null takes that.

    Raises:
        ValueError: It cannot run, for the reason `check_embedding` gives.
        CheckpointError: The weights are not there, or not those that the run began with.
    """
    if not embedding.embeds_text:
        msg = "Wanted embedding.model to embed texts; found none. Name one."
        raise ValueError(msg)
    if (problem := check_embedding(embedding)) is not None:
        raise ValueError(problem)
    name, revision = text_name(embedding), text_revision(embedding)
    if embedding.engine == "openai":
        from operators.embed_openai import OpenAiTextEmbedder

        return OpenAiTextEmbedder(embedding, name, revision, requests_per_minute)
    from operators.embed_transformers import TransformersTextEmbedder

    return TransformersTextEmbedder(
        embedding_folder(text_model(embedding)),
        name=name,
        revision=revision,
        query_prefix=embedding.query_prefix,
        text_prefix=embedding.text_prefix,
        batch=embedding.batch,
        threads=threads,
        gpu=gpu,
    )


def load_frames(embedding: Embedding, threads: int, gpu: bool = False) -> FrameEmbedder:
    """Load the model for pictures and its weights; arguments as of `load_text`.

    Raises:
        ValueError: It cannot run, for the reason `check_embedding` gives.
        CheckpointError: The weights are not there, or not those that the run began with.
    """
    if not embedding.embeds_frames:
        msg = "Wanted embedding.frames to embed pictures; found none. Name a CLIP or SigLIP."
        raise ValueError(msg)
    if (problem := check_embedding(embedding)) is not None:
        raise ValueError(problem)
    from operators.embed_transformers import TransformersFrameEmbedder

    return TransformersFrameEmbedder(
        embedding_folder(frame_model(embedding)),
        name=frames_name(embedding),
        revision=frames_revision(embedding),
        batch=embedding.batch,
        threads=threads,
        gpu=gpu,
    )
