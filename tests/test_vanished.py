"""A file is gone when a source would have listed it and did not."""

from pathlib import Path

import pytest

from jobs.vanished import Vanished, check_prune, find_vanished
from operators.discover import Discovery, Unlisted, discover
from schemas import ids
from schemas.config import Config, ConfigError, load_config


def held(*paths: Path) -> dict[str, str]:
    """The lake's assets, by id."""
    uris = [f"file://{path}" for path in paths]
    return {ids.asset_id(uri): uri for uri in uris}


def gone(sources: list[str], known: dict[str, str]) -> list[str]:
    """Names of vanished files."""
    found = find_vanished(sources, discover(sources), known.items())
    return sorted(Path(known[asset_id]).name for asset_id in found.asset_ids)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two files and one below."""
    root = tmp_path / "data [1]"
    (root / "deep").mkdir(parents=True)
    for name in ("a.png", "b.png", "deep/c.png"):
        (root / name).write_bytes(b"x")
    return root


def test_file_that_a_folder_no_longer_lists_is_gone(folder: Path) -> None:
    """At any depth; files that are there are not."""
    known = held(folder / "a.png", folder / "x.png", folder / "deep" / "y.png", folder / "old" / "z.png")

    assert gone([str(folder)], known) == ["x.png", "y.png", "z.png"]


def test_what_lies_elsewhere_is_not_gone(folder: Path, tmp_path: Path) -> None:
    """A run over one folder says nothing of another, even of one whose name begins alike."""
    known = held(tmp_path / "other" / "x.png", tmp_path / "data [1]b" / "y.png")

    assert gone([str(folder)], known) == []


def test_glob_covers_what_it_would_match(folder: Path) -> None:
    """And nothing beside it."""
    root = Path(str(folder).replace("[", "[[]"))
    known = held(folder / "x.png", folder / "x.jpg", folder / "deep" / "y.png")

    assert gone([f"{root}/*.png"], known) == ["x.png"]


def test_hidden_folder_hides_what_was_read_of_it(folder: Path) -> None:
    """It is still there; that it is left out now is a setting."""
    (folder / ".secret").mkdir()

    assert gone([str(folder)], held(folder / ".secret" / "x.png")) == []


def test_folder_that_cannot_be_listed_keeps_its_assets(folder: Path) -> None:
    """What cannot be seen is not gone."""
    known = held(folder / "locked" / "x.png", folder / "y.png")
    discovery = Discovery([], [], [Unlisted(f"file://{folder}/locked", "Cannot list the folder.")])

    found = find_vanished([str(folder)], discovery, known.items())
    assert [Path(known[item]).name for item in found.asset_ids] == ["y.png"]
    assert found.below == 2


def test_prune_refuses_to_empty_a_lake() -> None:
    """More than half gone is more likely a disk that is not there; a setting says otherwise."""
    found = Vanished(["a", "b"], 3)

    with pytest.raises(ConfigError, match=r"2 of the 3 assets.*prune_limit"):
        check_prune(found, Config())
    check_prune(found, load_config("embedded", None, ["run.prune_limit=0.7"]))
