"""Row dataclasses and their Arrow tables say the same."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum, StrEnum

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.arrow import Vector, arrow_schema, as_stored, from_table, to_table
from schemas.box import Box
from schemas.media import Asset, Unit
from schemas.perception import Perception, Picture
from schemas.tables import TABLES

ASSET = Asset("a", "v", "file:///x.mp4", "video", 3, "f", "h")


@dataclass(frozen=True, slots=True)
class Inner:
    """A row in a row."""

    name: str
    values: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outer:
    """One column of each sort."""

    count: int
    maybe: int | None
    inner: Inner
    many: list[Inner]
    data: bytes


_inner = st.builds(Inner, st.text(), st.lists(st.floats(allow_nan=False)))
_outer = st.builds(
    Outer,
    st.integers(-(2**63), 2**63 - 1),
    st.none() | st.integers(0, 9),
    _inner,
    st.lists(_inner, max_size=3),
    st.binary(max_size=20),
)


@given(st.lists(_outer, max_size=4))
def test_rows_survive_the_way_through_arrow(rows: list[Outer]) -> None:
    """What goes into a table comes out equal, nested rows, nulls and bytes included."""
    assert from_table(Outer, to_table(Outer, rows)) == rows


class _Name(StrEnum):
    ONE = "one"


class _Count(IntEnum):
    TWO = 2


@dataclass(frozen=True, slots=True)
class _Loose:
    """Filled with what only nearly fits, as code does."""

    name: str
    count: int
    share: float
    maybe: float | None
    is_so: bool
    data: bytes
    at: datetime
    vector: Vector
    many: list[Inner]


_names = st.sampled_from(_Name) | st.text()
_numbers = st.integers(-(2**50), 2**50) | st.floats(allow_nan=False)
_zones = st.sampled_from([UTC, timezone(timedelta(hours=5))])
_loose = st.builds(
    _Loose,
    _names,
    st.sampled_from(_Count) | st.integers(-(2**63), 2**63 - 1),
    _numbers,
    st.none() | _numbers,
    st.booleans(),
    st.binary(max_size=8),
    st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=_zones),
    st.lists(st.floats(-9, 9), max_size=3),
    st.lists(st.builds(Inner, _names, st.lists(_numbers)), max_size=3),
)


@given(_loose)
def test_stored_without_a_table_is_as_stored_in_one(row: _Loose) -> None:
    """Letter by letter: enumerations and whole numbers become what their columns hold."""
    stored = as_stored(_Loose, row)
    (expected,) = from_table(_Loose, to_table(_Loose, [row]))
    assert stored == expected
    assert repr(stored).replace(", tzinfo=datetime.timezone.utc", "") == _without_zone(expected)
    assert stored.many is not row.many


def _without_zone(row: _Loose) -> str:
    """Arrow has a class of its own for UTC."""
    return repr(replace(row, at=row.at.replace(tzinfo=None)))


def test_stored_without_a_table_is_as_particular() -> None:
    """What to_table refuses is refused."""
    with pytest.raises(ValueError, match=r"Outer\.count must not be null"):
        as_stored(Outer, Outer(None, None, Inner("x"), [], b""))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        as_stored(Outer, Outer("7", None, Inner("x"), [], b""))  # type: ignore[arg-type]


def test_every_lake_table_has_a_schema() -> None:
    """No column of any table lacks an Arrow type, and names are unique."""
    for row in TABLES.values():
        names = arrow_schema(row).names
        assert len(names) == len(set(names)) > 3


def test_null_in_a_required_column_is_refused_by_name() -> None:
    """A null where the row type promises a value fails where it is written."""
    broken = Unit(0, None)  # type: ignore[arg-type] # the point of the test

    with pytest.raises(ValueError, match=r"Unit\.kind must not be null"):
        to_table(Unit, [broken])


def test_wrong_type_is_refused() -> None:
    """A value of another type is not quietly converted to text."""
    with pytest.raises(pa.ArrowException):
        to_table(Unit, [Unit(0, 5)])  # type: ignore[arg-type] # the point of the test


def test_perception_with_pixels_survives() -> None:
    """The travelling row keeps pixels, times and boxes."""
    picture = Picture(2, 1, b"\x00\x01\x02\x03\x04\x05", 1.5, 2.5, changed=[Box(0, 0, 0.5, 1)])
    perception = Perception(ASSET, Unit(0, "span", 0.0, 60.0), [picture], cuts=[1.5], sampled=60)

    assert from_table(Perception, to_table(Perception, [perception])) == [perception]


def test_unknown_columns_are_ignored_on_reading() -> None:
    """A reader of an older version can read a newer table."""
    table = to_table(Unit, [Unit(3, "page", page=4)]).append_column("later", pa.array([1]))

    assert from_table(Unit, table) == [Unit(3, "page", page=4)]
