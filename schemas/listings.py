"""The files of a corpus as columns: a million of them must fit into a driver, and be compared in a second.

A `Listing` for each would take some 350 bytes and longer to make than the store takes to list it. Here
a file is its URI and two numbers; who asks for one gets the row.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise, repeat
from operator import lt
from typing import overload

import pyarrow as pa

from schemas import ids
from schemas.media import Listing, Sidecar

_NO_DATE, _LAST_DATE = -(1 << 63), (1 << 63) - 1
_CHUNK = 1 << 16
"""Files whose marks are Python strings at a time."""


class Listings(Sequence[Listing]):
    """Files as their stores list them: a sequence of `Listing`, none of which is there until it is asked for.

    Only what a store says of a file is kept; what a run knows of it beyond that needs a `Listing`.
    """

    __slots__ = ("_dates", "_etags", "_sidecars", "_sizes", "uris")

    def __init__(
        self,
        uris: list[str],
        sizes: "array[int]",
        dates: "array[int]",
        etags: list[str | None] | None = None,
        sidecars: Mapping[str, list[Sidecar]] | None = None,
    ) -> None:
        """Take columns of equal length.

        Args:
            uris: Of the files.
            sizes: In bytes.
            dates: In nanoseconds since 1970, as `date_of` gives them.
            etags: Null where no store gives any.
            sidecars: By the URI of the file they belong to.
        """
        self.uris = uris
        self._sizes = sizes
        self._dates = dates
        self._etags = etags
        self._sidecars = sidecars or {}

    @classmethod
    def of(cls, listings: Iterable[Listing]) -> "Listings":
        """Take what stores say of files apart into columns."""
        if isinstance(listings, cls):
            return listings
        rows = list(listings)
        return cls(
            [row.uri for row in rows],
            array("q", (row.size_bytes for row in rows)),
            array("q", (date_of(row.modified_ns) for row in rows)),
            [row.etag for row in rows],
            {row.uri: row.sidecars for row in rows if row.sidecars},
        )

    def __len__(self) -> int:
        """Count the files."""
        return len(self.uris)

    @overload
    def __getitem__(self, at: int) -> Listing: ...
    @overload
    def __getitem__(self, at: slice) -> "Listings": ...
    def __getitem__(self, at: int | slice) -> "Listing | Listings":
        """Return one file, or some as columns."""
        if isinstance(at, slice):
            return self.take(range(*at.indices(len(self))))
        uri, date = self.uris[at], self._dates[at]
        return Listing(
            uri,
            self._sizes[at],
            None if date == _NO_DATE else date,
            None if self._etags is None else self._etags[at],
            list(self._sidecars.get(uri, ())),
        )

    def __iter__(self) -> Iterator[Listing]:
        """Make row after row."""
        return (self[at] for at in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Compare with any sequence of files."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(
            mine == theirs for mine, theirs in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Show the rows."""
        return f"Listings({list(self)!r})"

    def take(self, places: Sequence[int]) -> "Listings":
        """Return the files at some places, in that order."""
        return Listings(
            [self.uris[at] for at in places],
            array("q", (self._sizes[at] for at in places)),
            array("q", (self._dates[at] for at in places)),
            None if self._etags is None else [self._etags[at] for at in places],
            self._sidecars,
        )

    def sorted(self) -> "Listings":
        """Order the files by URI; of two with the same one the last is left."""
        uris = self.uris
        if all(map(lt, uris, islice(uris, 1, None))):
            return self  # as folders are walked
        order = sorted(range(len(uris)), key=uris.__getitem__)
        last = [at for at, following in pairwise(order) if uris[at] != uris[following]] + order[-1:]
        return self.take(last)

    def with_sidecars(
        self, sidecars: Mapping[str, list[Sidecar]], is_left: Callable[[str], bool]
    ) -> "Listings":
        """Give files their sidecars, and leave out those whose URI is not to be left."""
        left = self.take([at for at, uri in enumerate(self.uris) if is_left(uri)])
        return Listings(left.uris, left._sizes, left._dates, left._etags, sidecars)

    def fingerprints(self) -> pa.ChunkedArray:
        """Identify all files and their sidecars without reading them, as `ids.fingerprint` does."""
        chunks = [
            pa.array(self._prints(at, min(at + _CHUNK, len(self))), pa.string())
            for at in range(0, len(self), _CHUNK)
        ]
        return pa.chunked_array(chunks, pa.string())

    def _prints(self, start: int, end: int) -> list[str]:
        etags = repeat(None) if self._etags is None else self._etags[start:end]
        found = []
        for uri, size, date, etag in zip(
            self.uris[start:end], self._sizes[start:end], self._dates[start:end], etags, strict=False
        ):
            modified = None if date == _NO_DATE else date
            if not (beside := self._sidecars and self._sidecars.get(uri)):
                found.append(ids.fingerprint_alone(uri, size, modified, etag))
                continue
            files = [(item.uri, item.size_bytes, item.modified_ns, item.etag) for item in beside]
            found.append(ids.fingerprint([(uri, size, modified, etag), *files]))
        return found


def fingerprint(listing: Listing) -> str:
    """Identify a listed file and its sidecars without reading them."""
    files: list[Listing | Sidecar] = [listing, *listing.sidecars]
    return ids.fingerprint((file.uri, file.size_bytes, file.modified_ns, file.etag) for file in files)


def date_of(modified_ns: int | None) -> int:
    """Turn a date that may be unknown into a number; beyond the year 2262 there is only that year."""
    if modified_ns is None:
        return _NO_DATE
    if -_LAST_DATE <= modified_ns <= _LAST_DATE:
        return modified_ns
    return _LAST_DATE if modified_ns > 0 else -_LAST_DATE
