"""How the lake is written, and how object stores are reached."""

import re
from typing import Any, Literal

from pydantic import Field, field_validator

from schemas.section import Section

_PREFIXES = ("aws_", "google_", "azure_storage_", "azure_")
_OTHER_NAMES = {"endpoint": "endpoint_url", "default_region": "region", "anon": "skip_signature"}

_SECRET = re.compile(
    r"secret|token|passw|credential|signature$|private|authorization|connection_string|sas\b|sas_"
    r"|access_key|account_key|service_account_key|customer_key|master_key|\bkey\b|api_?key"
)
_NO_SECRET = re.compile(r"^skip_signature$|_(file|path|uri)$|^(google_)?application_credentials$|kms_key_id$")
_PASSWORD = re.compile(r"^[a-z][a-z0-9+.-]*://[^/@]*:[^/@]*@", re.IGNORECASE)
_SIGNED = re.compile(
    r"^https?://.*[?&](x-amz-signature|x-amz-credential|x-goog-signature|signature|sig)=", re.IGNORECASE
)


def plain_name(name: str) -> str:
    """Name an option of a store without case, prefix and synonyms: `AWS_DEFAULT_REGION` is `region`."""
    plain = name.lower()
    for prefix in _PREFIXES:
        plain = plain.removeprefix(prefix)
    return _OTHER_NAMES.get(plain, plain)


def holds_credential(url: str) -> bool:
    """Tell whether a URL has a password in it (`sftp://user:password@host`), or a signature that opens it."""
    return bool(_PASSWORD.match(url) or _SIGNED.search(url))


class Store(Section):
    """How the lake is written, and how object stores are reached."""

    commit_seconds: float = Field(20.0, ge=0)
    """Finished assets become visible at least this often while a run goes on."""
    commit_assets: int = Field(500, ge=1)
    """…or when this many have finished."""
    identity: Literal["auto", "bytes", "etag"] = "auto"
    """By what the content of a file is known. `bytes`: a hash of all of it, for which it is read from
    beginning to end. `etag`: what its store says of its bytes (S3: the ETag, a function of the bytes and of
    the parts they were uploaded in), so that a long video costs only what is needed of it; stores that
    say nothing of the kind are read. `auto`: by ETag for files on S3 from 16 MiB on, else by bytes.
    Choose `bytes` where strangers may upload: two files with the same MD5 can be made."""
    storage_options: dict[str, str] = Field(default_factory=dict)
    """How the object stores of lake and sources are reached, where the environment does not say so:
    `endpoint_url`, `region`, `profile`, `allow_http`, `skip_signature` (public buckets),
    `virtual_hosted_style_request` for S3; `service_account` (a path) for Google; `account_name` for Azure.
    Anything else goes to Delta's store. Credentials are refused: the configuration is stored with
    the run. Set AWS_ACCESS_KEY_ID and the like, or AWS_PROFILE."""

    @field_validator("storage_options", mode="before")
    @classmethod
    def _no_secrets(cls, value: Any) -> Any:
        """Refuse credentials by the name of their option, never showing them."""
        if not isinstance(value, dict):
            return value
        for name, given in value.items():
            plain = plain_name(str(name))
            if _SECRET.search(plain) and not _NO_SECRET.search(plain):
                msg = (
                    f"store.storage_options.{name} is a credential, and the configuration is stored with the "
                    f"run for all readers of the lake. Set {_variable(str(name))} in the environment instead"
                )
                raise ValueError(msg)
            if isinstance(given, str) and holds_credential(given):
                msg = f"store.storage_options.{name} has a credential in its URL. Name the address without it"
                raise ValueError(msg)
        return value


def _variable(name: str) -> str:
    """Guess the variable of the environment for an option."""
    upper = name.upper()
    if upper.startswith(("AWS_", "GOOGLE_", "AZURE_")):
        return upper
    known = {
        "KEY": "AWS_ACCESS_KEY_ID",
        "SECRET": "AWS_SECRET_ACCESS_KEY",
        "TOKEN": "AWS_SESSION_TOKEN",
        "ACCESS_KEY_ID": "AWS_ACCESS_KEY_ID",
        "SECRET_ACCESS_KEY": "AWS_SECRET_ACCESS_KEY",
        "SESSION_TOKEN": "AWS_SESSION_TOKEN",
        "ACCOUNT_KEY": "AZURE_STORAGE_ACCOUNT_KEY",
        "SAS_TOKEN": "AZURE_STORAGE_SAS_TOKEN",
    }
    return known.get(upper, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE,")
