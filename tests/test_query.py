"""`gloss query`: right answers in every format, clean errors, and no way out of the lake."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from jobs.query import run_query
from jobs.read_only import connect_read_only
from operators.lake import Lake
from tests import small_lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One lake for all tests here; none of them may change it."""
    return small_lake.make(tmp_path_factory.mktemp("query"))


@pytest.fixture
def connection(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """The locked connection that queries run on."""
    connection = connect_read_only(lake)
    yield connection
    connection.close()


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_json_is_one_array_of_exact_values(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Types survive: numbers, nulls, lists, structs, times in ISO 8601, sums as integers."""
    sql = (
        "SELECT bytes, page_count, [1, 2] AS list, {'word': 'é'} AS struct, ingested_at, "
        "sum(bytes) OVER () AS total, 'nan'::DOUBLE AS nan, 1.5::DECIMAL(4, 2) AS half "
        "FROM assets WHERE kind = 'document'"
    )

    assert run_query(lake.uri, sql, format="json") == 0

    assert json.loads(capsys.readouterr().out) == [
        {
            "bytes": 10,
            "page_count": 2,
            "list": [1, 2],
            "struct": {"word": "é"},
            "ingested_at": "2026-11-24T02:30:00",
            "total": 10,
            "nan": None,
            "half": 1.5,
        }
    ]


def test_json_of_no_rows_is_an_empty_array(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs need not treat an empty answer apart."""
    assert run_query(lake.uri, "SELECT * FROM assets WHERE false", format="json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_columns_of_one_name_are_all_kept(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """A join's second `title` gets a name of its own instead of replacing the first."""
    sql = "SELECT a.title, s.title FROM assets a JOIN segments s USING (asset_id) WHERE s.segment = 1"

    assert run_query(lake.uri, sql, format="json") == 0

    assert json.loads(capsys.readouterr().out) == [{"title": "The Moon", "title_2": "秋夜观星"}]


def test_csv_quotes_what_csv_must(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Line breaks and commas come back whole; nested values are JSON; null is empty."""
    sql = "SELECT ocr_text, [1, 2] AS list, transcript FROM clips WHERE page IS NULL ORDER BY clip LIMIT 1"

    assert run_query(lake.uri, sql, format="csv") == 0

    header, row = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header == ["ocr_text", "list", "transcript"]
    assert row == ["The Moon\nTides rise twice a day", "[1, 2]", ""]


def test_parquet_goes_to_stdout_and_to_a_file(
    lake: Lake, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Both hold the same table."""
    sql = "SELECT asset_id, bytes FROM assets ORDER BY asset_id"

    assert run_query(lake.uri, sql, format="parquet") == 0
    assert run_query(lake.uri, sql, format="parquet", output=tmp_path / "out.parquet") == 0

    piped = pq.read_table(io.BytesIO(capfdbinary.readouterr().out))
    assert piped.equals(pq.read_table(tmp_path / "out.parquet"))
    assert piped["asset_id"].to_pylist() == sorted(piped["asset_id"].to_pylist())
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def test_a_query_that_fails_leaves_the_output_file_alone(lake: Lake, tmp_path: Path) -> None:
    """A file that was there is not replaced by half a result."""
    target = tmp_path / "out.json"
    target.write_text("before")
    sql = "SELECT CASE WHEN range > 50000 THEN error('late') ELSE range END FROM range(100000)"

    assert run_query(lake.uri, sql, format="json", output=target) == 2

    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_limit_keeps_the_first_rows_in_their_order(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """--limit cuts what the query ordered."""
    sql = "SELECT range AS n FROM range(200000) ORDER BY n DESC"

    assert run_query(lake.uri, sql, format="json", limit=2) == 0

    assert json.loads(capsys.readouterr().out) == [{"n": 199999}, {"n": 199998}]


def test_a_table_on_screen_ends_after_a_thousand_rows_and_says_so(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    """The notice goes to stderr; an explicit limit needs none."""
    assert run_query(lake.uri, "FROM range(1001)") == 0
    shown = capsys.readouterr()
    assert (shown.out.count("\n"), "--limit" in shown.err) == (1002, True)

    assert run_query(lake.uri, "FROM range(1001)", limit=1001) == 0
    shown = capsys.readouterr()
    assert (shown.out.count("\n"), shown.err) == (1003, "")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT * FROM asets", ["asets", "Tables: assets, segments"]),
        ("SELECT durration FROM assets", ["durration", "duration_seconds", "Columns of assets"]),
        ("SELEC 1", ["syntax error"]),
        ("SELECT 1; SELECT 2", ["one SQL statement", "found 2"]),
        ("", ["one SQL statement", "found 0"]),
        ("DROP VIEW assets", ["only read", "DROP"]),
        ("PIVOT assets ON kind USING count(*)", ["IN ("]),
        ("SELECT 'x'::INT", ["Could not convert"]),
    ],
)
def test_a_wrong_query_is_explained_in_one_message(
    lake: Lake, capsys: pytest.CaptureFixture[str], sql: str, words: list[str]
) -> None:
    """Exit code 2, nothing on stdout, and on stderr what is wrong and what there is."""
    assert run_query(lake.uri, sql) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert all(word in said.err for word in words), said.err
    assert "Traceback" not in said.err


def test_a_lake_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says how to make one, and none is made."""
    assert run_query(str(tmp_path / "none"), "SELECT 1") == 2
    assert "gloss ingest" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{outside}')",
        "SELECT * FROM read_csv('file://{outside}')",
        "SELECT * FROM '{outside}'",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_text('{root}/views.sql')",
        "SELECT * FROM read_parquet('lake://assets/../../secret.txt')",
        "SELECT * FROM read_csv('https://127.0.0.1:1/x.csv')",
        "SELECT * FROM query('SELECT * FROM read_text(''{outside}'')')",
        "SELECT * FROM sniff_csv('{outside}')",
        "ATTACH '{folder}/other.db'",
        "INSTALL httpfs",
        "LOAD '{folder}/other.duckdb_extension'",
        "COPY (SELECT 1) TO '{folder}/new.csv'",
        "COPY assets FROM '{outside}'",
        "WITH x AS (COPY (SELECT 1) TO '{folder}/new.csv') FROM x",
        "WITH x AS (COPY (SELECT 1) TO '{root}/new.parquet') FROM x",
        "WITH x AS (COPY (SELECT 1) TO 'lake://assets/new.parquet') FROM x",
        "WITH x AS (COPY (SELECT 1) TO '{live}' (FORMAT parquet, USE_TMP_FILE false)) FROM x",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{root}/new.csv'",
        "EXPORT DATABASE '{root}/export'",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "CREATE PERSISTENT SECRET s (TYPE http)",
        "SELECT * FROM enable_logging(storage = 'file', storage_path = '{root}/log')",
        "SELECT * FROM connection",
        "CREATE TABLE t AS SELECT 1",
        "DELETE FROM assets",
    ],
)
def test_a_query_reaches_nothing_but_the_lake(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str], sql: str
) -> None:
    """Reading or writing elsewhere, loading code, changing settings: refused, and nothing changes."""
    outside = tmp_path / "secret.txt"
    outside.write_text("a,b\nhush,hush\n")
    before, lake_before = tree(tmp_path), tree(Path(lake.root))
    live = "lake://assets/" + lake.files("assets")[0].rpartition("/")[2]
    text = sql.format(outside=outside, folder=tmp_path, root=lake.root, live=live)

    assert run_query(lake.uri, text, format="json") in (1, 2)

    said = capsys.readouterr()
    assert "hush" not in said.out + said.err
    assert "Traceback" not in said.err
    assert tree(tmp_path) == before
    assert tree(Path(lake.root)) == lake_before


def test_rows_of_an_unfinished_commit_are_not_seen(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    """The locked connection shows the same live rows as the views file does to plain DuckDB."""
    plain = duckdb.connect()
    plain.execute(Path(lake.root, "views.sql").read_text(encoding="utf-8"))
    for table in ("assets", "segments", "clips", "text_regions", "utterances", "failures", "citations"):
        sql = f"SELECT * FROM {table} ORDER BY ALL"
        assert connection.execute(sql).fetchall() == plain.execute(sql).fetchall()
    assert connection.execute("SELECT count(*) FROM clips WHERE ocr_text = 'ghostword'").fetchone() == (0,)


def test_describe_explain_and_summarize_are_reading(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """What helps to write a query is allowed."""
    for sql in ("DESCRIBE assets", "SHOW TABLES", "SUMMARIZE clips", "EXPLAIN SELECT * FROM assets"):
        assert run_query(lake.uri, sql, format="json") == 0
        assert json.loads(capsys.readouterr().out)
