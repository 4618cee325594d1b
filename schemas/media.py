"""Assets, their parts, and what a decoder is asked to do.

An *asset* is one source file. A *unit* is the piece of it that is decoded, read and
accounted for on its own: a span of a video, a page of a document, a subtitle track. The
plan of an asset fixes how many units it has, so that the driver knows when the last has
come back without waiting for anything else.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from schemas.failure import Failure
from schemas.look import Look


class Kind(StrEnum):
    """What an asset is, as decided by its bytes."""

    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"
    IMAGE = "image"


class UnitKind(StrEnum):
    """What a unit is made of."""

    SPAN = "span"
    """A stretch of a video's pictures, `[start_seconds, end_seconds)`."""
    PAGE = "page"
    """A page of a document, or a frame of a picture file."""
    SUBTITLES = "subtitles"
    """All embedded subtitle tracks and sidecar files of a video or audio asset."""
    SPEECH = "speech"
    """A stretch of the sound of a video or audio asset, `[start_seconds, end_seconds)`; what is
    said across its end belongs to it."""
    LOOK = "look"
    """One clip or page, to be looked at by a vision-language model. Looks are planned once the
    rest of the asset has been read, and are numbered after its other units."""
    NOTHING = "nothing"
    """A placeholder: the asset has nothing to decode (failed probe, sound that nobody reads)."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A subtitle file beside a video or audio file, named like it (`talk.en.vtt`)."""

    uri: str
    size_bytes: int
    modified_ns: int | None = None
    etag: str | None = None
    language: str | None = None
    """The tag between the two dots of its name (`en`), if there is one."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A discovered file, as its store lists it; nothing of it has been read yet."""

    uri: str
    """Absolute URI (`file:///data/talk.mp4`, `s3://bucket/talk.mp4`)."""
    size_bytes: int
    modified_ns: int | None = None
    """Modification time in nanoseconds since 1970, where the store knows it."""
    etag: str | None = None
    sidecars: list[Sidecar] = field(default_factory=list)
    known_version: str | None = None
    """The `version` the lake holds of it, when only the summaries or nothing may have changed."""
    known_plan: str | None = None
    """The id of its plan in the lake, when its listing has not changed: it need not be read."""
    content_hash: str | None = None
    """`content_hash` of the file, when this run has computed it already."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A source file after probing: its identity and the facts its headers state."""

    asset_id: str
    """From the URI; the same for ever."""
    version: str
    """From the bytes and from what in the configuration changes what is perceived."""
    uri: str
    kind: str
    """A `Kind`."""
    size_bytes: int
    fingerprint: str
    """From size and modification time or etag (sidecars included): cheap to compare."""
    content_hash: str
    """BLAKE2b of the bytes, hexadecimal; or `etag:`, what their store says of them, and their number."""
    media_type: str = ""
    """MIME type by content, such as `video/mp4`."""
    container: str = ""
    """For FFmpeg the only demuxer allowed to open it; for documents the format (`pdf`)."""
    duration_seconds: float | None = None
    page_count: int | None = None
    width_px: int | None = None
    """Width as shown: rotation and pixel aspect applied. First page for documents."""
    height_px: int | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    frame_rate: float | None = None
    """Average frames a second as declared; never used for time arithmetic."""
    title: str | None = None
    """Title stated in the file's metadata."""
    language: str | None = None
    """Language stated in the file's metadata (BCP 47 or ISO 639)."""
    modified_ns: int | None = None
    etag: str | None = None
    sidecars: list[Sidecar] = field(default_factory=list)
    sidecar_hash: str = ""
    """Digest of the bytes of all sidecars; empty without any."""
    unit_count: int = 1
    look_count: int = 0
    """How many of its units, the last ones, are looks of a vision-language model."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The piece of an asset that is decoded and accounted for on its own."""

    index: int
    """0-based within the asset; all of `range(asset.unit_count)` come back exactly once."""
    kind: str
    """A `UnitKind`."""
    start_seconds: float | None = None
    end_seconds: float | None = None
    """Exclusive. The last span of a video takes every frame from its start on, the last stretch
    of sound all of the rest."""
    page: int | None = None
    """1-based."""
    look: Look | None = None
    """What is to be shown and told, for a unit of kind `LOOK`."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A decode task: an asset and the units of it to decode together.

    One span of a video, a few pages of a document so that opening it is paid once, or all
    stretches of its sound, because sound is decoded in one go.
    """

    asset: Asset
    units: list[Unit]
    failures: list[Failure] = field(default_factory=list)
    """What probing found wrong; travels with the asset's first unit."""
    skipped: str | None = None
    """A `SkipReason` when the file turned out not to be ingested."""
    seconds: float = 0.0
    """Time spent probing; travels with the first unit."""
    cpu_seconds: float = 0.0
    """CPU time of it, child processes included."""
    started_at: float = 0.0
    """When it began, in seconds since 1970."""
    fetched_bytes: int = 0
    """For it, from an object store."""
