"""Which files there are, without reading any.

Sources are files, folders, globs and fsspec URLs. What comes out does not depend on the order
in which a store lists: it is sorted by URI, and each file stands in it once however many
sources name it. Hidden files are counted, not dropped; a subtitle file that belongs to a
video or audio file beside it travels with that file.
"""

import os
import re
import stat
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Any

from operators.retrying import one_line
from operators.sniff import MEDIA_SUFFIXES
from operators.source import etag_of, filesystem, local_uri
from operators.store_options import scheme_of
from schemas.failure import SkipReason
from schemas.listings import Listings, date_of
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

    listings: Sequence[Listing]
    """`Listings` where there may be many."""
    skips: list[Skip]
    unlisted: list[Unlisted]


class _Found:
    """What has been listed so far: files as columns, the others as rows."""

    def __init__(self, exclude: str | None) -> None:
        self.exclude = exclude
        self.uris: list[str] = []
        self.sizes = array("q")
        self.dates = array("q")
        self.etags: list[str | None] = []
        self.skips: dict[str, Skip] = {}
        self.unlisted: dict[str, Unlisted] = {}

    def file(self, uri: str, size: int, modified_ns: int | None, etag: str | None = None) -> None:
        self.uris.append(uri)
        self.sizes.append(size)
        try:
            self.dates.append(modified_ns)  # type: ignore[arg-type]  # a call less for each of a million files
        except (TypeError, OverflowError):
            self.dates.append(date_of(modified_ns))
        self.etags.append(etag)

    def skip(self, uri: str, reason: SkipReason, message: str) -> None:
        self.skips[uri] = Skip(uri, reason, message)

    def not_listed(self, uri: str, message: str) -> None:
        self.unlisted[uri] = Unlisted(uri, message)

    def listings(self) -> Listings:
        etags = self.etags if any(self.etags) else None
        return Listings(self.uris, self.sizes, self.dates, etags).sorted()


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
    found = _Found(exclude)
    for source in sources:
        _list_source(found, source, options)
    if hidden:
        # A hidden folder is only known by name until it is asked for by itself.
        while inside := [uri for uri, skip in found.skips.items() if skip.reason is SkipReason.HIDDEN]:
            for uri in inside:
                del found.skips[uri]
                _list_source(found, uri, options)
    listings, sidecars = attach_sidecars(found.listings())
    found.skips.update((skip.uri, skip) for skip in sidecars)
    return Discovery(
        listings,
        sorted(found.skips.values(), key=lambda skip: skip.uri),
        sorted(found.unlisted.values(), key=lambda item: item.uri),
    )


def _list_source(found: _Found, source: str, options: dict[str, str] | None) -> None:
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
            _list_local(found, source, path)
        else:
            _list_remote(found, store, source, path)
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


def _list_local(found: _Found, source: str, path: str) -> None:
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
            _walk(found, str(root))
        else:
            _add_local(found, str(root), root.stat)
            _add_subtitles_beside(found, root)


def _walk(found: _Found, root: str) -> None:
    """Walk a local folder; links to files are followed, links to folders are not.

    Corpora are often folders of links (caches, annexes), so a link to a file is that file under
    another name: what lies behind it must be media, a document or subtitles to be read.

    Folders hold names by the hundred thousand: a `Path` for each would take longer than to list them.
    """
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=attrgetter("name"))
        except OSError as error:
            found.not_listed(local_uri(folder), f"Cannot list the folder: {error.strerror}.")
            continue
        inside = []
        for entry in entries:
            try:
                is_folder = entry.is_dir()
            except OSError:
                is_folder = False  # A link that leads nowhere is a file's name.
            if is_folder and entry.path == found.exclude:
                continue
            if entry.name.startswith("."):
                what = "folder" if is_folder else "file"
                message = f"A {what} whose name begins with a dot."
                found.skip(local_uri(entry.path), SkipReason.HIDDEN, message)
            elif not is_folder:
                _add_local(found, entry.path, entry.stat)
            elif not entry.is_symlink():
                inside.append(entry.path)
        folders += reversed(inside)


