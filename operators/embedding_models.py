"""Where the weights of embedding models are, and which ones exactly.

As with models that look: a folder, or a repository on the Hugging Face hub, found before the first item,
refused if no engine could read it, and pinned. There are two, each with a setting of its own: `model` for
texts and `frames` for pictures. An engine that is named has to run.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from operators.checkpoint_files import CheckpointError
from operators.embedding_checkpoints import FRAMES, TEXT, check_checkpoint
from operators.hub import ModelError, Say, cached, digest_of_files, fetch_files, is_commit, is_path, snapshots
from schemas.config import Config, ConfigError, Embedding

EXAMPLES: Mapping[str, Sequence[str]] = {
    TEXT: ("intfloat/multilingual-e5-small", "BAAI/bge-m3", "Qwen/Qwen3-Embedding-0.6B"),
    FRAMES: ("google/siglip-base-patch16-224", "openai/clip-vit-base-patch32"),
}

_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    # Some repositories hold the weights a second time, under other names and for other libraries.
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
)
_OWN_FILES: Mapping[str, Sequence[str]] = {
    TEXT: (
        "modules.json",
        "sentence_bert_config.json",
        "*_Pooling/config.json",
        "*_Dense/config.json",
        "*_Dense/model.safetensors",
    ),
    FRAMES: ("preprocessor_config.json", "processor_config.json"),
}

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Named:
    """A model as the section `embedding` names it."""

    embeds: str
    """`TEXT` or `FRAMES`, which is also the name of its setting."""
    model: str
    revision: str | None

    @property
    def is_folder(self) -> bool:
        """Whether it is meant as a folder: written like a path, or there."""
        return is_path(self.model) or Path(self.model).exists()

    @property
    def short_name(self) -> str:
        """The last part of its folder or repository."""
        if self.is_folder:
            return Path(self.model).expanduser().resolve().name
        return self.model.rpartition("/")[2]

    @property
    def pull(self) -> str:
        """The command that fetches it."""
        return f"gloss models pull --embedding {self.model}"


def text_model(embedding: Embedding) -> Named:
    """Name the model for texts."""
    return Named(TEXT, embedding.model or "", embedding.revision)


def frame_model(embedding: Embedding) -> Named:
    """Name the model for pictures."""
    return Named(FRAMES, embedding.frames or "", embedding.frames_revision)


def named_repository(name: str, revision: str | None) -> Named:
    """Name a repository of which it is not known what it embeds.

    Raises:
        ConfigError: It is a folder, or no name of a repository.
    """
    named = Named(TEXT, name, revision)
    if named.is_folder:
        msg = (
            f"Wanted a name to fetch; found the folder {name}. Use it as it is: --set embedding.model={name} "
            f"or --set embedding.frames={name}"
        )
        raise ConfigError(msg)
    if (problem := check_name(named)) is not None:
        raise ConfigError(problem)
    return named


def check_name(named: Named) -> str | None:
    """Tell why a model cannot be a folder or a repository, or None."""
    if named.is_folder or _REPOSITORY.fullmatch(named.model):
        return None
    examples = EXAMPLES[named.embeds]
    known = {example.rpartition("/")[2]: example for example in examples}
    near = difflib.get_close_matches(named.model.rpartition("/")[2], known, n=1)
    hint = f" Did you mean {known[near[0]]}?" if near else ""
    return (
        f"Wanted embedding.{named.embeds} to be a repository with its owner ({examples[0]}) or a folder that "
        f"is there; found {named.model!r}.{hint}"
    )


# --- in the driver --------------------------------------------------------------------------


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
    elif embedding.embeds_text:
        named = _absolute(text_model(embedding))
        found = {"model": named.model, "revision": _find(named, say)}
        embedding = embedding.model_copy(update=found)
    if embedding.embeds_frames:
        named = _absolute(frame_model(embedding))
        found = {"frames": named.model, "frames_revision": _find(named, say)}
        embedding = embedding.model_copy(update=found)
    return config.model_copy(update={"embedding": embedding})


def _absolute(named: Named) -> Named:
    """Name a folder so that workers find it, which may stand in another one than the driver."""
    if not named.is_folder:
        return named
    return Named(named.embeds, str(Path(named.model).expanduser().resolve()), named.revision)


def _find(named: Named, say: Say) -> str:
    """Find a model, or fetch it, and see that it can be read.

    Returns:
        Its revision: the commit, or the digest of the folder.

    Raises:
        ConfigError: It is not here and could not be fetched, or cannot be read.
    """
    try:
        if named.is_folder:
            folder = Path(named.model)
            check_checkpoint(folder, named.embeds)
            return _digest(folder, named.embeds)
        folder = _cached(named) or _fetched(named, say)
        check_checkpoint(folder, named.embeds)
    except (CheckpointError, ModelError) as error:
        raise ConfigError(str(error)) from None
    return folder.name


def _fetched(named: Named, say: Say) -> Path:
    try:
        return fetch_embedding(named, say)
    except ModelError as error:
        advice = (
            f" Run `{named.pull}` where the hub can be reached, or name a folder: --set "
            f"embedding.{named.embeds}=FOLDER."
        )
        raise ModelError(str(error) + advice) from None


def fetch_embedding(named: Named, say: Say) -> Path:
    """Fetch a model into the cache and compare it with what the hub says of it.

    Args:
        named: A repository.
        say: Told what is fetched, from where and how large.

    Returns:
        The folder, named like the commit.

    Raises:
        ModelError: The hub cannot be reached, has no such model, broke off, or gave something
            else than it says.
        CheckpointError: The repository holds no safetensors.
    """
    refuse = partial(_refuse_pickles, named.model)
    # What it embeds may show in its files alone.
    files = tuple(dict.fromkeys((*_files(TEXT), *_files(FRAMES))))
    return fetch_files(named.model, files, named.revision, say, refuse)


def _refuse_pickles(repo: str, chosen: Sequence[str], all_files: Mapping[str, int]) -> None:
    """Refuse a repository without safetensors before anything is fetched."""
    if not any("/" not in name and name.endswith(".safetensors") for name in chosen):
        names = ", ".join(sorted(all_files)[:8]) or "no files"
        msg = (
            f"Wanted an embedding model with model.safetensors in {repo}; found {names}. Take another "
            "repository, or convert it: save_pretrained() writes them."
        )
        raise CheckpointError(msg)


# --- in a worker ----------------------------------------------------------------------------


def embedding_folder(named: Named, *, fetch: bool = True) -> Path:
    """Return the folder with the weights, on this node.

    Several workers of a node that find nothing fetch once: the hub's client locks each file.

    Args:
        named: A model as `resolve_embedding` gave it.
        fetch: Whether to fetch them if they are not here.

    Raises:
        CheckpointError: The weights are not here and cannot be fetched, or are others.
    """
    if named.is_folder:
        return _pinned_folder(named)
    folder = _cached(named)
    try:
        folder = folder or (_fetched(named, lambda _: None) if fetch else None)
    except ModelError as error:
        raise CheckpointError(str(error)) from None
    if folder is None:
        at = f" at {named.revision}" if named.revision else ""
        msg = f"Wanted {named.model}{at} in the cache; found none that is whole. Run `{named.pull}`."
        raise CheckpointError(msg)
    return folder


def _pinned_folder(named: Named) -> Path:
    folder = Path(named.model).expanduser()
    check_checkpoint(folder, named.embeds)
    if named.revision is not None and (found := _digest(folder, named.embeds)) != named.revision:
        msg = (
            f"Wanted the model with the digest {named.revision} in {folder}, by which the vectors were made; "
            f"found {found}: its files were changed, or are others on this node. Vectors of two models "
            "cannot be compared: put the same back, or ingest again with this one."
        )
        raise CheckpointError(msg)
    return folder


def weights_revision(named: Named) -> str:
    """Return the revision of the weights, without reading them where it is pinned.

    Raises:
        CheckpointError: They are not here.
    """
    if named.revision is not None and (is_commit(named.revision) or named.is_folder):
        return named.revision
    folder = embedding_folder(named, fetch=False)
    return _digest(folder, named.embeds) if named.is_folder else folder.name


def _digest(folder: Path, embeds: str) -> str:
    return digest_of_files(folder, _files(embeds))


def _files(embeds: str) -> Sequence[str]:
    return (*_FILES, *_OWN_FILES[embeds])


def _cached(named: Named) -> Path | None:
    folder = cached(named.model, _files(named.embeds), named.revision)
    if folder is None or not (folder / "config.json").is_file():
        return None
    return folder if any(folder.glob("model*.safetensors")) else None


def embedding_problem(folder: Path, embeds: str) -> str | None:
    """Tell why a folder cannot be read as a model that embeds texts or pictures, or None."""
    try:
        check_checkpoint(folder, embeds)
    except CheckpointError as error:
        return str(error)
    return None


# --- what is here ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InstalledEmbedding:
    """An embedding model in the cache of this node."""

    name: str
    """Its repository."""
    embeds: str
    """`TEXT` or `FRAMES`."""
    bytes: int
    revision: str
    refs: tuple[str, ...]
    """Branches and tags that point to it."""
    folder: str


def installed_embeddings() -> list[InstalledEmbedding]:
    """List the embedding models in the cache of the hub's client; other programs keep others there."""
    return [
        InstalledEmbedding(one.repo, embeds, one.bytes, one.revision, one.refs, str(one.folder))
        for one in snapshots()
        if (embeds := _embeds(one.folder)) is not None
    ]


def _embeds(folder: Path) -> str | None:
    """Tell what a folder can embed, if it was made for that."""
    for embeds in (FRAMES, TEXT):
        says_so = embeds == FRAMES or (folder / "modules.json").is_file()
        if says_so and embedding_problem(folder, embeds) is None:
            return embeds
    return None
