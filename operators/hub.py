"""Models by name: in the cache of the Hugging Face hub's client, or fetched from the hub.

Whoever wants a model says which files of a repository it needs. What is fetched is compared with
the checksums that the hub states, and pinned: a commit names a repository's files for ever, a
digest those of a folder.

Without a network all of this must end in seconds: the hub's own client waits and tries again,
so one short question is asked first.
"""

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.ids import content_hash, digest

REACH_SECONDS = 2.5
"""For the hub to answer a first question; its client tries twice."""

Say = Callable[[str], None]

Refuse = Callable[[Sequence[str], Mapping[str, int]], None]
"""Looks at the files that would be fetched, and at all of a repository with their bytes; raises
what its caller expects where they are not what is wanted."""


class ModelError(Exception):
    """A model is not here and could not be fetched; the message says why."""


# --- folders and revisions ------------------------------------------------------------------


def is_path(model: str) -> bool:
    """Tell whether a model is written like a path rather than like a name."""
    return model.startswith(("/", "./", "../", "~")) or model in (".", "..")


def is_commit(revision: str) -> bool:
    """Tell whether a revision is a commit rather than a branch or a tag."""
    return len(revision) == 40 and set(revision) <= set("0123456789abcdef")


def digest_of_files(folder: Path, patterns: Sequence[str]) -> str:
    """Hash the files of a folder that match patterns; 3 GB take five seconds."""
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    return _digest(tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in paths))


@functools.lru_cache(maxsize=8)
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    parts = []
    for path, _, _ in files:
        with path.open("rb") as file:
            parts += [path.name, content_hash(file)]
    return digest("model", *parts)


# --- the cache of this node -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One commit of a repository in the cache."""

    repo: str
    bytes: int
    revision: str
    refs: tuple[str, ...]
    """Branches and tags that point to it."""
    folder: Path


def snapshots() -> list[Snapshot]:
    """List the models in the cache, by name and commit."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repos = scan_cache_dir(cache_folder()).repos
    except CacheNotFound:
        return []
    found = [
        Snapshot(
            repo=repo.repo_id,
            bytes=revision.size_on_disk,
            revision=revision.commit_hash,
            refs=tuple(sorted(revision.refs)),
            folder=Path(revision.snapshot_path),
        )
        for repo in repos
        for revision in repo.revisions
        if repo.repo_type == "model"
    ]
    return sorted(found, key=lambda one: (one.repo, one.revision))


def cached(repo: str, patterns: Sequence[str], revision: str | None) -> Path | None:
    """Find a repository's folder in the cache; a transfer that broke off leaves some of its files.

    Args:
        repo: On the hub.
        patterns: Of the files that are needed.
        revision: Branch, tag or commit; null is `main`.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            repo, revision=revision, allow_patterns=list(patterns), local_files_only=True
        )
    except LocalEntryNotFoundError:
        return None
    return Path(folder)


def cache_folder() -> str:
    """Return where the hub's client keeps what it fetched."""
    from huggingface_hub import constants

    return constants.HF_HUB_CACHE


# --- the hub --------------------------------------------------------------------------------


def fetch_files(repo: str, patterns: Sequence[str], revision: str | None, say: Say, refuse: Refuse) -> Path:
    """Fetch files of a repository into the cache and compare them with what the hub says of them.

    Args:
        repo: On the hub.
        patterns: Of the files that are needed.
        revision: Branch, tag or commit; null takes the newest.
        say: Told what is fetched, from where and how large.
        refuse: Looks at the list of files before any is fetched.

    Returns:
        The folder, named like the commit.

    Raises:
        ModelError: The hub cannot be reached, has no such model, broke off, or gave something
            else than it says.
    """
    from huggingface_hub import snapshot_download

    files = _listing(repo, patterns, revision, refuse)
    say(f"Fetching {repo} from {endpoint()}, {sum(files.values()) / 1e6:.0f} MB.")
    try:
        # What is in the cache already may be damaged, which only the comparison shows.
        for _ in range(2):
            folder = Path(
                snapshot_download(
                    repo, revision=revision, allow_patterns=list(patterns), tqdm_class=_progress_bar()
                )
            )
            if not (different := _drop_different(repo, folder)):
                return folder
    except Exception as error:  # the client's exceptions differ from version to version
        msg = (
            f"Wanted {repo} from {endpoint()}; the transfer broke off ({_reason(error)}). Try again: "
            "what has arrived whole is kept."
        )
        raise ModelError(msg) from error
    msg = (
        f"Wanted {repo} from {endpoint()}; {', '.join(different)} came twice with another checksum than "
        "the hub states, and was removed. Look at what lies between: a proxy, a mirror, the disk."
    )
    raise ModelError(msg)


def _progress_bar() -> type[Any]:
    """Show progress to people, and nothing in a log."""
    from huggingface_hub.utils.tqdm import tqdm

    if sys.stderr.isatty():
        return tqdm

    class Silent(tqdm):
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **{**settings, "disable": True})  # type: ignore[no-untyped-call]

    return Silent


def _listing(repo: str, patterns: Sequence[str], revision: str | None, refuse: Refuse) -> dict[str, int]:
    """Ask the hub what there is to fetch: bytes by file. This also finds out whether it answers."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils._paths import filter_repo_objects

    try:
        info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=REACH_SECONDS)
    except GatedRepoError as error:
        msg = f"Wanted {repo} from {endpoint()}; it wants a login: accept its terms there and set HF_TOKEN."
        raise ModelError(msg) from error
    except RevisionNotFoundError as error:
        msg = f"Wanted revision {revision} of {repo} from {endpoint()}; it has none such."
        raise ModelError(msg) from error
    except RepositoryNotFoundError as error:
        msg = f"Wanted {repo} from {endpoint()}; it has none such, or it is private (HF_TOKEN)."
        raise ModelError(msg) from error
    except Exception as error:  # the client's exceptions differ from version to version
        msg = (
            f"Wanted {repo}{f' at {revision}' if revision else ''}; it is not in the cache "
            f"({cache_folder()}), and {endpoint()} cannot be asked ({_reason(error)})."
        )
        raise ModelError(msg) from error
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    chosen = list(filter_repo_objects(sizes, allow_patterns=list(patterns)))
    refuse(chosen, sizes)
    return {name: sizes[name] for name in chosen}


def _drop_different(repo: str, folder: Path) -> list[str]:
    """Remove files that are not what the hub says they are; its client compares sizes alone.

    Returns:
        Their names.
    """
    from huggingface_hub import HfApi

    found = HfApi().verify_repo_checksums(repo, revision=folder.name).mismatches
    for one in found:
        path = folder / one["path"]
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    return [one["path"] for one in found]


def _reason(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def endpoint() -> str:
    """Return the hub's address."""
    from huggingface_hub import constants

    return constants.ENDPOINT
