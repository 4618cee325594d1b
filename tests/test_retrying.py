"""Errors that pass are tried again, those that stay fail at once."""

import errno
import http.client
import io
import pickle
import socket
from typing import Any, BinaryIO, ClassVar

import fsspec
import pytest
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from operators import retrying
from operators.retrying import is_transient, one_line, with_retries
from operators.source import open_source
from schemas.failure import InputError, Reason


class ClientResponseError(Exception):
    """Shaped as aiohttp's."""

    def __init__(self, status: int) -> None:
        """Carry the status."""
        super().__init__(f"{status}, message='...'")
        self.status = status


class ClientError(Exception):
    """Shaped as botocore's."""

    def __init__(self, status: int) -> None:
        """Carry the status."""
        super().__init__("An error occurred")
        self.response = {"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": status}}


class ClientPayloadError(Exception):
    """Named as aiohttp's, which has no errno."""


def caused(error: Exception, cause: Exception) -> Exception:
    """The error as raised from another."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        BrokenPipeError(),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.ESTALE, "Stale file handle"),
        http.client.IncompleteRead(b""),
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        ClientResponseError(429),
        ClientResponseError(503),
        ClientError(503),
        ClientPayloadError("cut"),
        caused(OSError("wrapped"), ClientError(500)),
        CommitFailedError("Failed to commit transaction: 0"),
        DeltaError("Commit failed: a concurrent transaction deleted data this operation read."),
        OSError("Generic S3 error\n -> Error performing GET ... error sending request"),
        OSError("Generic GCS error: Server error with status 503 Service Unavailable: not found in cache"),
        InputError(Reason.UNREADABLE, "", transient=True),
    ],
    ids=repr,
)
def test_what_passes_is_transient(error: Exception) -> None:
    """Timeouts, resets, throttling, server errors and commit conflicts are worth another try."""
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("s3://bucket/key"),
        PermissionError("Forbidden"),
        IsADirectoryError(errno.EISDIR, "Is a directory"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system"),
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        ClientResponseError(403),
        ClientResponseError(404),
        ClientResponseError(501),
        ClientError(403),
        caused(PermissionError("denied"), TimeoutError()),
        TableNotFoundError("no log files"),
        DeltaError("External: Generic LocalFileSystem error: No space left on device (os error 28)"),
        OSError(
            "Generic LocalFileSystem error\n Unable to open file /lake/x\n Permission denied (os error 13)"
        ),
        OSError("Generic S3 error: Client error with status 403 Forbidden: InvalidAccessKeyId"),
        InputError(Reason.UNREADABLE, ""),
        ValueError("a mistake of ours"),
        MemoryError(),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_what_stays_is_permanent(error: BaseException) -> None:
    """Missing files and rights, full disks, bad credentials and our own mistakes are not retried."""
    assert not is_transient(error)


def test_errors_of_the_real_libraries_are_recognised() -> None:
    """The shapes above are those of aiohttp and botocore."""
    aiohttp = pytest.importorskip("aiohttp")
    botocore = pytest.importorskip("botocore.exceptions")
    request: Any = None
    answered = aiohttp.ClientResponseError
    assert is_transient(answered(request, (), status=502))
    assert not is_transient(answered(request, (), status=401))
    assert is_transient(aiohttp.ServerDisconnectedError())
    refused = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    slow = {"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}
    assert is_transient(botocore.ClientError(slow, "GetObject"))
    assert not is_transient(botocore.ClientError(refused, "GetObject"))
    assert is_transient(botocore.EndpointConnectionError(endpoint_url="http://x"))
    assert is_transient(botocore.ReadTimeoutError(endpoint_url="http://x"))
    assert not is_transient(botocore.NoCredentialsError())


def test_retries_until_it_succeeds_and_tells() -> None:
    """Each transient error is reported and followed by another call."""
    answers: list[object] = [TimeoutError("one"), ConnectionResetError("two"), "done"]
    told: list[str] = []

    def call() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert with_retries(call, first_wait_seconds=0.001, on_retry=lambda e: told.append(str(e))) == "done"
    assert told == ["one", "two"]


def test_permanent_error_is_raised_at_once_and_transient_one_at_last() -> None:
    """One call for what stays; as many as allowed for what passes, and then the last error itself."""
    calls: list[BaseException] = []

    def fail(error: BaseException) -> None:
        calls.append(error)
        raise error

    with pytest.raises(PermissionError):
        with_retries(lambda: fail(PermissionError()), attempts=3, first_wait_seconds=0.001)
    assert len(calls) == 1
    with pytest.raises(TimeoutError):
        with_retries(lambda: fail(TimeoutError(len(calls))), attempts=3, first_wait_seconds=0.001)
    assert [str(call) for call in calls[1:]] == ["1", "2", "3"]


def test_input_error_keeps_transience_across_processes() -> None:
    """A child process may say that trying again is worth it."""
    error = pickle.loads(pickle.dumps(InputError(Reason.UNREADABLE, "m", transient=True)))  # noqa: S301

    assert (error.reason, error.message, error.transient) == (Reason.UNREADABLE, "m", True)
    assert not InputError(Reason.CORRUPT, "m").transient


def test_words_of_delta_lose_their_colours() -> None:
    """Delta's messages carry terminal escapes and line breaks; ours do not."""
    assert one_line(OSError("Generic error\n   \x1b[31m\u21b3\x1b[0m No space\n")) == "Generic error No space"


