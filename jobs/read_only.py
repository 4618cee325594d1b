"""A DuckDB that can read one lake, and nothing else.

`gloss query` runs SQL that may come from a colleague, a notebook or a language model. DuckDB
itself reads and writes any file its process may, and a `SELECT` can hide a `COPY`, so looking
at the statement is not enough. Here DuckDB sees the lake through a file system of our own that
opens exactly the committed Parquet files, only for reading; every other file system, extension
and setting is locked. The one place it may write is a folder for what does not fit in memory,
and time, memory and that folder have limits.
"""

import fcntl
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from fsspec.spec import AbstractFileSystem

from jobs.output import EXIT_USAGE
from operators.lake import Lake, LakeError, quote, render_views
from operators.shared_file import SharedLocalFile
from schemas.config import ConfigError
from schemas.tables import TABLES

_SCHEME = "lake"

_UNCHANGING = datetime(2000, 1, 1, tzinfo=UTC)
"""Data files are never written twice, so their age says nothing."""


def open_lake(uri: str, storage_options: dict[str, str] | None = None) -> Lake:
    """Open a lake that must exist.

    Raises:
        LakeError: There is none, or its store cannot be reached.
    """
    try:
        lake = Lake(uri, storage_options)
        lake.require()
    except LakeError:
        raise
    except (ImportError, ValueError) as error:
        msg = f"Wanted a path or URL for --lake; {uri!r} cannot be used ({error})."
        raise LakeError(msg) from error
    except Exception as error:
        # Each store's library has errors of its own, without a common base.
        msg = f"Cannot reach the lake at {uri}: {error}. Check the address and the credentials."
        raise LakeError(msg) from error
    return lake


class LakeFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """The committed Parquet files of a lake as `lake://TABLE/FILE`, for reading alone."""

    protocol = _SCHEME
    cachable = False

    def __init__(
        self,
        lake: Lake,
        files: Mapping[str, Sequence[str]] | None = None,
        tables: Iterable[str] | None = None,
    ) -> None:
        """Take the files committed by now; later commits are not seen.

        Args:
            lake: The lake.
            files: Only these files of each table, as `TABLE/NAME`.
            tables: Only these, and `assets`, on which all rest.
        """
        super().__init__()
        self._lake = lake
        if files is None:
            files = {
                table: [f"{table}/{uri.rpartition('/')[2]}" for uri in uris]
                for table, uris in lake.all_files(_with_assets(tables)).items()
            }
        self._places = {name: f"{lake.root}/{name}" for names in files.values() for name in names}
        self.tables = {table: [f"{_SCHEME}://{name}" for name in names] for table, names in files.items()}

    def _place(self, path: str) -> str:
        place = self._places.get(str(self._strip_protocol(path)))
        if place is None:
            msg = f"{path} is not a file of this lake; only its tables can be read"
            raise PermissionError(msg)
        return place

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        if mode != "rb":
            msg = f"{path} cannot be written: queries only read"
            raise PermissionError(msg)
        place = self._place(path)
        return SharedLocalFile(place) if self._lake.is_local else self._lake.open_file(place)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Describe one file."""
        place = self._place(path)
        size = Path(place).stat().st_size if self._lake.is_local else self._lake.filesystem.size(place)
        return {"name": path, "size": int(size), "type": "file"}

    def exists(self, path: str, **_: Any) -> bool:
        """Tell whether a path is a file of the lake."""
        return str(self._strip_protocol(path)) in self._places

    def modified(self, path: str) -> datetime:
        """Return a constant: files of a lake never change."""
        self._place(path)
        return _UNCHANGING

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:  # noqa: ARG002
        """List nothing: tables are reached by their views."""
        return []


def _with_assets(tables: Iterable[str] | None) -> list[str]:
    wanted = TABLES.keys() if tables is None else {"assets", *tables}
    return [name for name in TABLES if name in wanted]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one reading may cost."""

    seconds: float | None = 600.0
    """Wall time, from opening the lake to the last row; null never ends it."""
    memory: str = "50%"
    """As DuckDB takes it: `4GB`, or a share of the memory of the machine or its container."""
    spill: str | None = None
    """Disk for what does not fit in memory; null takes half of what is free."""


class LimitError(Exception):
    """A reading was ended because it went beyond a limit; the message says which."""

    def __init__(self, option: str, message: str) -> None:
        """Keep which limit it was: `timeout`, `memory` or `spill`."""
        super().__init__(message)
        self.option = option


