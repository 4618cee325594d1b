"""Where the weights of a vision-language model are, and which ones exactly.

A model is a folder, or a repository on the Hugging Face hub. Before the first item the driver
finds it, fetches it if it has to, refuses it if no engine could read it, and pins what it found:
the commit, or a digest of the folder. Every worker then loads exactly that. A model that a
server holds has no weights here; the server is asked whether it has it.

An engine that is named has to run: unlike speech, captions are never left out unasked.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from operators.checkpoint_files import CheckpointError
from operators.hub import (
    ModelError,
    Say,
    cached,
    digest_of_files,
    fetch_files,
    is_commit,
    is_path,
    snapshots,
)
from operators.vision_checkpoints import check_vision_checkpoint
from schemas.config import Config, ConfigError, Vision

EXAMPLES = (
    "Qwen/Qwen2-VL-2B-Instruct",
    "Qwen/Qwen2.5-VL-7B-Instruct",
    "OpenGVLab/InternVL3-1B-hf",
    "llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
    "Salesforce/blip2-opt-2.7b",
)
"""One of each family that Gloss was built for; the name says how many parameters it has."""

SERVER_SECONDS = 30.0
"""For a server to answer before a run; one that loads the model at the first question needs some."""

_FILES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "chat_template.json",
    "chat_template.jinja",
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

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)

_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


# --- names ----------------------------------------------------------------------------------


def is_vision_folder(model: str) -> bool:
    """Tell whether a model is meant as a folder: written like a path, or there."""
    return is_path(model) or Path(model).exists()


def check_repository(model: str) -> str | None:
    """Tell why a name cannot be one of a repository, or None."""
    if _REPOSITORY.fullmatch(model):
        return None
    known = {example.rpartition("/")[2]: example for example in EXAMPLES}
    near = difflib.get_close_matches(model.rpartition("/")[2], known, n=1)
    hint = f" Did you mean {known[near[0]]}?" if near else ""
    return (
        f"Wanted vision.model to be a repository with its owner ({EXAMPLES[0]}) or a folder that is there; "
        f"found {model!r}.{hint}"
    )


def short_name(vision: Vision) -> str:
    """Name a model for people: by the last part of its folder or repository."""
    model = vision.model or ""
    if vision.engine == "openai":
        return model
    return Path(model).expanduser().resolve().name if is_vision_folder(model) else model.rpartition("/")[2]


# --- in the driver --------------------------------------------------------------------------


def resolve_vision(config: Config, say: Say) -> Config:
    """Find the vision-language model of a run, fetch it if need be, and pin it.

    Args:
        config: Of the run.
        say: Tells people what is fetched.

    Returns:
        The configuration with model and revision as they will be used.

    Raises:
        ConfigError: What was named cannot be used.
    """
    from operators.vision_engines import check_vision

    vision = config.vision
    if not vision.looks:
        return config
    if (problem := check_vision(vision, gpu=config.resources.vision_gpus > 0)) is not None:
        raise ConfigError(problem)
    if vision.engine == "openai":
        found = vision.model_copy(update={"revision": _ask_server(vision)})
        return config.model_copy(update={"vision": found})
    model = vision.model or ""
    # Workers may stand in another folder than the driver.
    named = str(Path(model).expanduser().resolve()) if is_vision_folder(model) else model
    wanted = vision.model_copy(update={"model": named})
    try:
        revision = find_vision(wanted, say)
    except (CheckpointError, ModelError) as error:
        raise ConfigError(str(error)) from None
    return config.model_copy(update={"vision": wanted.model_copy(update={"revision": revision})})


def _ask_server(vision: Vision) -> str:
    """See that the server answers and has the model, and ask which weights are behind its name.

    Returns:
        What it says; empty where that is the name itself.
    """
    from operators.vision_openai import check_server, served_revision

    model, base_url, key = vision.model or "", vision.base_url or "", vision.api_key_env
    patience = min(vision.timeout_seconds, SERVER_SECONDS)
    problem = check_server(model=model, base_url=base_url, api_key_env=key, timeout_seconds=patience)
    if problem is not None:
        raise ConfigError(problem)
    served = served_revision(model=model, base_url=base_url, api_key_env=key)
    return "" if served == model else served


def find_vision(vision: Vision, say: Say) -> str:
    """Find a model, or fetch it, and see that the engine can read it.

    Args:
        vision: With engine and model.
        say: Tells what is fetched.

    Returns:
        Its revision: the commit, or the digest of the folder.

    Raises:
        ModelError: It is not here and could not be fetched.
        CheckpointError: It cannot be read.
    """
    model = vision.model or ""
    if is_vision_folder(model):
        folder = Path(model).expanduser()
        check_vision_checkpoint(folder)
        return vision_digest(folder)
    folder = _cached(model, vision.revision) or _fetched(model, vision.revision, say)
    try:
        check_vision_checkpoint(folder)
    except CheckpointError as error:
        advice = f" It came from {model}; if it is damaged, `{_pull(model)}` fetches it again."
        raise CheckpointError(str(error) + advice) from None
    return folder.name


def _fetched(model: str, revision: str | None, say: Say) -> Path:
    try:
        return fetch_vision(model, revision, say)
    except ModelError as error:
        advice = (
            f" Run `{_pull(model)}` where the hub can be reached, or name a folder: "
            "--set vision.model=FOLDER."
        )
        raise ModelError(str(error) + advice) from None


def _pull(model: str) -> str:
    return f"gloss models pull --vision {model}"


# --- in a worker ----------------------------------------------------------------------------


def vision_folder(vision: Vision) -> Path:
    """Return the folder with the weights, on this node; fetch them if they are not here.

    Several workers of a node that find nothing fetch once: the hub's client locks each file.

    Args:
        vision: As `resolve_vision` gave it; its engine must have weights.

    Raises:
        CheckpointError: The weights are not here and cannot be fetched, or are others.
    """
    model = vision.model or ""
    if is_vision_folder(model):
        return _pinned_folder(Path(model).expanduser(), vision.revision)
    try:
        return _cached(model, vision.revision) or _fetched(model, vision.revision, lambda _: None)
    except ModelError as error:
        raise CheckpointError(str(error)) from None


def _pinned_folder(folder: Path, revision: str | None) -> Path:
    check_vision_checkpoint(folder)
    if revision is not None and (found := vision_digest(folder)) != revision:
        msg = (
            f"Wanted the model with the digest {revision} in {folder}, as the run began with; found {found}: "
            "its files were changed, or are others on this node. Put the same on every node and start again."
        )
        raise CheckpointError(msg)
    return folder


def weights_revision(vision: Vision) -> str:
    """Return the revision of the weights, without reading them where it is pinned.

    Raises:
        CheckpointError: They are not here.
    """
    model, pinned = vision.model or "", vision.revision
    if pinned is not None and (is_commit(pinned) or is_vision_folder(model)):
        return pinned
    if is_vision_folder(model):
        check_vision_checkpoint(Path(model).expanduser())
        return vision_digest(Path(model).expanduser())
    folder = _cached(model, pinned)
    if folder is None:
        msg = f"Wanted {model} in the cache; found none that is whole. Run `{_pull(model)}`."
        raise CheckpointError(msg)
    return folder.name


def vision_digest(folder: Path) -> str:
    """Hash the files of a model that an engine reads."""
    return digest_of_files(folder, _FILES)


# --- the cache and the hub ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InstalledVision:
    """A vision-language model in the cache of this node."""

    name: str
    """Its repository."""
    bytes: int
    revision: str
    refs: tuple[str, ...]
    """Branches and tags that point to it."""
    folder: str
    problem: str | None
    """Why it cannot be read, if it cannot."""


def installed_vision() -> list[InstalledVision]:
    """List the vision-language models in the cache of the hub's client."""
    models = [
        InstalledVision(
            name=one.repo,
            bytes=one.bytes,
            revision=one.revision,
            refs=one.refs,
            folder=str(one.folder),
            problem=vision_problem(one.folder),
        )
        for one in snapshots()
        if _is_whole(one.folder)
    ]
    # Other programs keep other models there.
    return [one for one in models if one.problem is None or _sees(Path(one.folder))]


