"""Where the weights of a vision-language model are, and which ones exactly.

A model is a folder, or a repository on the Hugging Face hub. Before the first item the driver
finds it, fetches it if it has to, refuses it if no engine could read it, and pins what it found:
the commit, or a digest of the folder. Every worker then loads exactly that. A model that a
server holds has no weights here; the server is asked whether it has it.

An engine that is named has to run: unlike speech, captions are never left out unasked.
"""

from collections.abc import Sequence
from pathlib import Path

from operators.checkpoint_files import CheckpointError
from operators.hub import ModelError, Say
from operators.hub_weights import FILES, InstalledModel, Kind, is_folder
from operators.model_settings import found_model
from operators.text_checkpoints import also_sees
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

_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def _lacks(chosen: Sequence[str]) -> str | None:
    if "config.json" in chosen and any(name in chosen for name in _PROCESSORS):
        return None
    lacks = " or ".join(_PROCESSORS) if "config.json" in chosen else "config.json"
    return f"no {lacks}, so no model of pictures"


WEIGHTS = Kind(
    section="vision",
    examples=EXAMPLES,
    files=(*FILES, *_PROCESSORS, "video_preprocessor_config.json"),
    check=check_vision_checkpoint,
    lacks=_lacks,
    what="a vision-language model",
    instead="one that sees",
)


is_vision_folder = is_folder


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
    try:
        found = found_model(vision, WEIGHTS, say)
    except (CheckpointError, ModelError) as error:
        raise ConfigError(str(error)) from None
    return config.model_copy(update={"vision": vision.model_copy(update=found)})


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
    return WEIGHTS.find(vision.model or "", vision.revision, say)


# --- in a worker ----------------------------------------------------------------------------


def vision_folder(vision: Vision) -> Path:
    """Return the folder with the weights, on this node; fetch them if they are not here.

    Args:
        vision: As `resolve_vision` gave it; its engine must have weights.

    Raises:
        CheckpointError: The weights are not here and cannot be fetched, or are others.
    """
    return WEIGHTS.folder(vision.model or "", vision.revision)


def weights_revision(vision: Vision) -> str:
    """Return the revision of the weights, without reading them where it is pinned.

    Raises:
        CheckpointError: They are not here.
    """
    return WEIGHTS.revision(vision.model or "", vision.revision)


def vision_digest(folder: Path) -> str:
    """Hash the files of a model that an engine reads."""
    return WEIGHTS.digest(folder)


# --- the cache and the hub ------------------------------------------------------------------


def installed_vision() -> list[InstalledModel]:
    """List the vision-language models in the cache of the hub's client."""
    return WEIGHTS.installed(also_sees)


def vision_problem(folder: Path) -> str | None:
    """Tell why a folder cannot be read, or None."""
    return WEIGHTS.problem(folder)


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
    return WEIGHTS.fetch(repo, revision, say)
