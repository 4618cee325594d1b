"""Where an object store is and who asks, said once for the two libraries that reach it.

Files are read through fsspec, and tables through the object store inside Delta. Each has names of its own
for the same settings and looks for credentials in other places: fsspec's s3fs in all those of the AWS
command line, Delta's store in the environment and the machine's role. Here both are told the same. What
a user has set for his other tools (`AWS_PROFILE`, `~/.aws`, `AWS_ENDPOINT_URL`) is enough, and
`store.storage_options` overrides it under the names of the environment, with or without their prefix.

Credentials are looked up where they are used, by each process for itself: they are in no
configuration, no row and no message between processes.
"""

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from schemas.store import plain_name

_S3 = ("s3", "s3a")
_GCS = ("gs", "gcs")
_AZURE = ("az", "abfs", "abfss", "adl")

EXTRAS = dict.fromkeys(_S3, "s3") | dict.fromkeys(_GCS, "gcs") | dict.fromkeys(_AZURE, "azure")
"""The extra of the package that a scheme needs."""

_FETCHED = ("iam-role", "container-role", "assume-role-with-web-identity")
"""Credentials that Delta's store fetches, and fetches again when they end, by itself."""

_YES = ("1", "true", "yes", "on")


class StoreSettingsError(ValueError):
    """A store cannot be reached as it is configured; the message says what to do."""


def scheme_of(uri: str) -> str:
    """Return the scheme of a URI, such as `s3`; empty for a path."""
    head, separator, _ = uri.partition("://")
    return head.lower() if separator else ""


def file_options(uri: str, options: Mapping[str, str]) -> dict[str, Any]:
    """Say how fsspec is to open a URI.

    Args:
        uri: What is to be opened.
        options: `store.storage_options`.

    Raises:
        StoreSettingsError: There is no such profile, or there are no credentials.
    """
    scheme, given = scheme_of(uri), _plain(options)
    if scheme in _S3:
        return _s3_files(given)
    if scheme in _GCS:
        return _gcs_files(given)
    if scheme in _AZURE:
        return _azure_files(given)
    # The others (sftp, webdav, …) have no store of Delta, and their own names.
    return dict(options)


def delta_options(uri: str, options: Mapping[str, str]) -> dict[str, str]:
    """Say how Delta is to open a table, credentials included.

    Args:
        uri: Of the lake or a table.
        options: `store.storage_options`.

    Raises:
        StoreSettingsError: As `file_options`.
    """
    if scheme_of(uri) not in _S3:
        return dict(options)
    given = _plain(options)
    place = _s3_place(given)
    found = {f"aws_{name}" if name in _AWS_NAMES else name: value for name, value in given.items()}
    found.pop("aws_profile", None)
    # Without this, two writers of one version would both be told that they have written it.
    found.setdefault("aws_conditional_put", "etag")
    if place.endpoint:
        found["aws_endpoint_url"] = place.endpoint
        if urlsplit(place.endpoint).scheme == "http":
            found["aws_allow_http"] = "true"
    if place.region:
        found["aws_region"] = place.region
    return found | ({} if _is_public(given) else _s3_keys(place.profile))


def _plain(options: Mapping[str, str]) -> dict[str, str]:
    return {plain_name(name): value for name, value in options.items()}


# --- S3 -------------------------------------------------------------------------------------

_AWS_NAMES = (
    "endpoint_url",
    "region",
    "profile",
    "allow_http",
    "skip_signature",
    "virtual_hosted_style_request",
    "conditional_put",
)
"""Options that both libraries are told, or that only Delta's store knows under this prefix."""


class _Place:
    """Where a store of the S3 protocol is."""

    def __init__(self, endpoint: str | None, region: str | None, profile: str | None) -> None:
        self.endpoint, self.region, self.profile = endpoint, region, profile


def _s3_place(given: Mapping[str, str]) -> _Place:
    """Find endpoint and region as the AWS command line does: options, environment, profile."""
    profile = given.get("profile")
    session = _session(profile, _environment())
    endpoint = (
        given.get("endpoint_url")
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
        or _profile_endpoint(session)
    )
    # botocore reads AWS_DEFAULT_REGION alone; everything else in this trade reads AWS_REGION too.
    region = given.get("region") or os.environ.get("AWS_REGION") or session.get_config_variable("region")
    # A store that is not Amazon's rarely has regions, but a request cannot be signed without.
    return _Place(endpoint, region or ("us-east-1" if endpoint else None), profile)


