"""What names and headers of a folder with weights tell, without loading it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol


class CheckpointError(Exception):
    """A folder cannot be read; the message says what was wanted, found and to do."""


Refuser = Callable[[str], CheckpointError]
"""Makes the error, given what was found."""


class Refusal(Protocol):
    """Makes the error of a folder, given what was found and what to do."""

    def __call__(self, folder: Path, found: str, advice: str = ...) -> CheckpointError:
        """Make it."""
        ...


Shapes = Mapping[str, tuple[int, ...]]

_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth", "model.pt")
_TOKENIZERS = ("tokenizer.json", "vocab.json", "tokenizer.model", "spiece.model")
_SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json", "tokenizer_config.json")


def check_code(folder: Path, refuse: Refusal) -> None:
    """Refuse a model that comes with code of its own, which would run with the user's rights.

    Raises:
        CheckpointError: It is so.
    """
    for name in _SETTINGS:
        if not (folder / name).is_file():
            continue
        if mapped := read_json(folder / name, lambda found: refuse(folder, found)).get("auto_map"):
            classes = ", ".join(sorted(mapped)) if isinstance(mapped, dict) else str(mapped)
            raise refuse(
                folder,
                f"a model that needs code of its own, which is never run (auto_map in {name}: {classes})",
                "Take the version for transformers itself, often named with -hf",
            )


def check_weights(folder: Path, refuse: Refusal) -> None:
    """Refuse weights that are missing, cut short or pickles.

    Raises:
        CheckpointError: It is so.
    """
    if not weight_files(folder) and not (folder / "model.safetensors.index.json").is_file():
        if pickles := [name for name in _PICKLES if (folder / name).is_file()]:
            raise refuse(
                folder,
                f"{pickles[0]} alone, a format that can run any code when it is opened",
                "Save it as safetensors with model.save_pretrained(FOLDER), where you trust the file",
            )
        raise refuse(folder, f"no weights (model.safetensors), but {listed(folder)}")
    if not read_safetensors(folder, lambda found: refuse(folder, found)):
        raise refuse(folder, "weights of nothing: model.safetensors is empty")


def check_tokenizer(folder: Path, refuse: Refusal) -> None:
    """Refuse a folder without a tokenizer.

    Raises:
        CheckpointError: It is so.
    """
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise refuse(folder, f"no tokenizer in it ({', '.join(_TOKENIZERS)})")


def weight_files(folder: Path) -> list[Path]:
    """List the weights that transformers would take: one file, or those of its index."""
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    index = folder / "model.safetensors.index.json"
    return sorted(folder.glob("model-*-of-*.safetensors")) if index.is_file() else []


def read_safetensors(folder: Path, refuse: Refuser) -> Shapes:
    """Read the shapes of all weights, by name.

    Raises:
        CheckpointError: A file of the index is missing, cut short or damaged.
    """
    files = weight_files(folder)
    if not files or files[0].name != "model.safetensors":
        index = read_json(folder / "model.safetensors.index.json", refuse)
        named = set(index.get("weight_map", {}).values())
        if missing := sorted(named - {path.name for path in files}):
            raise refuse(f"no {', '.join(missing)}, which model.safetensors.index.json names")
    shapes: dict[str, tuple[int, ...]] = {}
    for path in files:
        shapes |= _safetensors_header(path, refuse)
    return shapes


def _safetensors_header(path: Path, refuse: Refuser) -> Shapes:
    """Read names and shapes: eight bytes with the length of a header in JSON, then the header."""
    size = path.stat().st_size
    damaged = refuse(f"{path.name} of {size} bytes, which is cut short or damaged")
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > size - 8:
            raise damaged
        try:
            header = json.loads(file.read(length))
        except ValueError:
            raise damaged from None
    tensors = {name: about for name, about in header.items() if name != "__metadata__"}
    end = max((about["data_offsets"][1] for about in tensors.values()), default=0)
    if 8 + length + end != size:
        raise damaged
    return {name: tuple(about["shape"]) for name, about in tensors.items()}


def read_json(path: Path, refuse: Refuser) -> Mapping[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        CheckpointError: It holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise refuse(f"{path.name} that is no JSON ({error})") from None
    if not isinstance(value, dict):
        raise refuse(f"{path.name} that is no JSON object")
    return value


def listed(folder: Path) -> str:
    """List what lies in a folder, for a message."""
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "an empty folder"
