"""What a section of the configuration says of a model: can it run, what is it called, which one is it.

`vision` and `summary` name their models by the same settings; what differs is a `Kind` of weights.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from operators.hub import Say
from operators.hub_weights import Kind, is_folder
from schemas.config import ConfigError, Summary, Vision

ModelSettings = Vision | Summary

SERVER_SECONDS = 30.0
"""For a server to answer before a run; one that loads the model at the first question needs some."""

_PACKAGES: Mapping[str, Sequence[str]] = {
    "transformers": ("transformers", "torch", "safetensors"),
    "vllm": ("vllm",),
    "openai": (),
}

PRECISIONS: Mapping[bool, Mapping[str, str]] = {
    False: {"auto": "float32", "float32": "float32", "bfloat16": "bfloat16"},
    True: {"auto": "bfloat16", "bfloat16": "bfloat16", "float16": "float16", "float32": "float32"},
}
"""What PyTorch is asked to compute with, without and with a GPU: on CPUs it emulates float16 many
times slower than float32."""


# --- whether it can run ---------------------------------------------------------------------


def check_model(settings: ModelSettings, kind: Kind, what: str, gpu: bool | None) -> str | None:
    """Tell why the configured engine cannot run, without disk, network or importing it.

    Args:
        settings: The section; its engine must be one that asks a model.
        kind: Of weights.
        what: The model does, for messages: `looks at the pictures`.
        gpu: Whether it gets a share of a GPU; null where that is not settled.

    Returns:
        None when nothing stands in the way; otherwise what was wanted, what was found and
        what to do.
    """
    section, engine = kind.section, settings.engine
    missing = [name for name in _PACKAGES[engine] if importlib.util.find_spec(name) is None]
    if missing:
        return (
            f"Wanted {', '.join(missing)} for {section}.engine={engine}; found none installed. "
            f"Run `pip install 'gloss[{engine}]'`."
        )
    if engine == "openai":
        return _check_address(settings, section)
    if settings.model is None:
        return (
            f"Wanted {section}.model, the model that {what}; found none. Name a repository "
            f"({', '.join(kind.examples)}) or a folder: --set {section}.model=NAME."
        )
    problem = None if is_folder(settings.model) else kind.check_repository(settings.model)
    return problem or _check_device(settings, section, gpu)


def _check_device(settings: ModelSettings, section: str, gpu: bool | None) -> str | None:
    engine = settings.engine
    if engine == "vllm":
        if gpu is False:
            return (
                f"Wanted a GPU for {section}.engine=vllm; found resources.{section}_gpus=0. Set it to the "
                f"GPUs of one model (1), or take {section}.engine=transformers."
            )
        return None
    known = PRECISIONS[True if gpu is None else gpu]
    if settings.precision in known:
        return None
    return (
        f"Wanted {section}.precision={settings.precision}; {engine} on CPUs computes with "
        f"{', '.join(known)}. Leave it at auto, or take one of these; for it, set resources.{section}_gpus."
    )


def _check_address(settings: ModelSettings, section: str) -> str | None:
    """Look at what is said of a server. An address is shown only when it holds no secret."""
    if not settings.base_url:
        return (
            f"Wanted {section}.base_url for {section}.engine=openai, the address of a server; found none. "
            f"Set it: --set {section}.base_url=http://127.0.0.1:8000/v1"
        )
    try:
        address = urlsplit(settings.base_url)
        host, _ = address.hostname, address.port  # which raises for a port that is no number
    except ValueError:
        host = None
    if host is None or address.scheme not in ("http", "https"):
        return (
            f"Wanted {section}.base_url to be an http or https address such as http://127.0.0.1:8000/v1; "
            f"found {'another kind' if host else 'none that can be read'}."
        )
    if address.username is not None or address.password is not None or address.query or address.fragment:
        return (
            f"Wanted {section}.base_url without a user, a password or parameters, because it is stored with "
            "the run; found one with. Put the key into an environment variable and name that: "
            f"{section}.api_key_env={settings.api_key_env}."
        )
    if not settings.model:
        return (
            f"Wanted {section}.model for {section}.engine=openai, what the server calls its model; found "
            f"none. {settings.base_url.rstrip('/')}/models lists them."
        )
    if settings.precision != "auto":
        return (
            f"Wanted {section}.precision={settings.precision} of a server; it computes as it was started. "
            "Leave it at auto."
        )
    return None


# --- what it is -----------------------------------------------------------------------------


def model_name(settings: ModelSettings) -> str:
    """Name engine and model as rows bear it: `transformers:Qwen2-VL-2B-Instruct`."""
    return f"{settings.engine}:{_short_name(settings)}"


def _short_name(settings: ModelSettings) -> str:
    """Name a model for people: by the last part of its folder or repository."""
    model = settings.model or ""
    if settings.engine == "openai":
        return model
    return Path(model).expanduser().resolve().name if is_folder(model) else model.rpartition("/")[2]


def model_revision(settings: ModelSettings, kind: Kind) -> str:
    """Name the libraries and the weights that would be asked, without loading them.

    Of a server: where it is and what it calls its model; how often and how long it is asked
    changes nothing.

    Raises:
        CheckpointError: The weights are not there.
    """
    if settings.engine == "openai":
        at = f"@{settings.revision}" if settings.revision else ""
        return f"openai {_place(settings.base_url or '')} {settings.model}{at}"
    libraries = ("vllm",) if settings.engine == "vllm" else ("transformers", "torch")
    named = [f"{library}-{version(library)}" for library in libraries]
    weights = kind.revision(settings.model or "", settings.revision)
    return " ".join([*named, f"{_short_name(settings)}@{weights[:12]}"])


def _place(base_url: str) -> str:
    """Return host, port and path of an address, without what may be secret."""
    address = urlsplit(base_url)
    port = f":{address.port}" if address.port is not None else ""
    return f"{address.hostname}{port}{address.path.rstrip('/')}"


def found_model(settings: ModelSettings, kind: Kind, say: Say) -> dict[str, Any]:
    """Find a model, fetch it if need be, and pin it; a server is asked whether it has it.

    Args:
        settings: Of which `check_model` has nothing to say.
        kind: Of weights.
        say: Tells people what is fetched.

    Returns:
        `revision` and, of weights, `model`, as they will be used.

    Raises:
        ModelError: It is not here and could not be fetched.
        CheckpointError: It cannot be read.
        ConfigError: The server does not answer, or has no such model.
    """
    model = settings.model or ""
    if settings.engine == "openai":
        return {"revision": _ask_server(settings, kind.section)}
    # Workers may stand in another folder than the driver.
    named = str(Path(model).expanduser().resolve()) if is_folder(model) else model
    return {"model": named, "revision": kind.find(named, settings.revision, say)}


def _ask_server(settings: ModelSettings, section: str) -> str:
    """See that the server answers and has the model, and ask which weights are behind its name.

    Returns:
        What it says; empty where that is the name itself.
    """
    from operators.chat_model import check_server, served_revision

    model, base_url, key = settings.model or "", settings.base_url or "", settings.api_key_env
    problem = check_server(
        model=model,
        base_url=base_url,
        api_key_env=key,
        timeout_seconds=min(settings.timeout_seconds, SERVER_SECONDS),
        section=section,
    )
    if problem is not None:
        raise ConfigError(problem)
    served = served_revision(model=model, base_url=base_url, api_key_env=key, section=section)
    return "" if served == model else served
