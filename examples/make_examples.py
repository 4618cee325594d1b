"""Make the example corpus: invented media whose every word, time and page is known.

The files under `examples/corpus/` are what `make demo` reads. They are made here, so that
they can be shipped without asking anybody, and so that tests know what a right answer is:
`truth.json` states all texts, slide times, spoken sentences and pages, and
`truth-for-evaluate.json` the same as `gloss evaluate` takes it.

Making them again needs a speech synthesiser and a Chinese font beside `gloss[dev]`:

    apt-get install espeak-ng fonts-dejavu-core fonts-noto-cjk
    python examples/make_examples.py
"""

import io
import json
import math
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
TRUTH = HERE / "truth.json"
EVALUATE = HERE / "truth-for-evaluate.json"

SANS = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
BOLD = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"
SERIF = "/usr/share/fonts/truetype/dejavu/DejaVuSerif.ttf"
MONO = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"
CHINESE = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"

MILLISECONDS = Fraction(1, 1000)
LEAD_SECONDS = 0.6
"""Silence before the first sentence of a slide; viewers see it before it is spoken about."""
PAUSE_SECONDS = 0.35


@dataclass(frozen=True, slots=True)
class Slide:
    """What is shown, and what is said meanwhile."""

    title: str
    lines: tuple[str, ...]
    spoken: tuple[str, ...]
    font: str = SANS


