"""Which vision-language model the configuration chose, and whether it can run here.

The engines are imported where they are loaded and nowhere else: they bring PyTorch along, and
one that is not installed stands in nobody's way.
"""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from operators.text_tokens import TextCounter, text_counter
from operators.vision_checkpoints import context_tokens
from operators.vision_engine import VisionEngine
from operators.vision_models import (
    EXAMPLES,
    check_repository,
    is_vision_folder,
    short_name,
    vision_folder,
    weights_revision,
)
from operators.visual_tokens import TokenRule, rule_of_family, rule_of_folder
from schemas.config import Vision

_PACKAGES: Mapping[str, Sequence[str]] = {
    "transformers": ("transformers", "torch", "safetensors"),
    "vllm": ("vllm",),
    "openai": (),
}

_PRECISIONS: Mapping[tuple[str, bool], Mapping[str, str]] = {
    ("transformers", False): {"auto": "float32", "float32": "float32", "bfloat16": "bfloat16"},
    ("transformers", True): {
        "auto": "bfloat16",
        "bfloat16": "bfloat16",
        "float16": "float16",
        "float32": "float32",
    },
}
"""What PyTorch is asked to compute with, without and with a GPU: on CPUs it emulates float16 many
times slower than float32."""

_MOST_CONTEXT = 1 << 30
"""Tokenizers that know no limit state one of 1e30."""


# --- whether it can run ---------------------------------------------------------------------


def check_vision(vision: Vision, gpu: bool | None = None) -> str | None:
    """Tell why the configured engine cannot run, without disk, network or importing it.

    Args:
        vision: The section.
        gpu: Whether it gets a share of a GPU; null where that is not settled.

    Returns:
        None when nothing stands in the way; otherwise what was wanted, what was found and
        what to do.
    """
    if not vision.looks:
        return None
    engine = vision.engine
    missing = [name for name in _PACKAGES[engine] if importlib.util.find_spec(name) is None]
    if missing:
        return (
            f"Wanted {', '.join(missing)} for vision.engine={engine}; found none installed. "
            f"Run `pip install 'gloss[{engine}]'`."
        )
    if engine == "openai":
        return _check_address(vision) or _check_family(vision.family)
    problem = _check_name(vision.model) or _check_device(vision, gpu)
    return problem or (_check_family(vision.family) if engine == "vllm" else None)


def _check_name(model: str | None) -> str | None:
    if model is None:
        return (
            "Wanted vision.model, the model that looks at the pictures; found none. Name a repository "
            f"({', '.join(EXAMPLES)}) or a folder: --set vision.model=NAME."
        )
    return None if is_vision_folder(model) else check_repository(model)


def _check_device(vision: Vision, gpu: bool | None) -> str | None:
    engine = vision.engine
    if engine == "vllm":
        if gpu is False:
            return (
                "Wanted a GPU for vision.engine=vllm; found resources.vision_gpus=0. Set it to the GPUs of "
                "one model (1), or take vision.engine=transformers."
            )
        return None
    known = _PRECISIONS[engine, True if gpu is None else gpu]
    if vision.precision in known:
        return None
    return (
        f"Wanted vision.precision={vision.precision}; {engine} on CPUs computes with {', '.join(known)}. "
        "Leave it at auto, or take one of these; for it, set resources.vision_gpus."
    )


def _check_family(family: str | None) -> str | None:
    try:
        rule_of_family(family)
    except ValueError as error:
        return f"vision.family: {error}"
    return None


def _check_address(vision: Vision) -> str | None:
    """Look at what is said of a server. An address is shown only when it holds no secret."""
    if not vision.base_url:
        return (
            "Wanted vision.base_url for vision.engine=openai, the address of a server; found none. Set it: "
            "--set vision.base_url=http://127.0.0.1:8000/v1"
        )
    try:
        address = urlsplit(vision.base_url)
        host, _ = address.hostname, address.port  # which raises for a port that is no number
    except ValueError:
        host = None
    if host is None or address.scheme not in ("http", "https"):
        return (
            "Wanted vision.base_url to be an http or https address such as http://127.0.0.1:8000/v1; found "
            f"{'another kind' if host else 'none that can be read'}."
        )
    if address.username is not None or address.password is not None or address.query or address.fragment:
        return (
            "Wanted vision.base_url without a user, a password or parameters, because it is stored with the "
            "run; found one with. Put the key into an environment variable and name that: "
            f"vision.api_key_env={vision.api_key_env}."
        )
    if not vision.model:
        return (
            "Wanted vision.model for vision.engine=openai, what the server calls its model; found none. "
            f"{vision.base_url.rstrip('/')}/models lists them."
        )
    if vision.precision != "auto":
        return (
            f"Wanted vision.precision={vision.precision} of a server; it computes as it was started. "
            "Leave it at auto."
        )
    return None


# --- what captions bear ---------------------------------------------------------------------


