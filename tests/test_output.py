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
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.output import (
    check_format,
    clean,
    clock,
    complain,
    console,
    defused,
    emit,
    emit_json,
    file_name,
    grid,
    one_line,
    size,
)
from jobs.query import run_query
from jobs.search import run_search
from jobs.show import run_show
from jobs.status import run_status
from operators.commit import commit
from operators.lake import Lake
from operators.write import rows_of, write_rows
from schemas.config import ConfigError
from schemas.tables import FailureRow
from tests.rows import NOW, asset_row, segment_row

STEERING = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200e\u200f\ud800-\udfff]"
)


@given(st.text())
def test_clean_text_has_nothing_a_terminal_obeys(text: str) -> None:
    """Whatever the text, only line breaks are left of the control characters."""
    assert not STEERING.search(clean(text))
    assert "\n" not in one_line(text)


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


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+2", "'=1+2"),
        ('=HYPERLINK("http://x", "y")', '\'=HYPERLINK("http://x", "y")'),
        ("+1 555 0100", "'+1 555 0100"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("- a bullet", "'- a bullet"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("＝1+2", "'＝1+2"),
        ("-12", "-12"),
        ("+4.5e-3", "+4.5e-3"),
        ("-.5", "-.5"),
        ("-1-1", "'-1-1"),
        ("1=1", "1=1"),
        ("'=1", "'=1"),
        ("", ""),
    ],
)
def test_csv_gives_a_spreadsheet_nothing_to_compute(
    text: str, written: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text that begins like a formula gets an apostrophe, in headers too; numbers and other text stay."""
    table = pa.table({"=name": ["-" + text[1:]], "text": [text], "number": [-1.5], "list": [[-1]]})

    emit(table.schema, table.select(["=name", "text", "number", "list"]).to_batches(), "csv")

    header, row = csv.reader(io.StringIO(capsys.readouterr().out, newline=""))
    assert header == ["'=name", "text", "number", "list"]
    assert row[1:] == [written, "-1.5", "[-1]"]


@given(st.text())
def test_csv_never_begins_a_formula(text: str) -> None:
    """Whatever the text: it is taken back by removing one apostrophe."""
    written = defused(text)
    assert written in (text, f"'{text}")
    assert not written.startswith(tuple("=@\t\r\n"))
    if written.startswith(("+", "-")):
        float(written)


@pytest.mark.parametrize("format_name", ["json", "parquet"])
def test_formats_for_programs_are_exact(
    format_name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No apostrophe where no spreadsheet reads."""
    table = pa.table({"x": ["=1+2", "\x1b[2J", "-", "\u202e"]})

    emit(table.schema, table.to_batches(), format_name, tmp_path / "out")

    if format_name == "parquet":
        assert pq.read_table(tmp_path / "out").equals(table)
    else:
        assert json.loads((tmp_path / "out").read_text(encoding="utf-8")) == table.to_pylist()


HOSTILE = "a'b\"c; DROP TABLE assets; --\x1b[2J\x9b1m\u202e\ngloss: all is well\x07.mp4"


def test_no_verb_lets_a_file_name_steer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names, titles, texts and messages of a hostile file, in every verb and in errors: shown, not obeyed."""
    lake = Lake(tmp_path / "lake")
    lake.create()
    uri = f"file:///data/{HOSTILE}"
    asset = asset_row(uri=uri, title=HOSTILE, summary=HOSTILE, status="partial", failure_count=1)
    failure = FailureRow(
        "a0", "v0", uri, "decode", "corrupt", HOSTILE, 1, None, None, "r0", NOW, "w0", f"gloss try {uri}"
    )
    other = asset_row(asset_id="a1", uri=f"{uri}.b", write_id="w1", clip_count=0, segment_count=0, title=None)
    segment = segment_row(title=HOSTILE, summary=HOSTILE)
    files = [write_rows(lake, "failures", [failure]), write_rows(lake, "segments", [segment])]
    commit(lake, [asset, other], rows_of(files))

    verbs = [
        run_show(lake.uri, uri),
        run_show(lake.uri, HOSTILE[:10]),
        run_search(lake.uri, "drop"),
        run_search(lake.uri, HOSTILE),
        run_status(lake.uri, check=True),
        run_query(lake.uri, "SELECT uri, title FROM assets"),
        run_query(lake.uri, f"SELECT '{HOSTILE.replace(chr(39), '')}' FROM nowhere"),
        run_query(str(tmp_path / HOSTILE.replace("/", "")), "SELECT 1"),
        complain(HOSTILE),
    ]

    said = capsys.readouterr()
    assert verbs[:4] == [0, 2, 0, 0]
    assert verbs[5:] == [0, 2, 2, 2]
    assert "DROP TABLE" in said.out
    assert not STEERING.search(said.out)
    assert not STEERING.search(said.err)
    # On a line of its own it would pass for ours.
    shown = run_show(lake.uri, uri)
    lines = capsys.readouterr().out.splitlines()
    assert shown == 0
    assert [line for line in lines if line.startswith("gloss:")] == []
    assert run_query(lake.uri, "SELECT count(*) AS n FROM assets", format="csv") == 0
    assert capsys.readouterr().out == "n\n2\n"


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