@dataclass(frozen=True, slots=True)
class Sentence:
    """A spoken sentence and when it is heard."""

    start_seconds: float
    end_seconds: float
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A slide and when it is on screen."""

    start_seconds: float
    end_seconds: float
    lines: list[str]


@dataclass(frozen=True, slots=True)
class Talk:
    """A talk laid out in time: when each slide is shown, each sentence said, and the sound."""

    slides: list[Shown] = field(default_factory=list)
    sentences: list[Sentence] = field(default_factory=list)
    samples: list[NDArray[np.int16]] = field(default_factory=list)


OBSERVATORY = (
    Slide(
        "Kestrel Hill Observatory",
        ("A guided night under a dark sky", "Every Friday from 20:30"),
        (
            "Welcome to Kestrel Hill Observatory.",
            "We open the dome every Friday evening at half past eight.",
        ),
    ),
    Slide(
        "What to see in November",
        (
            "Saturn and its rings until 22:00",
            "Andromeda, 2.5 million light years away",
            "The Pleiades, a cluster of young stars",
        ),
        (
            "Saturn sets early, so we begin with its rings.",
            "Later the Andromeda galaxy stands high above the dome.",
        ),
    ),
    Slide(
        "秋夜观星",
        ("请先让眼睛适应黑暗二十分钟", "红色灯光不会影响夜间视力"),
        (
            "Give your eyes twenty minutes to adapt to the dark.",
            "Red light does not spoil your night vision.",
        ),
        CHINESE,
    ),
    Slide(
        "The telescope",
        ("Mirror: 62 centimetres", "Focal length: 2.4 metres", "Built by volunteers in 1987"),
        (
            "The mirror is sixty two centimetres wide.",
            "Volunteers ground and polished it over three winters.",
        ),
    ),
    Slide(
        "Before you come",
        ("Dress for five degrees below zero", "Leave white torches at home", "24 places each night"),
        (
            "Dress warmly, because the dome is not heated.",
            "There are twenty four places each night, so please book ahead.",
        ),
    ),
)

TIDE_POOLS = (
    Slide(
        "Tide pools",
        ("A pocket guide", "to the rocky shore"),
        ("A tide pool is a small sea left behind by the ebb.",),
    ),
    Slide(
        "When to go",
        ("Two hours before", "low water", "Check the tide table"),
        (
            "Arrive two hours before low water.",
            "Always check the tide table before you climb down.",
        ),
    ),
    Slide(
        "Who lives here",
        ("Beadlet anemone", "Hermit crab", "Common limpet"),
        (
            "Look for anemones in the shade and hermit crabs under the weed.",
            "Limpets return to the same spot on the rock after every meal.",
        ),
    ),
    Slide(
        "Leave no trace",
        ("Turn stones back gently", "Take only pictures"),
        ("Turn every stone back the way you found it.",),
    ),
)

# --- speech ---------------------------------------------------------------------------------


def speak(text: str) -> tuple[NDArray[np.int16], int]:
    """Synthesise one sentence; returns mono samples and their rate in Hz."""
    tool = shutil.which("espeak-ng")
    if tool is None:
        sys.exit("Wanted espeak-ng to speak the examples; it is not installed. apt-get install espeak-ng")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "speech.wav"
        command = [tool, "-v", "en-gb", "-s", "160", "-w", str(target), text]
        subprocess.run(command, check=True)  # noqa: S603 - fixed words
        with wave.open(str(target)) as file:
            return np.frombuffer(file.readframes(file.getnframes()), np.int16), file.getframerate()


def lay_out(slides: Sequence[Slide]) -> tuple[Talk, int]:
    """Speak all slides one after the other; each begins on a full second.

    Returns:
        The talk and the rate of its samples in Hz.
    """
    talk, rate, now = Talk(), 22050, 0.0
    for slide in slides:
        start = now
        now = _silence(talk, now, LEAD_SECONDS, rate)
        for text in slide.spoken:
            samples, rate = speak(text)
            talk.samples.append(samples)
            end = now + len(samples) / rate
            talk.sentences.append(Sentence(round(now, 3), round(end, 3), text))
            now = _silence(talk, end, PAUSE_SECONDS, rate)
        now = _silence(talk, now, math.ceil(now) - now, rate)
        talk.slides.append(Shown(start, round(now, 3), [slide.title, *slide.lines]))
    return talk, rate


def _silence(talk: Talk, now: float, seconds: float, rate: int) -> float:
    count = round((now + seconds) * rate) - round(now * rate)
    talk.samples.append(np.zeros(count, np.int16))
    return now + seconds


# --- pictures of slides ---------------------------------------------------------------------


def font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """Load a font; in the Chinese collection face 2 holds the simplified forms."""
    return ImageFont.truetype(path, size, index=2 if path == CHINESE else 0)


def paint_slide(slide: Slide, width: int, height: int, number: int) -> Image.Image:
    """Paint a slide: a coloured band with the title, lines below it."""
    tints = ((28, 52, 92), (92, 48, 30), (26, 84, 68), (74, 40, 96), (110, 84, 20))
    picture = Image.new("RGB", (width, height), (246, 244, 238))
    draw = ImageDraw.Draw(picture)
    band, short = round(height * 0.2), min(width, height)
    draw.rectangle((0, 0, width, band), fill=tints[number % len(tints)])
    bold = CHINESE if slide.font == CHINESE else BOLD
    margin = round(short * 0.07)
    draw.text((margin, band // 2), slide.title, font=font(bold, short // 11), fill="white", anchor="lm")
    for row, line in enumerate(slide.lines):
        y = band + round(short * (0.17 + 0.15 * row))
        draw.ellipse((margin, y - 5, margin + 10, y + 5), fill=tints[number % len(tints)])
        draw.text((margin + 30, y), line, font=font(slide.font, short // 16), fill=(30, 30, 34), anchor="lm")
    return picture


def with_presenter(picture: Image.Image, seconds: float) -> Image.Image:
    """Draw the presenter, a dot that wanders along the lower edge."""
    frame = picture.copy()
    width, height = frame.size
    x = width * (0.7 + 0.2 * math.sin(seconds * 0.9))
    y = height * (0.92 + 0.02 * math.sin(seconds * 2.3))
    radius = min(width, height) * 0.035
    ImageDraw.Draw(frame).ellipse((x - radius, y - radius, x + radius, y + radius), fill=(214, 120, 60))
    return frame


# --- videos ---------------------------------------------------------------------------------


def even_times(seconds: float) -> Iterator[int]:
    """Presentation times in milliseconds at 25 frames a second."""
    yield from range(0, round(seconds * 1000), 40)


def uneven_times(seconds: float) -> Iterator[int]:
    """Presentation times in milliseconds: 25 frames in even seconds, 5 in odd ones."""
    now = 0
    while now < seconds * 1000:
        yield now
        now += 40 if (now // 1000) % 2 == 0 else 200


@dataclass(frozen=True, slots=True)
class VideoStyle:
    """How a video is made."""

    width: int
    height: int
    uneven: bool
    audio_codec: str
    audio_hz: int
    subtitles: bool
    moving: bool = True


def write_video(path: Path, slides: Sequence[Slide], talk: Talk, rate: int, style: VideoStyle) -> None:
    """Encode a talk; one encoder thread and no wall clock, so that it comes out the same again."""
    seconds = talk.slides[-1].end_seconds
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        video: Any = container.add_stream("libx264", rate=25, options={"crf": "27", "preset": "veryslow"})
        video.width, video.height, video.pix_fmt = style.width, style.height, "yuv420p"
        video.time_base = video.codec_context.time_base = MILLISECONDS
        video.codec_context.thread_count, video.codec_context.gop_size = 1, 250
        audio: Any = container.add_stream(style.audio_codec, rate=style.audio_hz, layout="mono")
        audio.bit_rate = 40_000
        packets = _subtitle_packets(container, talk) if style.subtitles else []
        packets += _video_packets(video, slides, talk, seconds, style)
        packets += _audio_packets(audio, talk, rate)
        for packet in sorted(packets, key=_decode_seconds):
            container.mux(packet)


def _decode_seconds(packet: Any) -> float:
    return float((packet.dts if packet.dts is not None else packet.pts) * packet.time_base)


def _video_packets(
    stream: Any, slides: Sequence[Slide], talk: Talk, seconds: float, style: VideoStyle
) -> Iterator[Any]:
    pictures = [paint_slide(slide, style.width, style.height, n) for n, slide in enumerate(slides)]
    times = uneven_times(seconds) if style.uneven else even_times(seconds)
    for milliseconds in times:
        now = milliseconds / 1000
        number = next(n for n, shown in enumerate(talk.slides) if now < shown.end_seconds)
        picture = with_presenter(pictures[number], now) if style.moving else pictures[number]
        frame = av.VideoFrame.from_ndarray(np.asarray(picture), "rgb24")
        frame.pts, frame.time_base = milliseconds, MILLISECONDS
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _audio_packets(stream: Any, talk: Talk, rate: int) -> Iterator[Any]:
    context = stream.codec_context
    resampler = av.AudioResampler(context.format, "mono", context.sample_rate, context.frame_size)
    frame: Any = av.AudioFrame.from_ndarray(np.concatenate(talk.samples)[None, :], "s16", "mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    for piece in (frame, None):
        for resampled in resampler.resample(piece):
            yield from stream.encode(resampled)
    yield from stream.encode(None)


def _subtitle_packets(container: Any, talk: Talk) -> list[Any]:
    """Copy the sentences into a subtitle track of the container."""
    with av.open(io.BytesIO(srt(talk.sentences).encode()), "r", format="srt") as source:
        template = source.streams.subtitles[0]
        stream = container.add_stream_from_template(template)
        stream.metadata["language"] = "eng"
        packets: list[Any] = [packet for packet in source.demux(template) if packet.size]
        for packet in packets:
            packet.stream = stream
    return packets


def srt(sentences: Sequence[Sentence]) -> str:
    """Write sentences as SubRip text."""
    blocks = [
        f"{number}\n{_clock(item.start_seconds)} --> {_clock(item.end_seconds)}\n{item.text}\n"
        for number, item in enumerate(sentences, 1)
    ]
    return "\n".join(blocks)


def _clock(seconds: float) -> str:
    whole = round(seconds * 1000)
    hours, minutes = whole // 3_600_000, whole // 60_000 % 60
    return f"{hours:02}:{minutes:02}:{whole // 1000 % 60:02},{whole % 1000:03}"


def make_observatory() -> dict[str, Any]:
    """Landscape lecture with a sidecar of its words."""
    talk, rate = lay_out(OBSERVATORY)
    style = VideoStyle(960, 540, uneven=False, audio_codec="aac", audio_hz=24_000, subtitles=False)
    write_video(CORPUS / "observatory-night.mp4", OBSERVATORY, talk, rate, style)
    (CORPUS / "observatory-night.en.srt").write_text(srt(talk.sentences), encoding="utf-8")
    return _video_truth(talk, style, "sidecar")


def make_tide_pools() -> dict[str, Any]:
    """Portrait talk of variable frame rate with an embedded subtitle track."""
    talk, rate = lay_out(TIDE_POOLS)
    style = VideoStyle(540, 960, uneven=True, audio_codec="libopus", audio_hz=48_000, subtitles=True)
    write_video(CORPUS / "tide-pools-portrait.mkv", TIDE_POOLS, talk, rate, style)
    return _video_truth(talk, style, "embedded")


def make_unfinished() -> dict[str, Any]:
    """A recording that was cut off: the index at its end is missing."""
    slides = TIDE_POOLS[:1]
    talk, rate = lay_out(slides)
    style = VideoStyle(320, 180, False, "aac", 24_000, subtitles=False)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.mp4"
        write_video(whole, slides, talk, rate, style)
        data = whole.read_bytes()
    (CORPUS / "unfinished-recording.mp4").write_bytes(data[: data.index(b"moov") - 4 - 2000])
    return {"kind": "video", "status": "failed"}


def _video_truth(talk: Talk, style: VideoStyle, subtitles: str) -> dict[str, Any]:
    return {
        "kind": "video",
        "status": "ok",
        "duration_seconds": talk.slides[-1].end_seconds,
        "width_px": style.width,
        "height_px": style.height,
        "variable_frame_rate": style.uneven,
        "subtitles": subtitles,
        "slides": [asdict(shown) for shown in talk.slides],
        "sentences": [asdict(sentence) for sentence in talk.sentences],
    }


# --- documents ------------------------------------------------------------------------------

BREAD_PAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "The Riverside Bakery Handbook",
        (
            "This handbook collects what three generations of bakers wrote on the backs of flour bags. "
            "It begins with the starter, goes on to the dough, and ends with the oven.",
            "Bread needs four things: flour, water, salt and time. The first three are cheap. "
            "Time is the ingredient that most kitchens forget.",
        ),
    ),
    (
        "Keeping a starter",
        (
            "Feed the starter every morning with equal weights of rye flour and water. "
            "At 24 degrees it doubles within six hours; in a cold kitchen it may need ten.",
            "A starter that smells of apples is ready. One that smells of vinegar is hungry: "
            "throw half of it away and feed the rest twice.",
        ),
    ),
    (
        "Hydration and proofing",
        (
            "Hydration is the weight of the water divided by the weight of the flour. "
            "Wetter doughs open into larger holes and are harder to shape.",
        ),
    ),
    (
        "The oven",
        (
            "Heat the stone for an hour before the first loaf. Steam in the first ten minutes keeps the "
            "crust soft, so that the loaf can rise; afterwards open the vent.",
            "A loaf is done when its core has reached 96 degrees. Let it cool for two hours before cutting.",
        ),
    ),
)

BREAD_TABLE = (
    ("Loaf", "Hydration", "Proofing", "Oven"),
    ("Farmhouse white", "65 %", "2 hours", "220 degrees"),
    ("Rye sourdough", "82 %", "14 hours", "240 degrees"),
    ("Ciabatta", "85 %", "4 hours", "250 degrees"),
    ("Pâte fermentée baguette", "70 %", "18 hours", "245 degrees"),
)

FIELD_NOTES: tuple[tuple[str, ...], ...] = (
    (
        "SHORE SURVEY, GANNET BAY",
        "Station 4, spring tide, 11 October",
        "Low water at 11:42, wind from the north west.",
        "Twelve pools were counted between the groyne and",
        "the slipway. Water temperature in the largest pool",
        "was 13.5 degrees, salinity 34 parts per thousand.",
        "Common limpets were found on every boulder.",
    ),
    (
        "SPECIES LIST",
        "Beadlet anemone 47",
        "Shore crab 19",
        "Hermit crab 23",
        "Dog whelk 64",
        "Common blenny 5",
        "Cushion star 8",
    ),
    (
        "REMARKS",
        "A single spiny starfish was seen below the weed line,",
        "the first at this station since 1998.",
        "Two pools near the slipway held fishing line and",
        "plastic; both were cleaned before the tide returned.",
        "Next survey: the spring tide of 9 November.",
    ),
)
TURNED_PAGE = 2
"""This page of the scan lies on its side."""


def make_handbook() -> dict[str, Any]:
    """A born-digital document with headings, paragraphs and a table."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer

    styles = getSampleStyleSheet()
    story: list[Any] = []
    for number, (heading, paragraphs) in enumerate(BREAD_PAGES):
        story.append(Paragraph(heading, styles["Title" if number == 0 else "Heading1"]))
        for text in paragraphs:
            story += [Paragraph(text, styles["BodyText"]), Spacer(1, 10)]
        if heading == "Hydration and proofing":
            story.append(_bread_table())
        story.append(PageBreak())
    SimpleDocTemplate(
        str(CORPUS / "bakery-handbook.pdf"),
        pagesize=A4,
        title="The Riverside Bakery Handbook",
        author="Gloss examples",
        invariant=1,
    ).build(story[:-1])
    pages = [
        {"page": number, "heading": heading, "paragraphs": list(paragraphs)}
        for number, (heading, paragraphs) in enumerate(BREAD_PAGES, 1)
    ]
    table = {"page": 3, "cells": [list(row) for row in BREAD_TABLE]}
    return {
        "kind": "document",
        "status": "ok",
        "page_count": len(pages),
        "pages": pages,
        "tables": [table],
    }


