"""Units for systemd: a timer that makes up for a missed night, and a service that may do little else."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from cluster.scheduled import Scheduled
from schemas.config import ConfigError

_SERVICE = """\
# Rendered by gloss schedule: render it again rather than edit it.
[Unit]
Description=Gloss: read what is new for {name}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={user}
ExecStart={command}
WorkingDirectory={folder}
{environment}\
# The same as Ctrl-C: what is finished stays.
KillSignal=SIGINT
TimeoutStartSec={seconds}
TimeoutStopSec=120
# Another run has the lake; nothing is wrong.
SuccessExitStatus=5
Nice=10

NoNewPrivileges=yes
CapabilityBoundingSet=
PrivateTmp=yes
PrivateDevices={no_devices}
ProtectSystem=strict
ProtectHome=read-only
{writable}\
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
"""

_TIMER = """\
# Rendered by gloss schedule: render it again rather than edit it.
[Unit]
Description=Gloss: every night for {name}

[Timer]
{calendar}
# A night in which the machine was off is made up for.
Persistent=true
AccuracySec=1min

[Install]
WantedBy=timers.target
"""


def render_units(
    run: Scheduled,
    program: Sequence[str],
    config_file: Path,
    *,
    user: str,
    writable: Sequence[Path] = (),
    environment: dict[str, str] | None = None,
    gpus: bool = False,
) -> dict[str, str]:
    """Render a service and its timer.

    Args:
        run: What to start, and when; its paths are absolute.
        program: How gloss is called; the first is an absolute path.
        config_file: Where its configuration will lie.
        user: Who it is.
        writable: Folders it may write to, besides its own scratch space.
        environment: Variables that are no secrets.
        gpus: Whether it needs devices.

    Returns:
        Text by name of the file.

    Raises:
        ConfigError: Something that a unit cannot hold.
    """
    use = run.config.deployment
    command = [*program, *run.arguments(str(config_file))]
    lines = [f"Environment={quoted(f'{name}={value}')}\n" for name, value in (environment or {}).items()]
    if use.environment_file:
        lines.append(f"EnvironmentFile={_path(use.environment_file)}\n")
    service = _SERVICE.format(
        name=use.name,
        user=user,
        command=" ".join([quoted(command[0]), *(_argument(part) for part in command[1:])]),
        folder=_path(str(config_file.parent)),
        environment="".join(lines),
        seconds=use.deadline_seconds,
        no_devices="no" if gpus else "yes",
        writable="".join(f"ReadWritePaths={quoted(f'-{path}')}\n" for path in writable),
    )
    calendar = "\n".join(f"OnCalendar={line}" for line in run.timetable.calendar)
    return {
        f"{use.name}.service": service,
        f"{use.name}.timer": _TIMER.format(name=use.name, calendar=calendar),
    }


def quoted(text: str) -> str:
    """Quote a word for a unit file, where % begins a specifier.

    Raises:
        ConfigError: It holds a control character, or is no UTF-8.
    """
    if _breaks(text):
        msg = f"Wanted words that a unit file can hold; found {text!r}. Rename it."
        raise ConfigError(msg)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _argument(text: str) -> str:
    """Quote an argument of ExecStart, where $ begins a variable besides."""
    return quoted(text.replace("$", "$$"))


def _path(text: str) -> str:
    """Write a path for a setting that takes one path to the end of its line, without quotes."""
    if _breaks(text) or text != text.strip() or text.endswith("\\"):
        msg = f"Wanted a path that a unit file can hold; found {text!r}. Rename it."
        raise ConfigError(msg)
    return text.replace("%", "%%")


def _breaks(text: str) -> bool:
    """Tell whether a text has control characters, or bytes that are no UTF-8."""
    return any(unicodedata.category(char) in ("Cc", "Cs") for char in text)
