"""Tables in transcriptions become rows of cells, and HTML that nothing untrusted can break out of."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from operators.answered_tables import answered_tables

MARKDOWN = """# Prices

| Thing | Price |
|:------|------:|
| **Nut** | 3 € |
| a \\| b | x<br>y |
| short |

Text | with a bar.
"""


def cells(text: str) -> list[list[list[str]]]:
    """The cells of all tables."""
    return [table.cells for table in answered_tables(text)]


def test_markdown_tables_are_read() -> None:
    """Emphasis is taken off, bars and breaks in cells are kept, short rows are filled."""
    (table,) = answered_tables(MARKDOWN)
    assert table.cells == [["Thing", "Price"], ["Nut", "3 €"], ["a | b", "x\ny"], ["short", ""]]
    assert table.html.startswith("<table><tr><th>Thing</th><th>Price</th></tr><tr><td>Nut</td>")
    assert "<td>x<br>y</td>" in table.html


def test_html_tables_are_read() -> None:
    """Cells that cover several rows or columns stand in each of them."""
    heading = "<tr><th>A</th><th colspan=2>B</th></tr>"
    text = f"<table>{heading}<tr><td rowspan='2'>1</td><td>2<td>3<tr><td>4</td></table>"
    (table,) = answered_tables(text)
    assert table.cells == [["A", "B", "B"], ["1", "2", "3"], ["1", "4", ""]]
    assert table.html.startswith("<table><tr><th>A</th><th>B</th><th>B</th></tr>")


def test_tables_come_in_the_order_of_the_page() -> None:
    """Whichever way they are written."""
    text = "| a |\n|---|\n| 1 |\n\n<table><tr><td>b</td></tr></table>\n\nc | d\n--|--\n2 | 3\n"
    assert cells(text) == [[["a"], ["1"]], [["b"]], [["c", "d"], ["2", "3"]]]


def test_what_is_no_table_stays_text() -> None:
    """Bars without a rule, a rule of another width, code, tables in tables, tables without end."""
    assert cells("a | b\nc | d") == []
    assert cells("| a | b |\n|---|\n| 1 | 2 |") == []
    assert cells("```python\n| a |\n|---|\n```") == []
    assert cells("A title\n---\ntext") == []
    assert cells("<table><tr><td><table><tr><td>x</td></tr></table></td></tr></table>") == []
    assert cells("<table><tr><td>x") == []
    assert cells("<table></table>") == []


def test_a_table_in_a_fence_of_markdown_is_read() -> None:
    """Models like to wrap their tables."""
    assert cells("```markdown\n| a |\n|---|\n| 1 |\n```") == [[["a"], ["1"]]]


def test_untrusted_text_is_escaped() -> None:
    """No tag or attribute of the answer is handed on."""
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>&lt;b&gt;\"'"
    (markdown,) = answered_tables(f"| a |\n|---|\n| {evil} |")
    (html,) = answered_tables(f"<table onclick=x><tr style=y><td>{evil}</td></tr></table>")
    for table in (markdown, html):
        assert "<b>" in table.cells[-1][0]
        for sign in ("<script", "<img", "onclick", "style", "<b>"):
            assert sign not in table.html


class _Tags(HTMLParser):
    """Collects tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[object] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.add(tag)
        self.attributes += attrs


PIECES = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(
            [
                "|",
                "|---|",
                "\n",
                "| a | b |\n|---|---|\n",
                "<table>",
                "</table>",
                "<tr>",
                "<td colspan=9999>",
                "</td>",
                "<td rowspan='-1'>",
                "<th>",
                "<!--",
                "-->",
                "<script>",
                "&lt;script&gt;",
                "\\|",
                "```",
                "<![CDATA[",
                "<td a='",
            ]
        ),
    ),
    max_size=25,
).map("".join)


@given(PIECES)
def test_any_text_gives_rectangles_and_plain_html(text: str) -> None:
    """Rows are of equal length, and the HTML has tags of tables alone."""
    for table in answered_tables(text):
        assert len({len(row) for row in table.cells}) == 1
        reader = _Tags()
        reader.feed(table.html)
        assert reader.tags <= {"table", "tr", "td", "th", "br"}
        assert not reader.attributes


def test_tables_made_to_be_large_are_refused() -> None:
    """A few tags cannot ask for millions of cells, nor many tags for hours."""
    assert cells("<table>" + "<tr><td rowspan=1000 colspan=1000>x</td></tr>" * 100 + "</table>") == []
    assert cells("</table>" + "<table>" * 50_000) == []
    assert cells("<table><tr>" + "<td>" * 30_000 + "</table>") == []
