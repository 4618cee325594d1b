"""`gloss compact`: drop superseded rows, merge small files."""

import sys

from operators.compact import compact_table, vacuum
from operators.lake import Lake
from schemas.tables import TABLES

EXIT_OK = 0


def run_compact(lake: str, *, retention_hours: int = 168) -> int:
    """Compact every table of a lake and say what changed.

    Args:
        lake: The lake. Nothing else may write to it meanwhile.
        retention_hours: Replaced files are kept this long for readers that have them open.

    Raises:
        LakeError: There is no lake.
    """
    target = Lake(lake)
    target.require()
    for name in TABLES:
        done = compact_table(target, name)
        sys.stderr.write(
            f"{name}: {done.rows_before} rows in {done.files_before} files -> "
            f"{done.rows_after} rows in {done.files_after} files\n"
        )
    target.write_views()
    deleted = vacuum(target, retention_hours)
    sys.stderr.write(f"{deleted} files older than {retention_hours} hours deleted\n")
    return EXIT_OK
