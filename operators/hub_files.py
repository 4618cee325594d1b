"""Which files of a repository on the Hugging Face hub a model is read from, and whether they are all there.

Repositories hold much else: the same weights for other libraries, pickles, programs, pictures.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ENCODER_FILES = (
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
"""What every model has that takes text, as `save_pretrained` writes it."""

FILES = (*ENCODER_FILES, "generation_config.json", "chat_template.json", "chat_template.jinja")
"""What every model has that also writes text."""

PROCESSORS = ("preprocessor_config.json", "processor_config.json")
"""Either says how pictures are prepared."""


def lacks_config(chosen: Sequence[str]) -> str | None:
    """Tell by the names of its files why a repository holds no model, or None."""
    return None if "config.json" in chosen else "no config.json"


def lacks_processor(chosen: Sequence[str]) -> str | None:
    """Tell by the names of its files why a repository holds no model of pictures, or None."""
    if "config.json" in chosen and any(name in chosen for name in PROCESSORS):
        return None
    lacks = " or ".join(PROCESSORS) if "config.json" in chosen else "config.json"
    return f"no {lacks}, so no model of pictures"


def is_whole(folder: Path) -> bool:
    """Tell by names alone whether a transfer ended: there are a description and all parts of the weights."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = read_or_empty(index).get("weight_map")
        parts = set(named.values()) if isinstance(named, dict) else set()
        found = bool(parts) and all(isinstance(part, str) and (folder / part).is_file() for part in parts)
    else:
        found = any(folder.glob("model*.safetensors"))
    return found and (folder / "config.json").is_file()


def read_or_empty(path: Path) -> Mapping[str, Any]:
    """Read a JSON object; what a file cannot say it does not say, and the check tells why."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
