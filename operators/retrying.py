"""What passes by itself is tried again; what does not fails at once.

Stores and networks stumble: a request is throttled, a connection reset, a commit overtaken by
another. Trying again after a pause cures that and nothing else: a file that is not there, a
missing right or a full disk stay as they are, and a retry would only hide them for a while. This
module alone decides which is which. The libraries below fsspec (aiohttp, botocore, gcsfs,
adlfs) need not be installed for that: their errors are told by status, errno, name and text.
"""

import errno
import re
import socket
from collections.abc import Callable, Iterator
from typing import TypeVar

from deltalake.exceptions import DeltaError, DeltaProtocolError, SchemaMismatchError, TableNotFoundError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from schemas.failure import InputError

T = TypeVar("T")

ATTEMPTS = 5
"""With the waits below, a store may be away for some 8 seconds; libraries wait on their own too."""

_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 15.0

_PERMANENT = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    FileExistsError,
    TableNotFoundError,
    SchemaMismatchError,
    DeltaProtocolError,
)

_TRANSIENT = (TimeoutError, ConnectionError, BlockingIOError, InterruptedError)

_TRANSIENT_NUMBERS = frozenset(
    {
        errno.EIO,
        errno.EAGAIN,
        errno.EBUSY,
        errno.EINTR,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.ECONNRESET,
        errno.ECONNREFUSED,
        errno.ECONNABORTED,
        errno.EPIPE,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENOBUFS,
        getattr(errno, "EREMOTEIO", errno.EIO),  # s3fs's word for 500 InternalError
    }
)

_TRANSIENT_NAMES = frozenset(
    {
        # aiohttp
        "ClientConnectionError",
        "ClientPayloadError",
        # botocore and aiobotocore
        "ConnectionError",
        "HTTPClientError",
        "IncompleteReadError",
        "ResponseStreamingError",
        # http.client, urllib3 and requests
        "ChunkedEncodingError",
        "IncompleteRead",
        "ProtocolError",
        "Timeout",
    }
)
"""Classes that stand anywhere among an error's bases."""

_PERMANENT_NAMES = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "SSLError", "SSLCertVerificationError"}
)

_COLOUR = re.compile(r"\x1b\[[0-9;]*m|\u21b3")
_NUMBER_IN_TEXT = re.compile(r"\(os error (\d+)\)")
_STATUS_IN_TEXT = re.compile(r"\b(?:status|code)\b\W{0,4}(\d{3})\b", re.IGNORECASE)
_PERMANENT_TEXT = re.compile(
    r"permission|access ?denied|forbidden|unauthori[sz]ed|unauthenticated|credential|privilege|signature"
    r"|not found|no such|does not exist|no space left|quota|read-only|is a directory|not a directory",
    re.IGNORECASE,
)
_TRANSIENT_TEXT = re.compile(
    r"time[d ]?-?out|connection|error sending request|error decoding response|incomplete message"
    r"|slow ?down|throttl|too many requests|unavailable|internal error|try again|^Generic \w+ error",
    re.IGNORECASE,
)


def is_transient(error: BaseException) -> bool:
    """Tell whether the same call may well succeed a little later.

    What an error says of itself counts before what caused it, and facts (class, errno, status)
    before words. An error that nothing is known of is permanent: a mistake of ours must show.
    """
    chain = list(_chain(error))
    for judge in (_judge, _judge_text):
        for link in chain:
            verdict = judge(link)
            if verdict is not None:
                return verdict
    return False


def one_line(error: BaseException) -> str:
    """Say what an error says, without the colours and line breaks that Delta's messages bring."""
    return " ".join(_COLOUR.sub("", str(error)).split())


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _judge(error: BaseException) -> bool | None:
    """Judge one error by itself; None where it says nothing."""
    if isinstance(error, InputError):
        return error.transient
    if isinstance(error, _PERMANENT):
        return False
    if isinstance(error, _TRANSIENT):
        return True
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    if isinstance(error, OSError) and error.errno is not None:
        return _judge_number(error.errno)
    status = _status(error)
    if status is not None:
        return _judge_status(status)
    names = {base.__name__ for base in type(error).__mro__}
    if names & _PERMANENT_NAMES:
        return False
    if names & _TRANSIENT_NAMES:
        return True
    return None


def _judge_number(number: int) -> bool:
    return number in _TRANSIENT_NUMBERS


def _judge_status(status: int) -> bool:
    """408 timeout, 425 too early, 429 too many; of the 5xx all but "never" and "storage is full"."""
    return status in {408, 425, 429} or (500 <= status <= 599 and status not in {501, 505, 507})


def _status(error: BaseException) -> int | None:
    """Find the HTTP status: aiohttp and Azure name it on the error, requests and botocore below it."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return found if isinstance(found, int) else None
    for holder in (error, response):
        for name in ("status", "status_code", "code"):
            found = getattr(holder, name, None)
            if isinstance(found, int) and 400 <= found <= 599:
                return found
    return None


def _judge_text(error: BaseException) -> bool | None:
    """Judge what the object store below Delta hands up as text alone."""
    if not isinstance(error, OSError | DeltaError):
        return None
    text = one_line(error)
    if number := _NUMBER_IN_TEXT.search(text):
        return _judge_number(int(number[1]))
    if status := _STATUS_IN_TEXT.search(text):
        return _judge_status(int(status[1]))
    if _PERMANENT_TEXT.search(text):
        return False
    # A refused commit is a conflict with another one, unless its text says otherwise.
    return isinstance(error, DeltaError) or bool(_TRANSIENT_TEXT.search(text)) or None


def with_retries(
    function: Callable[[], T],
    *,
    attempts: int = ATTEMPTS,
    first_wait_seconds: float | None = None,
    longest_wait_seconds: float = _LONGEST_WAIT_SECONDS,
    on_retry: Callable[[BaseException], object] | None = None,
) -> T:
    """Call a function until it succeeds, as long as what it raises is transient.

    Args:
        function: Must be safe to call again after a failure that may have been none (a commit
            whose answer was lost).
        attempts: Most calls.
        first_wait_seconds: Wait after the first failure; it doubles with each. Up to so much is
            added at random, so that many workers do not come back at once.
        longest_wait_seconds: Bound of a single wait.
        on_retry: Told of each error that is followed by another attempt.

    Raises:
        Exception: What the last call raised.
    """

    def notify(state: RetryCallState) -> None:
        if on_retry is not None and state.outcome is not None:
            error = state.outcome.exception()
            assert error is not None
            on_retry(error)

    first = _FIRST_WAIT_SECONDS if first_wait_seconds is None else first_wait_seconds
    retrying = Retrying(
        stop=stop_after_attempt(attempts),
        wait=wait_exponential(multiplier=first, max=longest_wait_seconds) + wait_random(0, first),
        retry=retry_if_exception(is_transient),
        before_sleep=notify,
        reraise=True,
    )
    return retrying(function)
