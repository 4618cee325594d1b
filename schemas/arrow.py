"""One declaration per row: frozen dataclasses give the Arrow schema.

Rows travel between processes and lie on disk as Arrow; code reads better with names and
types. Declaring both by hand lets them drift apart, so the Arrow schema is derived from
the dataclass, and every table is built with that schema: a value that does not fit raises
where it is written, not where it is read.
"""

import dataclasses
import types
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from operator import index
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import pyarrow as pa

Row = TypeVar("Row")

Vector = Annotated[list[float], "float32"]
"""A vector of a model, in single precision, as models compute it."""

_SCALARS: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.large_binary(),
    datetime: pa.timestamp("us", tz="UTC"),
}
"""`large_binary` because the pixels of one block can pass the 2 GiB of 32-bit offsets."""


def _arrow_type(annotation: Any) -> tuple[pa.DataType, bool]:
    """Translate an annotation to (Arrow type, nullable)."""
    if annotation == Vector:
        return pa.list_(pa.float32()), False
    if annotation in _SCALARS:
        return _SCALARS[annotation], False
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        inner = [arm for arm in get_args(annotation) if arm is not type(None)]
        if len(inner) == 1:
            return _arrow_type(inner[0])[0], True
    if origin is list:
        (item,) = get_args(annotation)
        return pa.list_(_arrow_type(item)[0]), False
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return pa.struct(list(_fields(annotation))), False
    msg = (
        f"No Arrow type for {annotation!r}; use str, int, float, bool, bytes, datetime, lists and dataclasses"
    )
    raise TypeError(msg)


def _fields(cls: type) -> Iterable[pa.Field]:
    hints = get_type_hints(cls, include_extras=True)
    for item in dataclasses.fields(cls):
        arrow_type, nullable = _arrow_type(hints[item.name])
        yield pa.field(item.name, arrow_type, nullable=nullable)


def arrow_schema(cls: type[Any]) -> pa.Schema:
    """Derive the Arrow schema of a row dataclass.

    Optional fields are nullable, all others are not. Nested dataclasses become structs.

    Raises:
        TypeError: A field's annotation has no Arrow equivalent.
    """
    return _schema(cast(Any, cls))


@cache
def _schema(cls: Any) -> pa.Schema:
    return pa.schema(list(_fields(cls)))


@cache
def _converter(annotation: Any) -> Any:
    """Return a function from a plain Arrow value to a typed one, or None for identity."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        inner = [arm for arm in get_args(annotation) if arm is not type(None)]
        convert = _converter(inner[0])
        return None if convert is None else lambda value: None if value is None else convert(value)
    if origin is list:
        (item,) = get_args(annotation)
        convert = _converter(item)
        return None if convert is None else lambda values: [convert(value) for value in values]
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return _builder(annotation)
    return None


@cache
def _builder(cls: Any) -> Any:
    hints = get_type_hints(cls)
    names = {item.name for item in dataclasses.fields(cls)}
    converters = {name: convert for name in names if (convert := _converter(hints[name]))}

    def build(value: dict[str, Any]) -> Any:
        return cls(
            **{
                name: converters[name](item) if name in converters else item
                for name, item in value.items()
                if name in names
            }
        )

    return build


def to_dict(row: object) -> dict[str, Any]:
    """Turn a row dataclass into plain dicts and lists, sharing the leaves (no copy of bytes)."""
    return {name: _plain(getattr(row, name)) for name in _names(cast(Any, type(row)))}


def _plain(value: Any) -> Any:
    kind: Any = type(value)
    if kind in _LEAVES:
        return value
    if isinstance(value, list):
        return [_plain(item) for item in value] if value else value
    return to_dict(value) if _names(kind) else value


_LEAVES = frozenset((str, int, float, bool, bytes, type(None)))
"""What most values are: it is told first."""


@cache
def _names(cls: Any) -> tuple[str, ...]:
    """Name the fields of a dataclass; any other class has none; asking `dataclasses` takes longer."""
    return tuple(item.name for item in dataclasses.fields(cls)) if dataclasses.is_dataclass(cls) else ()


def to_table(cls: type[Row], rows: Iterable[Row]) -> pa.Table:
    """Build an Arrow table of exactly `arrow_schema(cls)`.

    Raises:
        ValueError: A column that may not be null holds a null.
        pyarrow.ArrowException: A value does not fit its column's type.
    """
    table = pa.Table.from_pylist([to_dict(row) for row in rows], schema=arrow_schema(cls))
    for item in table.schema:
        if not item.nullable and table[item.name].null_count:
            msg = f"{cls.__name__}.{item.name} must not be null; {table[item.name].null_count} rows are"
            raise ValueError(msg)
    return table


def from_table(cls: type[Row], table: pa.Table) -> list[Row]:
    """Read rows back; columns the dataclass does not have are ignored."""
    build = _builder(cast(Any, cls))
    return [build(value) for value in table.to_pylist()]


def as_stored(cls: type[Row], row: Row) -> Row:
    """Return a row as it would come back from a table, without making one; bytes are not copied.

    What is an enumeration in a column of strings becomes a string, a whole number in a column of floats a
    float, and no list is shared with the row: a step that follows finds the same wherever it runs.

    Raises:
        TypeError: A value does not fit its column's type.
        ValueError: The same, or a column that may not be null is.
    """
    for item in arrow_schema(cls):
        if not item.nullable and getattr(row, item.name) is None:
            msg = f"{cls.__name__}.{item.name} must not be null"
            raise ValueError(msg)
    stored: Row = _storer(cast(Any, cls))(row)
    return stored


@cache
def _storer(annotation: Any) -> Callable[[Any], Any]:
    """Return a function from a value to what Arrow would give back for it."""
    if annotation == Vector:
        return lambda values: pa.array(values, pa.float32()).to_pylist()
    if annotation in _STORED:
        return _STORED[annotation]
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return _storer(next(arm for arm in get_args(annotation) if arm is not type(None)))
    if origin is list:
        store = _storer(get_args(annotation)[0])
        return lambda values: None if values is None else [store(value) for value in values]
    hints = get_type_hints(annotation, include_extras=True)
    stores = [(item.name, _storer(hints[item.name])) for item in dataclasses.fields(annotation)]

    def rebuild(row: Any) -> Any:
        return (
            None if row is None else annotation(**{name: keep(getattr(row, name)) for name, keep in stores})
        )

    return rebuild


def _store_as(exact: type, convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Leave alone what is of a type, and nothing; convert the rest."""
    return lambda value: value if type(value) is exact or value is None else convert(value)


def _utc(value: datetime) -> datetime:
    at = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return at.replace(fold=0)


_STORED: dict[Any, Callable[[Any], Any]] = {
    str: _store_as(str, str.__str__),
    int: _store_as(int, index),
    float: _store_as(float, float),
    bool: _store_as(bool, bool),
    bytes: _store_as(bytes, bytes),
    datetime: lambda value: None if value is None else _utc(value),
}
