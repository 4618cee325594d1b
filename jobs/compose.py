"""`gloss compose`: summaries are written again from the text in the lake, and nothing is decoded.

Another model, prompt, language or level gives a new `summary_version`; the assets' `version`, and
everything that was read, heard and captioned, stay as they are. The sources may be gone; so
`summary.closer_look=pictures` is as `text` here, and summaries that pictures were looked at for count as
configured where the rest is.
"""

import fnmatch
import json
from collections.abc import Sequence
from pathlib import Path

from jobs.bury import bury_the_dead
from jobs.ingest import EXIT_OK, create, open_target
from jobs.json_log import speak
from jobs.plan import SUMMARIES, Work
from jobs.run import Task, run
from jobs.settle import settle_summary
from operators.claim import Claim
from operators.composition import COMPOSITION
from operators.discover import Discovery
from operators.lake import Lake
from operators.summary_version import from_text_alone, is_as_written, summary_version
from schemas.config import Config, ConfigError, load_config
from schemas.media import Listing

_SHORTEST_ID = 8
"""Digits that name an asset."""


def last_config(lake: str, file: Path | None = None, settings: Sequence[str] = ()) -> Config:
    """Take the configuration of the lake's last run, with some settings changed.

    Args:
        lake: The lake.
        file: Whose settings override the last run's.
        settings: `key=value`, which override both.

    Raises:
        LakeError: There is no lake here.
        ConfigError: It was never run on, or a setting cannot be used.
    """
    target = Lake(lake)
    with target.connect() as connection:
        sql = "SELECT config FROM runs ORDER BY started_at DESC, run_id LIMIT 1"
        found = connection.execute(sql).fetchone()
    if found is None:
        msg = f"Wanted a lake with a run at {target.uri}; none is recorded. Run gloss ingest first."
        raise ConfigError(msg)
    base = json.loads(found[0])
    changed = load_config(base["profile"], file, settings, base=base)
    same = (changed.summary.engine, changed.summary.model) == (
        base["summary"]["engine"],
        base["summary"]["model"],
    )
    if same or "revision" in _named(file, settings):
        return changed
    # The revision is that of the model before it.
    return changed.model_copy(update={"summary": changed.summary.model_copy(update={"revision": None})})


def _named(file: Path | None, settings: Sequence[str]) -> set[str]:
    """List the keys of `summary` that are set by name."""
    return set(load_config("embedded", file, settings).summary.model_fields_set)


def run_compose(
    lake: str,
    config: Config,
    *,
    assets: Sequence[str] = (),
    dry_run: bool = False,
    verbose: bool = False,
) -> int:
    """Write the summaries of a lake's assets as configured; those that are so already are left alone.

    Args:
        lake: The lake.
        config: Of the run; what it says about perceiving is of no effect.
        assets: Patterns or ends of URIs, or asset ids; none means all.
        dry_run: Only say what would be done.
        verbose: Show what Ray says.

    Returns:
        The exit code, as of `gloss ingest`.

    Raises:
        LakeError: There is no lake, or another run is writing to it.
        ConfigError: The run is impossible.
    """
    speak(config.observe.logs)
    target = open_target(lake, config)
    target.require()
    create(target)
    config = from_text_alone(settle_summary(config, target))
    due, unchanged = _find(target, config, assets)
    if dry_run:
        print(f"{len(due)} assets would be summarised again; {len(unchanged)} are as configured.")
        return EXIT_OK
    work = Work([], {SUMMARIES: len(due)}, summaries=due, unchanged=unchanged)
    task = Task(Discovery([*due, *unchanged], [], []), work, [target.uri])
    with Claim(target, task.run_id, what="compose", wait_seconds=config.run.wait_seconds) as claim:
        bury_the_dead(target)
        return run(target, config, task, claim, verbose=verbose)


def _find(lake: Lake, config: Config, wanted: Sequence[str]) -> tuple[list[Listing], list[Listing]]:
    """List the assets whose summaries are not as configured, and the others.

    Raises:
        ConfigError: A pattern fits no asset, or the lake was cut by another version of Gloss.
    """
    with lake.connect() as connection:
        rows = connection.execute(
            "SELECT asset_id, uri, bytes, summary_version, composition FROM assets "
            "WHERE status <> 'failed' AND clip_count > 0 ORDER BY uri"
        ).fetchall()
    for pattern in wanted:
        if not any(_fits(pattern, row[0], row[1]) for row in rows):
            msg = f"Wanted an asset whose id or URI fits {pattern!r}; none with anything to sum up does."
            raise ConfigError(msg)
    chosen = [row for row in rows if not wanted or any(_fits(pattern, row[0], row[1]) for pattern in wanted)]
    if any(row[4] != COMPOSITION for row in chosen):
        msg = (
            "Wanted clips and sentences as this version of Gloss cuts them; the lake's are of another. "
            "Run gloss ingest on its sources: what was read is kept, and nothing is decoded again."
        )
        raise ConfigError(msg)
    version = summary_version(config)
    due = [Listing(uri, size) for _, uri, size, has, _ in chosen if not is_as_written(has, version)]
    return due, [Listing(uri, size) for _, uri, size, has, _ in chosen if is_as_written(has, version)]


def _fits(pattern: str, asset_id: str, uri: str) -> bool:
    by_id = len(pattern) >= _SHORTEST_ID and asset_id.startswith(pattern)
    return by_id or uri.endswith(pattern) or fnmatch.fnmatch(uri, pattern)
