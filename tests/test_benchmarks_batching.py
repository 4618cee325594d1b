"""The benchmark of batches counts what is in them."""

import pytest

from benchmarks.batching import Seen, batch, lines, pictures, rows_of, sound


def test_fill_and_padding_are_counted() -> None:
    """Two of four places, and a third of them padding."""
    _, row = rows_of("stage", [batch([1], 1)], [batch([10, 30], 4)], size=4, how="")
    assert row["fill"] == 0.5
    assert row["padding"] == pytest.approx(1 - 40 / 60)


def test_lines_are_batched_as_the_recogniser_does() -> None:
    """Within a call, by canonical width; the fixed batch takes them as they come."""
    fixed, mine = lines(Seen([], [[300, 310, 600], [305]]))
    assert fixed["members"] == mine["members"] == 4
    assert fixed["padding"] == pytest.approx(1 - (300 + 310 + 600 + 305) / (4 * 600))
    assert mine["padding"] == pytest.approx(1 - (300 + 310 + 600 + 305) / (3 * 320 + 608))
    assert mine["fill"] == pytest.approx(4 / 5)


def test_pictures_go_alone_and_unpadded() -> None:
    """A fixed batch pads all of them to the widest and the highest."""
    fixed, mine = pictures(Seen([(100, 50), (50, 100)], []))
    assert fixed["padding"] == pytest.approx(0.5)
    assert (mine["fill"], mine["padding"]) == (1, 0)


def test_sound_is_sorted_within_a_call() -> None:
    """Two units make a call of eight pieces, two batches of like length."""
    units = [[1.0, 10.0, 1.0, 10.0], [10.0, 1.0, 10.0, 1.0]]
    fixed, mine = sound(units, 4)
    assert fixed["padding"] == pytest.approx(1 - 44 / 80)
    assert (mine["fill"], mine["padding"]) == (1, 0)
