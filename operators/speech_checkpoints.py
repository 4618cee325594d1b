"""Whether a folder holds a checkpoint that an engine can read, found out without loading it.

A run that hears with the wrong weights, or breaks when the first worker loads them, is worse
than one that does not start. Loading takes seconds and gigabytes; what usually is wrong (files
that are missing, cut short, of another format or another model) shows in names and headers.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from operators.checkpoint_files import (
    CheckpointError,
    Refuser,
    Shapes,
    listed,
    read_json,
    read_safetensors,
    weight_files,
)

_WHISPER_TOKENS = ("<|endoftext|>", "<|startoftranscript|>", "<|transcribe|>", "<|notimestamps|>")

_MULTILINGUAL_TOKENS = 51_865
"""Tokens from which on CTranslate2 and OpenAI's code take a Whisper to know languages."""

_CONVERT = (
    "Convert the original with `ct2-transformers-converter --model FOLDER --output_dir CONVERTED "
    "--copy_files tokenizer.json preprocessor_config.json --quantization float16`"
)
_ORIGINAL = (
    "Take a folder as transformers saves it: config.json, generation_config.json, model.safetensors, "
    "tokenizer files, preprocessor_config.json"
)


def is_checkpoint(folder: Path, engine: str) -> bool:
    """Tell whether a folder looks like a checkpoint for this engine."""
    if engine == "faster-whisper":
        return (folder / "model.bin").is_file() and (folder / "config.json").is_file()
    return (folder / "config.json").is_file() and bool(weight_files(folder))


