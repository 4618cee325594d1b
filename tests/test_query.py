"""`gloss query`: right answers in every format, clean errors, and no way out of the lake."""

import csv
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

import jobs.read_only as read_only_module
from jobs.query import run_query
from jobs.read_only import Limits, read_only
from jobs.search import run_search
from jobs.show import run_show
from jobs.status import run_status
from operators.lake import Lake
from tests import small_lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One lake for all tests here; none of them may change it."""
    return small_lake.make(tmp_path_factory.mktemp("query"))


@pytest.fixture
def connection(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """The locked connection that queries run on."""
    with read_only(lake) as connection:
        yield connection


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
        # Other ways to name a file.
        "SELECT * FROM read_blob('{outside}')",
        "SELECT * FROM read_json('{outside}')",
        "SELECT * FROM parquet_scan('{outside}')",
        "SELECT * FROM parquet_metadata('{root}/assets/x.parquet')",
        "SELECT * FROM read_duckdb('{folder}/other.db')",
        "SELECT * FROM query_table('{outside}')",
        "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{outside}'')'))",
        "SELECT * FROM read_text('/proc/self/environ')",
        "SELECT * FROM read_blob('/proc/self/mem')",
        "SELECT * FROM read_text('/dev/stdin')",
        "SELECT * FROM read_text('{spill}/../{folder}/secret.txt')",
        # Out of the lake by way of the lake.
        "SELECT * FROM read_text(['lake://assets/../../secret.txt', '{outside}'])",
        "SELECT * FROM read_parquet('lake://assets/%2e%2e/%2e%2e/secret.txt')",
        "SELECT * FROM read_parquet('lake:///etc/passwd')",
        "SELECT * FROM read_csv('lake://{outside}')",
        "SELECT * FROM read_parquet('lake://*/*')",
        # Networks and what would reach them.
        "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
        "SELECT * FROM read_csv('hf://datasets/x/y.csv')",
        "SELECT * FROM read_text('memory://x')",
        "LOAD httpfs",
        "FORCE INSTALL httpfs FROM 'http://127.0.0.1:1'",
        "ATTACH 'http://127.0.0.1:1/x.db'",
        "SELECT * FROM duckdb_secrets()",
        "SELECT * FROM which_secret('s3://bucket', 's3')",
        # The process and its settings.
        "SELECT getenv('HOME')",
        "PRAGMA database_list",
        "CALL enable_profiling(save_location = '{folder}/profile.json')",
        "SELECT * FROM enable_profiling(save_location = '{folder}/profile.json')",
        "SELECT * FROM python_map_function(1)",
        "SELECT * FROM arrow_scan(1, 2, 3)",
        "SELECT * FROM create_external_resource('x')",
        "RESET memory_limit",
        "SET memory_limit = '1TB'",
        "VACUUM",
        "CREATE MACRO f(x) AS x",
        "CREATE VIEW assets AS SELECT 1",
        "CREATE TYPE t AS ENUM ('a')",
        "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1",
        "PREPARE p AS SELECT 1",
        # The one folder that DuckDB may write to is for DuckDB alone.
        "WITH x AS (COPY (SELECT 1) TO '{spill}/x.csv') FROM x",
        "SELECT * FROM (WITH x AS (COPY (SELECT 1) TO '{spill}/x.csv') FROM x)",
        "DESCRIBE WITH x AS (COPY (SELECT 1) TO '{spill}/x.csv') FROM x",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{spill}/x.csv'",
        "/* x */ EXPLAIN (ANALYZE, FORMAT json) COPY (SELECT 1) TO '{spill}/x.csv'",
        "EXPLAIN ANALYZE WITH x AS (COPY (SELECT 1) TO '{spill}/x.csv') FROM x",
        "WITH x AS (INSERT INTO assets SELECT 1) FROM x",
    ],
)
def test_a_query_reaches_nothing_but_the_lake(
    lake: Lake,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    sql: str,
) -> None:
    """Reading or writing elsewhere, loading code, changing settings: refused, and nothing changes."""
    outside = tmp_path / "secret.txt"
    outside.write_text("a,b\nhush,hush\n")
    spill = tmp_path / "gloss-query-known"

    @contextmanager
    def known() -> Iterator[Path]:
        # A name that no query can know, known to these.
        spill.mkdir()
        yield spill
        assert list(spill.iterdir()) == []
        spill.rmdir()

    monkeypatch.setattr(read_only_module, "_spill_folder", known)
    before, lake_before = tree(tmp_path), tree(Path(lake.root))
    live = "lake://assets/" + lake.files("assets")[0].rpartition("/")[2]
    text = sql.format(outside=outside, folder=tmp_path, root=lake.root, live=live, spill=spill)

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


def test_what_a_query_names_stays_in_the_query(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """A name of a table can be used for something else, and the next query sees the table."""
    assert run_query(lake.uri, "WITH assets AS (SELECT 1 AS n) FROM assets", format="json") == 0
    assert json.loads(capsys.readouterr().out) == [{"n": 1}]
    assert run_query(lake.uri, "SELECT count(*) AS n FROM assets", format="json") == 0
    assert json.loads(capsys.readouterr().out) == [{"n": 4}]


@pytest.mark.parametrize(
    ("sql", "limits", "option"),
    [
        (
            "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT count(*) FROM x",
            Limits(seconds=0.5),
            "--timeout",
        ),
        ("SELECT count(*) FROM range(10000000) a, range(10000000) b", Limits(seconds=0.5), "--timeout"),
        # Rows that never end, on their way out.
        ("SELECT * FROM range(1000000000000)", Limits(seconds=0.5), "--timeout"),
        ("SELECT list(range) FROM range(10000000000)", Limits(memory="100MB"), "--memory"),
        ("SELECT unnest(range(3000000000))", Limits(memory="100MB"), "--memory"),
        # One string of 4 GB, which DuckDB does not count.
        ("SELECT length(repeat('x', 4000000000))", Limits(memory="100MB"), "--memory"),
        ("FROM range(100000000) ORDER BY hash(range)", Limits(memory="150MB", spill="1MB"), "--spill"),
    ],
)
def test_a_query_ends_at_its_limits(
    lake: Lake,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    sql: str,
    limits: Limits,
    option: str,
) -> None:
    """Exit code 2, the option that gives more, nothing left on disk, and the process as before."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "spill"))
    (tmp_path / "spill").mkdir()
    started, before = time.monotonic(), resource.getrlimit(resource.RLIMIT_AS)

    assert run_query(lake.uri, sql, format="csv", output=tmp_path / "out.csv", limits=limits) == 2

    said = capsys.readouterr()
    assert option in said.err
    assert "limit" in said.err
    assert time.monotonic() - started < 60
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert list(tmp_path.rglob("*")) == [tmp_path / "spill"]


