"""Where the weights of embedding models are, and which ones exactly.

As with models that look: a folder, or a repository on the Hugging Face hub, found before the first item,
refused if no engine could read it, and pinned. There are two, each with a setting of its own: `model` for
texts and `frames` for pictures. An engine that is named has to run.
"""

from functools import partial
from pathlib import Path

from operators.embedding_checkpoints import FRAMES, TEXT, check_checkpoint
from operators.hub import Say
from operators.hub_files import ENCODER_FILES, PROCESSORS, lacks_config, lacks_processor
from operators.hub_weights import InstalledModel, Kind
from operators.model_settings import found_weights
from schemas.config import Config, ConfigError, Embedding

_STEPS = (
    "modules.json",
    "sentence_bert_config.json",
    "*_Pooling/config.json",
    "*_Dense/config.json",
    "*_Dense/model.safetensors",
)
"""They say how a text becomes its vector."""

_OTHERS = "Vectors of two models cannot be compared: put the same back, or ingest again with this one."

TEXT_WEIGHTS = Kind(
    section="embedding",
    examples=("intfloat/multilingual-e5-small", "BAAI/bge-m3", "Qwen/Qwen3-Embedding-0.6B"),
    files=(*ENCODER_FILES, *_STEPS),
    # What a repository embeds may show in its files alone, so those of both are fetched.
    also=PROCESSORS,
    check=partial(check_checkpoint, embeds=TEXT),
    lacks=lacks_config,
    what="an embedding model",
    instead="one that embeds",
    setting=TEXT,
    if_changed=_OTHERS,
)

FRAME_WEIGHTS = Kind(
    section="embedding",
    examples=("google/siglip-base-patch16-224", "openai/clip-vit-base-patch32"),
    files=(*ENCODER_FILES, *PROCESSORS),
    also=_STEPS,
    check=partial(check_checkpoint, embeds=FRAMES),
    lacks=lacks_processor,
    what="a CLIP or SigLIP model",
    instead="one of these",
    setting=FRAMES,
    if_changed=_OTHERS,
)


def weights_here(embedding: Embedding) -> list[Kind]:
    """List the kinds of weights that are read here; a server holds its own, and embeds no pictures."""
    texts = [TEXT_WEIGHTS] if embedding.embeds_text and embedding.engine == "transformers" else []
    return [*texts, *([FRAME_WEIGHTS] if embedding.embeds_frames else [])]


def resolve_embedding(config: Config, say: Say) -> Config:
    """Find the embedding models of a run, fetch them if need be, and pin them.

    Args:
        config: Of the run.
        say: Tells people what is fetched.

    Returns:
        The configuration with models and revisions as they will be used.

    Raises:
        ConfigError: What was named cannot be used.
    """
    from operators.embedding_engines import check_embedding

    embedding = config.embedding
    if (problem := check_embedding(embedding, gpu=config.resources.embedding_gpus > 0)) is not None:
        raise ConfigError(problem)
    if embedding.embeds_text and embedding.engine == "openai":
        from operators.embed_openai import check_embedding_server

        if (problem := check_embedding_server(embedding)) is not None:
            raise ConfigError(problem)
    found = [found_weights(embedding, kind, say) for kind in weights_here(embedding)]
    update = {setting: value for settings in found for setting, value in settings.items()}
    return config.model_copy(update={"embedding": embedding.model_copy(update=update)})


def embedding_folder(embedding: Embedding, kind: Kind, *, fetch: bool = True) -> Path:
    """Return the folder with the weights, on this node.

    Args:
        embedding: As `resolve_embedding` gave it; it must name a model of this kind.
        kind: `TEXT_WEIGHTS` or `FRAME_WEIGHTS`.
        fetch: Whether to fetch them if they are not here.

    Raises:
        CheckpointError: The weights are not here and cannot be fetched, or are others.
    """
    model, revision = kind.named(embedding)
    return kind.folder(model, revision, fetch=fetch)


def installed_embeddings(kind: Kind) -> list[InstalledModel]:
    """List the models of a kind in the cache of the hub's client; other programs keep others there.

    Any encoder can be read as one of texts; those are listed that were made into one.
    """
    return [one for one in kind.installed(lambda _: False) if _is_made_for(kind, Path(one.folder))]


def _is_made_for(kind: Kind, folder: Path) -> bool:
    return kind is FRAME_WEIGHTS or (
        (folder / "modules.json").is_file() and FRAME_WEIGHTS.problem(folder) is not None
    )
