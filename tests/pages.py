"""Documents and pictures with known text, in all the shapes files have.

`drawn_pdf` draws with ReportLab. `glyph_pdf` writes a PDF by hand whose font says of each
byte what it means, so that ligatures, right-to-left runs and fonts without meaning can be
made without any font file. `raw_pdf` lays out objects as given, broken ones too.
"""

import io
from collections.abc import Callable, Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

A4 = (595.0, 842.0)

WORDS = (
    "Rivers carry more sand than wind does. Where a river slows down, the sand settles and builds "
    "a bank. After every flood the bank has moved a little, and people who live beside it draw "
    "their maps again. Old maps are kept in the town hall, where anybody may compare them."
)
"""Prose of 50 words, for pages that must look like text."""


def drawn_pdf(*pages: Callable[[Canvas], None], size: tuple[float, float] = A4, title: str = "") -> bytes:
    """Draw each page by a function on a canvas (points, y upwards)."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=size)
    canvas.setTitle(title)
    for page in pages:
        page(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def prose(canvas: Canvas, x: float = 72, y: float = 700, size: float = 11, words: str = WORDS) -> None:
    """Draw `words` as lines of eight words, top down."""
    canvas.setFont("Helvetica", size)
    for row, line in enumerate(wrapped(words)):
        canvas.drawString(x, y - 1.3 * size * row, line)


def wrapped(words: str, count: int = 8) -> list[str]:
    """Cut text into lines of so many words."""
    split = words.split()
    return [" ".join(split[at : at + count]) for at in range(0, len(split), count)]


def put_picture(
    canvas: Canvas, picture: Image.Image, x: float, y: float, width: float, height: float
) -> None:
    """Place a picture with its lower left corner at x, y (points)."""
    canvas.drawImage(ImageReader(picture), x, y, width, height)


def text_picture(
    text: str, size: tuple[int, int] = (800, 200), ink: str = "black", ground: str = "white"
) -> Image.Image:
    """Paint text in letters of 40 pixels."""
    picture = Image.new("RGB", size, ground)
    ImageDraw.Draw(picture).text((20, 20), text, fill=ink, font=ImageFont.load_default(40))
    return picture


def picture_bytes(picture: Image.Image, form: str, **options: object) -> bytes:
    """Encode a picture."""
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def raw_pdf(objects: Mapping[int, bytes], root: int = 1) -> bytes:
    """Write numbered objects with a correct cross-reference table."""
    out = bytearray(b"%PDF-1.7\n")
    places = {}
    for number, body in objects.items():
        places[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    count = max(objects) + 1
    out += b"xref\n0 %d\n" % count
    for number in range(count):
        used = number in places
        out += b"%010d %05d %s \n" % (places.get(number, 0), 0 if used else 65535, b"n" if used else b"f")
    out += b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, root, start)
    return bytes(out)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """Body of a stream object."""
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (entries, len(data), data)


def glyph_pdf(
    content: str,
    meanings: Mapping[str, str] | None = None,
    media_box: Sequence[float] = (0, 0, *A4),
    page_entries: str = "",
) -> bytes:
    """Write one page whose font `/F` is Helvetica with a mapping of its own.

    Args:
        content: the page's content stream, Latin-1.
        meanings: what each byte of the font means; bytes not named mean themselves, and
            None leaves the mapping out.
        media_box: the page's box in points.
        page_entries: more entries of the page object.
    """
    fonts = "/Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding"
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [{' '.join(map(str, media_box))}] /Contents 4 0 R "
            f"/Resources << /Font << /F 5 0 R >> >> {page_entries} >>"
        ).encode(),
        4: stream(content.encode("latin-1")),
        5: f"<< {fonts} {'/ToUnicode 6 0 R' if meanings is not None else ''} >>".encode(),
    }
    if meanings is not None:
        objects[6] = stream(_mapping(meanings))
    return raw_pdf(objects)


def _mapping(meanings: Mapping[str, str]) -> bytes:
    everything = {chr(code): chr(code) for code in range(0x20, 0x7F)} | dict(meanings)
    rows = [
        f"<{ord(code):02X}> <{meaning.encode('utf-16-be').hex().upper()}>"
        for code, meaning in everything.items()
    ]
    blocks = [rows[at : at + 100] for at in range(0, len(rows), 100)]
    body = "\n".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /M def /CMapType 2 def\n"
        f"1 begincodespacerange <00> <FF> endcodespacerange\n{body}\nendcmap end end"
    ).encode()


def line_at(x: float, y: float, text: str, size: float = 12) -> str:
    """Content that writes one line at a place."""
    escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return f"BT /F {size} Tf 1 0 0 1 {x} {y} Tm ({escaped}) Tj ET\n"
