"""Pages: pictures of them, documents that hold nothing but pictures, and documents born digital."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from reportlab.pdfgen.canvas import Canvas

from benchmarks.corpora.truth import Made, Shown
from benchmarks.slides import slide_lines

A4_POINTS = (595.0, 842.0)
_DPI = 150
_LINES = 24


def page_lines(number: int) -> list[str]:
    """Write the lines of a page, a heading first; each page has other numbers."""
    body = [line for at in range(_LINES // 4) for line in slide_lines(10 * number + at)[1:]]
    return [f"Report {number + 1}", *body]


def make_scans(folder: Path, *, pages: int, pages_per_file: int = 4) -> list[Made]:
    """Write scanned pages, half of them as pictures (JPEG, PNG), half as PDF files of pictures."""
    made: list[Made] = []
    pictures = pages // 2
    for number in range(pictures):
        path = folder / f"scan-{number:04}.{'jpg' if number % 2 else 'png'}"
        _scan(number).save(path)
        made.append(Made(path, (Shown("\n".join(page_lines(number)), page=1),)))
    for first in range(pictures, pages, pages_per_file):
        numbers = range(first, min(first + pages_per_file, pages))
        path = folder / f"scans-{first:04}.pdf"
        head, *rest = (_scan(number) for number in numbers)
        head.save(path, save_all=True, append_images=rest, resolution=_DPI)
        made.append(Made(path, _truth(list(numbers))))
    return made


def make_born_digital(folder: Path, *, pages: int, pages_per_file: int = 10) -> list[Made]:
    """Write PDF files that hold their text as text."""
    made = []
    for first in range(0, pages, pages_per_file):
        numbers = range(first, min(first + pages_per_file, pages))
        path = folder / f"report-{first:05}.pdf"
        out = io.BytesIO()
        canvas = Canvas(out, pagesize=A4_POINTS, invariant=True)
        for number in numbers:
            heading, *body = page_lines(number)
            canvas.setFont("Helvetica-Bold", 18)
            canvas.drawString(72, A4_POINTS[1] - 80, heading)
            canvas.setFont("Helvetica", 11)
            for row, line in enumerate(body):
                canvas.drawString(72, A4_POINTS[1] - 120 - 20 * row, line)
            canvas.showPage()
        canvas.save()
        path.write_bytes(out.getvalue())
        made.append(Made(path, _truth(list(numbers))))
    return made


def _truth(numbers: list[int]) -> tuple[Shown, ...]:
    return tuple(Shown("\n".join(page_lines(number)), page=at) for at, number in enumerate(numbers, start=1))


def _scan(number: int) -> Image.Image:
    """Draw a page as a scanner sees it: a little askew, soft and grainy, on paper that is not white."""
    rng = np.random.default_rng(number)
    width, height = (round(points * _DPI / 72) for points in A4_POINTS)
    page = Image.new("L", (width, height), 244)
    draw = ImageDraw.Draw(page)
    heading, *body = page_lines(number)
    draw.text((120, 110), heading, 30, ImageFont.load_default(46))
    for row, line in enumerate(body):
        draw.text((120, 220 + 56 * row), line, 40, ImageFont.load_default(30))
    askew = page.rotate(float(rng.uniform(-0.4, 0.4)), Image.Resampling.BICUBIC, fillcolor=244)
    soft = np.asarray(askew.filter(ImageFilter.GaussianBlur(0.7)), np.int16)
    grainy = soft + rng.integers(-6, 7, soft.shape, np.int16)
    return Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8))
