"""Somebody is told how a run ended: a server by a webhook, a program by its standard input.

What is sent is the same JSON for both. It goes to no other place than the one configured: redirects
are not followed, and proxies and credentials of the environment are not used. The address may be a
secret, so that messages show its host alone.
"""

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

import httpx2
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from schemas.nightly import Nightly

_PASSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may pass by themselves."""
_LONGEST_WAIT_SECONDS = 30.0
_LONGEST_SHOWN = 300


class NotifyError(Exception):
    """Nobody was told; the message says why, without secrets."""


class _StumbleError(NotifyError):
    """…and it may work a little later."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """Who is told, with the secrets of it read from the environment."""

    settings: Nightly
    address: str | None = field(repr=False)
    token: str | None = field(repr=False)


def recipients(settings: Nightly) -> Recipients:
    """Find out who is to be told, before there is something to tell.

    Raises:
        ConfigError: The environment lacks what the settings name.
    """
    return Recipients(settings, settings.address(), settings.token())


def notify(to: Recipients, what: Mapping[str, Any], first_wait_seconds: float = 1.0) -> list[str]:
    """Tell everybody.

    Args:
        to: Whom.
        what: Goes out as JSON.
        first_wait_seconds: Before the second attempt at the webhook; it doubles from then on.

    Returns:
        What went wrong, a sentence for each recipient that was not told.
    """
    body = json.dumps(what, ensure_ascii=False, default=str, allow_nan=False).encode()
    problems = []
    if to.address is not None:
        try:
            _post(to, to.address, body, first_wait_seconds)
        except NotifyError as error:
            problems.append(str(error))
    if to.settings.command:
        try:
            _run(to.settings.command, body, to.settings.timeout_seconds)
        except NotifyError as error:
            problems.append(str(error))
    return problems


def _post(to: Recipients, address: str, body: bytes, first_wait_seconds: float) -> None:
    headers = {"content-type": "application/json", "user-agent": "gloss"}
    if to.token is not None:
        headers["authorization"] = f"Bearer {to.token}"
    attempts = Retrying(
        retry=retry_if_exception_type(_StumbleError),
        stop=stop_after_attempt(to.settings.tries),
        wait=wait_exponential(first_wait_seconds, max=_LONGEST_WAIT_SECONDS),
        reraise=True,
    )
    # No proxy and no netrc of the environment: what is sent goes where the settings say.
    with httpx2.Client(
        timeout=to.settings.timeout_seconds, follow_redirects=False, trust_env=False, headers=headers
    ) as client:
        attempts(_attempt, client, address, body)


def _attempt(client: httpx2.Client, address: str, body: bytes) -> None:
    host = urlsplit(address).netloc
    try:
        answer = client.post(address, content=body)
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        msg = f"The webhook at {host} could not be reached: {type(error).__name__}."
        raise _StumbleError(msg) from None  # its text may hold the whole address
    if answer.is_success:
        return
    if answer.is_redirect:
        msg = f"The webhook at {host} sends elsewhere ({answer.status_code}); set the address itself."
        raise NotifyError(msg)
    msg = f"The webhook at {host} answered {answer.status_code}."
    raise _StumbleError(msg) if answer.status_code in _PASSES else NotifyError(msg)


def _run(command: list[str], body: bytes, seconds: float) -> None:
    name = PurePath(command[0]).name
    try:
        # In a group of its own, so that what it has started ends with it.
        process = subprocess.Popen(  # noqa: S603 - the user's own command, without a shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        msg = f"The command {name} could not be started: {error}."
        raise NotifyError(msg) from error
    try:
        _, said = process.communicate(body, timeout=seconds)
    except subprocess.TimeoutExpired:
        _end(process)
        msg = f"The command {name} was stopped after {seconds:g} s (nightly.timeout_seconds)."
        raise NotifyError(msg) from None
    if process.returncode:
        words = said.decode(errors="replace").strip()[-_LONGEST_SHOWN:]
        msg = f"The command {name} ended with {process.returncode}" + (f": {words}" if words else ".")
        raise NotifyError(msg)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdin, process.stderr):
        if stream is not None:
            stream.close()
    process.wait()
