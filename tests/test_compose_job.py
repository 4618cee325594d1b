"""What `gloss compose` would do is decided from the lake, before anything begins."""

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.compose import last_config, run_compose
from operators.commit import merge_assets, put_run
from operators.composition import COMPOSITION
from operators.lake import Lake
from operators.summary_version import summary_version
from schemas.config import Config, ConfigError
from tests.rows import asset_row, run_row


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three assets: two as the last run left them, one that failed."""
    lake = Lake(tmp_path / "lake")
    lake.create()
    version = summary_version(Config())
    rows = [
        asset_row(asset_id="0123456789", uri="file:///data/a/moon.mp4", write_id="w0"),
        asset_row(asset_id="abcdefghij", uri="file:///data/b/tide.pdf", write_id="w1"),
        asset_row(
            asset_id="klmnopqrst",
            uri="file:///data/c/broken.mp4",
            write_id="w2",
            status="failed",
            clip_count=0,
        ),
    ]
    merge_assets(lake, [replace(row, summary_version=version, composition=COMPOSITION) for row in rows])
    put_run(lake, run_row(config=Config().model_dump_json()))
    return lake


def planned(
    lake: Lake, capsys: pytest.CaptureFixture[str], *settings: str, assets: tuple[str, ...] = ()
) -> str:
    """What a dry run says."""
    assert run_compose(lake.uri, last_config(lake.uri, None, settings), assets=assets, dry_run=True) == 0
    return capsys.readouterr().out


def test_only_what_is_not_as_configured_is_written_again(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    """Assets that failed have nothing to sum up."""
    assert planned(lake, capsys) == "0 assets would be summarised again; 2 are as configured.\n"
    other = "summary.asset_sentences=2"
    assert planned(lake, capsys, other) == "2 assets would be summarised again; 0 are as configured.\n"


@pytest.mark.parametrize(
    "pattern", ["moon.mp4", "a/moon.mp4", "*/a/*", "file:///data/a/moon.mp4", "01234567"]
)
def test_assets_are_chosen_by_uri_pattern_or_id(
    lake: Lake, capsys: pytest.CaptureFixture[str], pattern: str
) -> None:
    """The others are left alone, and not counted."""
    told = planned(lake, capsys, "summary.asset_sentences=2", assets=(pattern,))
    assert told == "1 assets would be summarised again; 0 are as configured.\n"


@pytest.mark.parametrize("pattern", ["sun.mp4", "0123", "broken.mp4"])
def test_a_pattern_that_fits_nothing_is_refused(lake: Lake, pattern: str) -> None:
    """Four digits name no asset, and what failed has nothing to sum up."""
    with pytest.raises(ConfigError, match=f"fits '{pattern}'"):
        run_compose(lake.uri, last_config(lake.uri), assets=[pattern], dry_run=True)


def test_clips_of_another_version_are_not_summed_up(lake: Lake) -> None:
    """They have to be cut again first, from what was read."""
    merge_assets(lake, [asset_row(asset_id="0123456789", uri="file:///data/a/moon.mp4", composition="old")])
    with pytest.raises(ConfigError, match="Run gloss ingest on its sources"):
        run_compose(lake.uri, last_config(lake.uri), dry_run=True)


def test_another_model_has_another_revision(lake: Lake) -> None:
    """What the last run pinned was the model before it; the same model keeps it, and a named one holds."""
    last = Config.model_validate({"summary": {"engine": "transformers", "model": "a/b", "revision": "r0"}})
    put_run(lake, run_row(config=last.model_dump_json()))

    assert last_config(lake.uri).summary.revision == "r0"
    assert last_config(lake.uri, None, ["summary.seed=3"]).summary.revision == "r0"
    assert last_config(lake.uri, None, ["summary.model=c/d"]).summary.revision is None
    named = last_config(lake.uri, None, ["summary.model=c/d", "summary.revision=r1"])
    assert named.summary.revision == "r1"


def test_a_lake_without_a_run_has_no_configuration(tmp_path: Path) -> None:
    """It says what to do first."""
    empty = Lake(tmp_path / "empty")
    empty.create()
    with pytest.raises(ConfigError, match="Run gloss ingest first"):
        last_config(empty.uri)
