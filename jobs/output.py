"""What the reading verbs print.

Two readers need different things: a program wants every value, unchanged and in a format it
knows; a person wants few, aligned columns on a screen. Texts come from files that strangers
made, so nothing in them may steer the terminal: whatever a terminal would take for a command
is replaced before it is shown. A spreadsheet takes text for commands too: in CSV, text that it
would compute gets a leading apostrophe (the advice of OWASP, CSV Injection). JSON and Parquet are
for programs and give every text as it is.
"""

import base64
import csv
import io
import json
import math
import re
import sys
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import IO, Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.json_log import told
from schemas.config import ConfigError

FORMATS = ("table", "json", "csv", "parquet")

EXIT_OK, EXIT_BROKEN, EXIT_USAGE = 0, 1, 2

_CELL_CHARS = 600
"""Longest value shown in a table; the other formats give all of it."""

_RECORD_COLUMN_CHARS = 12
"""Below this width a column cannot be read; rows are then shown one field to a line."""

_STEERING = frozenset("\u2028\u2029\u061c\u200e\u200f\ufeff") | {
    chr(code) for span in ((0x202A, 0x202F), (0x2066, 0x206A)) for code in range(*span)
}
"""Breaks and marks that reorder what is shown, so that a text seems to say something else."""

_STEERING_JSON = re.compile(f"[\x7f-\x9f{''.join(sorted(_STEERING))}]")


