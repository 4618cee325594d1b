"""A query opens the tables it names; where they cannot be told, all of them."""

from pathlib import Path
from typing import Any

import pytest

from jobs.named_tables import named_tables
from jobs.query import run_query
from operators.lake import Lake
from operators.timeline import TIMELINE_TABLES
from tests.conftest import Ingested


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT 1", set()),
        ("SELECT * FROM clips", {"clips"}),
        ('FROM "Clips"', {"clips"}),
        ("SELECT * FROM clips JOIN assets USING (asset_id)", {"clips", "assets"}),
        ("SELECT (SELECT count(*) FROM failures) FROM range(3)", {"failures"}),
        ("WITH c AS (FROM clips) SELECT * FROM c JOIN segments USING (asset_id)", {"clips", "segments"}),
        ("WITH clips AS (SELECT 1 AS one) SELECT one FROM clips", {"clips"}),
        ("SELECT asset_id FROM clips UNION ALL SELECT asset_id FROM runs", {"clips", "runs"}),
        ("SELECT unnest(texts) FROM (SELECT list(text) AS texts FROM utterances)", {"utterances"}),
        ("SELECT * FROM timeline", TIMELINE_TABLES),
        ("PIVOT clips ON kind IN ('video') USING count(*)", {"clips"}),
        ("SELECT * FROM clips WHERE asset_id IN (SELECT asset_id FROM assets)", {"clips", "assets"}),
    ],
)
def test_tables_are_those_that_are_named(sql: str, tables: set[str]) -> None:
    """Wherever the name stands; names that the statement gives itself are no tables."""
    assert named_tables(sql) == tables


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW TABLES",
        "DESCRIBE clips",
        "SUMMARIZE clips",
        "SELECT * FROM query_table('clips')",
        "SELECT * FROM duckdb_views()",
        "SELECT table_name FROM information_schema.tables",
        "SELECT * FROM main.clips",
        "SELECT * FROM live_writes",
        "SELECT * FROM no_such_table",
        "SELECT * FROM 'clips.parquet'",
        "EXPLAIN SELECT * FROM clips",
        "SELECT FROM WHERE",
        "COPY clips TO 'x.csv'",
    ],
)
def test_all_are_opened_where_it_cannot_be_told(sql: str) -> None:
    """Also for what is refused afterwards."""
    assert named_tables(sql) is None


def test_no_file_is_touched_to_find_out(tmp_path: Path) -> None:
    """What a statement names is not looked for."""
    target = tmp_path / "made.csv"
    assert named_tables(f"SELECT * FROM read_csv('{tmp_path / 'missing.csv'}')") is None
    assert named_tables(f"COPY (SELECT 1) TO '{target}'") is None
    assert not target.exists()


def test_a_query_opens_only_what_it_names(
    ingested: Ingested, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log of another table is not read; `assets` says which rows are live."""
    opened = []
    table = Lake.table

    def seen(self: Lake, name: str, **options: Any) -> Any:
        opened.append(name)
        return table(self, name, **options)

    monkeypatch.setattr(Lake, "table", seen)
    assert run_query(ingested.lake, "SELECT count(*) AS n FROM clips", format="csv") == 0
    assert set(opened) == {"assets", "clips"}
    (narrow,) = capsys.readouterr().out.split()[1:]
    assert run_query(ingested.lake, "SELECT count(*) AS n FROM main.clips", format="csv") == 0
    assert len(set(opened)) > 10
    assert capsys.readouterr().out.split()[1:] == [narrow] != ["0"]