def vision_problem(folder: Path) -> str | None:
    """Tell why a folder cannot be read, or None."""
    try:
        check_vision_checkpoint(folder)
    except CheckpointError as error:
        return str(error)
    return None


def _sees(folder: Path) -> bool:
    """Tell whether a folder's description is of a model that writes about pictures."""
    config = _read(folder / "config.json")
    classes = config.get("architectures")
    names = classes if isinstance(classes, list) else []
    writes = any(str(name).endswith("ForConditionalGeneration") for name in names)
    return writes and "vision_config" in config


def _cached(repo: str, revision: str | None) -> Path | None:
    folder = cached(repo, _FILES, revision)
    return folder if folder is not None and _is_whole(folder) else None


def _is_whole(folder: Path) -> bool:
    """Tell by names alone whether a transfer ended: there are a description and all parts of the weights."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = _read(index).get("weight_map")
        parts = set(named.values()) if isinstance(named, dict) else set()
        found = bool(parts) and all(isinstance(part, str) and (folder / part).is_file() for part in parts)
    else:
        found = any(folder.glob("model*.safetensors"))
    return found and (folder / "config.json").is_file()


def _read(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        # What a file cannot say it does not say; whoever wants to know why asks the check.
        return {}
    return value if isinstance(value, dict) else {}


def fetch_vision(repo: str, revision: str | None, say: Say) -> Path:
    """Fetch a model into the cache and compare it with what the hub says of it.

    Args:
        repo: On the hub.
        revision: Branch, tag or commit; null takes the newest.
        say: Told what is fetched, from where and how large.

    Returns:
        The folder, named like the commit.

    Raises:
        ModelError: The hub cannot be reached, has no such model, broke off, or gave something
            else than it says.
        CheckpointError: The repository holds nothing that an engine reads.
    """
    return fetch_files(repo, _FILES, revision, say, partial(_refuse_wrong_kind, repo))


def _refuse_wrong_kind(repo: str, chosen: Sequence[str], all_files: Mapping[str, int]) -> None:
    """Refuse a repository of another format or kind before gigabytes are fetched."""
    names = ", ".join(sorted(all_files)[:8]) or "no files"
    if not any(name.endswith(".safetensors") for name in chosen):
        pickles = any(name.endswith((".bin", ".pt", ".pth")) for name in all_files)
        why = "its weights are pickles alone, which can hold any program" if pickles else "no safetensors"
        other = "Take a repository with model.safetensors, or convert it: save_pretrained() writes them."
    elif "config.json" not in chosen or not any(name in chosen for name in _PROCESSORS):
        lacks = " or ".join(_PROCESSORS) if "config.json" in chosen else "config.json"
        why = f"no {lacks}, so no model of pictures"
        other = f"Name one that sees, such as {EXAMPLES[0]}."
    else:
        return
    msg = f"Wanted a vision-language model for transformers in {repo}; found {names}: {why}. {other}"
    raise CheckpointError(msg)
