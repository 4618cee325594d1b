"""A configuration as the options that lead to it, for commands that are shown to people."""

import json
import re
import tomllib
from collections.abc import Iterable
from typing import Any

from schemas.config import Config, differences, load_config

_PLAIN = re.compile(r"[A-Za-z][\w./-]*", re.ASCII)


def as_settings(config: Config, sections: Iterable[str]) -> list[str]:
    """Name what differs from the profile's defaults, as `--set` takes it.

    Args:
        config: The configuration.
        sections: Those that matter.

    Returns:
        `section.key=value` for each difference, such that `load_config` with the same profile and
        these gives the same values. What is null cannot be written and stays as the profile has it.
    """
    usual = load_config(config.profile).model_dump_json()
    wanted = tuple(f"{section}." for section in sections)
    return [
        f"{key}={_as_toml(value)}"
        for key, _, value in differences(usual, config)
        if key.startswith(wanted) and value is not None
    ]


def _as_toml(value: Any) -> str:
    """Write a value so that it is read back as it is: plain words as they stand, else TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    return value if _PLAIN.fullmatch(value) and not _is_toml(value) else _quoted(value)


def _quoted(text: str) -> str:
    # JSON's strings are TOML's, but for DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(f"value = {text}")
    except ValueError:
        return False
    return True
