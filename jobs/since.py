"""A moment, as people write it: a date, a time, or how long ago."""

import re
from datetime import UTC, datetime, timedelta

from schemas.config import ConfigError

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_since(text: str, now: datetime | None = None) -> int:
    """Return a moment in nanoseconds since 1970.

    Args:
        text: `2026-11-24`, `2026-11-24T02:30` (local time unless a zone is given), or a length
            of time before now: `90m`, `36h`, `7d`, `2w`.
        now: To count back from.

    Raises:
        ConfigError: It is neither.
    """
    if ago := _AGO.fullmatch(text.strip()):
        length = timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        moment = (now or datetime.now(UTC)) - length
    else:
        try:
            moment = datetime.fromisoformat(text.strip()).astimezone()
        except ValueError:
            msg = f"--since wants a date (2026-11-24), a time (2026-11-24T02:30) or 36h, 7d; found {text!r}."
            raise ConfigError(msg) from None
    return int(moment.timestamp() * 1e9)
