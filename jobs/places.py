"""Where the things lie that a command and its configuration name: here, or where others see them too."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from schemas.config import Config

Setting = tuple[str, str]
"""Section and name."""

MODELS: tuple[Setting, ...] = (
    ("ocr", "model"),
    ("speech", "model"),
    ("speech", "speaker_model"),
    ("vision", "model"),
    ("summary", "model"),
    ("embedding", "model"),
    ("embedding", "frames"),
)
"""Settings that name a model or its folder."""

PROMPTS: tuple[Setting, ...] = (("vision", "prompts"), ("summary", "prompts"))
"""Settings that name a folder of prompts."""

LOCAL = ("file", "local", "")
"""Schemes of what lies on this machine."""


def given(config: Config, names: Sequence[Setting]) -> Iterator[tuple[str, str, str]]:
    """List those settings that are set, with their values."""
    for section, name in names:
        value = getattr(getattr(config, section), name)
        if value is not None:
            yield section, name, value


def innermost(place: str) -> tuple[str, str]:
    """Return scheme and path of what a place rests on: `zip://*.pdf::s3://b/a.zip` on S3."""
    link = place.rpartition("::")[2] if "://" in place else place
    scheme, separator, path = link.partition("://")
    return (scheme.lower(), path) if separator else ("", link)


def names_a_path(value: str) -> bool:
    """Tell whether a model is a folder or file here, or is written like one."""
    return value.startswith(("/", "./", "../", "~")) or Path(value).exists()


def absolute(path: str) -> str:
    """Name a path so that it is the same from any folder; globs and links stay as they are."""
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111
