"""Which tables a query names, so that no other has to be opened.

To open a table is to read its log and the footer of a file; a lake has eighteen, and most questions are about
two. What cannot be seen in the statement itself (`SHOW TABLES`, `information_schema`, functions that take a
name) may be about any table, so then all are opened.
"""

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from operators.timeline import TIMELINE_TABLES
from schemas.tables import TABLES, VIEWS

_NAMES_NOTHING = {"unnest", "range", "generate_series"}
"""Functions that give rows and read no table."""


def named_tables(sql: str) -> set[str] | None:
    """List the tables that one statement reads from; null if they cannot be told.

    The statement is only parsed: nothing it names is looked at.
    """
    with duckdb.connect(config={"enable_external_access": "false"}) as connection:
        ((text,),) = connection.execute("SELECT json_serialize_sql($sql)", {"sql": sql}).fetchall()
    try:
        tree = json.loads(text)
    except RecursionError:
        return None
    if tree["error"]:
        return None  # also whatever is no SELECT
    return _tables(tree)


def _tables(tree: Any) -> set[str] | None:
    named: set[str] = set()
    own: set[str] = set()
    for node in nodes_of(tree):
        own |= {entry["key"].lower() for entry in node.get("cte_map", {}).get("map", [])}
        kind = node.get("type")
        if kind == "BASE_TABLE":
            if node["schema_name"] or node["catalog_name"]:
                return None
            named.add(node["table_name"].lower())
        elif kind == "SHOW_REF" or (
            kind == "TABLE_FUNCTION" and node["function"]["function_name"].lower() not in _NAMES_NOTHING
        ):
            return None
    if not named - own <= TABLES.keys() | VIEWS.keys():
        return None  # misspelled, and the answer says what there is
    behind = TIMELINE_TABLES if "timeline" in named else set()
    return (named & TABLES.keys()) | behind


def nodes_of(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield all nodes of a statement as `json_serialize_sql` gives it."""
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
