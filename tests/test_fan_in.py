"""An asset is complete when all its units have come, in whatever order."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from operators.fan_in import FanIn
from schemas.arrow import from_table, to_table
from schemas.perception import Perception
from tests.rows import perception


def table(*rows: Perception) -> pa.Table:
    """Rows as they come from the pipeline."""
    return to_table(Perception, rows)


@given(
    st.permutations(
        [(asset, unit) for asset, units in (("a", 1), ("b", 2), ("c", 4)) for unit in range(units)]
    ),
    st.integers(1, 5),
)
def test_every_asset_completes_exactly_once(order: list[tuple[str, int]], size: int) -> None:
    """Whatever the order and the borders of blocks, each asset comes out once with all its units."""
    units = {"a": 1, "b": 2, "c": 4}
    rows = [perception(asset, unit, units[asset]) for asset, unit in order]
    fan_in = FanIn()
    done = []
    for at in range(0, len(rows), size):
        done += [complete for _, complete in fan_in.add(table(*rows[at : at + size])) if complete]

    assert sorted(complete.asset.asset_id for complete in done) == ["a", "b", "c"]
    for complete in done:
        came = from_table(Perception, complete.rows)
        assert [row.unit.index for row in came] == list(range(units[complete.asset.asset_id]))
    assert fan_in.unfinished() == {}


def test_unit_that_comes_twice_counts_once() -> None:
    """A task that Ray repeated neither completes an asset early nor doubles a row."""
    fan_in = FanIn()
    headers = list(fan_in.add(table(perception(units=2), perception(units=2))))

    assert len(headers) == 1
    assert headers[0][1] is None
    assert fan_in.unfinished()["a0"][1] == {1}
    ((_, complete),) = fan_in.add(table(perception(unit=1, units=2)))
    assert complete is not None
    assert complete.rows.num_rows == 2
    assert list(fan_in.add(table(perception(unit=1, units=2)))) == []


def test_forgotten_asset_starts_again() -> None:
    """After a lost worker, what had come of an asset is dropped and all of it is awaited."""
    fan_in = FanIn()
    list(fan_in.add(table(perception(units=2))))
    fan_in.forget("a0")

    assert fan_in.unfinished() == {}
    ((_, complete),) = fan_in.add(table(perception(unit=1, units=2)))
    assert complete is None
