"""Only files that may be equal are hashed, and no equal ones are missed."""

from pathlib import Path

from operators.content import of_equal_size
from operators.discover import discover
from schemas.media import Listing

_KEPT = 4096


def test_files_that_differ_at_their_ends_are_not_hashed(tmp_path: Path) -> None:
    """A difference in the middle shows in no end: those are compared whole."""
    middle = 3 * _KEPT
    for name, data in {
        "a": b"x" * middle,
        "b": b"x" * (middle - 1) + b"y",
        "c": b"x" * _KEPT + b"y" + b"x" * (middle - _KEPT - 1),
        "d": b"x" * (middle - 1),
        "e": b"short",
        "f": b"short",
        "g": b"small",
    }.items():
        (tmp_path / name).write_bytes(data)

    alike = of_equal_size(discover([str(tmp_path)]).listings)
    assert [Path(item.uri).name for item in alike] == ["a", "c", "e", "f"]


def test_what_cannot_be_looked_at_is_hashed(tmp_path: Path) -> None:
    """Files of other stores are compared whole, and with them those of their size on this machine."""
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode() * 7)
    local = list(discover([str(tmp_path)]).listings)
    far = Listing("memory:///a", 7)
    known = Listing("memory:///b", 7, content_hash="c0")

    assert of_equal_size(local) == []
    assert of_equal_size([*local, far]) == [*local, far]
    assert of_equal_size([*local, known]) == local


def test_a_file_that_cannot_be_read_stands_in_nobodys_way(tmp_path: Path) -> None:
    """Probing will say what is wrong with it."""
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"the same")
    listings = discover([str(tmp_path)]).listings
    (tmp_path / "b").unlink()

    assert [Path(item.uri).name for item in of_equal_size(listings)] == ["a", "c"]
