"""Files as columns are the same files as rows."""

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import ids
from schemas.listings import Listings, fingerprint
from schemas.media import Listing, Sidecar

_names = st.text(st.characters(codec="utf-8"), max_size=6)
_dates = st.none() | st.integers(-(1 << 62), 1 << 62)
_etags = st.none() | _names
_sidecars = st.lists(
    st.builds(Sidecar, _names, st.integers(0, 99), _dates, _etags, st.just("en")), max_size=2
)
_rows = st.lists(
    st.builds(
        Listing,
        uri=_names,
        size_bytes=st.integers(0, 1 << 50),
        modified_ns=_dates,
        etag=_etags,
        sidecars=_sidecars,
    ),
    max_size=6,
    unique_by=lambda row: row.uri,
)


@settings(max_examples=30)
@given(_rows)
def test_columns_give_the_rows_back(rows: list[Listing]) -> None:
    """All of them, at their places, and in order; nothing of a file is lost."""
    columns = Listings.of(rows)

    assert columns == rows
    assert columns.fingerprints().to_pylist() == [fingerprint(row) for row in rows]
    assert columns.sorted() == sorted(rows, key=lambda row: row.uri)
    assert columns[1:] == rows[1:]
    assert columns.take([at for at in range(len(rows)) if at % 2]) == rows[1::2]


def test_of_a_file_that_is_listed_twice_the_last_is_left() -> None:
    """It may have changed in between."""
    rows = [Listing("b", 1, 5), Listing("a", 2), Listing("b", 3, 6)]

    assert Listings.of(rows).sorted() == [Listing("a", 2), Listing("b", 3, 6)]


def test_a_date_that_no_table_can_hold_becomes_the_last_one() -> None:
    """Clocks run wrong; a file of the year 3000 is a file."""
    (row,) = Listings.of([Listing("a", 1, 1 << 65)])

    assert row.modified_ns == (1 << 63) - 1


@given(_names, st.integers(0, 1 << 50), _dates, _etags)
def test_a_file_without_sidecars_is_identified_as_any(
    uri: str, size: int, modified: int | None, etag: str | None
) -> None:
    """The shorter way gives the same."""
    assert ids.fingerprint_alone(uri, size, modified, etag) == ids.fingerprint([(uri, size, modified, etag)])
