"""Ray's job server, as Gloss needs it: submit, follow through lost connections, stop, list.

A job outlives the terminal, the network and the laptop it was submitted from. Its log is read anew
from the beginning after each break, and what was shown already is skipped, so that nothing is shown
twice and nothing is lost.
"""

import asyncio
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from cluster.job_log import JobLog
from schemas.config import ConfigError

_ADDRESSES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Variables by which Ray overrules an address that was given; Gloss takes them where none is given."""

_TALKATIVE = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
"""Loggers that tell of uploads and of connections that end; they set their own level."""

_STOP_SECONDS = 60
"""Time a run has, once told to stop, to keep what is finished; Ray's default is 3 s."""
_STOPPING = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_SECONDS)}
"""Ray's job supervisor reads these: `SIGINT` ends a run as Ctrl-C does, with all that is finished kept."""

_MISSING = re.compile(r"status code 404|does not exist|not found", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Job:
    """What the cluster knows of a job."""

    id: str
    status: str
    """PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED."""
    exit_code: int | None
    """Of its command, negative for a signal; null while it runs, and where it never began."""
    message: str
    started_ms: int | None
    metadata: Mapping[str, str]

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ("STOPPED", "SUCCEEDED", "FAILED")


class LostContact(Exception):  # noqa: N818 - it says what happened to the connection
    """The job server has not answered for too long; the job may go on all the same."""


class RayJobs:
    """The job server of one cluster."""

    def __init__(self, address: str, *, patience_seconds: float = 120.0) -> None:
        """Connect.

        Args:
            address: `http://HEAD:8265`, or what else Ray takes (`ray://…`, `auto`).
            patience_seconds: How long a connection that broke is tried again while a job is followed.

        Raises:
            ConfigError: Nothing of the kind answers there, or it wants a token.
        """
        self.address = address
        self._patience = patience_seconds
        from ray.exceptions import AuthenticationError

        try:
            from ray.job_submission import JobSubmissionClient
        except ImportError as error:
            msg = f"gloss submit needs Ray's job client ({error}). Run: pip install 'gloss[cluster]'"
            raise ConfigError(msg) from error
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            with _without_addresses():
                self._client = JobSubmissionClient(address)
        except AuthenticationError as error:
            msg = (
                f"The cluster at {address} wants a token. Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or "
                f"RAY_AUTH_TOKEN_PATH to that of the cluster (ray get-auth-token). {_first_line(error)}"
            )
            raise ConfigError(msg) from error
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            msg = (
                f"Wanted a Ray cluster's job server at --address {address}; {_first_line(error)} It is the "
                "dashboard's address, http://HEAD:8265, and needs ray[default] there and here "
                "(pip install 'gloss[cluster]')."
            )
            raise ConfigError(msg) from error

    @property
    def ray_version(self) -> str:
        """Version of Ray on the cluster."""
        return str(self._client._do_request("GET", "/api/version").json()["ray_version"])

    def submit(
        self,
        job_id: str,
        command: str,
        folder: Path,
        environment: Mapping[str, str],
        metadata: Mapping[str, str],
    ) -> None:
        """Submit a job and return at once; a server that is not ready yet is asked again.

        Args:
            job_id: Its name, new to the cluster.
            command: For the shell, in the job's working folder.
            folder: What becomes that folder on every node.
            environment: Variables for all its processes; the dashboard shows them.
            metadata: Shown with the job.
        """
        for attempt in Retrying(
            retry=retry_if_exception(_is_lost_connection),
            stop=stop_after_delay(self._patience),
            wait=wait_fixed(2.0),
            reraise=True,
        ):
            with attempt:
                self._submit_once(job_id, command, folder, environment, metadata)

    def _submit_once(
        self,
        job_id: str,
        command: str,
        folder: Path,
        environment: Mapping[str, str],
        metadata: Mapping[str, str],
    ) -> None:
        """Submit; under its own name a job is there once, however often it is tried."""
        try:
            self._client.submit_job(
                entrypoint=command,
                submission_id=job_id,
                runtime_env={"working_dir": str(folder), "env_vars": _STOPPING | dict(environment)},
                metadata=dict(metadata),
            )
        except RuntimeError as error:
            if f"{job_id} already exists" not in str(error):
                raise

    def job(self, job_id: str) -> Job:
        """Look a job up.

        Raises:
            ConfigError: The cluster knows of none.
        """
        try:
            return _job(self._client.get_job_info(job_id))
        except RuntimeError as error:
            if not _MISSING.search(str(error)):
                raise
            msg = f"Wanted a job {job_id} on {self.address}; it has none. gloss submit --list shows all."
            raise ConfigError(msg) from error

    def jobs(self) -> list[Job]:
        """List all jobs that were submitted, the newest first."""
        found = [_job(item) for item in self._client.list_jobs() if item.submission_id]
        return sorted(found, key=lambda job: job.started_ms or 0, reverse=True)

    def stop(self, job_id: str) -> None:
        """Tell a job to stop; it ends when it has kept what is finished."""
        self.job(job_id)
        self._client.stop_job(job_id)

    def wait(self, job_id: str, seconds: float = _STOP_SECONDS + 15) -> Job:
        """Wait for the end of a job that was told to stop; returns it as it is after so long at most."""
        until = time.monotonic() + seconds
        while not (job := self.job(job_id)).has_ended and time.monotonic() < until:
            time.sleep(0.5)
        return job

    def follow(self, job_id: str, write: Callable[[bool, str], None]) -> Job:
        """Hand on a job's log until it ends.

        Args:
            job_id: The job; one that has ended already gives its whole log.
            write: Called with (is for stdout, line) for each line.

        Raises:
            LostContact: The server is away for longer than the patience allows.
            ConfigError: There is no such job.
        """
        self.job(job_id)
        log, broke_at = JobLog(), None
        while True:
            before = log.characters
            try:
                asyncio.run(self._tail(job_id, log, write))
                job = self.job(job_id)
            except Exception as error:
                if not _is_lost_connection(error):
                    raise
                now = time.monotonic()
                broke_at = now if broke_at is None or log.characters > before else broke_at
                if now - broke_at > self._patience:
                    raise LostContact(_first_line(error)) from error
            else:
                broke_at = None
                if job.has_ended:
                    for line in log.end():
                        write(*line)
                    return job
            time.sleep(1.0)

    async def _tail(self, job_id: str, log: JobLog, write: Callable[[bool, str], None]) -> None:
        skip = log.characters
        async for piece in self._client.tail_job_logs(job_id):
            new, skip = piece[skip:], max(0, skip - len(piece))
            for line in log.feed(new):
                write(*line)


def _job(details: Any) -> Job:
    status = details.status
    return Job(
        id=details.submission_id,
        status=str(getattr(status, "value", status)),
        exit_code=details.driver_exit_code,
        message=details.message or "",
        started_ms=details.start_time,
        metadata=details.metadata or {},
    )


def _is_lost_connection(error: BaseException) -> bool:
    """Tell whether a connection broke, or the server was busy, rather than said no."""
    import aiohttp
    import requests

    if isinstance(error, aiohttp.ClientError | requests.RequestException | TimeoutError | OSError):
        return True
    return isinstance(error, RuntimeError) and bool(
        re.search(r"status code 5\d\d|closed unexpectedly|WebSocket error", str(error))
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return text if text.endswith((".", "!", "?")) else f"{text}."


@contextmanager
def _without_addresses() -> Iterator[None]:
    """Hide the variables by which Ray would overrule the address it is given."""
    hidden = {name: os.environ.pop(name) for name in _ADDRESSES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)
