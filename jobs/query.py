"""`gloss query`: SQL over a lake, for people and programs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from jobs.named_tables import named_tables, nodes_of
from jobs.output import EXIT_BROKEN, EXIT_OK, EXIT_USAGE, check_format, complain, emit, note
from jobs.read_only import LimitError, Limits, open_lake, read_only
from operators.lake import LakeError
from schemas.arrow import arrow_schema
from schemas.config import ConfigError
from schemas.tables import TABLES, VIEWS, WRITES

_TABLE_ROWS = 1000
"""Rows that the table format shows unless told otherwise; nobody reads more on a screen."""

_BATCH_ROWS = 10_000

_BROKEN = (duckdb.IOException, duckdb.InternalException, duckdb.FatalException)
"""What is not the query's fault."""


class _Interrupted(Exception):  # noqa: N818 - it says what happened to the stream
    """Computing the result broke after it had begun."""


class QueryError(Exception):
    """The SQL cannot be run; the message says why and what there is to ask for."""


def run_query(
    lake_uri: str,
    sql: str,
    *,
    format: str = "table",  # noqa: A002
    limit: int | None = None,
    output: Path | None = None,
    limits: Limits | None = None,
    storage_options: dict[str, str] | None = None,
) -> int:
    """Run one SELECT over the views of a lake and write its rows.

    Args:
        lake_uri: Path or URL of the lake.
        sql: One statement that reads.
        format: table, json, csv or parquet.
        limit: Most rows; null means all, and 1,000 for tables on a screen.
        output: File to write instead of stdout.
        limits: What the query may cost; the process ends if it cannot be stopped otherwise.
        storage_options: Options of the object store.

    Returns:
        0, 2 for a query or lake that cannot be used, 1 when reading broke.
    """
    try:
        check_format(format, output)
        lake = open_lake(lake_uri, storage_options)
        with read_only(lake, limits, tables=named_tables(sql)) as connection:
            _answer(connection, sql, format, limit, output)
    except (LakeError, QueryError, ConfigError) as error:
        return complain(str(error))
    except LimitError as error:
        return complain(f"The query was ended. {error} {_MORE[error.option]}")
    except _Interrupted as error:
        usage = not str(error).startswith(("IO Error", "INTERNAL", "FATAL"))
        return complain(f"The query broke. {error}", EXIT_USAGE if usage else EXIT_BROKEN)
    except _BROKEN as error:
        return complain(f"Reading the lake broke: {_first_words(error)}", EXIT_BROKEN)
    except duckdb.Error as error:
        return complain(explain(error, sql))
    return EXIT_OK


_MORE = {
    "timeout": "Ask for less, or give it more with --timeout SECONDS (0 for no limit).",
    "memory": "Ask for fewer rows or shorter texts, or give it more with --memory SIZE.",
    "spill": "Sort or join fewer rows, or give it more with --spill SIZE; TMPDIR says where it lies.",
}
"""What to do when a limit is met."""


def _answer(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    format: str,  # noqa: A002
    limit: int | None,
    output: Path | None,
) -> None:
    check_statement(connection, sql)
    relation = connection.sql(sql)
    if limit is None and format == "table":
        # One row more tells whether there are more.
        data = relation.limit(_TABLE_ROWS + 1).to_arrow_table()
        emit(data.schema, data.slice(0, _TABLE_ROWS).to_batches(), format, output)
        if data.num_rows > _TABLE_ROWS:
            note(f"The first {_TABLE_ROWS} rows; --limit N shows more, --format csv all.")
        return
    shown = relation if limit is None else relation.limit(limit)
    reader = shown.to_arrow_reader(_BATCH_ROWS)
    emit(reader.schema, _batches(reader), format, output)


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Stream a result; Arrow gives DuckDB's errors a type that a full disk has, too."""
    try:
        yield from reader
    except (OSError, pa.ArrowException) as error:
        raise _Interrupted(str(error)) from error


def check_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse whatever is not one statement that reads.

    Raises:
        QueryError: Something else, named with what to write instead.
    """
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        msg = f"Wanted one SQL statement; found {len(statements)}. Run them one by one."
        raise QueryError(msg)
    kind = statements[0].type
    if kind == duckdb.StatementType.MULTI:
        msg = "This statement would create types. Name the values: PIVOT t ON kind IN ('video', 'image') …"
        raise QueryError(msg)
    if kind == duckdb.StatementType.EXPLAIN:
        # EXPLAIN ANALYZE runs what it explains.
        check_statement(connection, _EXPLAIN.sub("", statements[0].query, count=1))
        return
    if kind != duckdb.StatementType.SELECT:
        msg = f"Wanted a SELECT, because queries only read; found {kind.name}."
        raise QueryError(msg)
    writing = _nodes(connection, statements[0].query) - _READING
    if writing:
        names = ", ".join(sorted(name.partition("_")[0] for name in writing))
        msg = f"Wanted a SELECT, because queries only read; found {names} inside it."
        raise QueryError(msg)


_EXPLAIN = re.compile(
    r"(\s|--[^\n]*\n|/\*.*?\*/)*EXPLAIN(\s+ANALYZE\b|\s*\([^)]*\))*", re.IGNORECASE | re.DOTALL
)

_READING = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
"""Kinds of query that DuckDB's parser finds in a statement; others write (`WITH x AS (COPY …)`)."""


def _nodes(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    """List the kinds of query within a SELECT, as its parse tree names them."""
    ((text,),) = connection.execute("SELECT json_serialize_sql($sql)", {"sql": sql}).fetchall()
    try:
        tree = json.loads(text)
    except RecursionError:
        msg = "This statement is nested too deeply. Write it with WITH."
        raise QueryError(msg) from None
    if tree["error"]:
        msg = f"This statement cannot be checked ({tree.get('error_message')}). Write it as a plain SELECT."
        raise QueryError(msg)
    kinds = (node.get("type") for node in nodes_of(tree))
    return {kind for kind in kinds if isinstance(kind, str) and kind.endswith("_NODE")}


def explain(error: duckdb.Error, sql: str) -> str:
    """Turn DuckDB's error into one message: what is wrong, where, and what there is."""
    message = str(error).strip()
    if message.startswith("Traceback"):
        # An error of the lake's file system; its last line is the message.
        message = message.splitlines()[-1].partition(": ")[2]
    hint = ""
    if isinstance(error, duckdb.CatalogException) and "Table with name" in message:
        hint = f"\nTables: {', '.join(TABLES | VIEWS)}."
    elif isinstance(error, duckdb.BinderException):
        hint = "".join(
            f"\nColumns of {name}: {', '.join(_columns(name))}."
            for name in TABLES | VIEWS
            if re.search(rf"\b{name}\b", sql, re.IGNORECASE)
        )
    elif isinstance(error, duckdb.PermissionException):
        hint = "\nQueries see the tables of the lake and no other file."
    return f"The query cannot run. {message}{hint}"


def _columns(table: str) -> list[str]:
    return [name for name in arrow_schema((TABLES | VIEWS)[table]).names if name not in WRITES]


def _first_words(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
