"""Talks to a server of the OpenAI chat completions protocol, and outlasts its stumbles.

Many questions are under way at once, each with an outcome of its own. What passes by itself is
tried again with growing pauses, within bounds of number and time; what does not fails at once. The
key stands in one header and nowhere else: not in messages, logs or reprs, and not in what a server
says, should it echo it.
"""

import asyncio
import json
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import httpx2
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.stop import stop_after_delay, stop_before_delay

from operators.chat_key import checked_url, key_of, scrubbed
from operators.chat_protocol import Json, in_dialect, not_taken, parse_body, said_wrong
from operators.chat_status import StatusError, inner_status, meaning, passes, retry_after
from schemas.failure import InputError, Reason

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_MOST_ANSWER_BYTES = 8 << 20
"""An answer of 8,000 tokens with log probabilities that nobody asked for is below 2 MB."""

_LONGEST_SHOWN = 300
"""Characters of a server's complaint that a message shows."""

_GIVEN_UP_AFTER = 3
"""Questions in a row that patience did not help; each further one is asked once, until one succeeds."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one question is tried."""

    attempts: int = 6
    first_wait_seconds: float = 1.0
    """After the first failure; it doubles with each, and up to half of it is added at random, so
    that many workers do not come back at once."""
    longest_wait_seconds: float = 60.0
    """Bound of a single wait, also of one that the server asks for."""
    total_seconds: float = 300.0
    """After which no further attempt begins."""


CHECKING = Patience(attempts=2, first_wait_seconds=0.5, longest_wait_seconds=5.0)
"""For a question before a run, whether a server is there."""

CHECK_SECONDS = 30.0
"""For its answer; a server that loads a model at the first question may need that long."""


