"""A run in which too much fails stops early: something else is wrong than the files."""

from jobs.ledger import Ledger
from schemas.config import Run

_LEAST_FILES = 20
"""Files that must have been read before their share of failures says anything."""


class BudgetSpent(Exception):  # noqa: N818 - it says what happened to the run
    """More files have failed than the configuration allows."""


def check_budget(ledger: Ledger, run: Run) -> None:
    """Compare the files that failed as a whole with what is allowed.

    Raises:
        BudgetSpent: More than `run.max_failures`, or than the share `run.max_failure_rate`.
    """
    failed = ledger.status["failed"]
    read = sum(ledger.status.values())
    if run.max_failures is not None and failed > run.max_failures:
        msg = f"{failed} files have failed; run.max_failures allows {run.max_failures}."
    elif run.max_failure_rate is not None and read >= _LEAST_FILES and failed > run.max_failure_rate * read:
        msg = f"{failed} of {read} files have failed; run.max_failure_rate allows {run.max_failure_rate:g}."
    else:
        return
    raise BudgetSpent(f"{msg} See: SELECT reason, count(*) FROM failures GROUP BY reason")
