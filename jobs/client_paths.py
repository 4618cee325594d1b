"""What a submitted run names must exist where it runs, not only where it is submitted.

A source, a lake or a folder with a model that lies on the laptop is refused before anything is
submitted; unless all nodes see it at the same path (NFS, a volume), which only the user knows. Prompts
are small and the user's own work, so their folders travel with the job.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from schemas.config import Config, ConfigError
from schemas.store import holds_credential

_MODELS = (
    ("ocr", "model"),
    ("speech", "model"),
    ("speech", "speaker_model"),
    ("vision", "model"),
    ("summary", "model"),
    ("embedding", "model"),
    ("embedding", "frames"),
)
"""Settings that name a model or its folder."""
_PROMPTS = (("vision", "prompts"), ("summary", "prompts"))
"""Settings that name a folder of prompts."""
_LOCAL = ("file", "local", "")


def check_place(what: str, place: str, shared: Sequence[str]) -> str:
    """Return a source or lake as every node can name it.

    Args:
        what: What it is, for the message.
        place: Path, glob or URL.
        shared: Folders that all nodes see at the same path.

    Raises:
        ConfigError: Only this machine has it, or it holds a password.
    """
    if holds_credential(place):
        msg = (
            f"Wanted {what} without a password in its address: a job's command is shown in the cluster's "
            "dashboard. Give credentials to the cluster's own environment."
        )
        raise ConfigError(msg)
    scheme, path = _innermost(place)
    if scheme == "memory":
        msg = f"{what[0].upper()}{what[1:]} is {place}, which lives in one process only. Name a store."
        raise ConfigError(msg)
    if scheme not in _LOCAL:
        return place
    absolute = _absolute(path)
    if not _is_below(absolute, shared):
        msg = (
            f"{what[0].upper()}{what[1:]} is {place}, a path of this machine; the job runs on others. Put it "
            "into an object store (s3://…), or, where all nodes see that path, say so: "
            f"--shared-path {_folder_of(absolute)}"
        )
        raise ConfigError(msg)
    return place if "://" in place or "::" in place else absolute


def check_models(config: Config, shared: Sequence[str]) -> list[str]:
    """Return settings that name folders of models as every node can.

    Raises:
        ConfigError: Only this machine has one.
    """
    settings = []
    for section, name, value in _given(config, _MODELS):
        if getattr(config, section).engine == "openai" or not _names_a_path(value):
            continue
        absolute = _absolute(value)
        if not _is_below(absolute, shared):
            msg = (
                f"{section}.{name} is {value}, a path of this machine; the job runs on others. Put the model "
                "at one path on every node (into the image, or on a volume) and say so with "
                f"--shared-path {_folder_of(absolute)}; or name a model of the hub, which nodes fetch."
            )
            raise ConfigError(msg)
        settings.append(f"{section}.{name}={absolute}")
    return settings


def prompts_to_ship(config: Config, shared: Sequence[str]) -> dict[str, Path]:
    """Return folders of prompts that travel with the job, by their setting (`vision.prompts`).

    Raises:
        ConfigError: A folder is not there.
    """
    folders = {}
    for section, name, value in _given(config, _PROMPTS):
        path = Path(_absolute(value))
        if _is_below(str(path), shared):
            continue
        if not path.is_dir():
            msg = f"{section}.{name}: wanted a folder with prompts at {path}; there is none."
            raise ConfigError(msg)
        folders[f"{section}.{name}"] = path
    return folders


def _given(config: Config, names: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str, str]]:
    for section, name in names:
        value = getattr(getattr(config, section), name)
        if value is not None:
            yield section, name, value


def _innermost(place: str) -> tuple[str, str]:
    """Return scheme and path of what a place rests on: `zip://*.pdf::s3://b/a.zip` on S3."""
    link = place.rpartition("::")[2] if "://" in place else place
    scheme, separator, path = link.partition("://")
    return (scheme.lower(), path) if separator else ("", link)


def _names_a_path(value: str) -> bool:
    """Tell whether a model is a folder or file here, or is written like one."""
    return value.startswith(("/", "./", "../", "~")) or Path(value).exists()


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - keeps globs, and links as they are


def _is_below(path: str, shared: Sequence[str]) -> bool:
    return any(Path(path).is_relative_to(_absolute(folder)) for folder in shared)


def _folder_of(path: str) -> str:
    return str(Path(path).parent)
