"""How much of a remote file is fetched at once, and what of it is kept.

A demuxer reads the index of a video, jumps to a clip and reads on from there. Fetched in large blocks,
a clip costs many times its bytes; in small ones, a request for every picture. So a jump fetches little,
and each further fetch that goes on from where one ended takes half as much as has been read on so
far: what is fetched in vain stays below half of what was needed. What a jump led to (the index, headers)
is kept for the next piece of the same file; what is read on through is dropped behind the reader.
"""

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_BYTES = 256 << 10
"""Of a fetch after a jump."""
MOST_BYTES = 8 << 20
"""Of any fetch that was not asked to be larger."""

_LEAST_BYTES = 16 << 10
"""…once jump has followed on jump: to find its pages, a PDF is looked into at as many places as it has."""

_FREE_JUMPS = 3
"""Jumps that say nothing: to the head, to the index, to a clip."""

_STRETCHES = 4
"""Places at which a reader goes on by turns: pictures and sound may lie far apart."""
_GAP_BYTES = 64 << 10
"""What a reader may leave out and still be reading on."""
_KEPT_BYTES = 1 << 20
"""Fetches up to this size are kept: an index of three hours comes in a dozen of them."""
_CACHE_BYTES = 32 << 20
"""What is kept in a process, of all its files together."""

Fetch = Callable[[int, int], bytes]
"""Gives the bytes `[start, end)` of a file."""


@dataclass(slots=True)
class _Stretch:
    """Bytes that were fetched one after the other."""

    start: int
    data: bytes
    """The latest of them."""
    at: int
    """Where they begin."""
    read_to: int
    """How far they were wanted."""

    @property
    def end(self) -> int:
        return self.at + len(self.data)


def fetch_bytes(read_on: int, wanted: int, jumps: int = 1) -> int:
    """Decide the size of a fetch.

    Args:
        read_on: Bytes that were fetched one after the other up to here; 0 after a jump.
        wanted: Bytes that are needed now.
        jumps: How many fetches have jumped since one went on, this one included.
    """
    if not read_on:
        return max(wanted, _LEAST_BYTES, FIRST_BYTES >> max(0, jumps - _FREE_JUMPS))
    return max(wanted, FIRST_BYTES, min(read_on // 2, MOST_BYTES))


class RangeCache:
    """What is kept of files between the readings of their pieces; the least lately used goes first."""

    def __init__(self, most_bytes: int = _CACHE_BYTES) -> None:
        """Start empty."""
        self._most_bytes = most_bytes
        self._files: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, file: str, at: int) -> tuple[int, bytes] | None:
        """Find the bytes at a place of a file, and where they begin."""
        with self._lock:
            kept = self._files.get(file)
            if kept is None:
                return None
            self._files.move_to_end(file)
            return kept.find(at)

    def next(self, file: str, at: int, size: int) -> int:
        """Return where the next kept bytes behind a place begin; `size` when there are none."""
        with self._lock:
            kept = self._files.get(file)
            return size if kept is None else min(size, kept.next(at, size))

    def keep(self, file: str, at: int, data: bytes) -> None:
        """Keep bytes of a file, and let go what is too much."""
        with self._lock:
            kept = self._files.setdefault(file, _Kept())
            self._files.move_to_end(file)
            kept.add(at, data)
            while self.kept_bytes > self._most_bytes and len(self._files) > 1:
                self._files.popitem(last=False)
            while self.kept_bytes > self._most_bytes:
                kept.drop_oldest()

    @property
    def kept_bytes(self) -> int:
        """All bytes that are kept."""
        return sum(kept.total for kept in self._files.values())


@dataclass(slots=True)
class _Kept:
    """Pieces of one file that do not overlap."""

    starts: list[int] = field(default_factory=list)
    pieces: OrderedDict[int, bytes] = field(default_factory=OrderedDict)
    total: int = 0

    def find(self, at: int) -> tuple[int, bytes] | None:
        place = bisect_right(self.starts, at) - 1
        if place < 0:
            return None
        start = self.starts[place]
        data = self.pieces[start]
        if at >= start + len(data):
            return None
        self.pieces.move_to_end(start)
        return start, data

    def next(self, at: int, size: int) -> int:
        place = bisect_right(self.starts, at)
        return self.starts[place] if place < len(self.starts) else size

    def add(self, at: int, data: bytes) -> None:
        if not data or self.find(at) is not None or self.next(at, at + len(data)) < at + len(data):
            return
        self.starts.insert(bisect_right(self.starts, at), at)
        self.pieces[at] = data
        self.total += len(data)

    def drop_oldest(self) -> None:
        start, data = self.pieces.popitem(last=False)
        self.starts.remove(start)
        self.total -= len(data)


class Ranges:
    """The bytes of one remote file at any place, by few requests and in little memory."""

    def __init__(self, file: str, size: int, fetch: Fetch, cache: RangeCache) -> None:
        """Read nothing yet.

        Args:
            file: Names the file with the version of its content.
            size: Its bytes.
            fetch: Gives a part of it.
            cache: What other readers of this process have kept of it.
        """
        self.file = file
        self.size = size
        self._fetch = fetch
        self._cache = cache
        self._stretches: list[_Stretch] = []
        self._jumps = 0

    def at(self, at: int, wanted: int) -> bytes:
        """Return bytes from a place on: at least one, at most as many as wanted; none at the end."""
        if at >= self.size or wanted <= 0:
            return b""
        start, data = self._known(at, wanted) or self._fetched(at, wanted)
        return data[at - start : at - start + wanted]

    def close(self) -> None:
        """Keep what was fetched ahead: the next piece of a file begins where this one ends."""
        for stretch in self._stretches:
            self._cache.keep(self.file, stretch.at, stretch.data)
        self._stretches.clear()

    def _known(self, at: int, wanted: int) -> tuple[int, bytes] | None:
        for stretch in self._stretches:
            if stretch.at <= at < stretch.end:
                stretch.read_to = max(stretch.read_to, min(at + wanted, stretch.end))
                return stretch.at, stretch.data
        return self._cache.find(self.file, at)

    def _fetched(self, at: int, wanted: int) -> tuple[int, bytes]:
        stretch = self._going_on(at)
        read_on = 0 if stretch is None else at - stretch.start
        self._jumps = 0 if stretch else self._jumps + 1
        length = fetch_bytes(read_on, wanted, self._jumps)
        end = min(at + length, self._cache.next(self.file, at, self.size))
        # Whoever jumps to the end of a file (the index of a PDF or a Parquet) reads backwards from there.
        start = at if stretch or end < self.size else max(0, min(at, self.size - length))
        data = self._fetch(start, end)
        if len(data) <= at - start:
            msg = f"connection ended before byte {at} of {self.size}"
            raise ConnectionError(msg)
        if len(data) <= _KEPT_BYTES:
            self._cache.keep(self.file, start, data)
        if stretch is None:
            stretch = _Stretch(start, data, start, at + wanted)
        else:
            self._stretches.remove(stretch)
            stretch.at, stretch.data, stretch.read_to = start, data, at + wanted
        self._stretches.append(stretch)
        del self._stretches[:-_STRETCHES]
        return start, data

    def _going_on(self, at: int) -> _Stretch | None:
        """Find the stretch that this place continues; a short gap, such as sound, is part of it."""
        for stretch in reversed(self._stretches):
            if stretch.end <= at <= stretch.read_to + _GAP_BYTES:
                return stretch
        return None
