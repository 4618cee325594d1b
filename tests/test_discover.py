"""Discovery lists everything once, in one order, and drops nothing silently."""

import os
from pathlib import Path

import fsspec
import pytest

from operators.discover import Discovery, SourceError, discover


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with hidden files, sub-folders, subtitles and a name that needs care."""
    root = tmp_path / "corpus"
    for name in (
        "b.mp4",
        "a.pdf",
        "sub/c d é.png",
        ".hidden",
        ".git/config",
        "b.srt",
        "b.en.vtt",
        "lone.srt",
        "sub/b.srt",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    return root


def names(found: Discovery, root: Path) -> list[str]:
    """The listed files, relative to the root."""
    return [listing.uri.removeprefix(f"file://{root}/") for listing in found.listings]


def test_folder_is_listed_recursively_and_sorted(corpus: Path) -> None:
    """Hidden names are skipped with a reason; subtitles go with their video."""
    found = discover([str(corpus)])

    assert names(found, corpus) == ["a.pdf", "b.mp4", "lone.srt", "sub/b.srt", "sub/c d é.png"]
    assert {(skip.uri.rpartition("corpus/")[2], str(skip.reason)) for skip in found.skips} == {
        (".hidden", "hidden"),
        (".git", "hidden"),
        ("b.srt", "sidecar"),
        ("b.en.vtt", "sidecar"),
    }
    (video,) = [listing for listing in found.listings if listing.uri.endswith("b.mp4")]
    assert [(sidecar.uri.rpartition("/")[2], sidecar.language) for sidecar in video.sidecars] == [
        ("b.en.vtt", "en"),
        ("b.srt", None),
    ]
    assert video.size_bytes == 5


def test_file_is_listed_once_however_often_it_is_named(corpus: Path) -> None:
    """Folder, file and glob may overlap; their order does not count."""
    sources = [str(corpus), str(corpus / "a.pdf"), str(corpus / "*.pdf")]

    assert discover(sources) == discover(sources[::-1])
    assert names(discover(sources), corpus).count("a.pdf") == 1


def test_glob_matches_recursively(corpus: Path) -> None:
    """`**` goes into folders."""
    assert names(discover([f"{corpus}/**/*.png"]), corpus) == ["sub/c d é.png"]


def test_video_named_alone_keeps_its_subtitles(corpus: Path) -> None:
    """A single file is listed just as its folder would list it."""
    alone = discover([str(corpus / "b.mp4")])
    (inside,) = [listing for listing in discover([str(corpus)]).listings if listing.uri.endswith("b.mp4")]

    assert alone.listings == [inside]


def test_relative_path_gives_an_absolute_uri(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The id of an asset does not depend on where the command was typed."""
    monkeypatch.chdir(corpus)

    expected = discover([str(corpus / "a.pdf")]).listings
    assert discover(["a.pdf"]).listings == expected
    assert discover([f"../{corpus.name}/sub/../a.pdf"]).listings == expected


def test_hidden_files_are_taken_when_asked_for(corpus: Path) -> None:
    """`run.hidden` also goes into hidden folders."""
    found = discover([str(corpus)], hidden=True)

    assert {".hidden", ".git/config"} <= set(names(found, corpus))
    assert not [skip for skip in found.skips if skip.reason == "hidden"]


def test_a_hidden_file_of_a_store_is_taken_when_it_is_named_or_asked_for() -> None:
    """It is listed once, and listing comes to an end."""
    store = fsspec.filesystem("memory")
    store.pipe({"/shelf/a.pdf": b"%PDF-", "/shelf/.b.pdf": b"%PDF-", "/shelf/.in/c.pdf": b"%PDF-"})
    try:
        asked = discover(["memory://shelf"], hidden=True)
        assert [item.uri.removeprefix("memory:///shelf/") for item in asked.listings] == [
            ".b.pdf",
            ".in/c.pdf",
            "a.pdf",
        ]
        named = discover(["memory://shelf/.b.pdf"])
        assert ([item.uri for item in named.listings], named.skips) == (["memory:///shelf/.b.pdf"], [])
        assert [item.uri for item in discover(["memory://shelf/*"]).skips] == ["memory:///shelf/.b.pdf"]
    finally:
        store.rm("/shelf", recursive=True)


def test_lake_inside_the_source_is_left_out(corpus: Path) -> None:
    """The tables of a lake are not a part of the corpus."""
    (corpus / "lake").mkdir()
    (corpus / "lake" / "part.parquet").write_bytes(b"PAR1")

    assert "lake/part.parquet" not in names(discover([str(corpus)], exclude=str(corpus / "lake")), corpus)


@pytest.mark.parametrize("source", ["nowhere", "nowhere/*.mp4", "strange://bucket/x"])
def test_missing_source_is_refused(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that names nothing is an error of the command, not an empty corpus."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SourceError, match=source.split("/", maxsplit=1)[0]):
        discover([source])


def test_empty_folder_is_an_empty_corpus(tmp_path: Path) -> None:
    """An empty folder is no error: tonight there was nothing."""
    assert discover([str(tmp_path)]) == Discovery([], [], [])


def test_special_files_and_dangling_links_are_accounted_for(tmp_path: Path) -> None:
    """A named pipe would block a reader for ever; a dead link cannot be read."""
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "dead.mp4").symlink_to(tmp_path / "gone")

    found = discover([str(tmp_path)])

    assert not found.listings
    assert [skip.reason for skip in found.skips] == ["unsupported"]
    assert [item.uri.rpartition("/")[2] for item in found.unlisted] == ["dead.mp4"]


def test_other_stores_list_alike() -> None:
    """A memory filesystem gives URIs that open again."""
    store = fsspec.filesystem("memory")
    store.pipe({"/shelf/a.pdf": b"%PDF-", "/shelf/in/b.png": b"png", "/shelf/.c": b""})
    try:
        found = discover(["memory://shelf"])

        assert [listing.uri for listing in found.listings] == [
            "memory:///shelf/a.pdf",
            "memory:///shelf/in/b.png",
        ]
        assert [str(skip.reason) for skip in found.skips] == ["hidden"]
        assert fsspec.open(found.listings[0].uri).open().read() == b"%PDF-"
    finally:
        store.rm("/shelf", recursive=True)
