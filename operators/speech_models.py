"""Where the weights of a speech model are, and which ones exactly.

A model is a folder, or a name that stands for a repository on the Hugging Face hub. Before the
first item the driver finds it, fetches it if it has to, refuses it if no engine could read it,
and pins what it found: the commit, or a digest of the folder. Every worker then loads exactly
that, from the cache of its own node; one that does not have it fetches the same commit.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from operators.checkpoint_files import CheckpointError
from operators.hub import ModelError, Say, cached, digest_of_files, fetch_files, is_commit, is_path, snapshots
from operators.speech_checkpoints import check_checkpoint, is_checkpoint, knows_languages
from schemas.config import Config, ConfigError, Speech

_FILES: Mapping[str, Sequence[str]] = {
    "faster-whisper": (
        "config.json",
        "preprocessor_config.json",
        "model.bin",
        "tokenizer.json",
        "vocabulary.*",
    ),
    # OpenAI's repositories also hold the weights for other frameworks and in twice the precision.
    "transformers": (
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "model-*-of-*.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "normalizer.json",
        "vocab.json",
        "merges.txt",
    ),
}

_SIZES_MB: Mapping[str, tuple[int, int]] = {
    "tiny.en": (75, 151),
    "tiny": (75, 151),
    "base.en": (145, 290),
    "base": (145, 290),
    "small.en": (484, 967),
    "small": (484, 967),
    "medium.en": (1530, 3060),
    "medium": (1530, 3060),
    "large-v1": (3090, 6170),
    "large-v2": (3090, 6170),
    "large-v3": (3090, 3090),
    "large-v3-turbo": (1620, 1620),
    "distil-small.en": (333, 332),
    "distil-medium.en": (789, 789),
    "distil-large-v2": (1510, 1510),
    "distil-large-v3": (1510, 1510),
    "distil-large-v3.5": (1510, 1510),
}
"""About how much is fetched for faster-whisper and for transformers."""

_ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}

_ORIGINALS = {"large-v1": "openai/whisper-large"}
"""Originals whose repository has another name than its conversion."""

ENGINES = tuple(_FILES)


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that can be fetched by a short name."""

    name: str
    megabytes: Mapping[str, int]
    """About how much, by engine."""


def offers() -> list[Offer]:
    """List the models that have short names."""
    return [Offer(name, dict(zip(ENGINES, megabytes, strict=True))) for name, megabytes in _SIZES_MB.items()]


# --- names ----------------------------------------------------------------------------------


def is_folder(model: str) -> bool:
    """Tell whether a model is meant as a folder: written like a path, or there and no known name."""
    return is_path(model) or (_short(model) not in _SIZES_MB and Path(model).exists())


def model_name(speech: Speech) -> str:
    """Name a model for people: a folder by its last name."""
    model = speech.model or Speech.default_model()
    return Path(model).expanduser().resolve().name if is_folder(model) else model


