"""What a nightly run expects of itself, and whom it tells."""

import os
import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from schemas.observe import is_safe_endpoint
from schemas.section import ConfigError, Section
from schemas.timetable import Timetable, parse_timetable

Measure = Literal[
    "files",
    "text_per_page",
    "speech_seconds_per_hour",
    "worded_share",
    "words_per_minute",
    "clips_per_hour",
    "doubts_per_asset",
    "seconds_per_asset",
    "tokens_per_asset",
    "cost_per_asset",
]
"""Numbers of a night that a limit of relative change can hold."""


_SECRET_HOSTS = (
    "hooks.slack.com",
    "discord.com",
    "webhook.office.com",
    "chat.googleapis.com",
    "logic.azure.com",
)


class Nightly(Section):
    """Limits of drift, and the notification at the end; see docs/nightly.md."""

    schedule: str | None = None
    """When it is due (`30 2 * * *` or `02:30`), so that missed nights can be told; `gloss schedule` sets
    it."""
    timezone: str | None = None
    """Of the schedule (`Europe/Berlin`); null is UTC."""
    baseline_runs: int = Field(7, ge=1, le=100)
    """Finished runs on the same sources with whose median a night is compared."""
    min_assets: int = Field(10, ge=1)
    """Nights, and baselines, of fewer files are not held to limits: two of three failing says nothing."""
    max_failure_rate: float | None = Field(None, ge=0, le=1)
    """Most of the files read that may fail, wholly or in part."""
    max_failure_rate_change: float | None = Field(None, ge=0, le=1)
    """By how much that share may be above the baseline's: 0.05 is five in a hundred files more."""
    max_change: dict[Measure, float] = Field(default_factory=dict)
    """By what share of the baseline a number may change, up or down: `text_per_page = 0.3`."""
    tolerate_failures: bool = False
    """End with 0 instead of 3 when files failed, once they are in `failures`: whoever watches the run then
    hears of limits that are missed and of runs that broke, and not each night of the same broken file."""
    webhook: str | None = None
    """URL that is sent (POST) what happened, as JSON, when the run has ended, however it ended: https, or
    http on this machine."""
    webhook_env: str | None = None
    """Name of an environment variable that holds the URL, for those that are a secret themselves."""
    webhook_token_env: str | None = None
    """Name of an environment variable that holds a token, sent as `Authorization: Bearer`."""
    command: list[str] = Field(default_factory=list)
    """Program and arguments, run without a shell, with the same JSON on its standard input."""
    timeout_seconds: float = Field(20.0, gt=0, le=600)
    """For one attempt at the webhook, and for the command."""
    tries: int = Field(4, ge=1, le=10)
    """How often the webhook is tried, with growing pauses."""

    @field_validator("max_change")
    @classmethod
    def _is_positive(cls, changes: dict[Measure, float]) -> dict[Measure, float]:
        if any(change <= 0 for change in changes.values()):
            msg = "wanted shares above 0, such as 0.3 for thirty in a hundred"
            raise ValueError(msg)
        return changes

    @field_validator("webhook_env", "webhook_token_env")
    @classmethod
    def _is_a_name(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            msg = "wanted the name of an environment variable, not what it holds"
            raise ValueError(msg)
        return name

    @field_validator("command")
    @classmethod
    def _is_runnable(cls, command: list[str]) -> list[str]:
        if any("\0" in part for part in command) or (command and not command[0].strip()):
            msg = "wanted a program and its arguments"
            raise ValueError(msg)
        return command

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        # Here, and not beside the field, because a message about a field shows its value.
        if self.webhook is not None and not is_safe_webhook(self.webhook):
            msg = "webhook wants https://HOST/…, or http:// on this machine, without user or password"
            raise ValueError(msg)
        if self.webhook is not None and is_secret(self.webhook):
            msg = (
                "the address of webhook is a secret itself, and the configuration is stored with the run; "
                "put it into an environment variable, and its name into webhook_env"
            )
            raise ValueError(msg)
        if self.webhook is not None and self.webhook_env is not None:
            msg = "wanted one of webhook and webhook_env; found both"
            raise ValueError(msg)
        if self.webhook_token_env is not None and self.webhook is None and self.webhook_env is None:
            msg = "webhook_token_env wants webhook or webhook_env beside it"
            raise ValueError(msg)
        try:
            self.timetable()
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    def timetable(self) -> Timetable | None:
        """Return when the run is due, if that is known."""
        return None if self.schedule is None else parse_timetable(self.schedule, self.timezone)

    def address(self) -> str | None:
        """Return where to send the notification, from here or from the environment.

        Raises:
            ConfigError: The environment does not hold it, or it is no safe URL.
        """
        if self.webhook_env is None:
            return self.webhook
        url = _environment(self.webhook_env, "nightly.webhook_env").strip()
        if not is_safe_webhook(url):
            msg = (
                f"Wanted https://HOST/…, or http:// on this machine, in the environment variable "
                f"{self.webhook_env}; it holds something else."
            )
            raise ConfigError(msg)
        return url

    def token(self) -> str | None:
        """Return the token from the environment.

        Raises:
            ConfigError: The environment does not hold it, or no header can carry it.
        """
        if self.webhook_token_env is None:
            return None
        token = _environment(self.webhook_token_env, "nightly.webhook_token_env").strip()
        if not (token.isascii() and token.isprintable()) or " " in token:
            msg = (
                f"Wanted a token of printable ASCII characters in the environment variable "
                f"{self.webhook_token_env}; found others in it."
            )
            raise ConfigError(msg)
        return token


def is_safe_webhook(url: str) -> bool:
    """Tell whether a URL keeps what is sent to it from others: https, or this machine."""
    return is_safe_endpoint(url) and bool(urlsplit(url).hostname)


def is_secret(url: str) -> bool:
    """Tell whether whoever knows a URL may use it: chat services and signed queries."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return bool(parts.query) or any(host == name or host.endswith(f".{name}") for name in _SECRET_HOSTS)


def _environment(name: str, setting: str) -> str:
    value = os.environ.get(name, "")
    if not value.strip():
        msg = (
            f"{setting} names the environment variable {name}, which is not set. Set it, or unset {setting}."
        )
        raise ConfigError(msg)
    return value
