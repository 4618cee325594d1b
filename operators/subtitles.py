"""Words that come with a video as text: subtitle tracks in it and files beside it.

Tracks are decoded by FFmpeg. Files beside a video are parsed here, because the ready
parsers lose more than a damaged cue: FFmpeg's WebVTT demuxer stops at the first one, its
SRT demuxer and pysubs2 take a damaged cue, and pysubs2 also notes, for text of the cue
before. Here a cue is a line of two times and the lines after it, up to a blank one.
"""

import codecs
import html
import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import BinaryIO

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle

from operators.containers import clock_start, media_errors, only, open_container
from operators.probe_video import TEXT_SUBTITLES, stated_language
from schemas.media import Asset
from schemas.perception import Utterance

_ASS_FIELDS = 8
"""Commas before the text of a decoded event: ReadOrder, Layer, Style, Name, 3 margins, Effect."""

_OVERRIDE = re.compile(r"\{[^{}]*\}")
_DRAWING = re.compile(r"\{[^{}]*\\p[1-9][^{}]*\}.*?(\{[^{}]*\\p0[^{}]*\}|$)", re.DOTALL)
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>|</?>")
_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
"""Hours up to four digits, a year: Python refuses to make numbers of thousands of digits."""
_TIMING = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}(?:\s|$)")
_ASIDES = frozenset({"NOTE", "STYLE", "REGION"})
"""First words of WebVTT blocks that are not shown."""
_BLANK = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


def read_subtitle_tracks(
    file: BinaryIO | str, demuxer: str, asset: Asset, damage: list[str] | None = None
) -> list[Utterance]:
    """Read every subtitle track that is made of text; pictures of text are left out.

    Args:
        file: The asset's bytes, seekable, or its local path.
        demuxer: The one that may open it.
        asset: Its duration bounds cues that state no end.
        damage: Gets a sentence for each kind of loss.

    Returns:
        The cues on the asset's clock, track by track, in order of time.

    Raises:
        InputError: The file cannot be opened.
    """
    with media_errors(), open_container(file, demuxer) as container:
        tracks = [stream for stream in container.streams.subtitles if _is_text(stream)]
        if not tracks:
            return []
        start = clock_start(container)
        only(container, *tracks)
        found: dict[int, list[Utterance]] = {stream.index: [] for stream in tracks}
        broken = 0
        for packet in _packets(container, tracks, damage):
            cues = _cues(packet, start, asset)
            broken += cues is None
            found[packet.stream_index] += cues or []
    if broken and damage is not None:
        damage.append(f"{broken} cues of the subtitle tracks are damaged and left out.")
    return _without_copies(list(found.values()))


def _without_copies(tracks: list[list[Utterance]]) -> list[Utterance]:
    """Join tracks, leaving out those that say the same at the same times as an earlier one."""
    said: list[set[tuple[float, float, str]]] = []
    cues: list[Utterance] = []
    for track in tracks:
        saying = {(cue.start_seconds, cue.end_seconds, cue.text) for cue in track}
        if saying not in said:
            said.append(saying)
            cues += sorted(track, key=lambda cue: cue.start_seconds)
    return cues


def _is_text(stream: SubtitleStream) -> bool:
    return stream.codec_context is not None and stream.codec_context.codec.canonical_name in TEXT_SUBTITLES


def _packets(
    container: InputContainer, tracks: list[SubtitleStream], damage: list[str] | None
) -> "Iterator[Packet[Stream]]":
    """Yield packets up to the end, or to the first place that cannot be read."""
    try:
        yield from (packet for packet in container.demux(*tracks) if packet.size)
    except av.error.FFmpegError as error:
        if damage is not None:
            damage.append(f"The subtitle tracks cannot be read to their end: {error.strerror}.")


def _cues(packet: "Packet[Stream]", start: Fraction, asset: Asset) -> list[Utterance] | None:
    """Decode one packet; None when it is damaged."""
    try:
        decoded = packet.decode()
    except av.error.FFmpegError:
        return None
    texts = [_plain_ass(item.ass) for item in decoded if isinstance(item, AssSubtitle)]
    text = "\n".join(text for text in texts if text)
    if not text or packet.pts is None:
        return []
    shown = packet.pts * packet.time_base - start
    begin, end = float(max(shown, Fraction(0))), float(shown + (packet.duration or 0) * packet.time_base)
    if end <= begin:
        end = max(begin, asset.duration_seconds or begin)
    source = f"subtitle:embedded:{packet.stream_index}"
    return [Utterance(begin, end, text, stated_language(packet.stream), source=source)]


def _plain_ass(event: bytes) -> str:
    """Return the words of a decoded ASS event, without its fields, tags and drawings."""
    fields = event.decode("utf-8", "replace").split(",", _ASS_FIELDS)
    text = _DRAWING.sub("", fields[-1] if len(fields) > _ASS_FIELDS else "")
    text = _OVERRIDE.sub("", text).replace(r"\N", "\n").replace(r"\n", "\n").replace(r"\h", " ")
    return _tidied(text)


