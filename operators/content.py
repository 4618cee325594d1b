"""Equal files are told by their bytes, so that the second copy costs nothing.

Only files of equal size can be equal, so only those are hashed ahead of the work; the hash
goes with them, and they are not read for it again. To hash a long video all of it must be read, which is
what reading it by ranges avoids; so a store is believed that gives a digest itself. That of S3 is MD5,
or for an upload in parts the MD5 of theirs: equal ones mean equal bytes, while equal bytes in other parts
have another, and are read once more. Such a digest bears its origin in its name, and a file known by it is
opened only while its store still says the same of it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from operators.source import local_path, open_source
from operators.store_options import scheme_of
from schemas import ids
from schemas.failure import InputError
from schemas.media import Listing

_WHOLE_BYTES = 16 << 20
"""Files below are hashed all the same where the choice is left to us: that costs two fetches, and tells
copies in other stores, and in uploads of other parts."""

_END_BYTES = 4096
_READ_TOGETHER = 8
"""Files on a network's disk are waited for side by side."""

_STATED = "etag:"
_STATING = ("s3", "s3a")
"""Stores whose ETag depends on the bytes alone. Others give one that changes with them, and also when a
file is copied or merely touched."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """A file and the digest of its bytes."""

    uri: str
    content_hash: str


class HashContent:
    """Listing in, its hash out; nothing for a file that cannot be read, which probing will report."""

    def __init__(self, options: dict[str, str]) -> None:
        """Keep the options of the object store."""
        self.options = options

    def __call__(self, listing: Listing) -> Iterator[Hashed]:
        """Hash one file."""
        try:
            with open_source(listing.uri, self.options) as file:
                yield Hashed(listing.uri, ids.content_hash(file))
        except (InputError, OSError):
            return


def stated_hash(listing: Listing, identity: str) -> str | None:
    """Return what a store says of the bytes of a file, as its `content_hash`; None to hash them.

    Args:
        listing: The file.
        identity: `store.identity`.
    """
    if identity == "bytes" or listing.etag is None or scheme_of(listing.uri) not in _STATING:
        return None
    if identity == "auto" and listing.size_bytes < _WHOLE_BYTES:
        return None
    return f"{_STATED}{listing.etag}:{listing.size_bytes}"


def stated_etag(content_hash: str) -> str | None:
    """Return the ETag on which the identity of a file rests; None if its bytes were hashed."""
    if not content_hash.startswith(_STATED):
        return None
    return content_hash.removeprefix(_STATED).rpartition(":")[0]


def with_stated_hashes(listings: Iterable[Listing], identity: str) -> list[Listing]:
    """Let files that need not be hashed bear what their store says of them."""
    return [
        listing
        if listing.content_hash is not None
        else replace(listing, content_hash=stated_hash(listing, identity))
        for listing in listings
    ]


def of_equal_size(listings: Sequence[Listing]) -> list[Listing]:
    """Leave the files that may be equal to another one and whose content is not known yet.

    Of small files many have the same size by chance, and to hash them all would let the first result
    wait for the whole corpus. So those on local disks are compared by their ends before.
    """
    sizes = Counter(listing.size_bytes for listing in listings)
    unknown = (item for item in listings if item.content_hash is None and item.size_bytes)
    alike = [item for item in unknown if sizes[item.size_bytes] > 1]
    known = {item.size_bytes for item in listings if item.content_hash is not None}
    # Where the content of another one is known, only all of the bytes tell.
    near = [item for item in alike if item.size_bytes not in known and local_path(item.uri) is not None]
    if len(near) < 2:
        return alike
    with ThreadPoolExecutor(_READ_TOGETHER) as pool:
        ends = dict(zip((item.uri for item in near), pool.map(_ends, near, chunksize=64), strict=True))
    remote = {item.size_bytes for item in alike if item.uri not in ends}
    count = Counter(ends.values())
    return [
        item
        for item in alike
        if item.uri not in ends or count[ends[item.uri]] > 1 or item.size_bytes in remote
    ]


def _ends(listing: Listing) -> tuple[int, bytes]:
    """Digest the size and both ends of a local file; one that cannot be read is like no other."""
    path = local_path(listing.uri)
    assert path is not None
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - Path.open takes twice as long
            ends = file.read(_END_BYTES)
            if listing.size_bytes > len(ends):
                file.seek(max(len(ends), listing.size_bytes - _END_BYTES))
                ends += file.read(_END_BYTES)
    except OSError:
        return -1, listing.uri.encode("utf-8", "surrogatepass")
    return listing.size_bytes, hashlib.blake2b(ends, digest_size=16).digest()


def copies_last(
    listings: Sequence[Listing], hashes: Mapping[str, str]
) -> tuple[list[Listing], list[Listing]]:
    """Part files into the first of each content, and the copies that will find its results.

    Args:
        listings: The files, in the order in which they are to be done.
        hashes: By URI, what `HashContent` found.
    """
    first: list[Listing] = []
    copies: list[Listing] = []
    seen: set[str] = set()
    for listing in listings:
        content = listing.content_hash or hashes.get(listing.uri)
        known = listing if content is None else replace(listing, content_hash=content)
        if content is None or content not in seen:
            first.append(known)
            seen |= {content} if content else set()
        else:
            copies.append(known)
    return first, copies
