"""`gloss ingest`, with a line in a file for each unit that comes back.

    python -m tests.counted_ingest FILE ARGUMENT...

A run that is killed cannot say what it had computed; this file can.
"""

import os
import sys
from pathlib import Path

from jobs import cli
from jobs.ledger import Ledger
from operators.fan_in import Header

_perceived = Ledger.perceived


def count_units(file: Path) -> None:
    """Write asset, unit, and whether it was recalled or failed, as each unit comes back."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def perceived(ledger: Ledger, header: Header) -> None:
        kind = "recalled" if header.recalled else "failed" if header.failures else "computed"
        os.write(descriptor, f"{header.asset.uri} {header.unit.index} {kind}\n".encode())
        _perceived(ledger, header)

    setattr(Ledger, "perceived", perceived)  # noqa: B010 - a method is replaced, which types forbid


if __name__ == "__main__":
    count_units(Path(sys.argv[1]))
    del sys.argv[1]
    cli.main()
