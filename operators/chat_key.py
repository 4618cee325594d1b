"""The address of a chat server and its key, which is in no message, log or table."""

import html
import json
import os
import re
from urllib.parse import quote, urlsplit

import httpx2
from pydantic import SecretStr

_LEAST_SECRET = 12
"""Characters from which a key is blotted out of answers as well: `EMPTY` and `none`, which servers
without keys are given, are also words."""

_KEYLIKE = re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',]+|\bsk-[\w*.-]{4,}|[\w.-]*\*{3,}[\w.*-]*")
"""What servers make of a key when they complain of it: `sk-ab****yz`."""


def checked_url(base_url: str, section: str = "vision") -> str:
    """Return the URL without the slash at its end.

    Args:
        base_url: Of a server.
        section: Of the configuration that names it, for messages.

    Raises:
        ValueError: It is none, or holds what would be logged with it.
    """
    base_url = base_url.strip()
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        msg = (
            f"Wanted {section}.base_url such as http://127.0.0.1:8000/v1; found {parts.scheme or 'no scheme'}"
            f"{' without a host' if parts.scheme else ''}. Write it with http:// or https://."
        )
        raise ValueError(msg)
    if parts.username or parts.password or parts.query or parts.fragment:
        msg = (
            f"Wanted {section}.base_url without user, password or query, because it is stored with the run; "
            f"found some before or after {parts.hostname}. Put the key into the environment variable that "
            f"{section}.api_key_env names."
        )
        raise ValueError(msg)
    try:
        _ = parts.port, httpx2.URL(base_url)
    except (ValueError, httpx2.InvalidURL) as error:
        msg = (
            f"Wanted {section}.base_url such as http://127.0.0.1:8000/v1; found one that is no URL ({error})."
        )
        raise ValueError(msg) from None
    return base_url.rstrip("/").removesuffix("/chat/completions")


def key_of(variable: str | None) -> SecretStr:
    """Read a key from the environment; empty where there is none.

    Raises:
        ValueError: No header can carry it.
    """
    key = os.environ.get(variable, "").strip() if variable else ""
    if not (key.isascii() and key.isprintable()) or " " in key:
        msg = (
            f"Wanted a key of printable ASCII characters in the environment variable {variable}; found "
            "others in it. Was it copied whole, and nothing else?"
        )
        raise ValueError(msg)
    return SecretStr(key)


def scrubbed(text: str, secret: SecretStr, *, answer: bool) -> str:
    """Blot out a key, and in what is not an answer also what looks like one.

    Args:
        text: What a server said.
        secret: The key; may be empty.
        answer: Whether it is an answer, in which short keys are words.
    """
    key = secret.get_secret_value()
    if len(key) >= (_LEAST_SECRET if answer else 4):
        for form in {key, json.dumps(key)[1:-1], quote(key, safe=""), html.escape(key)}:
            text = text.replace(form, "[key]")
    return text if answer else _KEYLIKE.sub("[key]", text)
