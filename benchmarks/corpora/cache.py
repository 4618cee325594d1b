"""Corpora are made once: a folder is named for what was asked for, and kept."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.corpora.truth import Made, read_truth, write_truth

REVISION = 1
"""Raised when a maker makes other files from the same arguments."""


def default_folder() -> Path:
    """Return where corpora are kept: below the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gloss-benchmarks"


def cached(
    root: Path, kind: str, arguments: Mapping[str, object], make: Callable[[Path], Sequence[Made]]
) -> tuple[Path, Sequence[Made]]:
    """Return a corpus, made now if it is not there.

    The truth is written beside the corpus and last, so that what was broken off is made again.

    Args:
        root: Where corpora are kept.
        kind: Name of the maker.
        arguments: That it depends on.
        make: Fills an empty folder.

    Returns:
        The folder, which holds nothing but the corpus, and its files.
    """
    asked = json.dumps([REVISION, kind, arguments], sort_keys=True, default=str)
    folder = root / f"{kind}-{hashlib.sha256(asked.encode()).hexdigest()[:10]}"
    truth = folder.with_suffix(".json")
    if not truth.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        unfinished = truth.with_suffix(".part")
        write_truth(unfinished, make(folder))
        unfinished.rename(truth)
    return folder, read_truth(truth, folder)