def _bread_table() -> Any:
    from reportlab.lib import colors
    from reportlab.platypus import Table, TableStyle

    grid = TableStyle(
        [
            ("GRID", (0, 0), (-1, -1), 0.5, colors.grey),
            ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
            ("FONTNAME", (0, 0), (-1, 0), "Helvetica-Bold"),
        ]
    )
    return Table([list(row) for row in BREAD_TABLE], hAlign="LEFT", style=grid)


def make_scan() -> dict[str, Any]:
    """A scanned document: pictures only, skewed and noisy, one page on its side."""
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(CORPUS / "shore-survey-scan.pdf"), invariant=1)
    pages = []
    for number, lines in enumerate(FIELD_NOTES, 1):
        turned = 90 if number == TURNED_PAGE else 0
        picture = scan(lines, seed=number)
        # Lying on its left side: a clockwise turn by `turned` makes it upright.
        picture = picture.rotate(turned, expand=True)
        width, height = (side * 72 / 130 for side in picture.size)
        canvas.setPageSize((width, height))
        canvas.drawImage(ImageReader(_jpeg(picture, 40)), 0, 0, width, height)
        canvas.showPage()
        pages.append({"page": number, "lines": list(lines), "turned_degrees": turned})
    canvas.save()
    return {"kind": "document", "status": "ok", "page_count": len(pages), "pages": pages}


