"""Where the weights of a vision-language model are, and which ones exactly.

A model is a folder, or a repository on the Hugging Face hub. Before the first item the driver
finds it, fetches it if it has to, refuses it if no engine could read it, and pins what it found:
the commit, or a digest of the folder. Every worker then loads exactly that. A model that a
server holds has no weights here; the server is asked whether it has it.

An engine that is named has to run: unlike speech, captions are never left out unasked.
"""

from pathlib import Path

from operators.hub import Say
from operators.hub_files import FILES, PROCESSORS, lacks_processor
from operators.hub_weights import InstalledModel, Kind
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

WEIGHTS = Kind(
    section="vision",
    examples=EXAMPLES,
    files=(*FILES, *PROCESSORS, "video_preprocessor_config.json"),
    check=check_vision_checkpoint,
    lacks=lacks_processor,
    what="a vision-language model",
    instead="one that sees",
)


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
    found = found_model(vision, WEIGHTS, say)
    return config.model_copy(update={"vision": vision.model_copy(update=found)})


def vision_folder(vision: Vision) -> Path:
    """Return the folder with the weights, on this node; fetch them if they are not here.

    Args:
        vision: As `resolve_vision` gave it; its engine must have weights.

    Raises:
        CheckpointError: The weights are not here and cannot be fetched, or are others.
    """
    return WEIGHTS.folder(vision.model or "", vision.revision)


def installed_vision() -> list[InstalledModel]:
    """List the vision-language models in the cache of the hub's client."""
    return WEIGHTS.installed(also_sees)