@contextmanager
def read_only(
    lake: Lake,
    limits: Limits | None = None,
    files: Mapping[str, Sequence[str]] | None = None,
    render: Callable[[dict[str, list[str]]], str] = render_views,
    tables: Iterable[str] | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory DuckDB that sees the views of a lake, cannot touch anything else, and ends.

    Args:
        lake: The lake.
        limits: What may be spent inside.
        files: Only these files of each table, as `TABLE/NAME`.
        render: What views there are, as SQL, given the files of each table.
        tables: Those that are asked about; all by default. To open one takes 10 to 20 ms.

    Raises:
        LimitError: What was done inside went beyond a limit.
        ConfigError: A limit that cannot be understood.
    """
    limits = Limits() if limits is None else limits
    with _spill_folder() as spill, duckdb.connect() as connection:
        watch = _Watch(connection, limits.seconds, spill)
        try:
            with watch:
                visible = LakeFiles(lake, files, tables)
                _close_off(connection, visible, render(visible.tables), spill, limits)
                with _address_space(connection):
                    yield connection
        except Exception as error:
            exceeded = _exceeded(error, limits, watch)
            if exceeded is None:
                raise
            raise exceeded from error


def _close_off(
    connection: duckdb.DuckDBPyConnection, files: LakeFiles, views: str, spill: Path, limits: Limits
) -> None:
    _limit(connection, "memory_limit", limits.memory)
    # DuckDB takes a share of the memory, but not of the disk.
    _limit(connection, "max_temp_directory_size", limits.spill or f"{shutil.disk_usage(spill).free // 2}B")
    connection.register_filesystem(files)
    connection.execute(views)
    for name, value in (
        ("TimeZone", "'UTC'"),
        # Otherwise it draws on the terminal, in the middle of the result.
        ("enable_progress_bar", "false"),
        ("temp_directory", quote(str(spill))),
        # Otherwise a query reads the variables of this very process by their names.
        ("python_enable_replacements", "false"),
        ("allowed_directories", f"['{_SCHEME}://']"),
        ("enable_external_access", "false"),
        ("lock_configuration", "true"),
    ):
        connection.execute(f"SET {name} = {value}")


def _limit(connection: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
    try:
        # DuckDB takes -1 for "no limit".
        if not value.startswith("-"):
            connection.execute(f"SET {name} = {quote(value)}")
            return
    except (duckdb.ParserException, duckdb.InvalidInputException):
        pass
    msg = f"Wanted a size such as 500MB, 4GB or (of memory) 50%; found {value!r}."
    raise ConfigError(msg)


def _exceeded(error: Exception, limits: Limits, watch: "_Watch") -> LimitError | None:
    """Tell whether an error is that of a limit; Arrow passes DuckDB's on as one of its own."""
    text = str(error)
    if watch.ended and "INTERRUPT" in text:
        return LimitError("timeout", f"It took longer than {limits.seconds:g} s, the limit.")
    if "max_temp_directory_size" in text:
        return LimitError(
            "spill", f"It wrote more than {limits.spill or 'half of the free disk'} aside, the limit."
        )
    if isinstance(error, MemoryError) or "Out of Memory Error" in text:
        return LimitError("memory", f"It needs more memory than {limits.memory}, the limit.")
    return None


# --- ending it ------------------------------------------------------------------------------


class _Watch:
    """Interrupts a connection in time; ends the process where the connection does not listen.

    DuckDB looks for interrupts between batches of rows, and one call of a function can take
    hours (`levenshtein` of two long strings): then only the end of the process helps.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, seconds: float | None, spill: Path) -> None:
        self.ended = False
        self._connection, self._seconds, self._spill = connection, seconds, spill
        self._over = threading.Event()

    def __enter__(self) -> None:
        if self._seconds is not None:
            threading.Thread(target=self._wait, args=(self._seconds,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _wait(self, seconds: float) -> None:
        if self._over.wait(seconds):
            return
        self.ended = True
        for _ in range(_GRACE_TRIES):
            # Not once: the query may not have begun, and interrupting before is forgotten.
            self._connection.interrupt()
            if self._over.wait(_GRACE_SECONDS):
                return
        shutil.rmtree(self._spill, ignore_errors=True)
        sys.stderr.write(f"gloss: It took longer than {seconds:g} s, the limit, and could only be killed.\n")
        sys.stderr.flush()
        os._exit(EXIT_USAGE)


_GRACE_TRIES, _GRACE_SECONDS = 20, 0.5
"""Interrupts before the process is ended, and the time between them."""


@contextmanager
def _address_space(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Cap what DuckDB's own limit does not count: the strings of a batch can be 4 GiB each.

    Address space is reserved far beyond what is used: stacks, and arenas of 64 MiB for each
    thread. So this is the outer limit, at which allocating fails and the query with it.
    """
    if sys.platform != "linux":
        yield
        return
    ((limit,),) = connection.execute("SELECT current_setting('memory_limit')").fetchall()
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    cap = taken + 2 * _bytes(limit) + (os.cpu_count() or 1) * _THREAD_BYTES
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bounds = [value for value in (cap, soft, hard) if value != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


_THREAD_BYTES = 256 << 20


def _bytes(shown: str) -> int:
    """Read a size as DuckDB shows it: `11.7 GiB`."""
    amount, unit = shown.split()
    return int(float(amount) * 1024 ** ("bytes", "KiB", "MiB", "GiB", "TiB").index(unit))


@contextmanager
def _spill_folder() -> Iterator[Path]:
    """Make a folder of our own for what does not fit in memory; remove it, and those of the dead.

    Its name cannot be guessed and nobody else may enter it. It is locked while its process
    lives, however that ends, so that a later one sees which are left over.
    """
    _sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_SPILL_PREFIX, ignore_cleanup_errors=True) as name:
        lock = os.open(name, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(lock)


_SPILL_PREFIX = "gloss-query-"

_YOUNG_SECONDS = 60.0
"""A folder may have been made and not yet locked."""


def _sweep(parent: Path) -> None:
    """Remove the spill folders whose process has died."""
    for left in parent.glob(f"{_SPILL_PREFIX}*"):
        try:
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # Another user's, gone already, or no folder.
        try:
            facts = os.fstat(lock)
            if facts.st_uid == os.getuid() and time.time() - facts.st_mtime > _YOUNG_SECONDS:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
        except BlockingIOError:
            continue  # Its process lives.
        finally:
            os.close(lock)