def _tidied(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def read_sidecar(
    text: bytes, name: str, language: str | None, damage: list[str] | None = None
) -> list[Utterance]:
    """Read a `.srt` or `.vtt` file; cues that make no sense are left out, the rest is kept.

    Args:
        text: The file's bytes: UTF-8 or UTF-16, else the encoding that fits best.
        name: The file's name, for the source of the words.
        language: What its name says, such as `en` in `talk.en.vtt`.
        damage: Gets a sentence when cues had to be left out, or there is none.

    Returns:
        The cues in order of time.
    """
    source = f"subtitle:{name.rpartition('/')[2]}"
    content = decoded_text(text, language).replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    is_webvtt = content.lstrip().startswith("WEBVTT")
    blocks = [block for block in _BLANK.split(content) if not (is_webvtt and _is_aside(block))]
    cues = [
        Utterance(start, end, words, language, source=source)
        for block in blocks
        for start, end, words in _parsed(block, is_webvtt)
    ]
    if damage is not None:
        damage += _damage(blocks, len(cues))
    return sorted(cues, key=lambda cue: (cue.start_seconds, cue.end_seconds))


def _is_aside(block: str) -> bool:
    return block.strip("\n").split("\n")[0].split(" ")[0] in _ASIDES


def _damage(blocks: list[str], cues: int) -> Iterator[str]:
    """Say what of a file beside a video was lost: a line with an arrow announces a cue."""
    announced = sum("-->" in line for block in blocks for line in block.split("\n"))
    empty = sum(_TIMING.match(block.rstrip().rpartition("\n")[2]) is not None for block in blocks)
    if announced - empty > cues:
        yield f"{announced - empty - cues} of {announced} cues make no sense and are left out."
    elif not announced:
        yield "There is no cue in it: wanted lines such as 00:00:01,000 --> 00:00:02,500 and text below."


def _parsed(block: str, is_webvtt: bool) -> Iterator[tuple[float, float, str]]:
    """Parse a block of lines: a number or name may come first, then the times, then the words.

    Where the blank line between cues was forgotten, a line of times still begins a cue.
    """
    lines = block.strip("\n").split("\n")
    starts = [index for index, line in enumerate(lines) if _TIMING.match(line)]
    for index, following in pairwise([*starts, len(lines)]):
        timing = _TIMING.match(lines[index])
        assert timing is not None
        words = lines[index + 1 : following]
        if following < len(lines) and words and words[-1].strip().isdigit():
            words.pop()
        start, end, text = (
            _seconds(timing.groups()[:4]),
            _seconds(timing.groups()[4:]),
            _plain(words, is_webvtt),
        )
        if text and end > start:
            yield start, end, text


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = parts
    milliseconds = int((fraction or "0").ljust(3, "0"))
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return (whole * 1000 + milliseconds) / 1000


def _plain(lines: list[str], is_webvtt: bool) -> str:
    text = _MARKUP.sub("", "\n".join(lines))
    text = html.unescape(text) if is_webvtt else _OVERRIDE.sub("", text)
    return _tidied(text)


def decoded_text(content: bytes, language: str | None = None) -> str:
    """Decode text of an unknown encoding: by its mark, as UTF-8, else by language or likeness."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        stated = (language or "").lower().partition("-")[0]
        return content.decode(_LEGACY.get(stated) or _guessed(content), "replace")


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_LEGACY = {
    **dict.fromkeys(("en", "fr", "de", "es", "it", "pt", "nl", "da", "sv", "no", "fi", "is"), "cp1252"),
    **dict.fromkeys(("ru", "uk", "be", "bg", "sr", "mk"), "cp1251"),
    **dict.fromkeys(("pl", "cs", "sk", "hu", "sl", "hr", "ro"), "cp1250"),
    **dict.fromkeys(("et", "lv", "lt"), "cp1257"),
    "el": "cp1253",
    "tr": "cp1254",
    "he": "cp1255",
    "ar": "cp1256",
    "vi": "cp1258",
    "th": "cp874",
    "ja": "cp932",
    "zh": "gb18030",
    "ko": "cp949",
}
"""What text without a mark was written in before UTF-8, by language."""


_GUESSED_BYTES = 1 << 16
"""Bytes that an encoding is guessed by; guessing reads them once for each candidate."""


def _guessed(content: bytes) -> str:
    """Guess an encoding, with `charset_normalizer` where it is installed."""
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return "cp1252"
    best = from_bytes(content[:_GUESSED_BYTES], cp_isolation=sorted(set(_LEGACY.values()))).best()
    return best.encoding if best is not None else "cp1252"