def check_checkpoint(folder: Path, engine: str) -> None:
    """Refuse a folder that the engine cannot read, or would misread.

    Args:
        folder: As configured, or in the cache.
        engine: `faster-whisper` or `transformers`.

    Raises:
        CheckpointError: It cannot be read.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        msg = f"Wanted a folder with a model for {engine} at {folder}; found {found}. Correct speech.model."
        raise CheckpointError(msg)
    if engine == "faster-whisper":
        _check_converted(folder)
    else:
        _check_original(folder)


def knows_languages(folder: Path, engine: str) -> bool:
    """Tell whether a model that was checked knows more languages than English."""
    if engine == "faster-whisper":
        return len(_read_vocabulary(folder, CheckpointError)) >= _MULTILINGUAL_TOKENS
    config = read_json(folder / "config.json", CheckpointError)
    return int(config["vocab_size"]) >= _MULTILINGUAL_TOKENS


# --- faster-whisper -------------------------------------------------------------------------


def _check_converted(folder: Path) -> None:
    refuse = _refuser(folder, "faster-whisper", f"{_CONVERT}, or set speech.engine=transformers")
    if not (folder / "model.bin").is_file():
        if weight_files(folder) or (folder / "pytorch_model.bin").is_file():
            raise refuse("a checkpoint for transformers (no model.bin)")
        raise refuse(listed(folder))
    # Without it faster-whisper takes that of whisper-tiny, from the network.
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise refuse(f"no {name} in it")
    config = read_json(folder / "config.json", refuse)
    vocabulary = _read_vocabulary(folder, refuse)
    shapes = _read_shapes(folder / "model.bin", refuse)
    if not config.get("alignment_heads"):
        raise refuse("a config.json without alignment_heads, which words get their times by")
    if len(vocabulary) >= _MULTILINGUAL_TOKENS and not config.get("lang_ids"):
        raise refuse(
            f"{len(vocabulary)} tokens, as of a model of many languages, but a config.json that lists none "
            "of them (lang_ids): its original has no generation_config.json with lang_to_id"
        )
    if len(vocabulary) >= _MULTILINGUAL_TOKENS and "" not in vocabulary:
        # All of OpenAI's have it as number 50256.
        raise refuse(
            f"{len(vocabulary)} tokens, as of a model of many languages, but not the empty one, by which "
            "CTranslate2 tells such a model from an English one"
        )
    _check_tokenizer(folder / "tokenizer.json", vocabulary, refuse)
    _check_mels(folder, shapes["encoder/conv1/weight"][1], refuse)


def _read_vocabulary(folder: Path, refuse: Refuser) -> list[str]:
    try:
        if (folder / "vocabulary.json").is_file():
            vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        else:
            text = (folder / "vocabulary.txt").read_text(encoding="utf-8")
            vocabulary = text.removesuffix("\n").split("\n")
    except FileNotFoundError:
        raise refuse("no vocabulary.json or vocabulary.txt in it") from None
    except ValueError as error:
        raise refuse(f"a vocabulary that cannot be read ({error})") from None
    if not isinstance(vocabulary, list):
        raise refuse("a vocabulary.json that is no list of tokens")
    return vocabulary


def _read_shapes(path: Path, refuse: Refuser) -> Shapes:
    """Walk through the variables of a CTranslate2 model, from header to header."""
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            name, shapes = _walk(file, size)
        except (struct.error, UnicodeDecodeError):
            raise refuse(f"a model.bin of {size} bytes that is cut short or damaged") from None
        except _UnknownVersionError as error:
            raise refuse(f"a model.bin that is none of CTranslate2 ({error})") from None
    if name != "WhisperSpec" or "encoder/conv1/weight" not in shapes:
        raise refuse(f"a model of the kind {name}, not Whisper")
    return shapes


class _UnknownVersionError(Exception):
    pass


def _walk(file: IO[bytes], size: int) -> tuple[str, Shapes]:
    """Read names and shapes; the format is that of `ctranslate2.specs.model_spec`.

    Raises:
        struct.error: The file ends too early.
    """

    def number(kind: str) -> int:
        value: int = struct.unpack(f"<{kind}", file.read(struct.calcsize(f"<{kind}")))[0]
        return value

    def text() -> str:
        count = number("H")
        value: bytes = struct.unpack(f"{count}s", file.read(count))[0]
        return value.rstrip(b"\0").decode()

    binary_version = number("I")
    if not 4 <= binary_version <= 6:
        msg = f"version {binary_version}; 4 to 6 are known"
        raise _UnknownVersionError(msg)
    name, _ = text(), number("I")
    shapes = {}
    for _ in range(number("I")):
        variable = text()
        shapes[variable] = tuple(number("I") for _ in range(number("B")))
        _, count = number("B"), number("I")
        if file.seek(count, 1) > size:
            msg = "a variable reaches beyond the end"
            raise struct.error(msg)
    for _ in range(number("I")):
        alias, variable = text(), text()
        shapes[alias] = shapes.get(variable, ())
    return name, shapes


# --- transformers ---------------------------------------------------------------------------


def _check_original(folder: Path) -> None:
    refuse = _refuser(folder, "transformers", f"{_ORIGINAL}, or set speech.engine=faster-whisper")
    if not (folder / "config.json").is_file():
        raise refuse(listed(folder))
    if not weight_files(folder):
        if (folder / "model.bin").is_file():
            raise refuse("a model converted for faster-whisper (model.bin, no *.safetensors)")
        if (folder / "pytorch_model.bin").is_file():
            raise _refuser(
                folder,
                "transformers",
                "Save it as safetensors with model.save_pretrained(FOLDER), where you trust the file",
            )("pytorch_model.bin alone, a format that can run any code when it is opened")
        raise refuse(listed(folder))
    config = read_json(folder / "config.json", refuse)
    if config.get("model_type") != "whisper":
        raise refuse(f"a model of the type {config.get('model_type')!r}, not whisper")
    shapes = read_safetensors(folder, refuse)
    _check_shapes(config, shapes, refuse)
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise refuse("no tokenizer in it (tokenizer.json, or vocab.json with merges.txt)")
    if (folder / "tokenizer.json").is_file():
        _check_tokenizer(folder / "tokenizer.json", None, refuse)
    if not any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        raise refuse("no preprocessor_config.json in it")
    _check_mels(folder, int(config.get("num_mel_bins", 80)), refuse)


def _check_shapes(config: Mapping[str, Any], shapes: Shapes, refuse: Refuser) -> None:
    width = config.get("d_model")
    wanted = {
        "model.encoder.conv1.weight": (width, config.get("num_mel_bins", 80), 3),
        "model.decoder.embed_tokens.weight": (config.get("vocab_size"), width),
    }
    for part in ("encoder", "decoder"):
        last = int(config.get(f"{part}_layers", 1)) - 1
        wanted[f"model.{part}.layers.{last}.self_attn.q_proj.weight"] = (width, width)
    for name, shape in wanted.items():
        # A checkpoint of the bare encoder and decoder has no prefix.
        found = shapes.get(name, shapes.get(name.removeprefix("model.")))
        if found != shape:
            is_there = "none" if found is None else f"one of {found}"
            raise refuse(f"weights that do not fit config.json ({name}: {is_there} instead of {shape})")


# --- both -----------------------------------------------------------------------------------


def _refuser(folder: Path, engine: str, advice: str) -> Refuser:
    def refuse(found: str) -> CheckpointError:
        return CheckpointError(f"Wanted a Whisper model for {engine} in {folder}; found {found}. {advice}.")

    return refuse


def _check_tokenizer(path: Path, vocabulary: Sequence[str] | None, refuse: Refuser) -> None:
    """Refuse a tokenizer of another model: the numbers of its tokens would mean other words."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare ones
        raise refuse(f"{path.name} that cannot be read ({error})") from None
    for token in _WHISPER_TOKENS:
        number = tokenizer.token_to_id(token)
        if number is None:
            raise refuse(f"{path.name} without {token}: it is that of another model")
        if vocabulary is not None and vocabulary[number : number + 1] != [token]:
            raise refuse(
                f"{path.name} that does not fit the vocabulary ({token} is not number {number} there)"
            )


def _check_mels(folder: Path, wanted: int, refuse: Refuser) -> None:
    path = folder / "preprocessor_config.json"
    if path.is_file():
        found = read_json(path, refuse).get("feature_size", 80)
        if found != wanted:
            raise refuse(f"preprocessor_config.json for {found} mel bands, but weights for {wanted}")
    elif wanted != 80:
        raise refuse(f"no preprocessor_config.json, which a model of {wanted} mel bands needs")
