"""Processes below one, and what they listen on, as Linux tells it."""

import os
import re
from contextlib import suppress
from pathlib import Path

_LISTEN = "0A"


def descendants(pid: int) -> list[int]:
    """List the processes below one, parents before children."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                stat = (entry / "stat").read_text(errors="replace")
                parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found, below = [], list(parents.get(pid, []))
    while below:
        found.append(child := below.pop(0))
        below += parents.get(child, [])
    return found


def name_of(pid: int) -> str:
    """Return a process's short name; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def listening(pids: list[int]) -> dict[str, str]:
    """Return the addresses of TCP sockets that processes listen on, with the process's name."""
    owners = {}
    for pid in pids:
        with suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if found := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor)):  # noqa: PTH115
                        owners[found[1]] = name_of(pid)
    addresses = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and (owner := owners.get(fields[9])) is not None:
                addresses[_address(fields[1])] = owner
    return addresses


def _address(hexadecimal: str) -> str:
    """Write an address of /proc/net/tcp as text: words of 32 bits, each in the order of this machine."""
    host, _, port = hexadecimal.partition(":")
    words = [bytes.fromhex(host[at : at + 8])[::-1] for at in range(0, len(host), 8)]
    from ipaddress import ip_address

    address = ip_address(b"".join(words))
    mapped = getattr(address, "ipv4_mapped", None)
    return f"{mapped or address}:{int(port, 16)}"