def repository(model: str, engine: str) -> str:
    """Give the repository of a name on the hub.

    Raises:
        ConfigError: No such name; the message gives the nearest.
    """
    if "/" in model:
        return model
    name = _short(model)
    if name not in _SIZES_MB:
        known = [*_SIZES_MB, *_ALIASES]
        near = difflib.get_close_matches(model, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        msg = (
            f"Wanted a model's name ({', '.join(known)}), a repository (openai/whisper-small) or a folder; "
            f"found {model!r}.{hint}"
        )
        raise ConfigError(msg)
    if engine == "faster-whisper":
        from faster_whisper.utils import _MODELS

        return str(_MODELS[name])
    return _ORIGINALS.get(
        name, f"distil-whisper/{name}" if name.startswith("distil") else f"openai/whisper-{name}"
    )


def _short(model: str) -> str:
    return _ALIASES.get(model, model)


def _engine(speech: Speech) -> str:
    return "faster-whisper" if speech.engine == "auto" else speech.engine


# --- in the driver --------------------------------------------------------------------------


def resolve_speech(config: Config, say: Say) -> Config:
    """Find the speech model of a run, fetch it if need be, and pin it.

    Args:
        config: Of the run.
        say: Tells people what is fetched, or what will be left out.

    Returns:
        The configuration with engine, model and revision as they will be used. With the engine
        `auto`, no model named and none to be had, speech is off.

    Raises:
        ConfigError: What was named cannot be used.
    """
    from operators.speech_engines import check_engine

    speech = config.speech
    if speech.engine == "off":
        return config
    model = speech.model or Speech.default_model()
    # Workers may stand in another folder than the driver.
    named = str(Path(model).expanduser().resolve()) if is_folder(model) else model
    wanted = speech.model_copy(update={"engine": _engine(speech), "model": named})
    if (problem := check_engine(wanted, gpu=config.resources.speech_gpus > 0)) is not None:
        raise ConfigError(problem)
    try:
        revision = find_model(wanted, say)
        _check_languages(wanted.model_copy(update={"revision": revision}))
    except CheckpointError as error:
        raise ConfigError(str(error)) from None
    except ModelError as error:
        if speech.engine != "auto" or speech.model is not None:
            raise ConfigError(str(error)) from None
        say(_going_without(str(error)))
        return config.model_copy(update={"speech": speech.model_copy(update={"engine": "off"})})
    return config.model_copy(update={"speech": wanted.model_copy(update={"revision": revision})})


def _check_languages(speech: Speech) -> None:
    if speech.language in (None, "en") or knows_languages(model_folder(speech), speech.engine):
        return
    msg = (
        f"Wanted speech.language={speech.language} of the model {speech.model}; it knows English alone. "
        f"Take one of many languages ({(speech.model or '').removesuffix('.en')}), or leave the language out."
    )
    raise ConfigError(msg)


def _going_without(reason: str) -> str:
    return (
        f"No speech will be recognised: {reason}\n"
        "What is said is left out; words come from subtitles alone. To get it: `gloss models pull "
        f"{Speech.default_model()}`, or a folder by --set speech.model=FOLDER.\n"
        "To go without it and not be told: --set speech.engine=off."
    )


def find_model(speech: Speech, say: Say) -> str:
    """Find a model, or fetch it, and see that the engine can read it.

    Args:
        speech: With engine and model.
        say: Tells what is fetched.

    Returns:
        Its revision: the commit, or the digest of the folder.

    Raises:
        ConfigError: There is no such name.
        ModelError: It is not here and could not be fetched.
        CheckpointError: It cannot be read.
    """
    model, engine = speech.model or Speech.default_model(), speech.engine
    if is_folder(model):
        folder = Path(model).expanduser()
        check_checkpoint(folder, engine)
        return folder_digest(folder, engine)
    repo = repository(model, engine)
    cached = _cached(repo, engine, speech.revision)
    folder = cached or fetch(repo, engine, speech.revision, say)
    try:
        check_checkpoint(folder, engine)
    except CheckpointError as error:
        advice = f" It came from {repo}; if it is damaged, `gloss models pull {model}` fetches it again."
        raise CheckpointError(str(error) + advice) from None
    return folder.name


# --- in a worker ----------------------------------------------------------------------------


def model_folder(speech: Speech) -> Path:
    """Return the folder with the weights, on this node; fetch them if they are not here.

    Several workers of a node that find nothing fetch once: the hub's client locks each file.

    Args:
        speech: As `resolve_speech` gave it.

    Raises:
        CheckpointError: The weights are not here and cannot be fetched, or are others.
    """
    model, engine = speech.model or Speech.default_model(), _engine(speech)
    if is_folder(model):
        return _pinned_folder(Path(model).expanduser(), engine, speech.revision)
    repo = repository(model, engine)
    try:
        return _cached(repo, engine, speech.revision) or fetch(repo, engine, speech.revision, lambda _: None)
    except ModelError as error:
        raise CheckpointError(str(error)) from None


def _pinned_folder(folder: Path, engine: str, revision: str | None) -> Path:
    check_checkpoint(folder, engine)
    if revision is not None and (found := folder_digest(folder, engine)) != revision:
        msg = (
            f"Wanted the model with the digest {revision} in {folder}, as the run began with; found {found}: "
            "its files were changed, or are others on this node. Put the same on every node and start again."
        )
        raise CheckpointError(msg)
    return folder


def model_revision(speech: Speech) -> str:
    """Return the revision of the weights, without reading them where it is pinned.

    Raises:
        CheckpointError: They are not here.
    """
    if speech.revision is not None and (is_commit(speech.revision) or is_folder(speech.model or "")):
        return speech.revision
    model, engine = speech.model or Speech.default_model(), _engine(speech)
    if is_folder(model):
        check_checkpoint(Path(model).expanduser(), engine)
        return folder_digest(Path(model).expanduser(), engine)
    cached = _cached(repository(model, engine), engine, speech.revision)
    if cached is None:
        msg = f"Wanted {model} for {engine} in the cache; found none. Run `gloss models pull {model}`."
        raise CheckpointError(msg)
    return cached.name


def folder_digest(folder: Path, engine: str) -> str:
    """Hash the files of a model that an engine reads."""
    return digest_of_files(folder, _FILES[engine])


@dataclass(frozen=True, slots=True)
class Installed:
    """A model in the cache of this node."""

    name: str
    """Its repository."""
    engine: str
    """That can load it."""
    bytes: int
    revision: str
    refs: tuple[str, ...]
    """Branches and tags that point to it."""
    folder: str
    problem: str | None
    """Why it cannot be read, if it cannot."""


def installed_models() -> list[Installed]:
    """List the Whisper models in the cache of the hub's client."""
    models = [
        Installed(
            name=one.repo,
            engine=engine,
            bytes=one.bytes,
            revision=one.revision,
            refs=one.refs,
            folder=str(one.folder),
            problem=checkpoint_problem(one.folder, engine),
        )
        for one in snapshots()
        for engine in ENGINES
        if is_checkpoint(one.folder, engine)
    ]
    # Other programs keep other models there.
    return [one for one in models if one.problem is None or "whisper" in one.name.lower()]


def checkpoint_problem(folder: Path, engine: str) -> str | None:
    """Tell why an engine cannot read a folder, or None."""
    try:
        check_checkpoint(folder, engine)
    except CheckpointError as error:
        return str(error)
    return None


# --- the hub --------------------------------------------------------------------------------


def cached_folder(model: str, engine: str, revision: str | None = None) -> Path | None:
    """Find a model by name in the cache of this node, whole as far as names tell."""
    return _cached(repository(model, engine), engine, revision)


def _cached(repo: str, engine: str, revision: str | None) -> Path | None:
    folder = cached(repo, _FILES[engine], revision)
    # A download that broke off leaves a folder with the small files in it.
    return folder if folder is not None and is_checkpoint(folder, engine) else None


def fetch(repo: str, engine: str, revision: str | None, say: Say) -> Path:
    """Fetch a model into the cache and compare it with what the hub says of it.

    Args:
        repo: On the hub.
        engine: For which the files are chosen.
        revision: Branch, tag or commit; null takes the newest.
        say: Told what is fetched, from where and how large.

    Returns:
        The folder, named like the commit.

    Raises:
        ModelError: The hub cannot be reached, has no such model, broke off, or gave something
            else than it says.
        CheckpointError: The repository holds nothing that the engine reads.
    """
    return fetch_files(repo, _FILES[engine], revision, say, partial(_refuse_wrong_kind, repo, engine))


def _refuse_wrong_kind(repo: str, engine: str, chosen: Sequence[str], all_files: Mapping[str, int]) -> None:
    """Refuse a repository of another format before gigabytes are fetched."""
    if engine == "faster-whisper" and "model.bin" not in chosen:
        other = "Set speech.engine=transformers for it, or name a converted one (small, large-v3-turbo)."
    elif engine == "transformers" and not any(name.endswith(".safetensors") for name in chosen):
        other = "Name an original (openai/whisper-small)."
        if "model.bin" in all_files:
            other = "Set speech.engine=faster-whisper for it, or name an original (openai/whisper-small)."
    else:
        return
    names = ", ".join(sorted(all_files)[:8]) or "no files"
    msg = f"Wanted a Whisper model for {engine} in {repo}; found {names}. {other}"
    raise CheckpointError(msg)