def _s3_files(given: Mapping[str, str]) -> dict[str, Any]:
    place = _s3_place(given)
    # Delta writes beside this library, so what it remembers of folders would be wrong; and whoever reads
    # through it knows what he wants, where its own reading ahead would take 50 MB for each column of a file.
    found: dict[str, Any] = {"use_listings_cache": False, "default_cache_type": "none"}
    if place.endpoint:
        found["endpoint_url"] = place.endpoint
    if place.region:
        found["client_kwargs"] = {"region_name": place.region}
    if place.profile:
        found["profile"] = place.profile
    if given.get("virtual_hosted_style_request", "").lower() in _YES:
        found["config_kwargs"] = {"s3": {"addressing_style": "virtual"}}
    if _is_public(given):
        found["anon"] = True
    else:
        _s3_keys(place.profile)
    return found


def _is_public(given: Mapping[str, str]) -> bool:
    return given.get("skip_signature", "").lower() in _YES


def _s3_keys(profile: str | None) -> dict[str, str]:
    """Return the credentials that Delta's store would not find by itself.

    Raises:
        StoreSettingsError: There are none at all.
    """
    from botocore.exceptions import BotoCoreError  # only stores of this kind pay for its import

    try:
        credentials = _session(profile, _environment()).get_credentials()
        if credentials is None:
            msg = (
                "Wanted credentials for s3://, found none in the environment, ~/.aws or a role of this "
                "machine. "
                "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a public bucket: "
                "--set store.storage_options.skip_signature=true"
            )
            raise StoreSettingsError(msg)
        if credentials.method in _FETCHED:
            return {}
        keys = credentials.get_frozen_credentials()
    except BotoCoreError as error:
        msg = f"Wanted credentials for s3://; {error}. Check AWS_PROFILE and ~/.aws."
        raise StoreSettingsError(msg) from error
    found = {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key}
    return found | ({"aws_session_token": keys.token} if keys.token else {})


def _environment() -> tuple[tuple[str, str], ...]:
    """Return what a session depends on."""
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


@lru_cache(maxsize=8)
def _session(profile: str | None, environment: tuple[tuple[str, str], ...]) -> Any:
    """Open a session of botocore; it keeps its credentials, and renews them in time."""
    del environment  # a part of the key alone
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    session = Session(profile=profile)
    try:
        session.get_scoped_config()
    except BotoCoreError as error:
        msg = f"Wanted the settings of s3://; {error}. Check AWS_PROFILE and ~/.aws/config."
        raise StoreSettingsError(msg) from error
    return session


def _profile_endpoint(session: Any) -> str | None:
    """Return the endpoint that a profile names for S3, if it does."""
    profile = session.get_scoped_config()
    if "endpoint_url" not in profile and "services" not in profile:
        return None
    from botocore import UNSIGNED
    from botocore.config import Config

    # Which of the two counts is for botocore to say, and it says so by a client alone.
    region = session.get_config_variable("region") or "us-east-1"
    client = session.create_client("s3", region_name=region, config=Config(signature_version=UNSIGNED))
    endpoint: str = client.meta.endpoint_url
    host = urlsplit(endpoint).hostname or ""
    return None if host.endswith((".amazonaws.com", ".amazonaws.com.cn")) else endpoint


# --- others, by their documentation ---------------------------------------------------------


def _gcs_files(given: Mapping[str, str]) -> dict[str, Any]:
    """Gcsfs finds application default credentials itself, but not Delta's GOOGLE_SERVICE_ACCOUNT."""
    names = ("service_account", "service_account_path")
    found = [given.get(name) or os.environ.get(f"GOOGLE_{name.upper()}") for name in names]
    token = next((path for path in found if path), None)
    if _is_public(given):
        token = "anon"  # noqa: S105 - gcsfs's word for none
    return {"use_listings_cache": False} | ({"token": token} if token else {})


def _azure_files(given: Mapping[str, str]) -> dict[str, Any]:
    """Adlfs reads the same AZURE_STORAGE_… variables as Delta's store."""
    found: dict[str, Any] = {"use_listings_cache": False}
    if account := given.get("account_name"):
        found["account_name"] = account
    if _is_public(given):
        found["anon"] = True
    return found
