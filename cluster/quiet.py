"""Ray speaks to its developers; people who run Gloss get a calm terminal.

Much of what Ray prints comes from C++ in this process and heeds no Python setting, so for the
length of a run the file behind stderr is swapped for a log file, and Gloss writes to a copy
of the real one. `--verbose` leaves everything as it is.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

_IN_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray's job supervisor for the command it starts."""

_LINES, _LINE_CHARS = 40, 500


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where a run speaks to its user."""

    stream: TextIO
    log: Path | None
    """What Ray and native libraries said instead of printing it."""

    def last_words(self) -> list[str]:
        """Say where the log is, for a run that broke; of a job, whose disk nobody sees, also its end."""
        if self.log is None:
            return []
        lines = [f"What Ray and the libraries said is in {self.log}"]
        if _IN_JOB in os.environ:
            said = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            lines += [f"  {line[:_LINE_CHARS]}" for line in said[-_LINES:]]
        return lines


@contextmanager
def quiet(verbose: bool) -> Iterator[Terminal]:
    """Give the stream for the user, and send everything else to a log file until the end."""
    if verbose:
        yield Terminal(sys.stderr, None)
        return
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        real = sys.stderr.fileno()
    except (OSError, ValueError):
        # A test or notebook has replaced stderr by something without a file behind it.
        yield Terminal(sys.stderr, None)
        return
    descriptor, name = tempfile.mkstemp(prefix="gloss-", suffix=".log")
    sys.stderr.flush()
    kept = os.dup(real)
    stream = os.fdopen(kept, "w", buffering=1, encoding=sys.stderr.encoding or "utf-8", errors="replace")
    os.dup2(descriptor, real)
    os.close(descriptor)
    try:
        # When a node dies Ray prints the end of its log, to stdout, where only results belong.
        with redirect_stdout(sys.stderr):
            yield Terminal(stream, Path(name))
    finally:
        sys.stderr.flush()
        stream.flush()
        os.dup2(kept, real)
        stream.close()
        with suppress(OSError):
            if Path(name).stat().st_size == 0:
                Path(name).unlink()