@pytest.mark.parametrize("size", ["much", "-1GB", "", "5", "500%", "1GB'; --"])
def test_a_limit_that_is_no_size_is_refused(
    lake: Lake, capsys: pytest.CaptureFixture[str], size: str
) -> None:
    """Exit code 2 and what a size looks like."""
    assert run_query(lake.uri, "SELECT 1", limits=Limits(memory=size)) == 2
    assert "4GB" in capsys.readouterr().err


_COMMAND = """
import sys, jobs.read_only
from jobs.query import run_query
jobs.read_only._GRACE_TRIES = 2
sys.exit(run_query(sys.argv[1], sys.argv[2], limits=jobs.read_only.Limits(float(sys.argv[3]), "200MB")))
"""


def _start(lake: Lake, sql: str, seconds: float, spill: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND, lake.uri, sql, str(seconds)],
        env=os.environ | {"TMPDIR": str(spill), "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_query_that_does_not_listen_is_ended_with_its_process(lake: Lake, tmp_path: Path) -> None:
    """One call of a function that takes hours is not interrupted; the process ends all the same."""
    sql = "SELECT levenshtein(repeat('a', 1000000 + range::INT), repeat('b', 1000000)) FROM range(2)"
    with _start(lake, sql, 1.0, tmp_path) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "1 s, the limit" in said
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_query_leaves_is_removed_by_the_next(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only that: folders of living queries and of anybody else stay."""
    sql = "SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY hash(range)) AS n FROM range(1000000000))"
    with _start(lake, sql, 600.0, tmp_path) as process:
        while not any(tmp_path.glob("gloss-query-*/*")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    (left,) = tmp_path.iterdir()
    (tmp_path / "gloss-query-file").write_text("no folder")
    (tmp_path / "gloss-query-link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(read_only_module, "_YOUNG_SECONDS", -1.0)
    with read_only(lake):
        others = {left, tmp_path / "gloss-query-file", tmp_path / "gloss-query-link"}
        (mine,) = set(tmp_path.glob("gloss-query-*")) - others
        assert mine.stat().st_mode & 0o777 == 0o700
        assert not left.exists()

        assert run_query(lake.uri, "SELECT 1") == 0

        assert mine.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gloss-query-file", "gloss-query-link"]


@pytest.mark.parametrize(
    "name", ["it's", 'a "b"', "a; DROP VIEW x; --", "[x]", "s*r", "q?", "{a,b}", "50%", "秋 é", "$HOME", "~"]
)
def test_the_name_of_a_lake_is_only_a_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Quotes, globs and comments in its path reach no SQL: every reading verb finds the same rows."""
    (tmp_path / name).mkdir()
    lake = small_lake.make(tmp_path / name)
    plain = duckdb.connect()
    plain.execute(Path(lake.root, "views.sql").read_text(encoding="utf-8"))
    assert plain.execute("SELECT count(*) FROM clips").fetchall() == [(5,)]

    assert run_query(lake.uri, "SELECT count(*) AS n FROM clips", format="json") == 0
    assert json.loads(capsys.readouterr().out) == [{"n": 5}]
    assert run_search(lake.uri, "croissants", format="json") == 0
    assert run_show(lake.uri, "moon", format="json") == 0
    assert run_status(lake.uri, format="json", check=True) == 0
