"""What a file is, by its first bytes.

Names lie: a PDF may be called `talk.mp4`, a playlist that points at local secrets too. The
kind is decided by content, and for media the answer also names the one FFmpeg demuxer that
may open the file, so that FFmpeg never guesses its way into a playlist or a script.
The name only decides for bytes that say nothing, and then the decoder has the last word.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from schemas.failure import InputError, Reason
from schemas.media import Kind

HEAD_BYTES = 4096
"""Bytes of the beginning that `sniff` looks at; PDF allows its mark within the first 1024."""


@dataclass(frozen=True, slots=True)
class Sniffed:
    """The kind of a file and who may open it."""

    kind: Kind
    media_type: str
    container: str
    """FFmpeg demuxer for video and audio, `pdf`, or the picture format in lower case."""


class UnsupportedError(Exception):
    """The content is of a kind this version does not read; the message names it."""


_V, _A, _I, _D = Kind.VIDEO, Kind.AUDIO, Kind.IMAGE, Kind.DOCUMENT

_MAGIC: tuple[tuple[int, bytes, Sniffed], ...] = (
    (0, b"\x1a\x45\xdf\xa3", Sniffed(_V, "video/x-matroska", "matroska")),
    (0, b"FLV\x01", Sniffed(_V, "video/x-flv", "flv")),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Sniffed(_V, "video/x-ms-asf", "asf")),
    (0, b"\x00\x00\x01\xba", Sniffed(_V, "video/mpeg", "mpeg")),
    (0, b"OggS", Sniffed(_V, "application/ogg", "ogg")),
    (0, b"fLaC", Sniffed(_A, "audio/flac", "flac")),
    (0, b"ID3", Sniffed(_A, "audio/mpeg", "mp3")),
    (0, b"caff\x00\x01", Sniffed(_A, "audio/x-caf", "caf")),
    (0, b"#!AMR", Sniffed(_A, "audio/amr", "amr")),
    (0, b".snd\x00", Sniffed(_A, "audio/basic", "au")),
    (0, b"\x89PNG\r\n\x1a\n", Sniffed(_I, "image/png", "png")),
    (0, b"\xff\xd8\xff", Sniffed(_I, "image/jpeg", "jpeg")),
    (0, b"GIF87a", Sniffed(_I, "image/gif", "gif")),
    (0, b"GIF89a", Sniffed(_I, "image/gif", "gif")),
    (0, b"II*\x00", Sniffed(_I, "image/tiff", "tiff")),
    (0, b"MM\x00*", Sniffed(_I, "image/tiff", "tiff")),
    (0, b"II+\x00", Sniffed(_I, "image/tiff", "tiff")),
    (0, b"MM\x00+", Sniffed(_I, "image/tiff", "tiff")),
)

_RIFF = {
    b"AVI ": Sniffed(_V, "video/x-msvideo", "avi"),
    b"WAVE": Sniffed(_A, "audio/wav", "wav"),
    b"WEBP": Sniffed(_I, "image/webp", "webp"),
}

_MP4_BOXES = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
"""What QuickTime files older than the `ftyp` box begin with."""

_BMP_HEADERS = (12, 40, 52, 56, 108, 124)
"""Sizes of the second header of a bitmap: two letters alone would be a weak mark."""

_PICTURE_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

_UNSUPPORTED: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "a zip archive or an office document"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"Rar!", "a rar archive"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"SQLite format 3", "a SQLite database"),
    (0, b"\x7fELF", "a program"),
    (0, b"%!PS", "PostScript"),
    (0, b"{\\rtf", "rich text"),
)

_START = rb"^(?:\xef\xbb\xbf)?\s*"
_PLAYLIST = re.compile(
    _START + rb"(#EXTM3U|ffconcat version|\[playlist\]|v=0\r?\no=|<(MPD|smil|ASX|playlist)\b)", re.IGNORECASE
)
_MARKUP = re.compile(_START + rb"<(!doctype|!--|\?xml|html|svg|head|body)", re.IGNORECASE)
_LISTING = re.compile(rb"<(MPD|smil|ASX|playlist)[\s>]", re.IGNORECASE)
"""Playlists in XML, behind its declarations."""

_BY_NAME: dict[str, Sniffed] = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".3gp", ".3g2"), Sniffed(_V, "video/mp4", "mov")),
    **dict.fromkeys((".mkv", ".webm"), Sniffed(_V, "video/x-matroska", "matroska")),
    **dict.fromkeys((".mpg", ".mpeg", ".vob"), Sniffed(_V, "video/mpeg", "mpeg")),
    **dict.fromkeys((".ts", ".m2ts", ".mts"), Sniffed(_V, "video/mp2t", "mpegts")),
    **dict.fromkeys((".wmv", ".asf"), Sniffed(_V, "video/x-ms-asf", "asf")),
    **dict.fromkeys((".ogg", ".oga", ".ogv", ".opus"), Sniffed(_V, "application/ogg", "ogg")),
    ".avi": Sniffed(_V, "video/x-msvideo", "avi"),
    ".flv": Sniffed(_V, "video/x-flv", "flv"),
    ".mp3": Sniffed(_A, "audio/mpeg", "mp3"),
    ".wav": Sniffed(_A, "audio/wav", "wav"),
    ".flac": Sniffed(_A, "audio/flac", "flac"),
    ".m4a": Sniffed(_A, "audio/mp4", "mov"),
    ".aac": Sniffed(_A, "audio/aac", "aac"),
    ".pdf": Sniffed(_D, "application/pdf", "pdf"),
    ".png": Sniffed(_I, "image/png", "png"),
    **dict.fromkeys((".jpg", ".jpeg"), Sniffed(_I, "image/jpeg", "jpeg")),
    **dict.fromkeys((".tif", ".tiff"), Sniffed(_I, "image/tiff", "tiff")),
    ".gif": Sniffed(_I, "image/gif", "gif"),
    ".bmp": Sniffed(_I, "image/bmp", "bmp"),
    ".webp": Sniffed(_I, "image/webp", "webp"),
    **dict.fromkeys((".heic", ".heif"), Sniffed(_I, "image/heif", "heif")),
    ".avif": Sniffed(_I, "image/avif", "avif"),
}

MEDIA_SUFFIXES = frozenset(
    suffix for suffix, answer in _BY_NAME.items() if answer.kind in (Kind.VIDEO, Kind.AUDIO)
)
"""Names that a subtitle file may belong to."""


def kind_by_name(name: str) -> str:
    """Return the kind that a name claims, or an empty string; for files that cannot be read."""
    claimed = _BY_NAME.get(PurePosixPath(name).suffix.lower())
    return "" if claimed is None else str(claimed.kind)


def sniff(head: bytes, name: str) -> Sniffed:
    """Decide what a file is.

    Args:
        head: Its first `HEAD_BYTES` bytes (fewer only if it is shorter).
        name: Its name; decides only when the bytes say nothing.

    Raises:
        InputError: EMPTY, or REFUSED for a playlist, a web page or an archive named like a file
            that would be read.
        UnsupportedError: A kind of file this version does not read.
    """
    suffix = PurePosixPath(name).suffix.lower()
    by_name = _BY_NAME.get(suffix)
    if not head:
        if by_name is None:
            raise UnsupportedError(f"an empty file named {suffix or 'without a suffix'}")
        raise InputError(Reason.EMPTY, "The file has no bytes. Copy it again from where it came.")
    found = _by_magic(head)
    if found is not None:
        return found
    if _PLAYLIST.search(head) or (_MARKUP.search(head) and _LISTING.search(head)):
        if by_name is None:
            raise UnsupportedError("a playlist")
        msg = (
            f"The file is a playlist named {suffix}: it refers to other files, which are not opened. "
            "Ingest those files themselves."
        )
        raise InputError(Reason.REFUSED, msg)
    kind = _unsupported(head)
    if kind is not None and by_name is not None:
        msg = (
            f"The file is named {suffix} and holds {kind}, which this version does not read. "
            "Fetch what it should be, or give it its right name."
        )
        raise InputError(Reason.REFUSED, msg)
    if kind is not None:
        raise UnsupportedError(kind)
    if by_name is None:
        raise UnsupportedError(f"content of no known kind, named {suffix or 'without a suffix'}")
    return by_name


def _by_magic(head: bytes) -> Sniffed | None:
    for offset, mark, answer in _MAGIC:
        if head.startswith(mark, offset):
            return _refined(answer, head)
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return Sniffed(_A, "audio/aiff", "aiff")
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if head[4:8] in _MP4_BOXES:
        return Sniffed(_V, "video/quicktime", "mov")
    if b"%PDF-" in head[:1024]:
        return Sniffed(_D, "application/pdf", "pdf")
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return Sniffed(_I, "image/bmp", "bmp")
    return _by_sync(head)


def _refined(answer: Sniffed, head: bytes) -> Sniffed:
    """Tell WebM from other Matroska, where the document type stands in the first bytes."""
    if answer.container == "matroska" and b"webm" in head[:64]:
        return Sniffed(_V, "video/webm", "matroska")
    return answer


def _by_brand(head: bytes) -> Sniffed:
    brand = head[8:12]
    if brand in (b"avif", b"avis"):
        return Sniffed(_I, "image/avif", "avif")
    if brand in _PICTURE_BRANDS:
        return Sniffed(_I, "image/heif", "heif")
    if brand in (b"M4A ", b"M4B "):
        return Sniffed(_A, "audio/mp4", "mov")
    return Sniffed(_V, "video/quicktime" if brand == b"qt  " else "video/mp4", "mov")


def _by_sync(head: bytes) -> Sniffed | None:
    """Recognise streams that have no header, only a repeated mark."""
    for packet, first in ((188, 0), (192, 4)):
        if len(head) > first + packet * 3 and all(head[first + packet * n] == 0x47 for n in range(4)):
            return Sniffed(_V, "video/mp2t", "mpegts")
    if len(head) > 4 and head[0] == 0xFF:
        if head[1] & 0xF6 == 0xF0:
            return Sniffed(_A, "audio/aac", "aac")
        if head[1] & 0xE0 == 0xE0 and head[1] & 0x06 and head[2] & 0xF0 != 0xF0:
            return Sniffed(_A, "audio/mpeg", "mp3")
    return None


def _unsupported(head: bytes) -> str | None:
    for offset, mark, kind in _UNSUPPORTED:
        if head.startswith(mark, offset):
            return kind
    return "a web page or XML" if _MARKUP.search(head) else None
