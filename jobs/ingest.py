"""`gloss ingest`: from sources to tables.

discover -> leave out what the lake already holds -> run. Everything that can be refused is
refused before the first file is touched.
"""

from collections.abc import Sequence
from dataclasses import replace

from jobs.bury import bury_the_dead
from jobs.caps import NO_CAPS, Caps, require_prices
from jobs.held import Held
from jobs.json_log import speak
from jobs.plan import Selection, known_skips, plan, plan_work
from jobs.run import EXIT_BROKEN, EXIT_OK, EXIT_SOME_FAILED, EXIT_USAGE, Task, new_run_id, run
from jobs.settle import settle
from jobs.vanished import check_prune, find_vanished
from operators.claim import Claim
from operators.discover import Discovery, SourceError, discover
from operators.lake import Lake, LakeError
from schemas.config import Config, ConfigError
from schemas.listings import Listings

__all__ = ["EXIT_BROKEN", "EXIT_OK", "EXIT_SOME_FAILED", "EXIT_USAGE", "run_ingest"]


def run_ingest(
    sources: Sequence[str],
    lake: str,
    config: Config,
    *,
    selection: Selection | None = None,
    prune: bool = False,
    caps: Caps = NO_CAPS,
    dry_run: bool = False,
    verbose: bool = False,
    run_id: str | None = None,
) -> int:
    """Ingest sources into a lake and return the exit code.

    Args:
        sources: Files, folders, globs or URLs.
        lake: Path or URL of the lake.
        config: The run's configuration.
        selection: Which part of the work is wanted; null means all.
        prune: Remove assets whose file is gone.
        caps: What captions may cost.
        dry_run: Only print what would be done, and why.
        verbose: Show what Ray says.
        run_id: Name of the run, for those who want to find its row; null makes one.

    Raises:
        ConfigError: Something that makes the run impossible, found before any work.
        LakeError: The lake cannot be used, or another run is writing to it.
    """
    speak(config.observe.logs)
    target = open_target(lake, config)
    require_prices(caps, config.vision)
    config = settle(config, target)
    discovery = find(sources, target, config)
    if dry_run:
        # A forecast knows the decoders, which take half a second to import; a quiet night needs none.
        from jobs.forecast import print_forecast

        task = _plan(target, sources, discovery, config, selection, prune) if target.exists() else None
        task = task or _first(sources, discovery, config, selection)
        print_forecast(target, replace(task, caps=caps), config)
        return EXIT_OK
    create(target)
    run_id = run_id or new_run_id()
    with Claim(target, run_id, what="ingest", wait_seconds=config.run.wait_seconds) as claim:
        bury_the_dead(target)
        task = replace(_plan(target, sources, discovery, config, selection, prune), run_id=run_id, caps=caps)
        return run(target, config, task, claim, verbose=verbose)


def open_target(lake: str, config: Config) -> Lake:
    """Name the lake to write to.

    Raises:
        ConfigError: Its address cannot be used.
    """
    try:
        return Lake(lake, config.store.storage_options)
    except (ImportError, ValueError) as error:
        msg = f"Wanted a path or URL for --lake; {lake!r} cannot be used ({error})."
        raise ConfigError(msg) from error


def create(lake: Lake) -> None:
    """Create what is missing of a lake.

    Raises:
        ConfigError: The place cannot be written, or holds something else.
    """
    try:
        lake.create()
    except LakeError as error:
        raise ConfigError(str(error)) from error


def find(sources: Sequence[str], lake: Lake, config: Config) -> Discovery:
    """List the sources.

    Raises:
        ConfigError: A source does not exist.
    """
    try:
        return discover(
            sources, hidden=config.run.hidden, exclude=lake.uri, options=config.store.storage_options
        )
    except SourceError as error:
        raise ConfigError(str(error)) from error


def _plan(
    lake: Lake,
    sources: Sequence[str],
    discovery: Discovery,
    config: Config,
    selection: Selection | None,
    prune: bool,
) -> Task:
    """Compare what is there with what the lake holds.

    Raises:
        ConfigError: `prune` would remove more than is plausible.
    """
    options = config.store.storage_options
    with Held(lake) as held:
        listings = Listings.of(discovery.listings)
        work, prints = plan(held, listings, lambda: known_skips(lake), config, selection)
        others = list(held.others(prints, len(work.unchanged)))
        vanished = find_vanished(sources, discovery, others, options, seen=held.count - len(others))
    if prune:
        check_prune(vanished, config)
    return Task(discovery, work, sources, vanished.asset_ids, prune)


def _first(sources: Sequence[str], discovery: Discovery, config: Config, selection: Selection | None) -> Task:
    """Plan for a lake that does not exist yet."""
    return Task(discovery, plan_work(discovery.listings, {}, {}, config, selection), sources)
