"""Whether a folder holds an embedding model that can be loaded, found out without loading it.

Models of texts come as sentence-transformers saves them: `modules.json` names the steps from the states
of the last layer to the vector. The usual ones (pooling, dense layers, normalising) are a few lines each,
so that library is not needed: importing it takes 10 s of a core where transformers takes 4, in each worker
and for each search, and it brings scikit-learn and SciPy, 200 MB.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operators.checkpoint_files import CheckpointError, listed, read_json, read_safetensors, weight_files

TEXT, FRAMES = "model", "frames"
"""What a model embeds, named like its setting in the section `embedding`."""

FRAME_FAMILIES = ("clip", "siglip", "siglip2")

POOLINGS = ("mean", "cls", "lasttoken")

_WHAT = {TEXT: "a text embedding model", FRAMES: "a CLIP or SigLIP model"}
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "open_clip_pytorch_model.bin")
_TOKENIZERS = (
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
_SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json", "tokenizer_config.json")
_TAKE = "Take a folder as save_pretrained writes it, with model.safetensors and the tokenizer's files"

_OFFSET_FAMILIES = ("roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl", "roberta-prelayernorm")
"""Their positions begin after that of the padding: two of them are no tokens."""

_MOST_TOKENS = 2048
"""More of a text is not read, whatever a model takes in: what a page or a segment is about stands in it,
and attention costs grow with the square."""


@dataclass(frozen=True, slots=True)
class TextSteps:
    """What becomes of the states of a text's tokens."""

    pooling: str = "mean"
    """One of `POOLINGS`."""
    dense: tuple[str, ...] = ()
    """Folders of linear layers after it, in order."""
    most_tokens: int = _MOST_TOKENS


