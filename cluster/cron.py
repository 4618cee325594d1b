"""A line for crontab, where % ends a command and nothing makes up for a missed night."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from cluster.scheduled import Scheduled
from schemas.config import ConfigError

_LONGEST_LINE = 998
"""Vixie cron reads commands of so many characters, and cuts off what is longer without a word."""


def render_crontab(run: Scheduled, program: Sequence[str], config_file: Path, log: Path) -> str:
    """Render a crontab of one user.

    Args:
        run: What to start, and when; its paths are absolute.
        program: How gloss is called.
        config_file: Where its configuration will lie.
        log: Takes what it says.

    Raises:
        ConfigError: Something that a crontab cannot hold.
    """
    words = [*program, *run.arguments(str(config_file))]
    if any("\n" in word or "\r" in word or "\0" in word for word in [*words, str(log)]):
        msg = "Wanted sources and a lake without line breaks; a crontab has one line for each command."
        raise ConfigError(msg)
    command = f"{shlex.join(words)} >> {shlex.quote(str(log))} 2>&1"
    if file := run.config.deployment.environment_file:
        command = f"set -a; . {shlex.quote(file)}; set +a; {command}"
    line = command.replace("%", "\\%")
    if len(line.encode()) > _LONGEST_LINE:
        msg = (
            f"Wanted a command of at most {_LONGEST_LINE} bytes, which is what cron reads; found "
            f"{len(line.encode())}. Name a folder or a glob instead of many files."
        )
        raise ConfigError(msg)
    head = "# Rendered by gloss schedule: render it again rather than edit it.\nSHELL=/bin/sh\n"
    if run.timetable.zone:
        head += "# Known to cronie; Debian's cron takes the machine's own time zone instead.\n"
        head += f"CRON_TZ={run.timetable.zone}\n"
    return f"{head}{run.timetable.cron} {line}\n"
