"""Which files there are, without reading any.

Sources are files, folders, globs and fsspec URLs. What comes out does not depend on the order
in which a store lists: it is sorted by URI, and each file stands in it once however many
sources name it. Hidden files are counted, not dropped; a subtitle file that belongs to a
video or audio file beside it travels with that file.
"""

import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from operators.retrying import one_line
from operators.sniff import MEDIA_SUFFIXES
from operators.source import etag_of, filesystem, local_uri
from operators.store_options import scheme_of
from schemas.failure import SkipReason
from schemas.media import Listing, Sidecar
from schemas.store import holds_credential

_GLOB = re.compile(r"[*?\[]")
_SUBTITLES = (".srt", ".vtt")


class SourceError(Exception):
    """A source cannot be listed at all; found before any work."""


@dataclass(frozen=True, slots=True)
class Skip:
    """A discovered file or folder that is not ingested."""

    uri: str
    reason: SkipReason
    message: str


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A folder inside a source that could not be listed."""

    uri: str
    message: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """Everything the sources name, sorted by URI."""

    listings: list[Listing]
    skips: list[Skip]
    unlisted: list[Unlisted]


def discover(
    sources: Iterable[str],
    *,
    hidden: bool = False,
    exclude: str | None = None,
    options: dict[str, str] | None = None,
) -> Discovery:
    """List all files of all sources.

    Args:
        sources: Local paths, globs or fsspec URLs; folders are searched recursively.
        hidden: Also take names that begin with a dot.
        exclude: URI of a folder to leave out silently (the lake, when it lies in a source).
        options: For the object store.

    Raises:
        SourceError: A source does not exist, or its store cannot be reached.
    """
    found: dict[str, Listing] = {}
    skips: dict[str, Skip] = {}
    unlisted: dict[str, Unlisted] = {}
    for source in sources:
        for item in _list_source(source, exclude, options):
            match item:
                case Listing():
                    found[item.uri] = item
                case Skip():
                    skips[item.uri] = item
                case Unlisted():
                    unlisted[item.uri] = item
    if hidden:
        # A hidden folder is only known by name until it is asked for by itself.
        inside = [uri for uri, skip in skips.items() if skip.reason is SkipReason.HIDDEN]
        skips = {uri: skip for uri, skip in skips.items() if skip.reason is not SkipReason.HIDDEN}
        if inside:
            deeper = discover(inside, hidden=True, exclude=exclude, options=options)
            found.update((listing.uri, listing) for listing in deeper.listings)
            skips.update((skip.uri, skip) for skip in deeper.skips)
            unlisted.update((item.uri, item) for item in deeper.unlisted)
    listings, sidecars = attach_sidecars(found.values())
    skips.update((skip.uri, skip) for skip in sidecars)
    return Discovery(
        sorted(listings, key=lambda listing: listing.uri),
        sorted(skips.values(), key=lambda skip: skip.uri),
        sorted(unlisted.values(), key=lambda item: item.uri),
    )


def _list_source(
    source: str, exclude: str | None, options: dict[str, str] | None
) -> Iterator[Listing | Skip | Unlisted]:
    if holds_credential(source):
        msg = (
            f"A source at {scheme_of(source)}:// has a password or signature in its address, which every "
            "reader of the lake would see. Let its store's library find it (s3://: the environment; "
            "sftp://: an ssh key), or copy the file first."
        )
        raise SourceError(msg)
    try:
        store, path = filesystem(source, options)
    except (ImportError, ValueError) as error:
        msg = f"Wanted a file, folder, glob or URL as source; {source!r} cannot be opened ({error})."
        raise SourceError(msg) from error
    try:
        if _is_local(store):
            yield from _list_local(source, path, exclude)
        else:
            yield from _list_remote(store, source, path, exclude)
    except (OSError, ValueError) as error:
        said = one_line(error).rstrip(".")
        msg = f"Cannot list {source!r}: {said}. Check that it exists and that the credentials allow it."
        raise SourceError(msg) from error


def is_glob(path: str) -> bool:
    """Tell whether a path may stand for several."""
    return bool(_GLOB.search(path))


def _is_local(store: Any) -> bool:
    protocols = store.protocol
    return "file" in ((protocols,) if isinstance(protocols, str) else protocols)


def _missing(source: str) -> SourceError:
    return SourceError(f"Wanted a file, folder, glob or URL as source; nothing is at {source!r}.")


def _list_local(source: str, path: str, exclude: str | None) -> Iterator[Listing | Skip | Unlisted]:
    # One file has one URI, however it is reached; links are not resolved, they are names too.
    path = os.path.abspath(path)  # noqa: PTH100 - Path.absolute keeps `..`
    if os.path.lexists(path):
        roots = [Path(path)]
    elif is_glob(path):
        anchor = Path(path).anchor or "."
        roots = sorted(Path(anchor).glob(str(Path(path).relative_to(anchor))))
    else:
        roots = []
    if not roots:
        raise _missing(source)
    for root in roots:
        if root.is_dir():
            yield from _walk(root, exclude)
        else:
            yield _local_listing(root)
            yield from _subtitles_beside(root)


def _walk(root: Path, exclude: str | None) -> Iterator[Listing | Skip | Unlisted]:
    """Walk a local folder; links to files are followed, links to folders are not.

    Corpora are often folders of links (caches, annexes), so a link to a file is that file under
    another name: what lies behind it must be media, a document or subtitles to be read.
    """
    failed: list[Unlisted] = []

    def note(error: OSError) -> None:
        failed.append(Unlisted(local_uri(error.filename), f"Cannot list the folder: {error.strerror}."))

    for folder, names, files in os.walk(root, onerror=note):
        kept = []
        for name in sorted(names):
            inner = Path(folder, name)
            if exclude is not None and str(inner) == exclude:
                continue
            if name.startswith("."):
                yield Skip(local_uri(inner), SkipReason.HIDDEN, "A folder whose name begins with a dot.")
            else:
                kept.append(name)
        names[:] = kept
        for name in sorted(files):
            inner = Path(folder, name)
            if name.startswith("."):
                yield Skip(local_uri(inner), SkipReason.HIDDEN, "A file whose name begins with a dot.")
            else:
                yield _local_listing(inner)
    yield from failed


def _subtitles_beside(path: Path) -> Iterator[Listing | Skip | Unlisted]:
    """List the subtitle files of a media file that is named alone, as its folder would."""
    if path.suffix.lower() not in MEDIA_SUFFIXES:
        return
    for beside in sorted(path.parent.iterdir()):
        mine = beside.stem == path.stem or beside.stem.rpartition(".")[0] == path.stem
        if mine and beside.suffix.lower() in _SUBTITLES:
            yield _local_listing(beside)


def _local_listing(path: Path) -> Listing | Skip | Unlisted:
    uri = local_uri(path)
    try:
        status = path.stat()
    except OSError as error:
        return Unlisted(uri, f"Cannot look at the file: {error.strerror}.")
    if not stat.S_ISREG(status.st_mode):
        return Skip(uri, SkipReason.UNSUPPORTED, "Not a regular file (a pipe, socket or device).")
    return Listing(uri, status.st_size, status.st_mtime_ns)


def _list_remote(store: Any, source: str, path: str, exclude: str | None) -> Iterator[Listing | Skip]:
    if is_glob(path) and not store.exists(path):
        entries = store.glob(path, detail=True)
    elif store.isfile(path):
        entries = {path: store.info(path)}
    else:
        entries = {}
    tops = list(entries.items())
    if not entries:
        tops = [(path, {"type": "directory"})]
    count = 0
    for name, info in tops:
        inside = store.find(name, detail=True) if info.get("type") == "directory" else {name: info}
        for inner, facts in inside.items():
            count += 1
            if inner.endswith("/") and not facts.get("size"):
                continue  # An empty object by which a console shows a folder.
            uri = store.unstrip_protocol(inner)
            if exclude is not None and uri.startswith(exclude.rstrip("/") + "/"):
                continue
            below = PurePosixPath(inner[len(name) :].lstrip("/") or PurePosixPath(inner).name)
            if any(part.startswith(".") for part in below.parts):
                yield Skip(uri, SkipReason.HIDDEN, "A file whose name, or a folder of it, begins with a dot.")
            else:
                yield Listing(uri, int(facts.get("size") or 0), _modified_ns(facts), etag_of(facts))
    if not count:
        raise _missing(source)


def _modified_ns(facts: dict[str, Any]) -> int | None:
    for key in ("LastModified", "last_modified", "mtime", "updated", "modified", "created"):
        value = facts.get(key)
        if isinstance(value, datetime):
            return int(value.timestamp() * 1e9)
        if isinstance(value, int | float):
            return int(value * 1e9)
    return None


def attach_sidecars(listings: Iterable[Listing]) -> tuple[list[Listing], list[Skip]]:
    """Give each subtitle file to the media files beside it whose stem it carries.

    `talk.srt` and `talk.en.vtt` belong to `talk.mp4`; a subtitle file without a partner stays
    a listing of its own.
    """
    everything = list(listings)
    media: dict[tuple[str, str], list[str]] = defaultdict(list)
    for listing in everything:
        path = PurePosixPath(listing.uri)
        if path.suffix.lower() in MEDIA_SUFFIXES:
            media[str(path.parent), path.stem].append(listing.uri)
    owned: dict[str, list[Sidecar]] = defaultdict(list)
    skips = []
    for listing in everything:
        path = PurePosixPath(listing.uri)
        if path.suffix.lower() not in _SUBTITLES:
            continue
        stem, _, tag = path.stem.rpartition(".")
        for owner, language in ((path.stem, None), (stem, tag)):
            owners = media.get((str(path.parent), owner), []) if owner else []
            for uri in owners:
                owned[uri].append(
                    Sidecar(listing.uri, listing.size_bytes, listing.modified_ns, listing.etag, language)
                )
            if owners:
                skips.append(Skip(listing.uri, SkipReason.SIDECAR, f"Subtitles of {owners[0]}."))
                break
    taken = {skip.uri for skip in skips}
    kept = [
        replace(listing, sidecars=sorted(owned[listing.uri], key=lambda sidecar: sidecar.uri))
        if listing.uri in owned
        else listing
        for listing in everything
        if listing.uri not in taken
    ]
    return kept, skips
