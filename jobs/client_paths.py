"""What a submitted run names must exist where it runs, not only where it is submitted.

A source, a lake or a folder with a model that lies on the laptop is refused before anything is
submitted; unless all nodes see it at the same path (NFS, a volume), which only the user knows. Prompts
are small and the user's own work, so their folders travel with the job.
"""

from collections.abc import Sequence
from pathlib import Path

from jobs.places import LOCAL, MODELS, PROMPTS, absolute, given, innermost, names_a_path
from schemas.config import Config, ConfigError
from schemas.store import holds_credential


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
    scheme, path = innermost(place)
    if scheme == "memory":
        msg = f"{what[0].upper()}{what[1:]} is {place}, which lives in one process only. Name a store."
        raise ConfigError(msg)
    if scheme not in LOCAL:
        return place
    here = absolute(path)
    if not _is_below(here, shared):
        msg = (
            f"{what[0].upper()}{what[1:]} is {place}, a path of this machine; the job runs on others. Put it "
            "into an object store (s3://…), or, where all nodes see that path, say so: "
            f"--shared-path {_folder_of(here)}"
        )
        raise ConfigError(msg)
    return place if "://" in place or "::" in place else here


def check_models(config: Config, shared: Sequence[str]) -> list[str]:
    """Return settings that name folders of models as every node can.

    Raises:
        ConfigError: Only this machine has one.
    """
    settings = []
    for section, name, value in given(config, MODELS):
        if getattr(config, section).engine == "openai" or not names_a_path(value):
            continue
        here = absolute(value)
        if not _is_below(here, shared):
            msg = (
                f"{section}.{name} is {value}, a path of this machine; the job runs on others. Put the model "
                "at one path on every node (into the image, or on a volume) and say so with "
                f"--shared-path {_folder_of(here)}; or name a model of the hub, which nodes fetch."
            )
            raise ConfigError(msg)
        settings.append(f"{section}.{name}={here}")
    return settings


def prompts_to_ship(config: Config, shared: Sequence[str]) -> dict[str, Path]:
    """Return folders of prompts that travel with the job, by their setting (`vision.prompts`).

    Raises:
        ConfigError: A folder is not there.
    """
    folders = {}
    for section, name, value in given(config, PROMPTS):
        path = Path(absolute(value))
        if _is_below(str(path), shared):
            continue
        if not path.is_dir():
            msg = f"{section}.{name}: wanted a folder with prompts at {path}; there is none."
            raise ConfigError(msg)
        folders[f"{section}.{name}"] = path
    return folders


def _is_below(path: str, shared: Sequence[str]) -> bool:
    return any(Path(path).is_relative_to(absolute(folder)) for folder in shared)


def _folder_of(path: str) -> str:
    return str(Path(path).parent)
