"""Perceptions made by hand, with known text, places and times."""

from collections.abc import Sequence
from datetime import UTC, datetime

from operators.compose import Composed, compose
from schemas.config import Config
from schemas.failure import Failure
from schemas.media import Asset, Unit
from schemas.perception import Line, Perception, Utterance, View

AT = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


def line(
    text: str,
    y: float,
    *,
    x: float = 0.1,
    size: float = 0.05,
    confidence: float = 0.95,
    source: str = "ocr",
    width: float | None = None,
) -> Line:
    """A line of text whose box is as wide as its letters, or `width`."""
    across = min(0.98 - x, len(text) * size * 0.4) if width is None else width
    return Line(text, confidence, x, y, x + across, y + 1.2 * size, source, size)


def slide(title: str, *bullets: str, footer: str | None = None) -> list[Line]:
    """A slide: a large title, bullets below it, a small footer."""
    lines = [line(title, 0.08, size=0.09)]
    lines += [line(bullet, 0.28 + 0.1 * place) for place, bullet in enumerate(bullets)]
    return [*lines, line(footer, 0.93, size=0.03)] if footer else lines


def view(lines: Sequence[Line], start: float, until: float) -> View:
    """A picture of a video that stands from `start` to `until`."""
    return View(1280, 720, list(lines), start, until, text_source="ocr", read="whole")


def page(lines: Sequence[Line], number: int, source: str = "text_layer") -> View:
    """An A4 page."""
    return View(595, 842, list(lines), page=number, text_source=source)


def paragraph(text: str, y: float, *, x: float = 0.1, letters: int = 80, size: float = 0.013) -> list[Line]:
    """Running text broken into lines of a column, justified but for the last."""
    rows: list[str] = [""]
    for word in text.split():
        if rows[-1] and len(rows[-1]) + 1 + len(word) > letters:
            rows.append(word)
        else:
            rows[-1] = f"{rows[-1]} {word}".strip()
    full = letters * 0.01
    return [
        line(
            row,
            y + 1.5 * size * place,
            x=x,
            size=size,
            confidence=1.0,
            source="text_layer",
            width=full if place + 1 < len(rows) else full * len(row) / letters,
        )
        for place, row in enumerate(rows)
    ]


def video(
    views: Sequence[View],
    duration: float,
    cuts: Sequence[float] = (),
    utterances: Sequence[Utterance] = (),
    *,
    span_seconds: float = 60.0,
    lost: Sequence[int] = (),
    title: str | None = None,
) -> list[Perception]:
    """All units of a video: spans of `span_seconds`, and its subtitles last.

    A view belongs to the span in which it begins. Spans in `lost` have a failure instead.
    """
    count = max(1, -(-int(duration) // int(span_seconds)))
    asset = Asset(
        "a" * 32,
        "v" * 32,
        "file:///data/talk%20one.mp4",
        "video",
        1000,
        "f",
        "c",
        duration_seconds=duration,
        width_px=1280,
        height_px=720,
        title=title,
        unit_count=count + 1,
    )
    units: list[Perception] = []
    for index in range(count):
        start, end = index * span_seconds, min(duration, (index + 1) * span_seconds)
        unit = Unit(index, "span", start, end)
        if index in lost:
            failure = Failure("decode", "corrupt", "Wanted frames; found none.", unit=index)
            units.append(Perception(asset, unit, failures=[failure]))
            continue
        mine = [item for item in views if start <= (item.time_seconds or 0.0) < end]
        inside = [cut for cut in cuts if start < cut < end]
        units.append(Perception(asset, unit, views=mine, cuts=inside, sampled=int(end - start)))
    units.append(Perception(asset, Unit(count, "subtitles"), utterances=list(utterances)))
    return units


def document(
    pages: Sequence[Sequence[Line] | None], *, title: str | None = None, kind: str = "document"
) -> list[Perception]:
    """All units of a document; None is a page that could not be read."""
    asset = Asset(
        "d" * 32,
        "v" * 32,
        "file:///data/report.pdf",
        kind,
        1000,
        "f",
        "c",
        page_count=len(pages),
        title=title,
        unit_count=len(pages),
    )
    return [
        Perception(asset, Unit(index, "page", page=index + 1), views=[page(lines, index + 1)])
        if lines is not None
        else Perception(
            asset,
            Unit(index, "page", page=index + 1),
            failures=[Failure("decode", "corrupt", "Wanted a page; found none.", unit=index)],
        )
        for index, lines in enumerate(pages)
    ]


def composed(perceptions: Sequence[Perception], config: Config | None = None) -> Composed:
    """Compose with fixed ids and time."""
    return compose(perceptions, config or Config(), run_id="run", at=AT, write_id="write")