def vision_name(vision: Vision) -> str:
    """Name engine and model as captions bear it: `transformers:Qwen2-VL-2B-Instruct`."""
    return f"{vision.engine}:{short_name(vision)}" if vision.looks else "off"


def vision_revision(vision: Vision) -> str:
    """Name the libraries and the weights that would look, without loading them.

    Of a server: where it is and what it calls its model; how often and how long it is asked
    changes nothing.

    Raises:
        CheckpointError: The weights are not there; `resolve_vision` sees to that before a run.
    """
    if not vision.looks:
        return "off"
    if vision.engine == "openai":
        at = f"@{vision.revision}" if vision.revision else ""
        return f"openai {_place(vision.base_url or '')} {vision.model}{at}"
    libraries = ("vllm",) if vision.engine == "vllm" else ("transformers", "torch")
    named = [f"{library}-{version(library)}" for library in libraries]
    return " ".join([*named, f"{short_name(vision)}@{weights_revision(vision)[:12]}"])


def _place(base_url: str) -> str:
    """Return host, port and path of an address, without what may be secret."""
    address = urlsplit(base_url)
    port = f":{address.port}" if address.port is not None else ""
    return f"{address.hostname}{port}{address.path.rstrip('/')}"


# --- what it costs --------------------------------------------------------------------------
# Asked for each clip and page; the files that tell are read once.


@lru_cache(maxsize=8)
def token_rule_of(vision: Vision) -> TokenRule:
    """Return the rule by which pictures become tokens.

    Args:
        vision: As `resolve_vision` gave it.

    Raises:
        CheckpointError: The weights are not here.
        ValueError: There is no such family.
    """
    folder = _told_by(vision)
    return rule_of_family(vision.family) if folder is None else rule_of_folder(folder)


@lru_cache(maxsize=8)
def text_counter_of(vision: Vision) -> TextCounter:
    """Return what counts the tokens of a text: exactly where the tokenizer is here.

    Raises:
        CheckpointError: The weights are not here.
    """
    return text_counter(_told_by(vision))


@lru_cache(maxsize=8)
def context_of(vision: Vision) -> int | None:
    """Return how many tokens question and answer may have together, where that is known.

    Raises:
        CheckpointError: The weights are not here.
    """
    folder = _told_by(vision)
    if folder is None:
        return None
    stated = [context_tokens(folder), _tokenizer_limit(folder)]
    return next((each for each in stated if isinstance(each, int) and 0 < each < _MOST_CONTEXT), None)


def _tokenizer_limit(folder: Path) -> object:
    path = folder / "tokenizer_config.json"
    return json.loads(path.read_bytes()).get("model_max_length") if path.is_file() else None


def _told_by(vision: Vision) -> Path | None:
    """Return the folder of the checkpoint; none where a server holds it or a family is named for it."""
    if vision.engine == "openai" or (vision.engine == "vllm" and vision.family is not None):
        return None
    return vision_folder(vision)


# --- the engine -----------------------------------------------------------------------------


def load_vision(
    vision: Vision, threads: int, gpu: bool = False, requests_per_minute: float | None = None
) -> VisionEngine:
    """Load the configured engine and its weights, or prepare to ask the server.

    Args:
        vision: The section as `resolve_vision` gave it; its engine must not be `off`.
        threads: Threads of one inference on a CPU.
        gpu: Whether it runs on a GPU.
        requests_per_minute: Most requests of this engine, where several share
            `vision.requests_per_minute`; null takes that.

    Raises:
        ValueError: The engine is off or no engine of a worker, or cannot run for the reason
            `check_vision` gives.
        CheckpointError: The weights are not there, or not those that the run began with.
        MemoryError: They do not fit.
    """
    if vision.engine not in ("transformers", "openai"):
        msg = (
            f"Wanted a vision engine to load; found vision.engine={vision.engine}. In a worker run "
            "transformers and openai; vllm runs in Ray's own pipeline."
        )
        raise ValueError(msg)
    if (problem := check_vision(vision, gpu)) is not None:
        raise ValueError(problem)
    name, revision = vision_name(vision), vision_revision(vision)
    if vision.engine == "openai":
        from operators.chat_client import Patience
        from operators.vision_openai import OpenAiEngine

        return OpenAiEngine(
            name=name,
            model=vision.model or "",
            base_url=vision.base_url or "",
            revision=revision,
            api_key_env=vision.api_key_env,
            timeout_seconds=vision.timeout_seconds,
            requests_per_minute=vision.requests_per_minute
            if requests_per_minute is None
            else requests_per_minute,
            concurrency=vision.concurrency,
            patience=Patience(total_seconds=vision.patience_seconds),
        )
    from operators.vision_transformers import TransformersVisionEngine

    return TransformersVisionEngine(
        vision_folder(vision),
        name=name,
        revision=revision,
        precision=_PRECISIONS["transformers", gpu][vision.precision],
        threads=threads,
        gpu=gpu,
    )