def scan(lines: Sequence[str], seed: int) -> Image.Image:
    """Paint a typed page as a scanner sees it: 130 dpi, a little skewed, with grain."""
    width, height = 1075, 1520
    page = Image.new("L", (width, height), 236)
    draw = ImageDraw.Draw(page)
    for row, line in enumerate(lines):
        size = 38 if row == 0 else 29
        draw.text((110, 150 + 66 * row), line, font=font(SERIF, size), fill=48)
    skew = (0.8, -0.6, 0.5)[seed % 3]
    page = page.rotate(skew, resample=Image.Resampling.BICUBIC, fillcolor=236)
    noise = np.random.default_rng(seed).normal(0, 5, (height, width))
    return Image.fromarray(np.clip(np.asarray(page, np.float64) + noise, 0, 255).astype(np.uint8))


def _jpeg(picture: Image.Image, quality: int) -> io.BytesIO:
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=quality)
    target.seek(0)
    return target


# --- pictures -------------------------------------------------------------------------------

POSTER = (
    "Lantern Walk",
    "Saturday 5 December",
    "Meet at the old mill, 17:00",
    "Bring a lantern and warm boots",
)

RECEIPT = (
    "HARBOUR BOOKSHOP",
    "12 Quay Street",
    "The Seashore by Lamplight    14.50",
    "Star Atlas, second edition   32.00",
    "Pocket notebook               3.25",
    "Total                        49.75",
    "Paid by card",
    "Thank you and fair winds",
)


