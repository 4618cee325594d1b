"""What of a command and its configuration still means the same when something else starts it.

Another working folder, another machine or a container: paths become absolute, or are refused where they
exist on this machine alone. What is a secret is refused anywhere: it would be written into a file.
"""

import ipaddress
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from jobs.places import LOCAL, MODELS, PROMPTS, absolute, given, innermost, names_a_path
from schemas.config import Config, ConfigError
from schemas.store import holds_credential

_URLS = (
    ("vision", "base_url"),
    ("summary", "base_url"),
    ("embedding", "base_url"),
    ("nightly", "webhook"),
    ("observe", "endpoint"),
)
_TOKEN = re.compile(r"[?&](token|access_token|api_?key|sig|signature)=", re.IGNORECASE)
"""In addresses of any kind; `holds_credential` knows those of stores."""


def check_secrets(places: list[str]) -> None:
    """Refuse sources or a lake with something in them that opens a door.

    Raises:
        ConfigError: A password, or a signed query; it is not shown.
    """
    for place in places:
        if holds_credential(place) or _TOKEN.search(place):
            what = place.partition("?")[0].rpartition("@")[2]
            msg = (
                f"Wanted addresses without passwords or signatures, because they are written into files; "
                f"found one of {what}. Give credentials by the environment (deployment.secret, "
                "deployment.environment_file)."
            )
            raise ConfigError(msg)


def is_local(place: str) -> bool:
    """Tell whether a source or lake lies on this machine."""
    return innermost(place)[0] in LOCAL


def same_anywhere(place: str) -> str:
    """Name a source or lake so that it is the same from any folder."""
    return place if "://" in place else absolute(place)


def with_absolute_paths(config: Config) -> Config:
    """Name folders of models and prompts so that they are the same from any folder."""

    def change(value: str) -> str:
        return absolute(value) if names_a_path(value) else value

    return _changed(config, change)


def check_elsewhere(sources: list[str], lake: str, config: Config) -> None:
    """Refuse what exists on this machine alone.

    Raises:
        ConfigError: It names the first such thing, and says what to do.
    """
    for what, place in [("the lake", lake), *(("a source", source) for source in sources)]:
        if is_local(place) or "memory://" in place:
            msg = (
                f"Wanted an address that every machine can reach; {what} is {place}. Copy it to an object "
                "store, and name it by s3://, gs:// or https://."
            )
            raise ConfigError(msg)
        _check_reachable(what, place)
    for section, name, value in given(config, (*MODELS, *PROMPTS)):
        if names_a_path(value) and not _is_in_image(value, config):
            cache = config.deployment.model_cache_path
            msg = (
                f"{section}.{name} is {value}, a path of this machine. Copy it into the volume "
                f"{config.deployment.model_cache or '(see deployment.model_cache)'} and name it as "
                f"{cache}/{PurePosixPath(value).name}, or name a model of the hub."
            )
            raise ConfigError(msg)
    for section, name, value in given(config, _URLS):
        _check_reachable(f"{section}.{name}", value)


def _check_reachable(what: str, url: str) -> None:
    host = urlsplit(url).hostname or ""
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost" or host.endswith(".localhost")
    if here:
        msg = (
            f"Wanted an address that every machine can reach; {what} is at {host}, which is each one itself."
        )
        raise ConfigError(msg)


def _is_in_image(value: str, config: Config) -> bool:
    use = config.deployment
    return bool(use.model_cache) and PurePosixPath(value).is_relative_to(use.model_cache_path)


def _changed(config: Config, change: Callable[[str], str]) -> Config:
    for section, name, value in given(config, (*MODELS, *PROMPTS)):
        changed = getattr(config, section).model_copy(update={name: change(value)})
        config = config.model_copy(update={section: changed})
    return config
