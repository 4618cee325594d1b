"""The ledger balances or says that it does not."""

import pytest

from jobs.ledger import Ledger, LedgerError
from operators.fan_in import FanIn
from schemas.arrow import to_table
from schemas.failure import Failure
from schemas.perception import Cost, Perception
from tests.rows import asset_row, perception


def test_balanced_ledger_passes_and_a_lost_file_does_not() -> None:
    """Ok + partial + failed + skipped = discovered, or the run is broken."""
    ledger = Ledger(4)
    ledger.skip("unchanged", 2)
    ledger.committed([asset_row(status="ok")])
    with pytest.raises(LedgerError, match="4 files discovered, 3 accounted"):
        ledger.check()
    ledger.committed([asset_row(status="failed")])
    ledger.check()

    assert dict(ledger.status) == {"ok": 1, "failed": 1}


def test_costs_and_failures_are_summed_over_units() -> None:
    """What each stage spent is the sum over its units."""
    ledger = Ledger(1)
    rows = [
        perception(
            unit=unit,
            units=2,
            sampled=60,
            costs=[Cost("decode", 1.5, 60, 100)],
            failures=[Failure("decode", "corrupt", "bad")],
        )
        for unit in range(2)
    ]
    fan_in = FanIn()
    # The first unit is handed out twice, because a worker died with the second: its failure is one.
    list(fan_in.add(to_table(Perception, rows[:1])))
    fan_in.forget("a0")
    for header, complete in fan_in.add(to_table(Perception, rows)):
        ledger.perceived(header)
        if complete is not None:
            ledger.completed(complete)

    (stage,) = ledger.stages()
    assert (stage.stage, stage.seconds, stage.items, stage.bytes) == ("decode", 3.0, 120, 200)
    assert ledger.failures == {"corrupt": 2}
    assert (ledger.units, ledger.totals["sampled"]) == (2, 120)
