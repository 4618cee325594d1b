"""`gloss retry`: only what failed, wholly or in part."""

import sys

from jobs.ingest import EXIT_OK, Work, run
from operators.discover import Discovery, SourceError, discover
from operators.lake import Lake
from schemas.config import Config


def run_retry(lake: str, config: Config | None = None, *, verbose: bool = False) -> int:
    """Ingest again the assets that are in the lake as failed or partial.

    Args:
        lake: The lake.
        config: Null takes the configuration of the lake's last run.
        verbose: Show what Ray says.

    Returns:
        The exit code, as of `gloss ingest`; assets whose file is gone keep their row and count
        as failed.

    Raises:
        LakeError: There is no lake.
        ConfigError: The run is impossible.
    """
    target = Lake(lake)
    connection = target.connect()
    failed = connection.execute("SELECT uri FROM assets WHERE status <> 'ok' ORDER BY uri").fetchall()
    if not failed:
        sys.stderr.write("Nothing to retry: no asset is failed or partial.\n")
        return EXIT_OK
    if config is None:
        (stored,) = connection.execute(
            "SELECT config FROM runs ORDER BY started_at DESC, run_id LIMIT 1"
        ).fetchall()
        config = Config.model_validate_json(stored[0])
    target = Lake(lake, config.store.storage_options)
    found, gone = _find([uri for (uri,) in failed], config)
    listings = found.listings
    work = Work(listings, {"retry": len(listings)}, unchanged=[], unsupported=[], unchanged_failed=gone)
    return run(
        target,
        config,
        Discovery(listings, [], []),
        work,
        sources=[item.uri for item in listings],
        verbose=verbose,
    )


def _find(uris: list[str], config: Config) -> tuple[Discovery, int]:
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
    return Discovery(listings, [], []), gone
