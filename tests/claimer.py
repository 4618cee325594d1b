"""A process that claims a lake, for tests of claims: `python -m tests.claimer LAKE RUN_ID BEAT WAIT`.

It says what happens on stdout, one line each, and does what it reads from stdin: `check`, `commit`
(a segment, after a check, as the committer does) or `end`.
"""

import sys
from pathlib import Path

from operators.claim import Claim, ClaimLost, LakeBusyError
from operators.commit import append_files
from operators.lake import Lake
from operators.write import rows_of, write_rows
from tests.rows import segment_row


def say(*words: object) -> None:
    """Print a line at once."""
    print(*words, flush=True)


def main(uri: str, run_id: str, beat_seconds: float, wait_seconds: float) -> None:
    """Claim, obey, release."""
    lake = Lake(uri)
    say("ready")
    sys.stdin.readline()
    try:
        with Claim(lake, run_id, wait_seconds=wait_seconds, beat_seconds=beat_seconds) as claim:
            say("held", claim.taken_over)
            for line in sys.stdin:
                if line.strip() == "end":
                    break
                say(obey(line.strip(), lake, claim, run_id))
    except LakeBusyError as error:
        say("busy", error)
    say("done")


def obey(command: str, lake: Lake, claim: Claim, run_id: str) -> str:
    """Do one thing and say how it went."""
    try:
        claim.check()
    except ClaimLost as error:
        return f"lost {error}"
    if command == "commit":
        append_files(lake, rows_of([write_rows(lake, "segments", [segment_row(title=run_id)])]))
    elif command == "alone":
        # Nobody else may be between these lines.
        mark = Path(lake.root, "mark")
        mark.touch(exist_ok=False)
        mark.unlink()
    return "ok"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
