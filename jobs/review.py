"""`gloss review`: what a person should look at, each with the evidence that was found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from rich.console import Console
from rich.text import Text

from jobs.output import (
    EXIT_BROKEN,
    EXIT_OK,
    check_format,
    clean,
    clock,
    complain,
    console,
    emit_json,
    file_name,
    one_line,
)
from jobs.read_only import LimitError, open_lake, read_only
from jobs.show import AssetError, find_asset
from operators.lake import LakeError
from schemas.config import ConfigError

if TYPE_CHECKING:
    from jobs.review_pictures import Places

ID_DIGITS = 12
"""Digits of an id that are shown; they name a review among millions."""

_SQL = """
    SELECT r.*, a.uri, a.title AS asset_title
    FROM reviews r JOIN assets a USING (asset_id)
    WHERE ($everything OR r.state = 'open') AND ($asset IS NULL OR r.asset_id = $asset)
    ORDER BY a.uri, r.clip NULLS FIRST, r.segment NULLS FIRST, r.level, r.sentence, r.review_id
    LIMIT $limit"""


def run_review(
    lake_uri: str,
    *,
    asset: str | None = None,
    everything: bool = False,
    limit: int = 50,
    format: str = "table",  # noqa: A002
    pictures: Path | None = None,
    storage_options: dict[str, str] | None = None,
) -> int:
    """List what is to be reviewed.

    Args:
        lake_uri: Path or URL of the lake.
        asset: Only of this one: its id, URI or a part of its file name.
        everything: Also what was decided about.
        limit: Most reviews listed.
        format: table (for people) or json.
        pictures: Folder to write the frames and pages of the evidence into; null decodes nothing.
        storage_options: Options of the object store.

    Returns:
        0, 2 when the lake or asset cannot be found, 1 when reading broke.
    """
    try:
        check_format(format, known=("table", "json"))
        with read_only(open_lake(lake_uri, storage_options)) as connection:
            chosen = find_asset(connection, asset) if asset is not None else None
            found = listed(connection, chosen, everything=everything, limit=limit)
            ((count,),) = connection.execute("SELECT count(*) FROM reviews WHERE state = 'open'").fetchall()
            places = _places(connection, found) if pictures is not None else {}
        if pictures is not None:  # outside: what is read of the lake has limits of its own
            _add_pictures(lake_uri, found, places, pictures)
    except (LakeError, ConfigError, AssetError) as error:
        return complain(str(error))
    except (duckdb.Error, LimitError) as error:
        return complain(f"Reading the lake broke: {error}", EXIT_BROKEN)
    if format == "json":
        emit_json(found)
    else:
        _print(console(), found, int(count))
    return EXIT_OK


def _places(connection: duckdb.DuckDBPyConnection, rows: Sequence[Mapping[str, Any]]) -> "Places":
    # Decoders are slow to import.
    from jobs.review_pictures import places_of

    return places_of(connection, rows)


def _add_pictures(lake_uri: str, rows: Sequence[dict[str, Any]], places: "Places", folder: Path) -> None:
    from jobs.compose import last_config
    from jobs.review_pictures import add_pictures

    add_pictures(rows, places, folder, last_config(lake_uri))


def listed(
    connection: duckdb.DuckDBPyConnection, asset_id: str | None, *, everything: bool, limit: int
) -> list[dict[str, Any]]:
    """Read reviews, those of one asset together and in the order of its time or pages."""
    parameters = {"asset": asset_id, "everything": everything, "limit": limit}
    cursor = connection.execute(_SQL, parameters)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _print(screen: Console, rows: Sequence[Mapping[str, Any]], count: int) -> None:
    before = None
    for row in rows:
        if row["uri"] != before:
            before = row["uri"]
            screen.print(Text(one_line(file_name(before)), style="bold underline"))
        _print_review(screen, row)
    if not count:
        screen.print("Nothing is open for review.")
        return
    open_now = sum(row["state"] == "open" for row in rows)
    screen.print(
        f"{count} open{f', {open_now} shown' if open_now < count else ''}. Decide with: "
        'gloss review accept ID, gloss review reject ID, gloss review edit ID --text "…"'
    )


def _print_review(screen: Console, row: Mapping[str, Any]) -> None:
    state = "" if row["state"] == "open" else f" · {row['state']}"
    head = Text(row["review_id"][:ID_DIGITS], style="bold")
    head.append(f"  {_whose(row)} · {row['reason']} · {row['action']}{state}", style="dim")
    screen.print(head)
    screen.print(Text(f"  {clean(row['text'])}"))
    screen.print(Text(f"  {clean(row['message'])}", style="dim"))
    if row["edited"]:
        screen.print(Text(f"  edited: {clean(row['edited'])}"))
    for part in row["evidence"]:
        screen.print(Text(f"    {part['kind']} {_where(part)}: {clean(part['text'])}", style="italic"))
        if part.get("picture"):
            screen.print(Text(f"      {one_line(part['picture'])}", style="dim"), soft_wrap=True)
    screen.print()


def _whose(row: Mapping[str, Any]) -> str:
    match row["level"]:
        case "clip":
            return f"clip {row['clip']}"
        case "segment":
            return f"segment {row['segment']}"
        case "key_point":
            return "key point"
        case level:
            return str(level)


def _where(part: Mapping[str, Any]) -> str:
    place = f"page {part['page']}" if part["page"] is not None else clock(part["time_seconds"])
    if part["x0"] is None:
        return place
    box = ", ".join(f"{part[name]:.2f}" for name in ("x0", "y0", "x1", "y1"))
    return f"{place} [{box}]"
