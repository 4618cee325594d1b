"""What is printed: safe on a terminal, exact in files."""

import csv
import io
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.output import check_format, clean, clock, console, emit, emit_json, file_name, grid, size
from schemas.config import ConfigError

STEERING = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200e\u200f\ud800-\udfff]"
)


@given(st.text())
def test_clean_text_has_nothing_a_terminal_obeys(text: str) -> None:
    """Whatever the text, only line breaks are left of the control characters."""
    assert not STEERING.search(clean(text))


@given(
    st.text(
        st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"), exclude_characters="\xa0\u1680")
    )
)
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    """Letters, digits, signs of every script are not touched."""
    assert clean(text.replace("\u3000", "")).replace("\n", "") == text.replace("\u3000", "")


def test_controls_become_visible() -> None:
    """A reader sees that something was there."""
    assert clean("a\x1b[31mb\r\nc\td\x9be\u202ef") == "a␛[31mb\nc   d\ufffde\ufffdf"


@pytest.mark.parametrize("format_name", ["table", "csv", "json"])
def test_no_format_lets_data_steer_a_terminal(
    format_name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal no control character of the data arrives, in column names either."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    table = pa.table({"x\x1b]0;title\x07": ["\x1b[2J\x9b1m[bold]markup[/bold]\x7f"]})

    emit(table.schema, table.to_batches(), format_name)

    out = capsys.readouterr().out
    assert not STEERING.search(out)
    assert "[bold]markup[/bold]" in out


def test_csv_for_programs_is_exact(tmp_path: Path) -> None:
    """In a file the text is what it was, whatever it would do to a screen."""
    table = pa.table({"x": ["\x1b[2J", 'quote " and\nbreak', None], "n": [1.5, 2.0, float("nan")]})

    emit(table.schema, table.to_batches(), "csv", tmp_path / "out.csv")

    rows = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_text(encoding="utf-8"), newline="")))
    assert rows == [["x", "n"], ["\x1b[2J", "1.5"], ['quote " and\nbreak', "2.0"], ["", ""]]


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "text": st.none() | st.text(st.characters(codec="utf-8")),
                "number": st.none() | st.floats(allow_nan=False, allow_infinity=False),
                "items": st.lists(st.integers(-(2**40), 2**40)),
            }
        ),
        max_size=5,
    )
)
def test_json_comes_back_as_it_went(rows: list[dict[str, Any]]) -> None:
    """One array, every value the same."""
    schema = pa.schema([("text", pa.string()), ("number", pa.float64()), ("items", pa.list_(pa.int64()))])
    table = pa.Table.from_pylist(rows, schema=schema)
    with pytest.MonkeyPatch.context() as patch:
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        patch.setattr("sys.stdout", out)
        emit(schema, table.to_batches(max_chunksize=2), "json")
        out.flush()
        text = out.buffer.getvalue().decode()
    assert json.loads(text) == rows


def test_values_without_a_json_type_have_a_usual_form(capsys: pytest.CaptureFixture[str]) -> None:
    """Times in ISO 8601, whole decimals as integers, bytes as base64, infinity as null."""
    values = [
        datetime(2026, 11, 24, tzinfo=UTC),
        date(2026, 1, 2),
        Decimal(7),
        Decimal("7.5"),
        b"hi",
        float("inf"),
    ]

    emit_json(values)

    assert json.loads(capsys.readouterr().out) == [
        "2026-11-24T00:00:00+00:00", "2026-01-02", 7, 7.5, "aGk=", None,
    ]  # fmt: skip


def test_a_table_that_is_no_terminal_is_never_wrapped() -> None:
    """Piped tables keep a row on a line, however long."""
    target = io.StringIO()
    console(target).print(grid(("name", "n"), [("x" * 500, 1), ("y", 22)]))
    lines = target.getvalue().splitlines()
    assert len(lines) == 4
    assert [line.split()[-1] for line in lines[2:]] == ["1", "22"]


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    """Nothing is created on the way."""
    table = pa.table({"x": [1]})
    with pytest.raises(ConfigError, match="no folder"):
        emit(table.schema, table.to_batches(), "json", tmp_path / "none" / "out.json")
    assert list(tmp_path.iterdir()) == []


def test_formats_are_checked_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown one is refused with the known ones; binary does not go to a terminal."""
    with pytest.raises(ConfigError, match=r"table, json, csv, parquet.*'xml'"):
        check_format("xml")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(ConfigError, match="--output"):
        check_format("parquet")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (7.9, "0:07"), (75, "1:15"), (3723, "1:02:03"), (None, "")]
)
def test_clock(seconds: float | None, shown: str) -> None:
    """Times of a video are shown as players show them."""
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3_449_000, "3.4 MB"), (10**19, "10000.0 PB")],
)
def test_size(count: int, shown: str) -> None:
    """Bytes are shown in powers of a thousand."""
    assert size(count) == shown


def test_file_name() -> None:
    """The last part of a URI, of folders too."""
    assert file_name("s3://bucket/a b/c.mp4") == "c.mp4"
    assert file_name("file:///x/y/") == "y"
