"""Whether a folder holds a model that transformers can have write, found out without loading it.

A causal language model, or a vision-language model that is shown no pictures.
"""

import json
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
from operators.vision_checkpoints import check_vision_checkpoint, context_tokens

_TAKE = "Take a folder as transformers saves it: config.json, model.safetensors, tokenizer files"

_MOST_CONTEXT = 1 << 30
"""Tokenizers that know no limit state one of 1e30."""


def check_text_checkpoint(folder: Path) -> None:
    """Refuse a folder that cannot be loaded as a model that writes.

    Args:
        folder: As configured, or in the cache.

    Raises:
        CheckpointError: It cannot be loaded; the message says what is wrong.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        msg = f"Wanted a folder with a language model at {folder}; found {found}. Correct summary.model."
        raise CheckpointError(msg)
    if not (folder / "config.json").is_file():
        raise _refusal(folder, f"no config.json, but {listed(folder)}")
    if also_sees(_config(folder)):
        check_vision_checkpoint(folder)
        return
    check_code(folder, _refusal)
    if not writes(_config(folder)):
        kind = _config(folder).get("architectures") or _config(folder).get("model_type")
        raise _refusal(
            folder, f"a model of the kind {kind}", "Take one whose architecture ends in ForCausalLM"
        )
    check_weights(folder, _refusal)
    check_tokenizer(folder, _refusal)


def writes(config: Mapping[str, Any]) -> bool:
    """Tell by its config.json whether a model continues text."""
    return any(name.endswith("ForCausalLM") for name in _classes(config))


def also_sees(config: Mapping[str, Any]) -> bool:
    """Tell by its config.json whether a model writes about pictures as well."""
    return "vision_config" in config and any(
        name.endswith("ForConditionalGeneration") for name in _classes(config)
    )


def folder_also_sees(folder: Path) -> bool:
    """Tell whether a folder holds a vision-language model.

    Raises:
        CheckpointError: It cannot be told.
    """
    return also_sees(_config(folder))


def stated_context(folder: Path) -> int | None:
    """Return how many tokens a model takes by its config.json, else by its tokenizer; None if neither says.

    Raises:
        CheckpointError: There is no config.json that can be read.
    """
    path = folder / "tokenizer_config.json"
    limit = json.loads(path.read_bytes()).get("model_max_length") if path.is_file() else None
    stated = [context_tokens(folder), limit]
    return next((each for each in stated if isinstance(each, int) and 0 < each < _MOST_CONTEXT), None)


def _classes(config: Mapping[str, Any]) -> list[str]:
    classes = config.get("architectures")
    return [str(name) for name in classes] if isinstance(classes, list) else []


def _config(folder: Path) -> Mapping[str, Any]:
    return read_json(folder / "config.json", lambda found: _refusal(folder, found))


def _refusal(folder: Path, found: str, advice: str = _TAKE) -> CheckpointError:
    return CheckpointError(f"Wanted a language model for transformers in {folder}; found {found}. {advice}.")
