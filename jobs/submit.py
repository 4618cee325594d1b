"""`gloss submit`: the same ingest, as a Ray job.

check what can be checked here -> pack the code -> submit -> show its log until it ends. The job is
`gloss ingest` with the same arguments, so what it does, says and returns is what it would here. It goes
on without the terminal it was submitted from, and can be followed and stopped from any other.
"""

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from cluster.package import GIVEN, pack, versions
from cluster.ray_jobs import Job, LostContact, RayJobs
from jobs.client_paths import check_models, check_place, prompts_to_ship
from jobs.run import EXIT_BROKEN, EXIT_OK, new_run_id
from jobs.submit_request import Request
from schemas.config import ConfigError

EXIT_INTERRUPTED = 130

_LAST_CODE = 125
"""Codes above it are the shell's: the command could not run, or a signal ended it."""
_SECRET = re.compile(r"SECRET|TOKEN|PASSW|CREDENTIAL|KEY|PRIVATE", re.IGNORECASE)
_LONGEST_COMMAND = 100_000
"""Linux takes 131,072 bytes for one argument, and a job's command is one of the shell's."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how it is to run."""

    address: str | None
    """Of the cluster's job server."""
    code: str = "ship"
    """`ship` takes this code along; `installed` runs what the image has."""
    shared: Sequence[str] = ()
    """Folders that all nodes see at the same path."""
    env: Sequence[str] = ()
    """Names of variables to take from here…"""
    secret_env: Sequence[str] = ()
    """…and of those whose values are secret, although the cluster shows them."""


def run_submit(request: Request, place: Place, *, wait: bool = True) -> int:
    """Submit an ingest, follow it, and return its exit code.

    Args:
        request: What to ingest.
        place: Where.
        wait: Follow it; otherwise print its id and return 0.

    Raises:
        ConfigError: Something that makes the job impossible, found before it is submitted.
    """
    arguments, files = portable(request, place)
    environment = environment_of(place)
    server = connect(place.address)
    check_ray(server.ray_version)
    job_id = f"gloss-{new_run_id()}"
    with tempfile.TemporaryDirectory(prefix="gloss-submit-") as name:
        folder = Path(name)
        pack(folder, files, with_code=place.code == "ship")
        server.submit(job_id, command_of(arguments), folder, environment, {"lake": request.lake})
    if not wait:
        _say(f"submitted {job_id}. {_how_to(server, job_id)}")
        sys.stdout.write(f"{job_id}\n")
        return EXIT_OK
    _say(f"submitted {job_id} to {server.address}")
    return _follow(server, job_id)


def run_follow(address: str | None, job_id: str) -> int:
    """Show the log of a job from its beginning until it ends, and return its exit code.

    Raises:
        ConfigError: There is no such job or cluster.
    """
    return _follow(connect(address), job_id)


def run_stop(address: str | None, job_id: str) -> int:
    """End a job as Ctrl-C would; what is finished stays in the lake.

    Raises:
        ConfigError: There is no such job or cluster.
    """
    server = connect(address)
    if (job := server.job(job_id)).has_ended:
        _say(f"{job_id} had ended before: {job.status}")
        return EXIT_OK
    server.stop(job_id)
    job = server.wait(job_id)
    if not job.has_ended:
        _say(f"{job_id} was told to stop, and is still {job.status}")
        return EXIT_BROKEN
    _say(f"{job_id}: {job.status}. What was finished is in the lake; the same command goes on from there.")
    return EXIT_OK


def run_list(address: str | None, format: str = "table") -> int:  # noqa: A002
    """List the jobs that were submitted to a cluster.

    Raises:
        ConfigError: There is no such cluster, or no such format.
    """
    from jobs.output import check_format, console, emit_json, grid

    check_format(format, known=("table", "json"))
    rows = [
        {
            "job": job.id,
            "status": job.status,
            "exit_code": exit_code(job) if job.has_ended else None,
            "started_at": None
            if job.started_ms is None
            else datetime.fromtimestamp(job.started_ms / 1000, UTC),
            "lake": job.metadata.get("lake"),
        }
        for job in connect(address).jobs()
    ]
    if format == "json":
        emit_json(rows)
    else:
        names = ["job", "status", "exit_code", "started_at", "lake"]
        console().print(grid(names, [[*row.values()] for row in rows]))
    return EXIT_OK


# --- before ---------------------------------------------------------------------------------


def portable(request: Request, place: Place) -> tuple[list[str], dict[str, Path]]:
    """Write the command line as it means the same on the cluster.

    Returns:
        The arguments of `gloss`, and the files that have to travel with them.

    Raises:
        ConfigError: Something in it exists on this machine alone.
    """
    if place.code not in ("ship", "installed"):
        msg = f"Wanted --code ship or installed; found {place.code!r}."
        raise ConfigError(msg)
    if (address := request.config.run.address) not in (None, "auto"):
        msg = f"A job runs on the cluster it is submitted to; take run.address={address} out of the settings."
        raise ConfigError(msg)
    lake = check_place("the lake", request.lake, place.shared)
    sources = [check_place("a source", source, place.shared) for source in request.sources]
    settings = [*request.settings, *check_models(request.config, place.shared)]
    files = {}
    for setting, folder in prompts_to_ship(request.config, place.shared).items():
        files[setting] = folder
        settings.append(f"{setting}={GIVEN}/{setting}")
    arguments = ["ingest", "--lake", lake, "--profile", request.profile]
    if request.config_file is not None:
        name = f"config{request.config_file.suffix}"
        files[name] = request.config_file
        arguments += ["--config", f"{GIVEN}/{name}"]
    for setting in settings:
        arguments += ["--set", setting]
    return [*arguments, *request.options, "--", *sources], files


