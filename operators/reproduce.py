"""The command that shows a failure again.

A row of `failures` is read the morning after, by someone who wants to see for himself what is
wrong with page 7. The command names the file, the place, and what of the configuration differs
from the defaults and changes what is read.
"""

import shlex

from schemas.config import Config
from schemas.settings import as_settings

_SECTIONS = ("sampling", "documents", "ocr", "speech", "vision", "limits")
"""What decides whether and how a unit can be read."""


def reproduce(uri: str, page: int | None, start_seconds: float | None, config: Config) -> str:
    """Write the command, quoted for a POSIX shell.

    Args:
        uri: The file.
        page: The page that was lost (1-based), if it is one.
        start_seconds: Where the lost stretch begins, if it is one.
        config: Of the run.
    """
    # A plain local path is shorter; `file://localhost/` is before names that are no text.
    words = ["gloss", "try", uri.removeprefix("file://") if uri.startswith("file:///") else uri]
    if page is not None:
        words += ["--page", str(page)]
    elif start_seconds is not None:
        words += ["--at", repr(start_seconds)]
    if config.profile != "embedded":
        words += ["--profile", config.profile]
    for setting in as_settings(config, _SECTIONS):
        words += ["--set", setting]
    return shlex.join(words)
