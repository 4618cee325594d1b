"""What is asked of a submitted ingest, checked as far as it can be without the cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.caps import Caps, require_prices
from jobs.since import parse_since
from schemas.config import Config, load_config


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be ingested, as it was asked for."""

    sources: Sequence[str]
    lake: str
    config: Config
    """The effective one; what it comes from follows, because the job reads that anew."""
    profile: str = "embedded"
    config_file: Path | None = None
    settings: Sequence[str] = ()
    options: Sequence[str] = ()
    """Further options of `gloss ingest`, which mean the same anywhere: `--limit`, `5`."""


def request_of(
    sources: Sequence[str],
    lake: str,
    profile: str,
    config_file: Path | None,
    settings: Sequence[str],
    options: Mapping[str, str | float | bool | None],
) -> Request:
    """Check what `gloss ingest` checks before it looks at sources, lake or engines.

    Args:
        sources: As given.
        lake: As given.
        profile: Set of defaults.
        config_file: Configuration; the file travels with the job.
        settings: `section.key=value`.
        options: Further options of `gloss ingest` with their values; null and false leave one out.

    Raises:
        ConfigError: A setting or option that cannot be used.
    """
    config = load_config(profile, config_file, settings)
    if (since := options.get("--since")) is not None:
        parse_since(str(since))
    require_prices(Caps(options.get("--max-tokens"), options.get("--max-cost")), config.vision)  # type: ignore[arg-type]
    given: list[str] = []
    for name, value in options.items():
        if value is True:
            given.append(name)
        elif value is not None and value is not False:
            given += [name, str(value)]
    return Request(sources, lake, config, profile, config_file, settings, given)