def _add_local(found: _Found, path: str, look: Callable[[], os.stat_result]) -> None:
    uri = local_uri(path)
    try:
        status = look()
    except OSError as error:
        found.not_listed(uri, f"Cannot look at the file: {error.strerror}.")
        return
    if stat.S_ISREG(status.st_mode):
        found.file(uri, status.st_size, status.st_mtime_ns)
    else:
        found.skip(uri, SkipReason.UNSUPPORTED, "Not a regular file (a pipe, socket or device).")


def _add_subtitles_beside(found: _Found, path: Path) -> None:
    """List the subtitle files of a media file that is named alone, as its folder would."""
    if path.suffix.lower() not in MEDIA_SUFFIXES:
        return
    for beside in sorted(path.parent.iterdir()):
        mine = beside.stem == path.stem or beside.stem.rpartition(".")[0] == path.stem
        if mine and beside.suffix.lower() in _SUBTITLES:
            _add_local(found, str(beside), beside.stat)


def _list_remote(found: _Found, store: Any, source: str, path: str) -> None:
    exclude = None if found.exclude is None else found.exclude.rstrip("/") + "/"
    matched = is_glob(path) and not store.exists(path)
    if matched:
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
            if exclude is not None and uri.startswith(exclude):
                continue
            # What is named by itself is wanted, whatever its name.
            below = inner[len(name) :].lstrip("/") or (PurePosixPath(inner).name if matched else "")
            if "." in below and any(part.startswith(".") for part in below.split("/") if part != "."):
                message = "A file whose name, or a folder of it, begins with a dot."
                found.skip(uri, SkipReason.HIDDEN, message)
            else:
                found.file(uri, int(facts.get("size") or 0), _modified_ns(facts), etag_of(facts))
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


def attach_sidecars(listings: Listings) -> tuple[Listings, list[Skip]]:
    """Give each subtitle file to the media files beside it whose stem it carries.

    `talk.srt` and `talk.en.vtt` belong to `talk.mp4`; a subtitle file without a partner stays
    a listing of its own.

    Args:
        listings: All files, by URI.
    """
    places = [at for at, uri in enumerate(listings.uris) if uri[-4:].lower() in _SUBTITLES]
    if not places:
        return listings, []
    media = _media_by_stem(listings.uris, {stem for at in places for stem, _ in _stems(listings.uris[at])})
    owned: dict[str, list[Sidecar]] = defaultdict(list)
    skips = []
    for at in places:
        item = listings[at]
        for stem, language in _stems(item.uri):
            if owners := media.get(stem, []):
                for uri in owners:
                    owned[uri].append(
                        Sidecar(item.uri, item.size_bytes, item.modified_ns, item.etag, language)
                    )
                skips.append(Skip(item.uri, SkipReason.SIDECAR, f"Subtitles of {owners[0]}."))
                break
    taken = {skip.uri for skip in skips}
    return listings.with_sidecars(owned, lambda uri: uri not in taken), skips


def _stems(uri: str) -> list[tuple[str, str | None]]:
    """Say which stems a subtitle file may carry, and in which language it then is, best first."""
    stem = uri.rpartition(".")[0]
    folder, _, name = stem.rpartition("/")
    shorter, _, tag = name.rpartition(".")
    return [(f"{folder}/{part}", language) for part, language in ((name, None), (shorter, tag)) if part]


def _media_by_stem(uris: Iterable[str], wanted: set[str]) -> dict[str, list[str]]:
    """Find the media files that bear one of the wanted stems."""
    found: dict[str, list[str]] = defaultdict(list)
    for uri in uris:
        stem, _, suffix = uri.rpartition(".")
        if stem in wanted and f".{suffix.lower()}" in MEDIA_SUFFIXES:
            found[stem].append(uri)
    return found