class FlakyStore(fsspec.AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """A store of one file, whose opens and reads fail as often as they are told to."""

    protocol = "flaky"
    cachable = False
    content = b""
    open_errors: ClassVar[list[BaseException]] = []
    read_errors: ClassVar[list[BaseException]] = []
    opened = 0

    def _open(self, *_: Any, **__: Any) -> BinaryIO:
        FlakyStore.opened += 1
        if self.open_errors:
            raise self.open_errors.pop(0)
        return FlakyFile(self.content)


class FlakyFile(io.BytesIO):
    """Hands out at most 1,000 bytes at a time; every third read fails while errors are left."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, or fail."""
        FlakyFile.reads += 1
        if FlakyFile.reads % 3 == 0 and FlakyStore.read_errors:
            raise FlakyStore.read_errors.pop(0)
        return super().read(min(size or 0, 1000))


CONTENT = bytes(range(256)) * 40


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> str:
    """A file in a store that stumbles; waits are short."""
    monkeypatch.setattr(retrying, "_FIRST_WAIT_SECONDS", 0.001)
    fsspec.register_implementation("flaky", FlakyStore, clobber=True)
    FlakyStore.content, FlakyStore.opened = CONTENT, 0
    FlakyStore.open_errors, FlakyStore.read_errors = [], []
    return "flaky://a.bin"


def test_source_survives_a_store_that_stumbles(flaky: str) -> None:
    """Opening and reading in the middle fail several times; every byte arrives in its place."""
    FlakyStore.open_errors = [TimeoutError(), ClientResponseError(503)]
    FlakyStore.read_errors = [ConnectionResetError(), ClientPayloadError("cut"), OSError(errno.EIO, "I/O")]

    with open_source(flaky) as file:
        assert file.read(10) == CONTENT[:10]
        assert file.seek(-700, 2) == len(CONTENT) - 700
        assert file.read() == CONTENT[-700:]
        file.seek(0)
        assert file.read() == CONTENT
        assert file.read(1) == b""
    assert (FlakyStore.open_errors, FlakyStore.read_errors) == ([], [])
    assert FlakyStore.opened == 2 + 1 + 3


def test_source_that_stays_away_is_unreadable_and_may_come_back(flaky: str) -> None:
    """After several attempts the error of the input says that it was transient."""
    FlakyStore.open_errors = [ClientResponseError(503) for _ in range(99)]

    with pytest.raises(InputError, match="gloss retry") as raised:
        open_source(flaky)
    assert (raised.value.reason, raised.value.transient) == (Reason.UNREADABLE, True)
    assert FlakyStore.opened == retrying.ATTEMPTS


@pytest.mark.parametrize("error", [PermissionError("Forbidden"), ClientResponseError(403)], ids=repr)
def test_source_that_is_refused_fails_at_once(flaky: str, error: Exception) -> None:
    """A missing right is not asked for twice."""
    FlakyStore.open_errors = [error]

    with pytest.raises(InputError, match="may be read") as raised:
        open_source(flaky)
    assert (raised.value.transient, FlakyStore.opened) == (False, 1)


def test_reading_that_stays_broken_is_an_os_error(flaky: str) -> None:
    """Decoders know OSError; the cause says whether it may pass."""
    FlakyStore.read_errors = [PermissionError("revoked")]
    with open_source(flaky) as file, pytest.raises(PermissionError):
        file.read()

    FlakyStore.read_errors = [ClientResponseError(401)]
    with open_source(flaky) as file, pytest.raises(OSError, match="401") as raised:
        file.read()
    assert not is_transient(raised.value)


def test_source_replaced_while_it_is_read_is_refused(flaky: str) -> None:
    """Bytes of two contents are never mixed."""
    with open_source(flaky) as file:
        file.read(10)
        FlakyStore.read_errors = [ConnectionResetError()]
        FlakyStore.content = CONTENT[:-1]
        file.seek(0)
        with pytest.raises(OSError, match="changed while it was read"):
            file.read()
