"""`gloss retry`: only what failed, wholly or in part."""

import sys
from collections.abc import Sequence

from jobs.bury import bury_the_dead
from jobs.ingest import EXIT_OK, create, open_target
from jobs.plan import Work
from jobs.run import Task, run
from jobs.settle import settle
from operators.claim import Claim
from operators.discover import Discovery, SourceError, discover
from operators.lake import Lake
from schemas.config import Config
from schemas.media import Listing


def run_retry(lake: str, config: Config | None = None, *, verbose: bool = False) -> int:
    """Ingest again the assets that are in the lake as failed or partial.

    What of them was read is in the lake; only the rest is done.

    Args:
        lake: The lake.
        config: Null takes the configuration of the lake's last run.
        verbose: Show what Ray says.

    Returns:
        The exit code, as of `gloss ingest`; assets whose file is gone keep their row and count
        as failed.

    Raises:
        LakeError: There is no lake, or another run is writing to it.
        ConfigError: The run is impossible.
    """
    options = None if config is None else config.store.storage_options
    with Lake(lake, options).connect("assets", "runs") as connection:
        failed = connection.execute("SELECT uri FROM assets WHERE status <> 'ok' ORDER BY uri").fetchall()
        if not failed:
            sys.stderr.write("Nothing to retry: no asset is failed or partial.\n")
            return EXIT_OK
        if config is None:
            (stored,) = connection.execute(
                "SELECT config FROM runs ORDER BY started_at DESC, run_id LIMIT 1"
            ).fetchall()
            config = Config.model_validate_json(stored[0])
    target = open_target(lake, config)
    config = settle(config, target)
    create(target)
    listings, gone = _find([uri for (uri,) in failed], config)
    work = Work(listings, {"retry": len(listings)}, unchanged_failed=gone)
    task = Task(Discovery(listings, [], []), work, [item.uri for item in listings])
    with Claim(target, task.run_id, what="retry", wait_seconds=config.run.wait_seconds) as claim:
        bury_the_dead(target)
        return run(target, config, task, claim, verbose=verbose)


def _find(uris: Sequence[str], config: Config) -> tuple[list[Listing], int]:
    """List the files again, one by one: some may be gone."""
    listings = []
    gone = 0
    for uri in uris:
        try:
            found = discover([uri], hidden=True, options=config.store.storage_options)
        except SourceError as error:
            sys.stderr.write(f"{error}\n")
            gone += 1
            continue
        listings += [item for item in found.listings if item.uri == uri]
    return listings, gone
