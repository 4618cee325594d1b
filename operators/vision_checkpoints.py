"""Whether a folder holds a vision-language model that transformers can load, found out without loading it.

What usually is wrong (files that are missing, cut short, of another format or another model)
shows in names and headers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from operators.checkpoint_files import (
    CheckpointError,
    check_code,
    check_tokenizer,
    check_weights,
    listed,
    read_json,
)
from operators.visual_tokens import families, rule_of_folder

_TAKE = (
    "Take a folder as transformers saves it: config.json, model.safetensors, tokenizer files, "
    "preprocessor_config.json"
)


def check_vision_checkpoint(folder: Path) -> None:
    """Refuse a folder that cannot be loaded as a vision-language model of a known family.

    Args:
        folder: As configured, or in the cache.

    Raises:
        CheckpointError: It cannot be loaded; the message says what is wrong.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        msg = (
            f"Wanted a folder with a vision-language model at {folder}; found {found}. Correct vision.model."
        )
        raise CheckpointError(msg)
    if not (folder / "config.json").is_file():
        raise _refusal(folder, f"no config.json, but {listed(folder)}")
    check_code(folder, _refusal)
    _check_family(folder)
    check_weights(folder, _refusal)
    check_tokenizer(folder, _refusal)
    _check_processor(folder)


def context_tokens(folder: Path) -> int | None:
    """Return how many tokens a model takes in and gives out together; None where it does not say.

    Raises:
        CheckpointError: There is no config.json that can be read.
    """
    if not (folder / "config.json").is_file():
        raise _refusal(folder, "no config.json")
    return context_of(_read(folder, "config.json"))


def context_of(config: Mapping[str, Any]) -> int | None:
    """Return how many tokens a model takes by its config.json; None where it does not say."""
    for part in (config.get("text_config"), config):
        if isinstance(part, dict) and isinstance(most := part.get("max_position_embeddings"), int):
            return most
    return None


def _check_family(folder: Path) -> None:
    kind = _read(folder, "config.json").get("model_type")
    if kind not in families():
        raise _refusal(
            folder,
            f"a model of the type {kind!r}",
            f"Take one of a family that is known here: {', '.join(families())}",
        )


def _check_processor(folder: Path) -> None:
    whole = folder / "processor_config.json"
    nested = whole.is_file() and isinstance(_read(folder, whole.name).get("image_processor"), dict)
    if not nested and not (folder / "preprocessor_config.json").is_file():
        raise _refusal(folder, "no preprocessor_config.json, which says how pictures are scaled")
    try:
        rule_of_folder(folder)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refusal(folder, f"files that do not say how pictures become tokens ({error})") from None


def _read(folder: Path, name: str) -> Mapping[str, Any]:
    return read_json(folder / name, lambda found: _refusal(folder, found))


def _refusal(folder: Path, found: str, advice: str = _TAKE) -> CheckpointError:
    return CheckpointError(
        f"Wanted a vision-language model for transformers in {folder}; found {found}. {advice}."
    )
