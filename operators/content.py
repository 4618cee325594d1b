"""Equal files are told by their bytes, so that the second copy costs nothing.

Only files of equal size can be equal, so only those are hashed ahead of the work; the hash
goes with them, and they are not read for it again.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from operators.source import open_source
from schemas import ids
from schemas.failure import InputError
from schemas.media import Listing


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


def of_equal_size(listings: Sequence[Listing]) -> list[Listing]:
    """Leave the files that may be equal to another one and whose content is not known yet."""
    sizes = Counter(listing.size_bytes for listing in listings)
    unknown = (item for item in listings if item.content_hash is None and item.size_bytes)
    return [item for item in unknown if sizes[item.size_bytes] > 1]


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
