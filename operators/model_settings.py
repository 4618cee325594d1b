"""What a section of the configuration says of a model: can it run, what is it called, which one is it.

`vision` and `summary` name their models by the same settings; what differs is a `Kind` of weights.
`embedding` names two, and shares what is said here of weights and of servers.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from operators.checkpoint_files import CheckpointError
from operators.hub import ModelError, Say
from operators.hub_weights import Kind, is_folder, short_name
from schemas.config import ConfigError, Embedding, Summary, Vision
from schemas.section import Section

ModelSettings = Vision | Summary

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
    if (problem := check_packages(engine, f"{section}.engine={engine}")) is not None:
        return problem
    if engine == "openai":
        return check_address(settings, section) or _check_served(settings, section)
    if settings.model is None:
        return (
            f"Wanted {section}.model, the model that {what}; found none. Name a repository "
            f"({', '.join(kind.examples)}) or a folder: --set {section}.model=NAME."
        )
    problem = None if is_folder(settings.model) else kind.check_repository(settings.model)
    return problem or _check_device(settings, section, gpu)


def check_packages(engine: str, wanted_by: str) -> str | None:
    """Tell which packages of an engine are not installed, without importing them, or None.

    Args:
        engine: Also what the extra is called that installs them.
        wanted_by: The setting that asks for it, for messages.
    """
    missing = [name for name in _PACKAGES[engine] if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return (
        f"Wanted {', '.join(missing)} for {wanted_by}; found none installed. "
        f"Run `pip install 'gloss[{engine}]'`."
    )


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


def check_address(settings: ModelSettings | Embedding, section: str) -> str | None:
    """Tell why the address of a server cannot be asked, or None; it is shown only when it holds no secret.

    Args:
        settings: The section, with `base_url` and `api_key_env`.
        section: Its name, for messages.
    """
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
    return None


def _check_served(settings: ModelSettings, section: str) -> str | None:
    if not settings.model:
        return (
            f"Wanted {section}.model for {section}.engine=openai, what the server calls its model; found "
            f"none. {(settings.base_url or '').rstrip('/')}/models lists them."
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
    model = settings.model or ""
    return f"{settings.engine}:{model if settings.engine == 'openai' else short_name(model)}"


def model_revision(settings: ModelSettings, kind: Kind) -> str:
    """Name the libraries and the weights that would be asked, without loading them.

    Of a server: where it is and what it calls its model; how often and how long it is asked
    changes nothing.

    Raises:
        CheckpointError: The weights are not there.
    """
    if settings.engine == "openai":
        return f"openai {served_model(settings)}"
    libraries = ("vllm",) if settings.engine == "vllm" else ("transformers", "torch")
    named = [f"{library}-{version(library)}" for library in libraries]
    return " ".join([*named, named_weights(settings, kind)])


def named_weights(settings: Section, kind: Kind) -> str:
    """Name the weights of a kind, without loading them: `Qwen2-VL-2B-Instruct@895c3a49bc3f`.

    Raises:
        CheckpointError: They are not there.
    """
    model, revision = kind.named(settings)
    return f"{short_name(model)}@{kind.revision(model, revision)[:12]}"


def served_model(settings: ModelSettings | Embedding) -> str:
    """Name the model of a server: host, port and path, without what may be secret, and what it says."""
    address = urlsplit(settings.base_url or "")
    port = f":{address.port}" if address.port is not None else ""
    at = f"@{settings.revision}" if settings.revision else ""
    return f"{address.hostname}{port}{address.path.rstrip('/')} {settings.model}{at}"


def found_model(settings: ModelSettings, kind: Kind, say: Say) -> dict[str, Any]:
    """Find a model, fetch it if need be, and pin it; a server is asked whether it has it.

    Args:
        settings: Of which `check_model` has nothing to say.
        kind: Of weights.
        say: Tells people what is fetched.

    Returns:
        `revision` and, of weights, `model`, as they will be used.

    Raises:
        ConfigError: It is not here and could not be fetched, or cannot be read; or the server does not
            answer, or has no such model.
    """
    if settings.engine == "openai":
        return {"revision": _ask_server(settings, kind.section)}
    return found_weights(settings, kind, say)


def found_weights(settings: Section, kind: Kind, say: Say) -> dict[str, Any]:
    """Find the weights that a section names, fetch them if need be, and pin them.

    Returns:
        The settings of model and revision, as they will be used.

    Raises:
        ConfigError: They are not here and could not be fetched, or cannot be read.
    """
    model, revision = kind.named(settings)
    # Workers may stand in another folder than the driver.
    named = str(Path(model).expanduser().resolve()) if is_folder(model) else model
    try:
        found = kind.find(named, revision, say)
    except (CheckpointError, ModelError) as error:
        raise ConfigError(str(error)) from None
    return {kind.setting: named, kind.revision_setting: found}


def _ask_server(settings: ModelSettings, section: str) -> str:
    """See that the server answers and has the model, and ask which weights are behind its name.

    Returns:
        What it says; empty where that is the name itself.
    """
    from operators.chat_client import CHECK_SECONDS
    from operators.chat_model import check_server, served_revision

    model, base_url, key = settings.model or "", settings.base_url or "", settings.api_key_env
    problem = check_server(
        model=model,
        base_url=base_url,
        api_key_env=key,
        timeout_seconds=min(settings.timeout_seconds, CHECK_SECONDS),
        section=section,
    )
    if problem is not None:
        raise ConfigError(problem)
    served = served_revision(model=model, base_url=base_url, api_key_env=key, section=section)
    return "" if served == model else served