def make_poster() -> dict[str, Any]:
    """A photo-like picture at dusk with a few large words."""
    width, height = 1000, 1400
    rows = np.linspace(0, 1, height)[:, None, None]
    sky = (1 - rows) * np.array([18, 24, 58]) + rows * np.array([196, 110, 70])
    grain = np.random.default_rng(7).normal(0, 6, (height, width, 1))
    picture = Image.fromarray(
        np.clip(np.broadcast_to(sky, (height, width, 3)) + grain, 0, 255).astype(np.uint8)
    )
    draw = ImageDraw.Draw(picture)
    hills = [(x, 1050 + 60 * math.sin(x / 140) + 30 * math.sin(x / 47)) for x in range(0, width + 10, 10)]
    draw.polygon([(0, height), *hills, (width, height)], fill=(22, 26, 30))
    for x, y in ((180, 1010), (430, 1060), (660, 1000), (850, 1050)):
        draw.ellipse((x - 16, y - 22, x + 16, y + 22), fill=(255, 214, 120))
    for (size, y), line in zip(((110, 170), (54, 320), (48, 420), (44, 500)), POSTER, strict=True):
        draw.text((width // 2, y), line, font=font(BOLD, size), fill=(250, 240, 220), anchor="mm")
    picture.save(CORPUS / "lantern-walk-poster.jpg", quality=72)
    return {"kind": "image", "status": "ok", "width_px": width, "height_px": height, "lines": list(POSTER)}


def make_receipt() -> dict[str, Any]:
    """A screenshot of a receipt with small letters."""
    width, height = 460, 330
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    for row, line in enumerate(RECEIPT):
        draw.text((40, 30 + 34 * row), line, font=font(MONO, 16), fill=(40, 40, 40))
    picture.save(CORPUS / "bookshop-receipt.png", optimize=True)
    lines = [" ".join(line.split()) for line in RECEIPT]
    return {"kind": "image", "status": "ok", "width_px": width, "height_px": height, "lines": lines}


MAKERS = {
    "observatory-night.mp4": make_observatory,
    "tide-pools-portrait.mkv": make_tide_pools,
    "unfinished-recording.mp4": make_unfinished,
    "bakery-handbook.pdf": make_handbook,
    "shore-survey-scan.pdf": make_scan,
    "lantern-walk-poster.jpg": make_poster,
    "bookshop-receipt.png": make_receipt,
}


def evaluate_truth(truth: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Write the truth as `gloss evaluate` takes it; the broken file has none."""
    return [
        {"uri": name, "kind": item["kind"], "language": "en", **_known(item)}
        for name, item in truth.items()
        if item["status"] == "ok"
    ]


def _known(item: dict[str, Any]) -> dict[str, Any]:
    if "slides" in item:
        slides = [
            {
                "start_seconds": slide["start_seconds"],
                "end_seconds": slide["end_seconds"],
                "text": "\n".join(slide["lines"]),
            }
            for slide in item["slides"]
        ]
        return {
            "title": item["slides"][0]["lines"][0],
            "text": "\n".join(slide["text"] for slide in slides),
            "shown": slides,
            "utterances": item["sentences"],
        }
    if "pages" not in item:
        return {"pages": [{"page": 1, "text": "\n".join(item["lines"])}]}
    pages = []
    for page in item["pages"]:
        lines = page["lines"] if "lines" in page else [page["heading"], *page["paragraphs"]]
        tables = [table["cells"] for table in item.get("tables", ()) if table["page"] == page["page"]]
        lines = [*lines, *(" ".join(row) for cells in tables for row in cells)]
        heading = {"title": page["heading"]} if "heading" in page else {}
        pages.append({"page": page["page"], "text": "\n".join(lines), **heading})
    return {"title": item["pages"][0]["heading"], "pages": pages} if "tables" in item else {"pages": pages}


def main() -> None:
    """Make every file and state the truth about it."""
    CORPUS.mkdir(exist_ok=True)
    truth = {name: make() for name, make in MAKERS.items()}
    for path, value in ((TRUTH, truth), (EVALUATE, evaluate_truth(truth))):
        path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in sorted(CORPUS.iterdir()):
        print(f"{path.stat().st_size:>9,} {path.name}", file=sys.stderr)


if __name__ == "__main__":
    main()
