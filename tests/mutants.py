"""Broken files, made by mutation of sound ones, the same ones each time.

Three kinds of damage: what happens to files on their way (cut off, bits flipped, holes, blocks in
the wrong order, two files in one, another name), headers that lie (sizes, counts, durations,
offsets), and structures that make a reader work without end (loops, bombs, deep nesting). All are
small, so that some two hundred of them can be ingested in one test.
"""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream

from tests.media import Encoding, encode, slide, steady
from tests.pages import drawn_pdf, picture_bytes, prose, put_picture, raw_pdf, stream, text_picture

SEED = 20261124
_EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "corpus"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken file."""

    name: str
    """File name; the part before the first dash names what it was made of."""
    content: bytes
    change: str
    """What was done to it."""


@cache
def mutants() -> tuple[Mutant, ...]:
    """Make all of them; names are unique."""
    made = [*_damaged(), *_lying(), *_odd()]
    assert len({mutant.name for mutant in made}) == len(made)
    return tuple(made)


# --- sound files ----------------------------------------------------------------------------


@cache
def good() -> dict[str, bytes]:
    """The sound files that mutants are made of, by name."""
    picture = text_picture("Rain gauge 12 mm", (420, 100))
    steps = [text_picture(f"Step {step}", (160, 60)) for step in range(3)]
    many: dict[str, object] = {"save_all": True, "append_images": steps[1:]}
    return {
        "talk.mp4": _video("libx264", "mp4"),
        "talk.mov": _video("libx264", "mov"),
        "talk.mkv": _video("libx264", "matroska"),
        "talk.webm": _video("libvpx", "webm"),
        "talk.avi": _video("mpeg4", "avi", Fraction(1, 10)),
        "talk.ts": _video("libx264", "mpegts", Fraction(1, 90_000)),
        "talk.mpg": _video("mpeg2video", "mpeg", Fraction(1, 25)),
        "song.mp3": _sound("libmp3lame", "mp3"),
        "song.wav": _sound("pcm_s16le", "wav"),
        "song.flac": _sound("flac", "flac"),
        "song.ogg": _sound("libopus", "ogg"),
        "song.m4a": _sound("aac", "ipod"),
        "page.png": picture_bytes(picture, "PNG"),
        "page.jpg": picture_bytes(picture, "JPEG", quality=70),
        "page.webp": picture_bytes(picture, "WEBP", quality=70),
        "page.gif": picture_bytes(steps[0], "GIF", **many),
        "page.tiff": picture_bytes(steps[0], "TIFF", compression="tiff_lzw", **many),
        "page.bmp": picture_bytes(picture.convert("L"), "BMP"),
        "page.avif": picture_bytes(picture, "AVIF", speed=10),
        "text.pdf": drawn_pdf(prose, prose),
        "scan.pdf": drawn_pdf(lambda canvas: put_picture(canvas, picture, 50, 600, 420, 100)),
    }


def _video(codec: str, container: str, time_base: Fraction = Fraction(1, 1000)) -> bytes:
    size = (192, 108)
    slides = [(0.0, slide(["Rain gauge"], size)), (1.0, slide(["Wind vane"], size))]
    options = {"crf": "30", "preset": "ultrafast"} if codec == "libx264" else {}
    encoding = Encoding(
        codec=codec,
        container=container,
        options=options,
        container_options={"fflags": "+bitexact"},
        time_base=time_base,
        key_every=10,
    )
    return encode(steady(slides, 2.0, 25 if codec == "mpeg2video" else 10), encoding)


def _sound(codec: str, container: str) -> bytes:
    rate = 48_000 if codec == "libopus" else 16_000
    wave = (8000 * np.sin(np.arange(rate) * 440 * 2 * np.pi / rate)).astype(np.int16)
    target = io.BytesIO()
    with av.open(target, "w", format=container, container_options={"fflags": "+bitexact"}) as output:
        sound = output.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(sound, AudioStream)
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        frame.sample_rate = rate
        output.mux([*sound.encode(frame), *sound.encode()])
    return target.getvalue()


# --- damage on the way ----------------------------------------------------------------------


def _damaged() -> Iterator[Mutant]:
    """Damage each sound file, and some of the examples, in the same ways."""
    sources = good() | {
        name: (_EXAMPLES / name).read_bytes() for name in ("observatory-night.mp4", "shore-survey-scan.pdf")
    }
    for name, content in sources.items():
        stem, _, suffix = name.partition(".")
        for label, change, damage in _DAMAGES:
            draw = random.Random(f"{SEED}:{name}:{label}")  # noqa: S311 - the same damage each time
            yield Mutant(f"{stem}_{suffix}-{label}.{suffix}", damage(content, draw), change)


Damage = Callable[[bytes, random.Random], bytes]


def _cut(share: float, content: bytes, _draw: random.Random) -> bytes:
    return content[: round(len(content) * share)]


def _flip(count: int, low: float, high: float, content: bytes, draw: random.Random) -> bytes:
    """Flip bits in a part of the file, given by shares of its length."""
    broken = bytearray(content)
    span = range(round(len(content) * low), max(round(len(content) * high), round(len(content) * low) + 1))
    for _ in range(count):
        broken[draw.choice(span)] ^= 1 << draw.randrange(8)
    return bytes(broken)


def _flip_head(content: bytes, draw: random.Random) -> bytes:
    """Flip bits behind the mark by which the format is known."""
    return content[:12] + _flip(6, 0, 1, content[12:120], draw) + content[120:]


def _hole(content: bytes, _draw: random.Random) -> bytes:
    start, end = len(content) * 2 // 5, len(content) * 3 // 5
    return content[:start] + bytes(end - start) + content[end:]


def _swap(content: bytes, _draw: random.Random) -> bytes:
    """Exchange the third and the fourth fifth."""
    fifth = len(content) // 5
    blocks = [content[at * fifth : (at + 1) * fifth] for at in (0, 1, 3, 2)]
    return b"".join(blocks) + content[4 * fifth :]


_DAMAGES: tuple[tuple[str, str, Damage], ...] = (
    ("cut05", "the first twentieth", partial(_cut, 0.05)),
    ("cut60", "the first three fifths", partial(_cut, 0.6)),
    ("cut97", "all but the end", partial(_cut, 0.97)),
    ("flip_head", "6 bits flipped in the first bytes", _flip_head),
    ("flip_few", "8 bits flipped anywhere", partial(_flip, 8, 0.0, 1.0)),
    ("flip_many", "300 bits flipped anywhere", partial(_flip, 300, 0.0, 1.0)),
    ("flip_end", "20 bits flipped at the end", partial(_flip, 20, 0.85, 1.0)),
    ("hole", "a fifth in the middle is zero", _hole),
    ("swap", "two blocks have changed places", _swap),
)


# --- headers that lie -----------------------------------------------------------------------


def _lying() -> Iterator[Mutant]:
    yield from _lying_mp4()
    yield from _lying_matroska()
    yield from _lying_pictures()
    yield from _lying_sound()
    yield from _lying_pdf()


def _put(content: bytes, mark: bytes, offset: int, value: bytes) -> bytes:
    """Overwrite bytes at a distance behind the first mark."""
    at = content.index(mark) + len(mark) + offset
    return content[:at] + value + content[at + len(value) :]


_AVC1 = b"avc1" + bytes(6)
"""The description of the pictures; the brand of that name has no zeros behind it."""


def _u32(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "big")


def _lying_mp4() -> Iterator[Mutant]:
    whole = good()["talk.mp4"]

    def lie(label: str, change: str, *edits: tuple[bytes, int, bytes]) -> Mutant:
        content = whole
        for mark, offset, value in edits:
            content = _put(content, mark, offset, value)
        return Mutant(f"mp4-{label}.mp4", content, change)

    century = _u32(3_155_760_000)
    yield lie(
        "timescale_zero",
        "movie and track have a time scale of zero",
        (b"mvhd", 12, bytes(4)),
        (b"mdhd", 12, bytes(4)),
    )
    yield lie("timescale_huge", "the track counts 4 billion ticks a second", (b"mdhd", 12, _u32(-1)))
    yield lie(
        "century",
        "it claims to last a century at a tick a second",
        (b"mvhd", 12, _u32(1)),
        (b"mvhd", 16, century),
        (b"mdhd", 16, century),
        (b"tkhd", 20, century),
    )
    yield lie("stts_bomb", "the first run of frames has 4 billion of them", (b"stts", 8, _u32(-1)))
    yield lie("stts_count", "the table of times claims 4 billion entries", (b"stts", 4, _u32(-1)))
    yield lie("stts_delta", "each frame lasts 4 billion ticks", (b"stts", 12, _u32(-1)))
    yield lie("stts_negative", "time runs backwards", (b"stts", 12, _u32(-500)))
    yield lie("stsz_count", "4 billion samples are claimed", (b"stsz", 8, _u32(-1)))
    yield lie(
        "stsz_equal",
        "each of 4 billion samples has a gigabyte",
        (b"stsz", 4, _u32(1 << 30)),
        (b"stsz", 8, _u32(-1)),
    )
    yield lie("stsz_huge", "the first sample has 2 GB", (b"stsz", 12, _u32(0x7FFFFFFF)))
    yield lie("stco_outside", "the first chunk lies behind the end", (b"stco", 8, _u32(0x7FFFFFFF)))
    yield lie("stco_itself", "the first chunk lies in the header", (b"stco", 8, _u32(4)))
    yield lie("stco_count", "the table of chunks claims a billion entries", (b"stco", 4, _u32(1 << 30)))
    yield lie("stsc_bomb", "a chunk holds 4 billion samples", (b"stsc", 12, _u32(-1)))
    yield lie("stss_lies", "the key frames are said to be elsewhere", (b"stss", 8, _u32(9)))
    yield lie("size_giant", "a frame is said to be 65535 pixels wide and high", (_AVC1, 18, b"\xff" * 4))
    yield lie("size_zero", "a frame is said to have no pixels", (_AVC1, 18, bytes(4)))
    yield lie("tkhd_size", "it is shown at 65535 x 65535", (b"tkhd", 76, b"\xff\xff\x00\x00" * 2))
    yield lie("matrix_nonsense", "the display matrix is nonsense", (b"tkhd", 40, b"\x7f" * 36))
    yield lie("elst_far", "the edit list begins 2 billion ticks in", (b"elst", 12, _u32(0x7FFFFFFF)))
    yield lie("elst_negative", "the edit list begins before time", (b"elst", 12, _u32(-0x7FFFFFFF)))
    yield lie("elst_count", "the edit list claims 4 billion entries", (b"elst", 4, _u32(-1)))
    yield lie("codec_unknown", "the codec is none there is", (b"stsd", 12, b"zzzz"))
    yield lie("codec_other", "H.264 is said to be HEVC", (b"stsd", 12, b"hvc1"))
    yield lie("avcc_empty", "the decoder's settings are zero", (b"avcC", 0, bytes(24)))
    yield lie(
        "dref_outside", "the bytes are said to lie in another file", (b"dref", 12, b"url \x00\x00\x00\x00")
    )
    yield lie("box_giant", "the movie box claims 4 GB", (b"moov", -8, _u32(-1)))
    yield lie("box_tiny", "the track box is smaller than its header", (b"trak", -8, _u32(3)))
    yield lie(
        "box_64",
        "the movie box has a size of 64 bits, all ones",
        (b"moov", -8, _u32(1) + b"moov" + b"\xff" * 8),
    )
    deep = b""
    for _ in range(3000):
        deep = _u32(len(deep) + 8) + b"moov" + deep
    yield Mutant("mp4-box_deep.mp4", whole[:32] + deep, "3,000 boxes inside of each other")
    yield Mutant("mp4-tracks.mp4", _many_tracks(whole), "the track box is there 400 times")


def _many_tracks(whole: bytes) -> bytes:
    """Repeat the track box inside of the movie box, which stands last."""
    moov, trak = whole.index(b"moov") - 4, whole.index(b"trak") - 4
    size = int.from_bytes(whole[trak : trak + 4], "big")
    inner = whole[moov + 8 : trak] + whole[trak : trak + size] * 400 + whole[trak + size :]
    return whole[:moov] + _u32(len(inner) + 8) + b"moov" + inner


def _lying_matroska() -> Iterator[Mutant]:
    whole = good()["talk.mkv"]

    def lie(label: str, change: str, mark: bytes, value: bytes) -> Mutant:
        return Mutant(f"mkv-{label}.mkv", _put(whole, mark, 0, value), change)

    duration = b"\x44\x89\x88"
    yield lie("centuries", "it claims to last for centuries", duration, struct.pack(">d", 1e13))
    yield lie("infinite", "it claims to last for ever", duration, struct.pack(">d", float("inf")))
    yield lie("nan", "its duration is no number", duration, struct.pack(">d", float("nan")))
    yield lie("negative", "its duration is negative", duration, struct.pack(">d", -5000.0))
    yield lie("scale_zero", "a tick lasts no time", b"\x2a\xd7\xb1\x83", bytes(3))
    yield lie("scale_huge", "a tick lasts 17 ms", b"\x2a\xd7\xb1\x83", b"\xff" * 3)
    yield lie("width", "a frame is said to be 65535 pixels wide", b"\xb0\x81", b"\xff")
    yield lie("segment_size", "the segment claims 2^56 bytes", b"\x18\x53\x80\x67", b"\x01" + b"\xfe" * 7)
    yield lie("cluster_size", "a cluster claims to end nowhere", b"\x1f\x43\xb6\x75", b"\x01" + b"\xff" * 7)
    yield lie("tracks_size", "the tracks claim 256 MB", b"\x16\x54\xae\x6b", b"\x1f\xff\xff\xff")
    yield lie("ebml_version", "a version of EBML from the future", b"\x42\x86\x81", b"\xff")
    yield lie("codec", "the codec is none there is", b"\x86\x8fV_MPEG4/ISO/", b"XX")
    deep = b""
    for _ in range(2000):
        deep = b"\x18\x53\x80\x67\x08" + struct.pack(">Q", 1 << 56 | len(deep))[0:8] + deep
    yield Mutant("mkv-deep.mkv", whole[:40] + deep, "2,000 segments inside of each other")


def _png(width: int, height: int, rows: bytes, extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _png_chunk(b"IHDR", header)
        + extra
        + _png_chunk(b"IDAT", rows)
        + _png_chunk(b"IEND", b"")
    )


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return _u32(len(data)) + kind + data + _u32(zlib.crc32(kind + data))


def _lying_pictures() -> Iterator[Mutant]:
    files = good()
    bomb = zlib.compress(bytes(60_000_000), 9)
    yield Mutant("png-giant.png", _png(60_000, 60_000, b""), "3.6 gigapixels declared")
    yield Mutant("png-most.png", _png(0x7FFFFFFF, 0x7FFFFFFF, b""), "2^62 pixels declared")
    yield Mutant("png-zero.png", _png(0, 0, b""), "no pixels declared")
    yield Mutant("png-allowed.png", _png(13_000, 13_000, b"\x78\x9c"), "169 megapixels declared, none there")
    yield Mutant("png-bomb.png", _png(100, 100, bomb), "60 MB of rows for 10,000 pixels")
    text = b"Comment\x00\x00" + bomb
    yield Mutant(
        "png-text_bomb.png",
        _png(8, 8, zlib.compress(bytes(72)), _png_chunk(b"zTXt", text)),
        "a comment of 60 MB",
    )
    yield Mutant("png-crc.png", _put(files["page.png"], b"IHDR", 13, bytes(4)), "a wrong checksum")
    yield Mutant("png-chunk.png", _put(files["page.png"], b"IDAT", -8, _u32(0x7FFFFFFF)), "a chunk of 2 GB")
    yield Mutant(
        "jpg-giant.jpg", _put(files["page.jpg"], b"\xff\xc0", 3, b"\xff" * 4), "65535 x 65535 declared"
    )
    yield Mutant("jpg-zero.jpg", _put(files["page.jpg"], b"\xff\xc0", 3, bytes(4)), "no pixels declared")
    yield Mutant("jpg-high.jpg", _put(files["page.jpg"], b"\xff\xc0", 3, b"\xff\xff"), "65535 rows declared")
    yield Mutant("jpg-components.jpg", _put(files["page.jpg"], b"\xff\xc0", 7, b"\xff"), "255 components")
    yield Mutant("jpg-progressive.jpg", _scans(), "a progressive picture with 3,000 scans")
    yield Mutant(
        "gif-giant.gif", _put(files["page.gif"], b"GIF8", 2, b"\xff" * 4), "a screen of 65535 x 65535"
    )
    yield Mutant(
        "gif-frame.gif",
        _put(files["page.gif"], b"\x2c" + bytes(4), 0, b"\xff" * 4),
        "a frame larger than the screen",
    )
    yield Mutant(
        "bmp-giant.bmp", _put(files["page.bmp"], b"BM", 16, b"\xff\xff\xff\x7f" * 2), "2^62 pixels declared"
    )
    yield Mutant(
        "bmp-negative.bmp", _put(files["page.bmp"], b"BM", 16, b"\x00\x00\x00\x80" * 2), "a negative size"
    )
    yield Mutant(
        "bmp-rle.bmp", _put(files["page.bmp"], b"BM", 28, b"\x01\x00\x00\x00"), "plain rows said to be packed"
    )
    yield Mutant(
        "webp-giant.webp",
        _put(files["page.webp"], b"\x9d\x01\x2a", 0, b"\xff\x3f" * 2),
        "16383 x 16383 declared",
    )
    yield Mutant("webp-riff.webp", _put(files["page.webp"], b"RIFF", 0, b"\xff" * 4), "4 GB declared")
    yield Mutant(
        "avif-giant.avif",
        _put(files["page.avif"], b"ispe", 4, b"\x00\x00\xff\xff" * 2),
        "65535 x 65535 declared",
    )
    yield Mutant(
        "heic-fake.heic",
        files["page.avif"].replace(b"avif", b"heic", 1).replace(b"av01", b"hvc1"),
        "AV1 said to be HEVC",
    )
    yield Mutant("tiff-giant.tiff", _tiff_tag(files["page.tiff"], 256, 0x7FFFFFFF), "2 billion pixels wide")
    yield Mutant("tiff-strips.tiff", _tiff_tag(files["page.tiff"], 273, 0x7FFFFFFF), "strips behind the end")
    yield Mutant("tiff-samples.tiff", _tiff_tag(files["page.tiff"], 277, 60_000), "60,000 samples a pixel")
    yield Mutant("tiff-loop.tiff", _tiff_loop(), "the second frame follows itself")
    yield Mutant("tiff-frames.tiff", _tiff_chain(3_000), "3,000 frames in a chain")


def _scans() -> bytes:
    """Repeat the last scan of a progressive JPEG: each one is a pass over all pixels."""
    content = picture_bytes(text_picture("Scans", (64, 64)), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * 3000 + content[-2:]


def _tiff_tag(content: bytes, tag: int, value: int) -> bytes:
    """Change a tag's value in the first directory of a little-endian TIFF."""
    place = int.from_bytes(content[4:8], "little")
    count = int.from_bytes(content[place : place + 2], "little")
    for at in range(place + 2, place + 2 + 12 * count, 12):
        if int.from_bytes(content[at : at + 2], "little") == tag:
            entry = struct.pack("<HHII", tag, 4, 1, value)
            return content[:at] + entry + content[at + 12 :]
    raise AssertionError(tag)


