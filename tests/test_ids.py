"""Identifiers depend on what they should depend on, and on nothing else."""

import io

from hypothesis import given
from hypothesis import strategies as st

from schemas import ids


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_digest_tells_different_parts_apart(one: list[str], other: list[str]) -> None:
    """`("ab", "c")` and `("a", "bc")` do not collide."""
    assert (ids.digest(*one) == ids.digest(*other)) == (one == other)


@given(st.binary(max_size=100))
def test_content_hash_is_of_all_bytes(data: bytes) -> None:
    """The hash of a file changes with any byte appended."""
    assert ids.content_hash(io.BytesIO(data)) == ids.content_hash(io.BytesIO(data))
    assert ids.content_hash(io.BytesIO(data)) != ids.content_hash(io.BytesIO(data + b"\x00"))


def test_asset_id_never_changes() -> None:
    """The id of a URI is part of the contract: this value is for ever."""
    assert ids.asset_id("file:///data/talk.mp4") == "70eeaa3aa297f574955ea7968a24105b"


def test_version_follows_content_sidecars_and_perception() -> None:
    """Each of the three changes the version."""
    versions = {
        ids.version("content", "s1", "perception"),
        ids.version("other", "s1", "perception"),
        ids.version("content", "", "perception"),
        ids.version("content", "s1", "other"),
    }

    assert len(versions) == 4


def test_fingerprint_prefers_the_etag() -> None:
    """A store with etags is compared by them; the others by modification time."""
    assert ids.fingerprint([("u", 1, 5, "e")]) == ids.fingerprint([("u", 1, 6, "e")])
    assert ids.fingerprint([("u", 1, 5, None)]) != ids.fingerprint([("u", 1, 6, None)])
    assert ids.fingerprint([("u", 1, 5, None)]) != ids.fingerprint([("u", 2, 5, None)])
