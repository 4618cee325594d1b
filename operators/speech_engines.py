"""Which recogniser of speech the configuration chose, and whether it can run here.

The engines are imported where they are loaded and nowhere else: they bring PyTorch or
CTranslate2 along, and one that is not installed stands in nobody's way.
"""

import difflib
import importlib.util
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from operators.speech_engine import SpeechEngine
from operators.speech_models import model_folder, model_name, model_revision
from schemas.config import Speech

_PACKAGES: Mapping[str, Sequence[str]] = {
    "faster-whisper": ("faster_whisper", "ctranslate2"),
    "transformers": ("transformers", "torch", "safetensors"),
}

_INSTALL = {"faster-whisper": "pip install gloss", "transformers": "pip install 'gloss[transformers]'"}

_PRECISIONS: Mapping[tuple[str, bool], Mapping[str, str]] = {
    ("faster-whisper", False): {"auto": "int8", "int8": "int8", "float32": "float32"},
    ("faster-whisper", True): {
        "auto": "float16",
        "int8": "int8_float16",
        "float16": "float16",
        "bfloat16": "bfloat16",
        "float32": "float32",
    },
    ("transformers", False): {"auto": "float32", "float32": "float32", "bfloat16": "bfloat16"},
    ("transformers", True): {
        "auto": "float16",
        "float16": "float16",
        "bfloat16": "bfloat16",
        "float32": "float32",
    },
}
"""What each engine can compute with, without and with a GPU, and how its library names that.

CTranslate2 takes float32 without a word where the device has no float16, which is why such
wishes are refused here. On CPUs PyTorch emulates float16 many times slower than float32.
"""


def check_engine(speech: Speech, gpu: bool | None = None) -> str | None:
    """Tell why the configured engine cannot run, without importing it or loading a model.

    Args:
        speech: The section.
        gpu: Whether it gets a share of a GPU; null where that is not settled.

    Returns:
        None when nothing stands in the way; otherwise what was wanted, what was found and
        what to do.
    """
    if speech.engine == "off":
        return None
    engine = _engine(speech)
    missing = [name for name in _PACKAGES[engine] if importlib.util.find_spec(name) is None]
    if missing:
        return (
            f"Wanted {', '.join(missing)} for speech.engine={engine}; found none installed. "
            f"Run `{_INSTALL[engine]}`."
        )
    return _check_precision(speech, engine, gpu) or _check_language(speech.language)


def _engine(speech: Speech) -> str:
    return "faster-whisper" if speech.engine == "auto" else speech.engine


def _check_precision(speech: Speech, engine: str, gpu: bool | None) -> str | None:
    known = _PRECISIONS[engine, bool(gpu)]
    if gpu is None:
        known = {**known, **_PRECISIONS[engine, True]}
    if speech.precision in known:
        return None
    device = {None: "any device", True: "GPUs", False: "CPUs"}[gpu]
    other = (
        ""
        if gpu or speech.precision not in _PRECISIONS[engine, True]
        else "; for it, set resources.speech_gpus"
    )
    return (
        f"Wanted speech.precision={speech.precision}; {engine} on {device} computes with "
        f"{', '.join(known)}. Leave it at auto, or take one of these{other}."
    )


def _check_language(language: str | None) -> str | None:
    if language is None:
        return None
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    if language in _LANGUAGE_CODES:
        return None
    near = difflib.get_close_matches(language.lower(), _LANGUAGE_CODES, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"Wanted speech.language to be a code that Whisper knows (en, de, zh); found {language!r}.{hint}"


def speech_name(speech: Speech) -> str:
    """Name engine and model as utterances bear it: `faster-whisper:small`; of a folder, its last name."""
    return f"{_engine(speech)}:{model_name(speech)}"


def engine_revision(speech: Speech) -> str:
    """Name the library, its version and the weights that would hear, without loading them.

    Raises:
        CheckpointError: The weights are not there; `resolve_speech` sees to that before a run.
    """
    if speech.engine == "off":
        return "off"
    engine = _engine(speech)
    libraries = ("faster-whisper", "ctranslate2") if engine == "faster-whisper" else ("transformers", "torch")
    named = [f"{library}-{version(library)}" for library in libraries]
    return " ".join([*named, f"{model_name(speech)}@{model_revision(speech)[:12]}"])


def load_engine(speech: Speech, threads: int, gpu: bool = False) -> SpeechEngine:
    """Load the configured engine and its weights.

    Args:
        speech: The section as `resolve_speech` gave it; its engine must not be `off`.
        threads: Threads of one inference on a CPU.
        gpu: Whether it runs on a GPU.

    Raises:
        ValueError: The engine is off, or cannot run for the reason `check_engine` gives.
        CheckpointError: The weights are not there, or not those that the run began with.
        MemoryError: They do not fit.
    """
    if speech.engine == "off":
        msg = "Wanted a speech engine to load; found speech.engine=off. Name faster-whisper or transformers."
        raise ValueError(msg)
    if (problem := check_engine(speech, gpu)) is not None:
        raise ValueError(problem)
    engine = _engine(speech)
    folder = model_folder(speech)
    settings: dict[str, Any] = {
        "name": speech_name(speech),
        "revision": engine_revision(speech),
        "precision": _PRECISIONS[engine, gpu][speech.precision],
        "beam_size": speech.beam_size,
        "threads": threads,
        "gpu": gpu,
    }
    if engine == "transformers":
        from operators.speech_transformers import TransformersEngine

        return TransformersEngine(folder, **settings)
    from operators.speech_faster_whisper import FasterWhisperEngine

    return FasterWhisperEngine(folder, **settings)