def command_of(arguments: Sequence[str]) -> str:
    """Write the job's command for the shell.

    Raises:
        ConfigError: It is too long.
    """
    command = "exec python start_job.py " + shlex.join(arguments)
    if len(command.encode()) > _LONGEST_COMMAND:
        msg = (
            f"Wanted a command of at most {_LONGEST_COMMAND:,} bytes; it has {len(command.encode()):,}. Name "
            "folders or quoted globs instead of many files."
        )
        raise ConfigError(msg)
    return command


def environment_of(place: Place) -> dict[str, str]:
    """Take the variables for the job from this process's environment.

    Raises:
        ConfigError: One is not set here, or looks like a secret and was not named as one.
    """
    environment = {}
    for name in (*place.env, *place.secret_env):
        if name in place.env and _SECRET.search(name):
            msg = (
                f"--env {name} looks like a secret, and everybody who may see the cluster's jobs can read "
                "what a job's environment holds. Put it into the environment of the cluster (a Secret of "
                f"Kubernetes, a role of the machines), or accept that: --secret-env {name}"
            )
            raise ConfigError(msg)
        if name not in os.environ:
            plain = name.partition("=")[0]
            msg = f"Wanted the variable {plain} in this environment (--env NAME); it is not set."
            raise ConfigError(msg)
        environment[name] = os.environ[name]
    return environment


def connect(address: str | None) -> RayJobs:
    """Reach the cluster.

    Raises:
        ConfigError: It cannot be reached.
    """
    if not address:
        msg = "Wanted the address of a cluster: --address http://HEAD:8265, or RAY_ADDRESS."
        raise ConfigError(msg)
    return RayJobs(address)


def check_ray(found: str) -> None:
    """Compare the cluster's release of Ray with what Gloss works with, and with the one here.

    Raises:
        ConfigError: Gloss does not work with it.
    """
    required = next((line for line in _requirements() if line.name == "ray"), None)
    if required is not None and not required.specifier.contains(found, prereleases=True):
        msg = (
            f"Wanted Ray {required.specifier} on the cluster; found {found}. Take an image with such a "
            "release (cluster/Containerfile), or a release of Gloss that works with this one."
        )
        raise ConfigError(msg)
    if found != (here := versions()["ray"]):
        _say(f"the cluster runs Ray {found}, this machine Ray {here}; the job runs with the cluster's")


def _requirements() -> list[Requirement]:
    try:
        return [Requirement(line) for line in metadata.requires("gloss") or []]
    except metadata.PackageNotFoundError:
        return []  # a checkout that is not installed says nothing


# --- after ----------------------------------------------------------------------------------


def _follow(server: RayJobs, job_id: str) -> int:
    try:
        job = server.follow(job_id, _write)
    except KeyboardInterrupt:
        _say(f"{job_id} goes on. {_how_to(server, job_id)}")
        return EXIT_INTERRUPTED
    except LostContact as error:
        _say(f"lost contact with {server.address} ({error}) {job_id} may go on. {_how_to(server, job_id)}")
        return EXIT_BROKEN
    code = exit_code(job)
    if job.status == "STOPPED":
        _say(f"{job_id} was stopped; the same command goes on from there")
    elif job.exit_code is None or job.exit_code != code:
        _say(f"{job_id} broke: {_reason(job)} Submit it again; what was finished stays.")
    return code


def exit_code(job: Job) -> int:
    """Return what the same run made here would return: 1 for a job that did not get to its end."""
    if job.status == "SUCCEEDED":
        return EXIT_OK
    if job.status == "STOPPED" or job.exit_code is None or not 0 < job.exit_code <= _LAST_CODE:
        return EXIT_BROKEN
    return job.exit_code


def _reason(job: Job) -> str:
    """Say in a line why a job ended; its log, which Ray quotes, has been shown."""
    text = " ".join(job.message.partition(", last available logs")[0].split())
    return (text[:1000] if text.endswith(".") else f"{text[:1000]}.") if text else f"it is {job.status}."


def _write(is_result: bool, line: str) -> None:
    stream = sys.stdout if is_result else sys.stderr
    stream.write(line)
    stream.flush()


def _how_to(server: RayJobs, job_id: str) -> str:
    where = f"{job_id} --address {server.address}"
    return f"Follow it: gloss submit --follow {where}; stop it: gloss submit --stop {where}"


def _say(sentence: str) -> None:
    sys.stderr.write(f"gloss: {sentence}\n")
    sys.stderr.flush()
