"""`gloss compact`: drop superseded rows, merge small files."""

import sys
import uuid

from jobs.bury import bury_the_dead
from operators.claim import Claim
from operators.compact import RETENTION_HOURS, compact_table, vacuum
from operators.lake import Lake
from operators.retrying import with_retries
from schemas.tables import TABLES

EXIT_OK = 0


def run_compact(lake: str, *, retention_hours: int = RETENTION_HOURS, wait_seconds: float = 0.0) -> int:
    """Compact every table of a lake and say what changed.

    Args:
        lake: The lake.
        retention_hours: Replaced files are kept this long for readers that have them open, and
            finished work that nothing refers to for runs that may want it again.
        wait_seconds: How long to wait for a run that is writing to the lake.

    Raises:
        LakeError: There is no lake, or a run is writing to it.
    """
    target = Lake(lake)
    target.require()
    if retention_hours < 1:
        sys.stderr.write(
            f"Warning: with --retention-hours {retention_hours}, whoever has the lake open may find that "
            "the files of a query are gone. One hour or more leaves them alone.\n"
        )
    with Claim(target, uuid.uuid4().hex[:12], what="compact", wait_seconds=wait_seconds) as claim:
        bury_the_dead(target)
        for name in TABLES:
            done = compact_table(target, name, retention_hours, claim.check)
            sys.stderr.write(
                f"{name}: {done.rows_before} rows in {done.files_before} files -> "
                f"{done.rows_after} rows in {done.files_after} files\n"
            )
        claim.check()
        with_retries(target.write_views)
        deleted = vacuum(target, retention_hours, claim.check)
    sys.stderr.write(f"{deleted} files older than {retention_hours} hours deleted\n")
    return EXIT_OK
