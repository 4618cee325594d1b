"""Assets whose file is gone.

An asset has vanished when a source of this run would have listed its file and did not. What
cannot be told is never taken for vanished: other sources' assets, and whatever lies below a
folder that could not be listed. A disk that is not mounted looks like a folder from which
everything has vanished, so `--prune` refuses to remove more than a share of what it sees.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fsspec.utils import glob_translate

from operators.discover import Discovery, is_glob
from operators.source import filesystem, local_path
from schemas.config import Config, ConfigError
from schemas.listings import Listings
from schemas.media import Listing


@dataclass(frozen=True, slots=True)
class Vanished:
    """What of the lake lies below the sources, and what of that is gone."""

    asset_ids: list[str]
    below: int
    """Assets of the lake that lie below the sources."""


def find_vanished(
    sources: Sequence[str],
    discovery: Discovery,
    held: Iterable[tuple[str, str]],
    options: dict[str, str] | None = None,
    *,
    seen: int = 0,
) -> Vanished:
    """Compare what the lake holds with what the sources list.

    Args:
        sources: As given to the run.
        discovery: What they list now.
        held: Id and URI of the assets of the lake, as far as it is not known already that they are listed.
        options: For the object store.
        seen: Number of the others.
    """
    covers = [_cover(source, options) for source in sources]
    below = {
        asset_id: uri for asset_id, uri in held if any(cover.match(_plain(uri)) for cover in covers)
    }  # fmt: skip
    if not below:
        return Vanished([], seen)
    listed = {*_uris(discovery.listings), *(item.uri for item in discovery.skips)}
    closed = tuple(f"{uri.rstrip('/')}/" for uri in _unseen_folders(discovery))
    gone = [
        asset_id
        for asset_id, uri in below.items()
        if uri not in listed and not _plain(uri).startswith(closed)
    ]  # fmt: skip
    return Vanished(sorted(gone), seen + len(below))


def _uris(listings: Sequence[Listing]) -> Iterable[str]:
    return listings.uris if isinstance(listings, Listings) else (item.uri for item in listings)


def _unseen_folders(discovery: Discovery) -> Iterable[str]:
    """Folders about whose content nothing is known: not readable, or hidden."""
    yield from (_plain(item.uri) for item in discovery.unlisted)
    yield from (_plain(item.uri) for item in discovery.skips)


def _plain(uri: str) -> str:
    """Undo what names that are no UTF-8 needed to become a URI."""
    path = local_path(uri)
    return uri if path is None else f"file://{path}"


def _cover(source: str, options: dict[str, str] | None) -> re.Pattern[str]:
    """Match the URIs that a source would list: itself, what it matches, and all below."""
    store, path = filesystem(source, options)
    protocols = (store.protocol,) if isinstance(store.protocol, str) else store.protocol
    local = "file" in protocols
    path = os.path.abspath(path) if local else path.rstrip("/")  # noqa: PTH100 - as discovery names files
    wild = is_glob(path) and not (os.path.lexists(path) if local else store.exists(path))
    name = f"file://{path}" if local else store.unstrip_protocol(path)
    if not wild:
        return re.compile(re.escape(name) + r"(?:/.*)?\Z", re.DOTALL)
    head = re.escape(name[: len(name) - len(path)])
    return re.compile(head + glob_translate(path).removesuffix(r"\Z") + r"(?:/.*)?\Z", re.DOTALL)


def check_prune(vanished: Vanished, config: Config) -> None:
    """Refuse to remove so much that the source is more likely broken than emptied.

    Raises:
        ConfigError: More than `run.prune_limit` of the assets below the sources are gone.
    """
    share = len(vanished.asset_ids) / max(1, vanished.below)
    if share > config.run.prune_limit:
        msg = (
            f"--prune would remove {len(vanished.asset_ids)} of the {vanished.below} assets below the "
            f"sources; run.prune_limit allows a share of {config.run.prune_limit:g}. Check that the sources "
            "are mounted and complete, or raise it with: --set run.prune_limit=1"
        )
        raise ConfigError(msg)