class _StumbleError(Exception):
    """A failure that may pass by itself."""

    def __init__(self, error: InputError, wait_seconds: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait_seconds = wait_seconds


class Pace:
    """Spreads requests evenly over time, and holds all of them back when the server asks for it."""

    def __init__(self, requests_per_minute: float) -> None:
        """Take the share of this process; 0 is no limit."""
        self.gap_seconds = 60 / requests_per_minute if requests_per_minute > 0 else 0.0
        self.next_at = 0.0

    async def turn(self) -> None:
        """Wait for the next free moment and take it."""
        now = time.monotonic()
        at = max(now, self.next_at)
        if self.gap_seconds:
            self.next_at = at + self.gap_seconds
        if at > now:
            await asyncio.sleep(at - now)

    def pause(self, seconds: float) -> None:
        """Begin no further request for so long."""
        self.next_at = max(self.next_at, time.monotonic() + seconds)


class ChatClient:
    """A connection to one server, for use from any thread."""

    def __init__(
        self,
        base_url: str,
        api_key_env: str | None,
        *,
        timeout_seconds: float = 120.0,
        requests_per_minute: float = 0.0,
        concurrency: int = 8,
        patience: Patience | None = None,
        most_answer_bytes: int = _MOST_ANSWER_BYTES,
        section: str = "vision",
    ) -> None:
        """Read the key from the environment; nothing is sent yet.

        Args:
            base_url: Such as `http://127.0.0.1:8000/v1`.
            api_key_env: Variable that holds the key; null or an unset one sends none.
            timeout_seconds: For one attempt, from connecting to the last byte.
            requests_per_minute: Most requests of this client; 0 is no limit.
            concurrency: Most requests at once.
            patience: How long a question is tried.
            most_answer_bytes: Longest answer that is read.
            section: Of the configuration that names the server, for messages.

        Raises:
            ValueError: The URL or the key cannot be used.
        """
        self.base_url = checked_url(base_url, section)
        self.section = section
        self.api_key_env = api_key_env
        self.timeout_seconds = timeout_seconds
        self.requests_per_minute = requests_per_minute
        self.concurrency = concurrency
        self.patience = patience or Patience()
        self.most_answer_bytes = most_answer_bytes
        self._start()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the key and what is open: both are made anew where it is unpickled."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start()

    def _start(self) -> None:
        self._key = key_of(self.api_key_env)
        self._pace = Pace(self.requests_per_minute)
        self._given_up = 0
        self._refused: set[str] = set()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._http: httpx2.AsyncClient | None = None

    def close(self) -> None:
        """Close connections; a later question opens them again."""
        with self._lock:
            loop, http, self._loop, self._http = self._loop, self._http, None, None
        if loop is None:
            return
        if http is not None:
            asyncio.run_coroutine_threadsafe(http.aclose(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)

    def post_all(self, path: str, bodies: Sequence[Callable[[], Json]]) -> list[Json | InputError]:
        """Send bodies, `concurrency` at once, and give back an outcome for each, in order.

        Args:
            path: Below the base URL, without a slash before it.
            bodies: Each is made, in a thread, when its turn comes: pictures of questions that
                wait are not held encoded.
        """
        return self._run(self._post_all(path, bodies))

    def get(self, path: str) -> Json | InputError:
        """Ask for something."""
        return self._run(self._outcome("GET", path, None))

    @property
    def has_key(self) -> bool:
        """Whether a key is sent."""
        return bool(self._key.get_secret_value())

    def scrub(self, text: str, *, answer: bool = False) -> str:
        """Blot out the key, and in what is not an answer also what looks like one."""
        return scrubbed(text, self._key, answer=answer)

    def _shown(self, said: str) -> str:
        """Shorten what a server says; after the key is blotted out, so that no part of it stays."""
        return self.scrub(said)[:_LONGEST_SHOWN]

    def _run(self, work: Awaitable[T]) -> T:
        """Run in the loop of this client, which lives in a thread: the caller may have a loop itself."""

        async def await_it() -> T:
            return await work

        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, daemon=True, name="chat").start()
            future = asyncio.run_coroutine_threadsafe(await_it(), self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # an interrupt leaves no question behind

    def _client(self) -> httpx2.AsyncClient:
        """Open the client, inside its loop."""
        if self._http is None:
            headers = {"User-Agent": f"gloss/{version('gloss')}", "Accept-Encoding": "identity"}
            if key := self._key.get_secret_value():
                headers["Authorization"] = f"Bearer {key}"
            self._http = httpx2.AsyncClient(
                headers=headers,
                timeout=self.timeout_seconds,
                limits=httpx2.Limits(max_connections=self.concurrency),
                # The key goes where the configuration says, not where a server points to.
                follow_redirects=False,
            )
        return self._http

    async def _post_all(self, path: str, bodies: Sequence[Callable[[], Json]]) -> list[Json | InputError]:
        slots = asyncio.Semaphore(self.concurrency)

        async def one(make: Callable[[], Json]) -> Json | InputError:
            async with slots:
                return await self._outcome("POST", path, await asyncio.to_thread(make))

        return list(await asyncio.gather(*map(one, bodies)))

    async def _outcome(self, method: str, path: str, body: Json | None) -> Json | InputError:
        """Try until it succeeds, cannot succeed, or patience ends."""
        patience, began = self.patience, time.monotonic()
        attempts = 1 if self._given_up >= _GIVEN_UP_AFTER else patience.attempts
        retrying = AsyncRetrying(
            stop=stop_after_attempt(attempts)
            | stop_after_delay(patience.total_seconds)
            | stop_before_delay(patience.total_seconds),
            wait=self._wait,
            retry=retry_if_exception_type(_StumbleError),
            reraise=True,
        )
        try:
            answer: Json = await retrying(self._attempt, method, path, body)
        except InputError as error:
            self._given_up = 0
            return error
        except _StumbleError as stumble:
            self._given_up += stumble.error.reason != Reason.MALFORMED
            tried = retrying.statistics.get("attempt_number", attempts)
            return _with(stumble.error, f"Tried {tried} times in {time.monotonic() - began:.1f} s.")
        self._given_up = 0
        return answer

    def _wait(self, state: RetryCallState) -> float:
        patience = self.patience
        wait = patience.first_wait_seconds * 2 ** (state.attempt_number - 1)
        wait *= 1 + random.random() / 2  # noqa: S311 - spreads workers, guards nothing
        stumble = state.outcome.exception() if state.outcome else None
        asked = stumble.wait_seconds if isinstance(stumble, _StumbleError) else None
        return float(min(max(wait, asked or 0.0), patience.longest_wait_seconds))

    async def _attempt(self, method: str, path: str, body: Json | None) -> Json:
        """Ask once; once more for each parameter that the server turns out not to take."""
        while True:
            spoken = None if body is None else in_dialect(body, self._refused)
            response, data = await self._sent(method, path, spoken)
            if response.status_code == 200:
                return self._parsed(response, data)
            said = _said(response, data)
            name = not_taken(spoken, said) if spoken and response.status_code in (400, 422) else None
            if name is None:
                self._refuse(response, said)
            else:
                self._refused.add(name)
                _LOG.warning("%s does not take %s: %s", self.base_url, name, self._shown(said))

    async def _sent(self, method: str, path: str, body: Json | None) -> tuple[httpx2.Response, bytes]:
        await self._pace.turn()
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await self._exchange(method, path, body)
        except (TimeoutError, httpx2.TimeoutException):
            raise _StumbleError(self._slow()) from None
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise _StumbleError(self._unreachable(error)) from None

    def _parsed(self, response: httpx2.Response, data: bytes) -> Json:
        try:
            answer = parse_body(data, response.headers.get("content-type", ""))
        except InputError as error:
            raise _StumbleError(error) from None
        if answer.get("error") and not answer.get("choices"):
            # Gateways wrap the errors of what lies behind them in a success.
            raise self._complaint(inner_status(answer), said_wrong(answer), None)
        return answer

    async def _exchange(self, method: str, path: str, body: Json | None) -> tuple[httpx2.Response, bytes]:
        """Send one request and read the answer, so far as it is not too long."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content else {}
        url = f"{self.base_url}/{path}"
        async with self._client().stream(method, url, content=content, headers=headers) as response:
            data = bytearray()
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > self.most_answer_bytes:
                    msg = (
                        f"Wanted an answer of at most {self.most_answer_bytes} bytes from {self.base_url}; "
                        "found a longer one, and stopped reading. Is that a chat server?"
                    )
                    raise InputError(Reason.TOO_LARGE, msg)
            return response, bytes(data)

    def _refuse(self, response: httpx2.Response, said: str) -> NoReturn:
        """Raise what a status other than 200 means."""
        wait = retry_after(response.headers, datetime.now(UTC))
        if wait is not None and response.status_code in (429, 503):
            self._pace.pause(min(wait, self.patience.longest_wait_seconds))
        if response.is_redirect:
            host = urlsplit(response.headers.get("location", "")).hostname or "another path"
            said = f"it redirects to {host}, and the key does not follow"
        raise self._complaint(response.status_code, said, wait)

    def _complaint(self, status: int, said: str, wait_seconds: float | None) -> InputError | _StumbleError:
        said = self._shown(said)
        what = f"Wanted an answer from {self.base_url}; found status {status}" + (f": {said}" if said else "")
        what = what.rstrip(".") + "."
        if passes(status, said):
            return _StumbleError(StatusError(Reason.UNREACHABLE, what, True, status), wait_seconds)
        reason, advice, transient = meaning(status, said, self.section)
        return StatusError(reason, f"{what} {advice}".strip(), transient, status)

    def _slow(self) -> InputError:
        msg = (
            f"Wanted an answer from {self.base_url} within {self.timeout_seconds:g} s; found none. Raise "
            f"{self.section}.timeout_seconds, or lower {self.section}.concurrency."
        )
        return InputError(Reason.TIMEOUT, msg, transient=True)

    def _unreachable(self, error: Exception) -> InputError:
        found = self._shown(f"{type(error).__name__} {error}".strip())
        msg = f"Wanted an answer from {self.base_url}; found {found}. Is the server running and well?"
        return InputError(Reason.UNREACHABLE, msg, transient=True)


def _with(error: InputError, more: str) -> InputError:
    message = f"{error.message} {more}"
    if isinstance(error, StatusError):
        return StatusError(error.reason, message, error.transient, error.status)
    return InputError(error.reason, message, error.transient)


def _said(response: httpx2.Response, data: bytes) -> str:
    try:
        return said_wrong(parse_body(data, response.headers.get("content-type", "")))
    except InputError:
        return " ".join(data[:2000].decode("utf-8", "replace").split())
