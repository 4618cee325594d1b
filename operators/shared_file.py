"""An open file that several threads may read at once.

DuckDB opens a file once and lets each of its threads seek and read; between the two another thread may
have moved the position, and then bytes of another place are read, or too few. Here each thread has a
position of its own.
"""

import io
import os
import threading
from pathlib import Path
from typing import Any, BinaryIO


class SharedFile:
    """A file with a position for each thread, for reading alone."""

    def __init__(self, size: int) -> None:
        """Begin at the start.

        Args:
            size: Of the file in bytes.
        """
        self._size = size
        self._own = threading.local()

    def tell(self) -> int:
        """Return the position of this thread."""
        return getattr(self._own, "position", 0)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position of this thread."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        self._own.position = base + offset
        return self.tell()

    def read(self, size: int = -1) -> bytes:
        """Read from the position of this thread: `size` bytes, fewer only at the end."""
        start = self.tell()
        wanted = max(0, self._size - start) if size < 0 else size
        data = self._read_at(start, wanted)
        self._own.position = start + len(data)
        return data

    def _read_at(self, start: int, size: int) -> bytes:
        raise NotImplementedError

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read at any place."""
        return True

    def writable(self) -> bool:
        """Tell that it cannot be written."""
        return False


class SharedLocalFile(SharedFile):
    """A file of this machine."""

    def __init__(self, path: str | Path) -> None:
        """Open it.

        Raises:
            OSError: It cannot be opened.
        """
        self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - closed by `close`
        super().__init__(os.fstat(self._file.fileno()).st_size)

    def _read_at(self, start: int, size: int) -> bytes:
        file = self._file.fileno()
        data = os.pread(file, size, start)
        while len(data) < size and (more := os.pread(file, size - len(data), start + len(data))):
            data += more
        return data

    def close(self) -> None:
        """Close it."""
        self._file.close()

    @property
    def closed(self) -> bool:
        """Whether it is."""
        return self._file.closed


class SharedRemoteFile(SharedFile):
    """A file of another library, which is read by one thread after the other."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """Take over an open file.

        Args:
            file: Nobody else may use it.
            size: In bytes.
        """
        super().__init__(size)
        self._file: Any = file
        self._lock = threading.Lock()

    def _read_at(self, start: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(start)
            data: bytes = self._file.read(size)
            return data

    def close(self) -> None:
        """Close it."""
        self._file.close()

    @property
    def closed(self) -> bool:
        """Whether it is."""
        return bool(self._file.closed)
