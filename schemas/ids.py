"""Identifiers that two runs, on two machines, agree on.

`asset_id` comes from where a file is, `version` from what is in it and how it is perceived.
Both are short hexadecimal digests: stable, safe in paths and URLs, and of equal length.
"""

import hashlib
import json
from collections.abc import Iterable
from json.encoder import encode_basestring_ascii
from typing import BinaryIO

PERCEPTION_REVISION = 2
"""Raise when a change of the code alters what is perceived from the same bytes."""

_DIGEST_BYTES = 16
"""128 bits: a billion assets collide with a probability of about 1e-21."""

_READ_BYTES = 4 << 20


def digest(*parts: str) -> str:
    """Hash strings to 32 hexadecimal digits; the borders between parts count."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    framed = b"".join([len(part).to_bytes(8, "big") + part for part in encoded])
    return hashlib.blake2b(framed, digest_size=_DIGEST_BYTES).hexdigest()


def digest_json(value: object) -> str:
    """Hash a JSON-able value; the order of keys does not count."""
    return digest(json.dumps(value, sort_keys=True, ensure_ascii=False))


def content_hash(file: BinaryIO) -> str:
    """Hash a file from its current position to its end, 4 MiB at a time."""
    state = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    while chunk := file.read(_READ_BYTES):
        state.update(chunk)
    return state.hexdigest()


def asset_id(uri: str) -> str:
    """Identify an asset by its absolute URI."""
    return digest("asset", uri)


def version(content: str, sidecars: str, perception: str) -> str:
    """Identify what would be perceived.

    Args:
        content: `content_hash` of the file.
        sidecars: digest of the sidecar files, empty without any.
        perception: digest of the configuration that changes what is perceived.
    """
    return digest("version", str(PERCEPTION_REVISION), content, perception, sidecars)


def fingerprint(stats: Iterable[tuple[str, int, int | None, str | None]]) -> str:
    """Identify files by what a listing says, without reading them.

    Args:
        stats: (uri, size, modification time, etag) of the file and of each sidecar. Stores
            that give an etag are compared by it, the others by modification time.
    """
    return digest("fingerprint", *sorted(_stat(*file) for file in stats))


def fingerprint_alone(uri: str, size: int, modified: int | None, etag: str | None) -> str:
    """Identify one file without sidecars, as `fingerprint` does in twice the time.

    A second night asks for every file there is.
    """
    stat = _stat(uri, size, modified, etag).encode()
    framed = _FINGERPRINT + len(stat).to_bytes(8, "big") + stat
    return hashlib.blake2b(framed, digest_size=_DIGEST_BYTES).hexdigest()


def _stat(uri: str, size: int, modified: int | None, etag: str | None) -> str:
    """Write what `json.dumps` writes of the first two and the etag, or else the date."""
    shown = encode_basestring_ascii(etag) if etag is not None else "null" if modified is None else modified
    return f"[{encode_basestring_ascii(uri)}, {size}, {shown}]"


_FINGERPRINT = len("fingerprint").to_bytes(8, "big") + b"fingerprint"
"""How `digest` frames what every fingerprint begins with."""
