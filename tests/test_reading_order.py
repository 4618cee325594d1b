"""Lines in the order in which a person reads them."""

from hypothesis import given
from hypothesis import strategies as st

from operators.reading_order import in_reading_order
from schemas.perception import Line
from tests.pictures import line

SIDE = st.integers(0, 40).map(lambda value: value / 40)


@st.composite
def some_lines(draw: st.DrawFn) -> list[Line]:
    """Lines anywhere, many of them touching, equal or on top of each other."""
    boxes = draw(st.lists(st.tuples(SIDE, SIDE, st.integers(1, 30), st.integers(1, 6)), max_size=25))
    text = draw(st.sampled_from(["word", "漢字"]))
    return [
        line(text + str(index % 3), x, y, x + wide / 40, y + high / 40)
        for index, (x, y, wide, high) in enumerate(boxes)
    ]


@given(some_lines(), st.randoms())
def test_order_does_not_depend_on_input_order(lines: list[Line], random: st.DataObject) -> None:
    """The same lines come out in the same order, each exactly once, however they came in."""
    expected = in_reading_order(lines, 1280, 720)
    shuffled = list(lines)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    assert in_reading_order(shuffled, 1280, 720) == expected
    assert sorted(map(repr, expected)) == sorted(map(repr, lines))


def texts(lines: list[Line], width_px: int = 1000, height_px: int = 1000) -> list[str]:
    """Give the texts in reading order."""
    return [line.text for line in in_reading_order(lines, width_px, height_px)]


def column(name: str, x0: float, x1: float, rows: int, top: float = 0.2) -> list[Line]:
    """Lines of running text one below the other."""
    return [line(f"{name}{row}", x0, top + row * 0.03, x1, top + row * 0.03 + 0.02) for row in range(rows)]


def test_columns_are_read_one_after_the_other() -> None:
    """A title over two columns comes first, a footer last, and the left column before the right."""
    lines = [
        line("title", 0.1, 0.1, 0.9, 0.14),
        *column("left", 0.1, 0.45, 12),
        *column("right", 0.55, 0.9, 12),
        line("footer", 0.1, 0.9, 0.9, 0.92),
    ]
    left, right = [f"left{row}" for row in range(12)], [f"right{row}" for row in range(12)]
    assert texts(lines) == ["title", *left, *right, "footer"]


def test_heading_under_columns_goes_with_what_spans_them() -> None:
    """A short heading at the left edge under two columns is read after the right one."""
    lines = [
        *column("left", 0.1, 0.45, 8),
        *column("right", 0.55, 0.9, 8),
        line("heading", 0.1, 0.46, 0.25, 0.48),
        *column("wide", 0.1, 0.9, 3, top=0.5),
    ]
    order = texts(lines)
    assert order.index("right7") < order.index("heading") < order.index("wide0")


def test_table_is_read_by_rows() -> None:
    """Short cells side by side belong to one row, although columns of space run between them."""
    lines = [
        line(f"r{row}c{place}", 0.1 + place * 0.3, 0.1 + row * 0.05, 0.18 + place * 0.3, 0.13 + row * 0.05)
        for place in range(3)
        for row in range(5)
    ]
    assert texts(lines) == [f"r{row}c{place}" for row in range(5) for place in range(3)]


def test_pieces_of_a_row_join_from_left_to_right() -> None:
    """Boxes of one printed row differ by a few pixels in height and still are one row."""
    lines = [
        line("b", 0.3, 0.102, 0.5, 0.142),
        line("c", 0.6, 0.098, 0.8, 0.138),
        line("a", 0.1, 0.1, 0.2, 0.14),
    ]
    assert texts([*lines, line("below", 0.1, 0.16, 0.8, 0.2)]) == ["a", "b", "c", "below"]


def test_vertical_columns_run_from_right_to_left() -> None:
    """Vertical Japanese is read column by column from the right."""
    lines = [
        line(f"第{place}行目の文", 0.8 - place * 0.2, 0.1, 0.85 - place * 0.2, 0.9) for place in range(4)
    ]
    assert texts(lines) == [f"第{place}行目の文" for place in range(4)]


def test_skewed_page_keeps_its_lines_apart() -> None:
    """On a page that lies askew long and short lines stay in order, whichever way it leans."""
    for slope in (0.06, -0.06):
        lines = []
        for row in range(12):
            x0, x1 = (0.1, 0.9) if row % 2 == 0 else (0.1, 0.45)
            middle, half = 0.3 + row * 0.035, 0.0135
            ends = [middle + slope * x0, middle + slope * x1]
            box = line(f"row{row}", x0, min(ends) - half, x1, max(ends) + half)
            lines.append(Line(box.text, 1.0, box.x0, box.y0, box.x1, box.y1, "ocr", 0.02))
        assert texts(lines) == [f"row{row}" for row in range(12)]