def clean(text: str) -> str:
    """Replace what a terminal would obey; line breaks stay, tabs become spaces.

    C0 controls become their visible pictures (ESC becomes ␛), others the replacement character.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text.replace("\r\n", "\n").expandtabs(4)))


def one_line(text: str) -> str:
    """Clean a text that belongs on one line, such as the name of a file: breaks become ␊."""
    return clean(text).replace("\n", "␊")


def _shown(char: str) -> str:
    if char == "\n" or (char.isprintable() and char not in _STEERING):
        return char
    if ord(char) < 0x20:
        return chr(0x2400 + ord(char))
    if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _STEERING:
        return "\ufffd"
    return char


def check_format(format: str, output: Path | None = None, known: Sequence[str] = FORMATS) -> None:  # noqa: A002
    """Refuse a format that cannot be written, before any work.

    Raises:
        ConfigError: Unknown, or binary output to a terminal.
    """
    if format not in known:
        msg = f"Wanted --format of {', '.join(known)}; found {format!r}."
        raise ConfigError(msg)
    if format == "parquet" and output is None and sys.stdout.isatty():
        msg = "Parquet is binary and stdout is a terminal. Name a file with --output FILE, or pipe it."
        raise ConfigError(msg)


def complain(message: str, code: int = EXIT_USAGE) -> int:
    """Say on stderr what went wrong, and return the exit code."""
    if not told("error", message):
        sys.stderr.write(f"gloss: {clean(message)}\n")
    return code


def note(message: str) -> None:
    """Say something beside the result, on stderr."""
    sys.stderr.write(f"{clean(message)}\n")


# --- results --------------------------------------------------------------------------------


def emit(
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    format: str,  # noqa: A002
    output: Path | None = None,
) -> int:
    """Write a result to stdout, or to a file that appears only when it is whole.

    The first batch is computed before anything is written, so that most errors of a query
    leave no half result behind.

    Returns:
        Number of rows written.
    """
    following = iter(batches)
    first = next(following, None)
    rest = chain([] if first is None else [first], following)
    unique = _unique(schema)
    with _target(output) as target:
        if format == "parquet":
            return _write_parquet(unique, rest, target)
        text = io.TextIOWrapper(target, encoding="utf-8", newline="", write_through=True)
        try:
            return _WRITERS[format](unique.names, rest, text, output is None and sys.stdout.isatty())
        finally:
            text.detach()


def emit_rows(schema: pa.Schema, rows: Iterable[dict[str, Any]], format: str) -> int:  # noqa: A002
    """Write dictionaries as a result of the given schema, to stdout."""
    return emit(schema, pa.Table.from_pylist(list(rows), schema=schema).to_batches(), format)


def emit_json(value: object) -> None:
    """Write one JSON array to stdout."""
    sys.stdout.write(_json(value, indent=2) + "\n")


@contextmanager
def _target(output: Path | None) -> Iterator[IO[bytes]]:
    if output is None:
        sys.stdout.flush()
        buffer = getattr(sys.stdout, "buffer", None)
        if buffer is not None:
            yield buffer
            buffer.flush()
            return
        held = io.BytesIO()
        yield held
        sys.stdout.write(held.getvalue().decode())
        return
    if not output.parent.is_dir():
        msg = f"Wanted to write {output}; there is no folder {output.parent}. Create it first."
        raise ConfigError(msg)
    with tempfile.NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            yield file
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    temporary.chmod(0o644)
    temporary.replace(output)


def _unique(schema: pa.Schema) -> pa.Schema:
    """Give columns of one name (a join's two `asset_id`) names of their own."""
    taken: set[str] = set()
    fields = []
    for item in schema:
        name, number = item.name, 1
        while name in taken:
            number += 1
            name = f"{item.name}_{number}"
        taken.add(name)
        fields.append(item.with_name(name))
    return pa.schema(fields)


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _write_parquet(schema: pa.Schema, batches: Iterable[pa.RecordBatch], target: IO[bytes]) -> int:
    rows = 0
    # A pipe cannot tell its position, which the Parquet writer asks for.
    sink = target if target.seekable() else _Counting(target)
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in batches:
            rows += batch.num_rows
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
    return rows


class _Counting(io.RawIOBase):
    """A pipe that knows how much went through it."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target, self._position = target, 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        self._target.write(data)
        self._position += len(data)
        return len(data)


def _write_json(
    names: Sequence[str], batches: Iterable[pa.RecordBatch], target: TextIO, _terminal: bool
) -> int:
    rows = 0
    for row in _rows(batches):
        target.write(("[\n" if rows == 0 else ",\n") + _json(dict(zip(names, row, strict=True))))
        rows += 1
    target.write("\n]\n" if rows else "[]\n")
    return rows


def _json(value: object, indent: int | None = None) -> str:
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, indent=indent)
    # The standard leaves DEL, C1 controls and marks of direction alone; terminals obey them.
    return _STEERING_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _plain(value: Any) -> Any:
    """Turn a value into what JSON has: times as ISO 8601, bytes as base64, no NaN."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case None | bool() | int() | str():
            return value
        case _:
            return str(value)


def _write_csv(
    names: Sequence[str], batches: Iterable[pa.RecordBatch], target: TextIO, terminal: bool
) -> int:
    writer = csv.writer(_Lines(target))
    header = [defused(name) for name in names]
    writer.writerow([clean(name) for name in header] if terminal else header)
    rows = 0
    for row in _rows(batches):
        cells = [_csv_cell(value) for value in row]
        writer.writerow([clean(cell) for cell in cells] if terminal else cells)
        rows += 1
    return rows


class _Lines:
    """Ends rows with a line feed; the writer quotes a carriage return only if rows end with it."""

    def __init__(self, target: TextIO) -> None:
        self._target = target

    def write(self, row: str) -> int:
        return self._target.write(row.removesuffix("\r\n") + "\n")


def _csv_cell(value: Any) -> str:
    plain = _plain(value)
    if plain is None:
        return ""
    return defused(plain) if isinstance(plain, str) else _json(plain)


def defused(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would compute; numbers stay numbers."""
    if text.startswith(_COMPUTED) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


_COMPUTED = tuple("=+-@\t\r\n＝＋－＠")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def _write_table(
    names: Sequence[str], batches: Iterable[pa.RecordBatch], target: TextIO, terminal: bool
) -> int:
    rows = list(_rows(batches))
    screen = console(target, terminal)
    if terminal and len(names) * _RECORD_COLUMN_CHARS > screen.width:
        _print_records(screen, names, rows)
    else:
        screen.print(grid(names, rows))
    return len(rows)


_WRITERS = {"json": _write_json, "csv": _write_csv, "table": _write_table}


# --- for people -----------------------------------------------------------------------------


def console(target: TextIO | None = None, terminal: bool | None = None) -> Console:
    """Open a screen that prints text as it is; where it is no terminal, lines are never wrapped."""
    stream = sys.stdout if target is None else target
    screen = stream.isatty() if terminal is None else terminal
    return Console(
        file=stream,
        force_terminal=screen,
        width=None if screen else 100_000,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def grid(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """Lay out rows under their names; numbers stand to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for index, name in enumerate(names):
        numeric = bool(rows) and all(_is_number(row[index]) for row in rows)
        table.add_column(Text(one_line(name)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _print_records(screen: Console, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    for number, row in enumerate(rows, 1):
        screen.rule(Text(f"row {number}"), align="left", style="dim")
        fields = Table.grid(padding=(0, 2))
        for name, value in zip(names, row, strict=True):
            fields.add_row(Text(one_line(name), style="bold"), _cell(value))
        screen.print(fields)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))


def _cell(value: Any) -> Text:
    if isinstance(value, Text):
        return value
    if value is None:
        return Text("·", style="dim")
    text = clean(words(value))
    return Text(text if len(text) <= _CELL_CHARS else text[: _CELL_CHARS - 1] + "…")


def words(value: Any) -> str:
    """Write a value for people: few digits, times without fractions of a second."""
    match value:
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S")
        case _:
            plain = _plain(value)
            return plain if isinstance(plain, str) else _json(plain)


def clock(seconds: float | None) -> str:
    """Write a time of a video: 0:07, 12:30, 1:02:03."""
    if seconds is None:
        return ""
    hours, rest = divmod(int(seconds), 3600)
    minutes, second = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{second:02}" if hours else f"{minutes}:{second:02}"


def size(count: int | float) -> str:
    """Write a number of bytes: 812 B, 3.4 MB."""
    amount, units = float(count), ["B", "kB", "MB", "GB", "TB", "PB"]
    while amount >= 999.5 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{amount:.0f} {units[0]}" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def file_name(uri: str) -> str:
    """Take the last part of a URI; enough to recognise a file by."""
    return uri.rstrip("/").rpartition("/")[2] or uri
