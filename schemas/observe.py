"""What a run tells while it goes on, and to whom."""

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from schemas.section import Section


class Observe(Section):
    """Logs, traces and metrics of a run; all of it is off or stays here unless it is set."""

    logs: Literal["text", "json"] = "text"
    """How a run speaks on stderr: lines for people, or JSON, one object a line, for a collector of logs."""
    traces: Literal["off", "file", "otlp"] = "off"
    """Spans of run, asset, unit and stage: into `traces/RUN.jsonl` in the lake (OTLP as JSON), or to a
    collector of OpenTelemetry (`pip install 'gloss[observe]'`)."""
    endpoint: str | None = None
    """Of the collector (`http://127.0.0.1:4318`); null takes `OTEL_EXPORTER_OTLP_ENDPOINT`, and else this
    machine. Headers with credentials belong into `OTEL_EXPORTER_OTLP_HEADERS`."""
    metrics: bool = False
    """Report to Ray's Prometheus endpoint (`pip install 'gloss[observe]'`)."""
    metrics_seconds: float = Field(5.0, gt=0)
    """Distance of reports."""

    @field_validator("endpoint")
    @classmethod
    def _is_safe(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and not is_safe_endpoint(endpoint):
            msg = (
                "wanted https://HOST, or http:// on this machine, because traces name files; without "
                "a user or password in it"
            )
            raise ValueError(msg)
        return endpoint


def is_safe_endpoint(endpoint: str) -> bool:
    """Tell whether what is sent there can be read by nobody on the way: HTTPS, or this machine."""
    try:
        parts = urlsplit(endpoint)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.password is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
