"""Starts Gloss inside a Ray job, once it is sure that it can run there.

    python start_job.py ingest s3://media/talks --lake s3://media/lake

The cluster's image was made by somebody at some time; what it lacks is said here in one sentence,
before an import fails somewhere deep. This file is copied beside the code (`cluster.package`) and runs
alone: it imports nothing but Python's own library, and must parse on Pythons that Gloss does not run on.

A job has one log for both streams, so lines for stdout are marked, and `gloss submit` tells them apart.
"""

import io
import json
import os
import runpy
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CLIENT_FILE = "client.json"
"""Says what submitted the job: versions, and whether its code was taken along."""

STDOUT_MARK = "\u00bb "
"""Before each line that the run wrote to stdout."""

_EXIT_USAGE = 2
_LEAST_PYTHON = (3, 11)


def main() -> None:
    """Check this machine and run the command line that was given."""
    client = json.loads(Path(__file__).with_name(CLIENT_FILE).read_text(encoding="utf-8"))
    problem = unfit()
    if problem:
        sys.stderr.write("gloss: " + problem + "\n")
        sys.exit(_EXIT_USAGE)
    for note in differences(client):
        sys.stderr.write("gloss: " + note + "\n")
    sys.stderr.flush()
    sys.stdout = marked(sys.stdout.fileno())
    runpy.run_module("jobs.cli", run_name="__main__", alter_sys=True)


def unfit() -> "str | None":
    """Say why Gloss cannot run here; null if it can."""
    if sys.version_info < _LEAST_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        return f"Wanted Python 3.11 or newer on the cluster; found {found}. Take an image that has it."
    if find_spec("jobs") is None:
        return (
            "Wanted Gloss in the cluster's image (--code installed); it is not there. Install it "
            "(cluster/Containerfile), or submit with --code ship."
        )
    lacks = missing()
    if lacks:
        return (
            f"The cluster's image lacks what Gloss needs: {', '.join(lacks)}. Install it on every node "
            "(cluster/Containerfile builds an image that has all); gloss submit installs nothing by itself."
        )
    return None


def missing() -> "list[str]":
    """List what Gloss requires, without extras, and is not installed here in a version that fits."""
    from packaging.requirements import Requirement  # comes with Ray

    try:
        required = metadata.requires("gloss") or []
    except metadata.PackageNotFoundError:
        return []  # a checkout that is not installed says nothing
    found = []
    for line in required:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            found.append(f"{requirement.name}{requirement.specifier}")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement.name}{requirement.specifier} (it has {version})")
    return found


def differences(client: "dict[str, str]") -> "list[str]":
    """Say what differs between the machine that submitted and this one, though both can do.

    Args:
        client: What `CLIENT_FILE` holds.
    """
    notes = []
    here = ".".join(map(str, sys.version_info[:2]))
    there = ".".join(client["python"].split(".")[:2])
    if here != there:
        notes.append(f"This job runs on Python {here}; it was submitted from Python {there}.")
    if client["code"] == "installed":
        try:
            version = metadata.version("gloss")
        except metadata.PackageNotFoundError:
            version = ""
        if version != client["gloss"]:
            notes.append(
                f"The image has Gloss {version or 'of no version'}; this job was submitted by "
                f"{client['gloss'] or 'one of no version'}. --code ship takes that along."
            )
    return notes


class _Marking(io.FileIO):
    """Writes to a file descriptor, with the mark before each line."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._descriptor = descriptor
        self._at_start = True

    def write(self, data: Any, /) -> int:
        mark, out = STDOUT_MARK.encode(), bytearray()
        for line in bytes(data).splitlines(keepends=True):
            out += mark + line if self._at_start else line
            self._at_start = line.endswith(b"\n")
        view = memoryview(out)
        while view:
            view = view[os.write(self._descriptor, view) :]
        return len(data)


def marked(descriptor: int) -> io.TextIOWrapper:
    """Open a text stream that marks each line it writes to a file descriptor."""
    return io.TextIOWrapper(io.BufferedWriter(_Marking(descriptor)), encoding="utf-8", line_buffering=True)


if __name__ == "__main__":
    main()
