"""`gloss repair`: take what is not sound out of a lake, so that the next ingest makes it again.

Everything in a lake comes from its sources, so nothing has to be mended in place: a data file
that cannot be read is dropped from its table, and an asset whose rows do not fit together is
forgotten. It is then a new file to the next ingest, which finds what was read of it among the
finished units, if those are sound.
"""

import uuid
from collections.abc import Sequence

from jobs.bury import bury_the_dead
from jobs.output import EXIT_BROKEN, EXIT_OK, complain, note
from jobs.status import print_findings
from jobs.verify import Finding, check_lake
from operators.claim import Claim
from operators.commit import remove_assets
from operators.lake import Lake


def run_repair(lake_uri: str, *, wait_seconds: float = 0.0) -> int:
    """Check a lake, and take out of it what is not sound.

    Args:
        lake_uri: Path or URL of the lake.
        wait_seconds: How long to wait for a run that is writing to the lake.

    Returns:
        0, or 1 where something is wrong that only a backup or a new lake cures.

    Raises:
        LakeError: There is no lake, or a run is writing to it.
    """
    lake = Lake(lake_uri)
    lake.require()
    with Claim(lake, uuid.uuid4().hex[:12], what="repair", wait_seconds=wait_seconds) as claim:
        findings = [item for item in check_lake(lake) if item.severity != "info"]
        print_findings(findings)
        if any(item.check == "table" for item in findings):
            return complain("A table cannot be opened; nothing was changed.", EXIT_BROKEN)
        claim.check()
        files, assets = repair(lake, findings)
        bury_the_dead(lake)
        lake.write_views()
    note(f"{files} files dropped, {assets} assets forgotten. Run gloss ingest on their sources again.")
    return EXIT_OK


def repair(lake: Lake, findings: Sequence[Finding]) -> tuple[int, int]:
    """Drop the files and forget the assets that findings name; the caller holds the claim.

    Returns:
        How many files were dropped and assets forgotten.
    """
    files = [item.file for item in findings if item.file is not None]
    for file in files:
        if lake.filesystem.exists(f"{lake.root}/{file}"):
            lake.filesystem.rm_file(f"{lake.root}/{file}")
    for table in sorted({file.partition("/")[0] for file in files}):
        lake.table(table).repair()
    assets = sorted({asset for item in findings for asset in item.assets})
    if assets:
        remove_assets(lake, assets)
    return len(files), len(assets)