def _tiff_directory(next_place: int, strip: int) -> bytes:
    """One frame of 8 x 8 grey pixels."""
    tags = [(256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, strip), (277, 1), (278, 8), (279, 64)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", next_place)


def _tiff_loop() -> bytes:
    size = len(_tiff_directory(0, 0))
    second = 8 + size
    directories = _tiff_directory(second, 8 + 2 * size) + _tiff_directory(second, 8 + 2 * size)
    return struct.pack("<2sHI", b"II", 42, 8) + directories + bytes(64)


def _tiff_chain(frames: int) -> bytes:
    """All frames share their pixels; directories take 114 bytes each."""
    size = len(_tiff_directory(0, 0))
    end = 8 + frames * size
    places = [*(8 + size * (frame + 1) for frame in range(frames - 1)), 0]
    return (
        struct.pack("<2sHI", b"II", 42, 8) + b"".join(_tiff_directory(at, end) for at in places) + bytes(64)
    )


def _lying_sound() -> Iterator[Mutant]:
    files = good()
    wav, mp3, flac = files["song.wav"], files["song.mp3"], files["song.flac"]
    yield Mutant("wav-gigabytes.wav", _put(wav, b"data", 0, b"\xff\xff\xff\x7f"), "2 GB of samples claimed")
    yield Mutant("wav-rate_zero.wav", _put(wav, b"fmt ", 8, bytes(4)), "no samples a second")
    yield Mutant(
        "wav-rate_one.wav", _put(wav, b"fmt ", 8, b"\x01\x00\x00\x00\x02\x00\x00\x00"), "a sample a second"
    )
    yield Mutant("wav-channels.wav", _put(wav, b"fmt ", 6, b"\xff\xff"), "65535 channels")
    yield Mutant("wav-codec.wav", _put(wav, b"fmt ", 4, b"\x55\x55"), "a codec that is none")
    yield Mutant("wav-align.wav", _put(wav, b"fmt ", 16, bytes(4)), "samples of no bytes")
    tag = b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f"
    yield Mutant("mp3-tag.mp3", tag + mp3, "a tag that claims 256 MB")
    yield Mutant("mp3-tags.mp3", b"ID3\x04\x00\x00\x00\x00\x00\x00" * 3000 + mp3, "3,000 empty tags")
    yield Mutant("flac-samples.flac", _put(flac, b"fLaC", 17, b"\xff" * 5), "2^36 samples claimed")
    yield Mutant("flac-rate.flac", _put(flac, b"fLaC", 14, bytes(3)), "no samples a second")
    yield Mutant("m4a-frames.m4a", _put(files["song.m4a"], b"stts", 8, _u32(-1)), "4 billion frames of sound")
    yield Mutant(
        "ogg-granule.ogg", _put(files["song.ogg"], b"OggS", 2, b"\x7f" * 8), "a position of centuries"
    )


_CATALOG, _PAGES = b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"


def _one_page(content: bytes, objects: dict[int, bytes], resources: bytes = b"") -> bytes:
    """A PDF of one page; its content is object 4, further objects begin at 5."""
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 4 0 R /Resources << %s >> >>"
    return raw_pdf({1: _CATALOG, 2: _PAGES, 3: page % resources, 4: content, **objects})


def _form(resources: bytes, content: bytes) -> bytes:
    entries = b"/Type /XObject /Subtype /Form /BBox [0 0 300 300] /Resources << %s >>" % resources
    return stream(content, entries)


def _image(width: int, height: int, data: bytes, entries: bytes) -> bytes:
    size = b"/Type /XObject /Subtype /Image /Width %d /Height %d /BitsPerComponent 8 /ColorSpace /DeviceRGB "
    return stream(data, size % (width, height) + entries)


def _with_image(image: bytes) -> bytes:
    return _one_page(stream(b"300 0 0 300 0 0 cm /X Do"), {5: image}, b"/XObject << /X 5 0 R >>")


def _lying_pdf() -> Iterator[Mutant]:
    def made(label: str, content: bytes, change: str) -> Mutant:
        return Mutant(f"pdf-{label}.pdf", content, change)

    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] >>"
    tree = partial(lambda kids, pages=_PAGES: raw_pdf({1: _CATALOG, 2: pages, 3: kids}))
    yield made("count", tree(page, b"<< /Type /Pages /Kids [3 0 R] /Count 99999999 >>"), "10^8 pages claimed")
    yield made(
        "count_negative", tree(page, b"<< /Type /Pages /Kids [3 0 R] /Count -7 >>"), "-7 pages claimed"
    )
    yield made(
        "kids_loop", tree(b"<< /Type /Pages /Parent 2 0 R /Kids [2 0 R] /Count 1 >>"), "pages in a circle"
    )
    yield made(
        "parent_loop", tree(b"<< /Type /Page /Parent 3 0 R /Contents 9 0 R >>"), "a page is its own parent"
    )
    yield made("kids_bomb", _kids_bomb(), "10^12 pages by sharing ten times ten times ten branches")
    yield made("box_huge", tree(page.replace(b"300 300", b"1e9 1e9")), "a page of a billion points")
    yield made("box_thin", tree(page.replace(b"300 300", b"1e9 1")), "a page of a billion by one points")
    yield made("box_none", tree(page.replace(b"0 0 300 300", b"5 5 5 5")), "a page without area")
    yield made(
        "unit", tree(page.replace(b"/MediaBox", b"/UserUnit 1e30 /MediaBox")), "a unit of 10^30 points"
    )
    yield made(
        "form_loop",
        _one_page(
            stream(b"/X Do"),
            {5: _form(b"/XObject << /X 5 0 R >>", b"/X Do /X Do")},
            b"/XObject << /X 5 0 R >>",
        ),
        "a form that draws itself",
    )
    yield made("form_bomb", _form_bomb(), "10^9 drawings by forms inside of forms")
    yield made(
        "flate_bomb", _one_page(_deflated(zlib.compress(b"q Q " * 15_000_000, 9)), {}), "60 MB of content"
    )
    yield made("flate_deep", _one_page(_deep_flate(), {}), "content packed three times over")
    yield made(
        "paths", _one_page(_deflated(zlib.compress(b"9 9 m 250 250 l S " * 500_000, 9)), {}), "500,000 lines"
    )
    yield made("states", _one_page(_deflated(zlib.compress(b"q " * 500_000, 9)), {}), "500,000 states saved")
    yield made("arrays", _one_page(_deflated(zlib.compress(b"[" * 300_000, 9)), {}), "300,000 arrays opened")
    giant = _image(100_000, 100_000, zlib.compress(bytes(1000)), b"/Filter /FlateDecode")
    yield made("image_giant", _with_image(giant), "a picture of 10 gigapixels declared")
    yield made(
        "image_short", _with_image(_image(2000, 2000, b"\x00" * 99, b"")), "a picture without its bytes"
    )
    for kind in (
        b"JBIG2Decode",
        b"JPXDecode",
        b"CCITTFaxDecode",
        b"DCTDecode",
        b"LZWDecode",
        b"RunLengthDecode",
    ):
        noise = random.Random(f"{SEED}:{kind!r}").randbytes(4000)  # noqa: S311 - the same noise each time
        image = _image(500, 500, noise, b"/Filter /" + kind)
        yield made(f"noise_{kind.decode().lower()}", _with_image(image), f"noise said to be {kind.decode()}")
    yield made("xref_loop", _xref_loop(), "a cross-reference table that precedes itself")
    yield made(
        "xref_lies", good()["text.pdf"].replace(b"startxref\n", b"startxref\n9"), "the table is elsewhere"
    )
    yield made("no_objects", b"%PDF-1.7\n%%EOF\n", "no object at all")
    yield made(
        "length_loop",
        raw_pdf(
            {
                1: _CATALOG,
                2: _PAGES,
                3: page.replace(b">>", b"/Contents 4 0 R >>"),
                4: b"<< /Length 4 0 R >>\nstream\nq\nendstream",
            }
        ),
        "a stream as long as itself",
    )
    yield made("object_stream", _object_stream(), "an object stream that holds itself")
    yield made(
        "deep", raw_pdf({1: _CATALOG, 2: _PAGES, 3: b"[" * 100_000}), "100,000 arrays inside of each other"
    )
    yield made(
        "font",
        _one_page(
            stream(b"BT /F 1e30 Tf (huge) Tj ET"),
            {5: b"<< /Type /Font /Subtype /Type3 >>"},
            b"/Font << /F 5 0 R >>",
        ),
        "a font without glyphs, of 10^30 points",
    )
    yield made(
        "text_bomb",
        _one_page(
            _deflated(zlib.compress(b"BT /F 9 Tf 9 9 Td (aaaaaaaa) Tj ET " * 40_000, 9)),
            {5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"},
            b"/Font << /F 5 0 R >>",
        ),
        "320,000 letters in one place",
    )
    yield made("pattern", _pattern(), "a tile of a hundredth of a point fills the page")


def _deflated(data: bytes) -> bytes:
    return stream(data, b"/Filter /FlateDecode")


def _deep_flate() -> bytes:
    data = b"q Q " * 15_000_000
    for _ in range(3):
        data = zlib.compress(data, 9)
    return stream(data, b"/Filter [/FlateDecode /FlateDecode /FlateDecode]")


def _kids_bomb() -> bytes:
    nodes = {
        level: b"<< /Type /Pages /Kids [%s] /Count %d >>"
        % (b"%d 0 R " % (level + 1) * 10, 10 ** (14 - level))
        for level in range(2, 14)
    }
    leaf = b"<< /Type /Page /Parent 13 0 R /MediaBox [0 0 300 300] >>"
    return raw_pdf({1: _CATALOG, **nodes, 14: leaf})


def _form_bomb() -> bytes:
    forms = {
        number: _form(b"/XObject << /X %d 0 R >>" % (number + 1), b"/X Do " * 10) for number in range(5, 14)
    }
    last = _form(b"", b"9 9 m 250 250 l S")
    return _one_page(stream(b"/X Do"), {**forms, 14: last}, b"/XObject << /X 5 0 R >>")


def _xref_loop() -> bytes:
    content = good()["text.pdf"]
    start = content.rindex(b"startxref\n") + len(b"startxref\n")
    place = content[start:].split()[0]
    return content.replace(b"trailer\n<<", b"trailer\n<< /Prev " + place, 1)


def _object_stream() -> bytes:
    packed = stream(
        b"5 0 6 9 << /A 6 0 R >> << /B 5 0 R >>", b"/Type /ObjStm /N 1000000 /First 8 /Extends 5 0 R"
    )
    return raw_pdf({1: _CATALOG, 2: b"<< /Type /Pages /Kids 6 0 R /Count 3 >>", 5: packed})


def _pattern() -> bytes:
    tile = (
        b"/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 .01 .01] /XStep .01 /YStep .01 "
        b"/Resources << >>"
    )
    return _one_page(
        stream(b"/Pattern cs /P scn 0 0 300 300 re f"),
        {5: stream(b"0 0 .01 .01 re f", tile)},
        b"/Pattern << /P 5 0 R >>",
    )


# --- odd files ------------------------------------------------------------------------------


def _odd() -> Iterator[Mutant]:
    """Nothing, noise, two files in one, other names, and strange words beside a video."""
    files = good()
    suffixes = ("mp4", "mkv", "avi", "ts", "mp3", "wav", "flac", "png", "jpg", "tiff", "pdf", "webp", "heic")
    for suffix in suffixes:
        noise = random.Random(f"{SEED}:noise:{suffix}").randbytes(6000)  # noqa: S311 - the same noise each time
        yield Mutant(f"odd-noise.{suffix}", noise, "random bytes")
    for suffix in ("mp4", "pdf", "png", "mp3", "mpg"):
        yield Mutant(f"odd-empty.{suffix}", b"", "no bytes")
        yield Mutant(f"odd-zeros.{suffix}", bytes(20_000), "zeros")
        yield Mutant(f"odd-one.{suffix}", b"\x00", "one byte")
    yield Mutant("odd-head.mp4", files["talk.mp4"][:40], "a beginning alone")
    for first, second in (
        ("talk.mp4", "talk.mp4"),
        ("talk.mkv", "talk.mp4"),
        ("page.png", "text.pdf"),
        ("text.pdf", "scan.pdf"),
        ("song.mp3", "song.wav"),
        ("talk.ts", "talk.ts"),
    ):
        label = f"{first}_and_{second}".replace(".", "_")
        yield Mutant(
            f"joined-{label}.{first.partition('.')[2]}", files[first] + files[second], "two files in one"
        )
    for name, other in (
        ("talk.mp4", "jpg"),
        ("talk.mkv", "mp4"),
        ("page.png", "pdf"),
        ("page.jpg", "mkv"),
        ("text.pdf", "png"),
        ("song.wav", "mp4"),
        ("song.mp3", "tiff"),
        ("talk.avi", "wav"),
        ("song.flac", "pdf"),
    ):
        yield Mutant(f"named-{name.replace('.', '_')}.{other}", files[name], f"named .{other}")
    for label, suffix, text, change in _words():
        # A sidecar is read with the video beside it, whose name it bears.
        yield Mutant(
            f"words-{label}.mp4", files["talk.mp4"] + _u32(8) + b"free", "a video beside strange words"
        )
        yield Mutant(f"words-{label}.{suffix}", text, change)


def _words() -> Iterator[tuple[str, str, bytes, str]]:
    draw = random.Random(f"{SEED}:words")  # noqa: S311 - the same words each time
    cue = b"1\n00:00:00,000 --> 00:00:01,500\nHello\n\n"
    yield "noise", "srt", draw.randbytes(30_000), "random bytes"
    yield "zeros", "vtt", bytes(30_000), "zeros"
    yield "empty", "srt", b"", "no bytes"
    yield "long", "srt", cue.replace(b"Hello", b"a" * 3_000_000), "a line of 3 MB"
    yield "arrows", "srt", b"--> " * 400_000, "nothing but arrows"
    yield "times", "vtt", b"WEBVTT\n\n" + b"00:00.000 --> 00:01.000\n" * 40_000, "nothing but times"
    yield "tags", "vtt", b"WEBVTT\n\n00:00.000 --> 00:01.000\n" + b"<c" * 300_000, "tags that never end"
    yield "braces", "srt", cue.replace(b"Hello", b"{" * 300_000), "braces that never end"
    yield "entities", "vtt", b"WEBVTT\n\n00:00.000 --> 00:01.000\n" + b"&lt;" * 200_000, "entities"
    yield "blank", "srt", b"\n \t" * 500_000, "blank lines"
    yield "digits", "srt", b"9" * 200_000 + b":00:01,000 --> 00:00:02,000\nx\n", "an hour of 200,000 digits"
    yield (
        "century",
        "srt",
        b"999999999:00:00,000 --> 9999999999:00:00,000\nlate\n",
        "a cue after 100,000 years",
    )
    yield (
        "controls",
        "srt",
        cue.replace(b"Hello", b"\x1b[2J\x1b]0;owned\x07 \x00 \xe2\x80\xae"),
        "terminal escapes",
    )
    yield "utf16", "srt", b"\xff\xfe" + draw.randbytes(9_999), "noise with the mark of UTF-16"
