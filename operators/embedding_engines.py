"""Which embedding models the configuration chose, and whether they can run here.

The engines are imported where they are loaded and nowhere else: they bring PyTorch along, and one that is
not installed stands in nobody's way.
"""

from operators.embedding_engine import FrameEmbedder, TextEmbedder
from operators.embedding_models import FRAME_WEIGHTS, TEXT_WEIGHTS, embedding_folder, weights_here
from operators.hub_weights import is_folder, short_name
from operators.model_settings import check_address, check_packages, named_weights, served_model
from schemas.config import Embedding
from schemas.ids import digest

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
            f"embedding.model={TEXT_WEIGHTS.examples[0]}), one for pictures (--set embedding.frames="
            f"{FRAME_WEIGHTS.examples[0]}), or both; or a folder."
        )
    here = weights_here(embedding)
    if here and (problem := check_packages("transformers", here[0].key)) is not None:
        return problem
    if embedding.embeds_text and embedding.engine == "openai":
        if (problem := check_address(embedding, "embedding")) is not None:
            return problem
        if gpu and not here:
            return (
                "Wanted a GPU for embeddings of a server, which computes elsewhere; set "
                "resources.embedding_gpus=0."
            )
    named = [(kind, kind.named(embedding)[0]) for kind in here]
    problems = [kind.check_repository(model) for kind, model in named if not is_folder(model)]
    return next(filter(None, problems), None)


# --- what rows bear -------------------------------------------------------------------------


def text_name(embedding: Embedding) -> str:
    """Name engine and model of texts as rows bear it: `transformers:multilingual-e5-small`."""
    if not embedding.embeds_text:
        return ""
    model = embedding.model or ""
    return f"{embedding.engine}:{model if embedding.engine == 'openai' else short_name(model)}"


def text_revision(embedding: Embedding) -> str:
    """Name the weights that texts are embedded by, and what is put before them, without loading them.

    Another release of a library changes vectors by a few parts in a million, which changes no ranking.

    Raises:
        CheckpointError: The weights are not there; `resolve_embedding` sees to that before a run.
    """
    if not embedding.embeds_text:
        return ""
    served = embedding.engine == "openai"
    named = served_model(embedding) if served else named_weights(embedding, TEXT_WEIGHTS)
    prefix = embedding.text_prefix
    return f"{named} prefix-{digest(prefix)[:8]}" if prefix else named


def frames_name(embedding: Embedding) -> str:
    """Name engine and model of pictures as rows bear it: `transformers:siglip-base-patch16-224`."""
    return f"{_FRAMES_ENGINE}:{short_name(embedding.frames or '')}" if embedding.embeds_frames else ""


def frames_revision(embedding: Embedding) -> str:
    """Name the weights that pictures are embedded by, without loading them.

    Raises:
        CheckpointError: The weights are not there; `resolve_embedding` sees to that before a run.
    """
    return named_weights(embedding, FRAME_WEIGHTS) if embedding.embeds_frames else ""


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
        embedding_folder(embedding, TEXT_WEIGHTS),
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
        embedding_folder(embedding, FRAME_WEIGHTS),
        name=frames_name(embedding),
        revision=frames_revision(embedding),
        batch=embedding.batch,
        threads=threads,
        gpu=gpu,
    )
