"""What a chat server means by its status, and how long it asks to wait."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from operators.chat_protocol import Json
from schemas.failure import InputError, Reason

_TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
_HOPELESS_STATUSES = frozenset({501, 505, 507})
"""Of the 5xx: not implemented, not this version, storage is full."""

_TOO_LONG = re.compile(
    r"context.{0,20}(length|size|window)|too (many tokens|large|long)|maximum.{0,30}tokens", re.I
)
_SHORTER = {
    "vision": "Lower vision.max_visual_tokens or vision.max_quoted_tokens.",
    "summary": "Lower summary.context_tokens to what the server takes.",
}
"""What to do about a question that is too long."""

_DECLINED = re.compile(r"content_?(filter|policy)|content management policy|safety", re.I)


class StatusError(InputError):
    """What a server answered with a status other than 200; the status is lost between processes."""

    def __init__(self, reason: Reason, message: str, transient: bool, status: int) -> None:
        """Keep the status beside what it means."""
        super().__init__(reason, message, transient)
        self.status = status


def retry_after(headers: httpx2.Headers, now: datetime) -> float | None:
    """Return the seconds a server asks to wait: given in seconds, in milliseconds or as a date."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        return seconds if 0 <= seconds < float("inf") else None
    try:
        at = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def passes(status: int, said: str) -> bool:
    """Tell whether the same request may succeed later; a quota that is used up does not fill by waiting."""
    if status == 429 and "insufficient_quota" in said:
        return False
    return status in _TRANSIENT_STATUSES or (500 <= status <= 599 and status not in _HOPELESS_STATUSES)


def meaning(status: int, said: str, section: str = "vision") -> tuple[Reason, str, bool]:
    """Return the reason, what to do, and whether it is the server's state rather than the question.

    Args:
        status: Other than 200.
        said: What the server says is wrong.
        section: Of the configuration that names the server, for advice.
    """
    if status in (401, 403, 429):
        return Reason.UNREACHABLE, f"Check the key, its rights and its quota ({section}.api_key_env).", True
    if status in (404, 405) or 300 <= status <= 399:
        return (
            Reason.UNREACHABLE,
            f"Check {section}.base_url (often it ends in /v1) and {section}.model.",
            True,
        )
    if status in (501, 505, 507):
        return Reason.UNREACHABLE, "", True
    if status == 413 or _TOO_LONG.search(said):
        return Reason.TOO_LARGE, _SHORTER.get(section, ""), False
    if _DECLINED.search(said):
        return Reason.REFUSAL, "", False
    return Reason.MALFORMED, "", False


def inner_status(answer: Json) -> int:
    """Return the status of an error that came wrapped in a success; 500 where it names none."""
    error = answer["error"]
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code <= 599 else 500
