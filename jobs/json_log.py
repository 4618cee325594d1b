"""A run that speaks to a collector of logs: one JSON object a line, with its run and subject."""

import json
import sys
import threading
from datetime import UTC, datetime
from typing import TextIO

_speaks_json = False


def speak(logs: str) -> None:
    """Decide how this process speaks on stderr while it has no run: `text` or `json`."""
    global _speaks_json
    _speaks_json = logs == "json"


def told(level: str, message: str) -> bool:
    """Say something outside of a run, if that is to be JSON; else return False, and others say it."""
    if _speaks_json:
        JsonLog(sys.stderr, None).write(level, "message", message)
    return _speaks_json


class JsonLog:
    """Writes lines; may be used from several threads."""

    def __init__(self, stream: TextIO, run_id: str | None) -> None:
        """Write to a stream.

        Args:
            stream: Where to.
            run_id: Of the run, for each line; null before there is one.
        """
        self._stream = stream
        self._run_id = run_id
        self._lock = threading.Lock()

    def write(self, level: str, event: str, message: str, **fields: object) -> None:
        """Write a line.

        Args:
            level: debug, info, warning or error.
            event: A short name for what happened, the same in every run.
            message: The same for people.
            fields: What it is about (`asset_id`, `stage`…); null ones are left out.
        """
        line: dict[str, object] = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": level,
            "event": event,
            "run_id": self._run_id,
            "message": message,
        }
        line |= {name: value for name, value in fields.items() if value is not None}
        # ASCII alone: no character of a file's name can end the line or steer a terminal.
        text = json.dumps(line, default=str)
        with self._lock:
            self._stream.write(f"{text}\n")
            self._stream.flush()