def check_checkpoint(folder: Path, embeds: str) -> None:
    """Refuse a folder that cannot be loaded.

    Args:
        folder: As configured, or in the cache.
        embeds: `TEXT` or `FRAMES`.

    Raises:
        CheckpointError: It cannot be loaded; the message says what is wrong.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        msg = f"Wanted a folder with {_WHAT[embeds]} at {folder}; found {found}. Correct embedding.{embeds}."
        raise CheckpointError(msg)
    if not (folder / "config.json").is_file():
        raise _refusal(folder, embeds, f"no config.json, but {listed(folder)}")
    _check_code(folder, embeds)
    _check_weights(folder, embeds)
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise _refusal(folder, embeds, f"no tokenizer in it ({', '.join(_TOKENIZERS)})")
    config = _read(folder / "config.json", embeds)
    if embeds == TEXT:
        _check_text(folder, config)
        text_steps(folder)
    else:
        _check_frames(folder, config)


def text_steps(folder: Path) -> TextSteps:
    """Read how the states of a text become its vector; without a word about it, by their mean.

    Raises:
        CheckpointError: By steps that are not known here.
    """
    window = _window(folder)
    listing = folder / "modules.json"
    if not listing.is_file():
        return TextSteps(most_tokens=window)
    pooling: str | None = None
    dense: list[str] = []
    for place, (kind, path) in enumerate(_modules(folder)):
        if kind == "Transformer" and place == 0 and path in ("", "."):
            continue
        if kind == "Pooling" and pooling is None and place == 1:
            pooling = _pooling(folder, path)
        elif kind == "Dense" and pooling is not None:
            _check_dense(folder, path)
            dense.append(path)
        elif kind != "Normalize" or pooling is None:
            known = "a Transformer at its root, Pooling, Dense layers and Normalize"
            raise _refusal(folder, TEXT, f"the module {kind} at {path or 'its root'!r}", f"Known are {known}")
    return TextSteps(pooling or "mean", tuple(dense), window)


def _modules(folder: Path) -> list[tuple[str, str]]:
    """List kind and folder of each step of modules.json."""
    try:
        value = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        return [(str(one["type"]).rpartition(".")[2], str(one["path"])) for one in value]
    except (ValueError, KeyError, TypeError) as error:
        raise _refusal(folder, TEXT, f"a modules.json that cannot be read ({error!r})") from None


def _pooling(folder: Path, path: str) -> str:
    stated = _read(_inside(folder, path) / "config.json", TEXT)
    flags = {
        "pooling_mode_cls_token": "cls",
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_lasttoken": "lasttoken",
    }
    stated_mode = stated.get("pooling_mode")
    modes = [stated_mode] if isinstance(stated_mode, str) else list(stated_mode or [])
    if not modes:
        modes = [
            flags.get(name, name.removeprefix("pooling_mode_"))
            for name, value in stated.items()
            if name.startswith("pooling_mode_") and value is True
        ] or ["mean"]
    if len(modes) != 1 or modes[0] not in POOLINGS or stated.get("include_prompt", True) is not True:
        apart = "" if stated.get("include_prompt", True) is True else " without the prompt"
        raise _refusal(
            folder,
            TEXT,
            f"pooling by {', '.join(map(str, modes))}{apart}",
            f"Known are {', '.join(POOLINGS)}",
        )
    return str(modes[0])


def _check_dense(folder: Path, path: str) -> None:
    inside = _inside(folder, path)
    if not (inside / "model.safetensors").is_file():
        raise _refusal(folder, TEXT, f"no model.safetensors in {path}")
    shapes = read_safetensors(inside, lambda found: _refusal(folder, TEXT, f"in {path} {found}"))
    if "linear.weight" not in shapes:
        raise _refusal(folder, TEXT, f"no linear.weight in {path}")
    name = str(_read(inside / "config.json", TEXT).get("activation_function", ""))
    if name.rpartition(".")[2] not in ("Identity", "Tanh"):
        raise _refusal(
            folder, TEXT, f"a dense layer with {name or 'no activation'}", "Known are Identity and Tanh"
        )


def _inside(folder: Path, path: str) -> Path:
    """Return a folder within a checkpoint; a listing may not lead out of it."""
    inside = folder / path
    if Path(path).is_absolute() or ".." in Path(path).parts or not (inside / "config.json").is_file():
        raise _refusal(folder, TEXT, f"no config.json in {path!r}, which modules.json names")
    return inside


def _window(folder: Path) -> int:
    """Return how many tokens of a text are read, those that the tokenizer adds included."""
    config = _read(folder / "config.json", TEXT)
    stated: list[object] = []
    if isinstance(most := config.get("max_position_embeddings"), int):
        stated.append(most - 2 * (config.get("model_type") in _OFFSET_FAMILIES))
    for name, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        if (folder / name).is_file():
            stated.append(_read(folder / name, TEXT).get(key))
    return min([_MOST_TOKENS, *(int(one) for one in stated if isinstance(one, int | float) and one > 0)])


def _check_text(folder: Path, config: Mapping[str, Any]) -> None:
    kind = config.get("model_type")
    if config.get("is_encoder_decoder"):
        raise _refusal(folder, TEXT, f"a {kind} with a decoder", "Take one of encoders or of decoders alone")
    if "vision_config" in config:
        raise _refusal(
            folder, TEXT, f"a {kind}, which sees", "Name it as embedding.frames, and here one of texts"
        )


def _check_frames(folder: Path, config: Mapping[str, Any]) -> None:
    if (kind := config.get("model_type")) not in FRAME_FAMILIES:
        raise _refusal(
            folder, FRAMES, f"a model of the type {kind!r}", f"Known are {', '.join(FRAME_FAMILIES)}"
        )
    names = ("preprocessor_config.json", "processor_config.json")
    if not any((folder / name).is_file() for name in names):
        raise _refusal(folder, FRAMES, f"no {names[0]}, which says how pictures are scaled")


def _check_code(folder: Path, embeds: str) -> None:
    """Refuse a model that comes with code of its own, which would run with the user's rights."""
    for name in _SETTINGS:
        if (folder / name).is_file() and _read(folder / name, embeds).get("auto_map"):
            raise _refusal(
                folder,
                embeds,
                f"a model that needs code of its own, which is never run (auto_map in {name})",
                "Take one that transformers itself knows",
            )


def _check_weights(folder: Path, embeds: str) -> None:
    if not weight_files(folder) and not (folder / "model.safetensors.index.json").is_file():
        if pickles := [name for name in _PICKLES if (folder / name).is_file()]:
            raise _refusal(
                folder,
                embeds,
                f"{pickles[0]} alone, a format that can run any code when it is opened",
                "Save it as safetensors with model.save_pretrained(FOLDER), where you trust the file",
            )
        raise _refusal(folder, embeds, f"no weights (model.safetensors), but {listed(folder)}")
    if not read_safetensors(folder, lambda found: _refusal(folder, embeds, found)):
        raise _refusal(folder, embeds, "weights of nothing: model.safetensors is empty")


def _read(path: Path, embeds: str) -> Mapping[str, Any]:
    return read_json(path, lambda found: _refusal(path.parent, embeds, found))


def _refusal(folder: Path, embeds: str, found: str, advice: str = _TAKE) -> CheckpointError:
    return CheckpointError(f"Wanted {_WHAT[embeds]} for transformers in {folder}; found {found}. {advice}.")
