"""File names are bytes that strangers chose; nothing that they spell is ever obeyed.

One run over names that are commands, queries, formulas, paths, patterns, escape sequences or no
text at all: each file is an asset of its own that is found again by its URI, nothing appears
outside of the lake, and nothing on the screen steers a terminal.
"""

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.ingest import run_ingest
from jobs.query import run_query
from jobs.retry import run_retry
from jobs.show import run_show
from jobs.status import run_status
from operators.discover import discover
from operators.lake import Lake
from operators.source import local_path, local_uri, open_source
from schemas import ids
from schemas.config import load_config
from tests.mutants import good
from tests.pages import glyph_pdf, line_at

_ROOT = Path(__file__).resolve().parents[1]

CONFIG = load_config(settings=["ocr.engine=off", "run.hidden=true"])
"""Names that begin with a dot are wanted here too."""

_TEXTS = [
    "plain.pdf", "a\nb.pdf", "a\r\nb.pdf", "tab\t.pdf", " leading.pdf", "trailing.pdf ", "\x7f.pdf",
    "\x01\x02.pdf", "\x1b[2J\x1b[31m.pdf", "\x1b]0;owned\x07.pdf", "\x9b31m.pdf", "\u2028\u2029.pdf",
    "\u202egpj.exe.pdf", "\u2066\u2069\u200b\ufeff.pdf", "'; DROP TABLE assets; --.pdf", "' OR 1=1.pdf",
    '"quoted".pdf', "%s%n{0}.pdf", "$(touch pwned).pdf", "`touch pwned`.pdf", "|touch pwned;.pdf",
    "&& touch pwned.pdf", "=cmd|' !A0'.pdf", "+1.pdf", "@SUM(1).pdf", "..%2f..%2fpwned.pdf",
    "%2e%2e%2fpwned.pdf", "..\\..\\pwned.pdf", "%00.pdf", "%FF.pdf", "%.pdf", "*.pdf", "[a].pdf",
    "[!a]*.pdf", "?.pdf", "{a,b}.pdf", "**.pdf", "#part.pdf", "a?b=1.pdf", "a::b.pdf", "s3:x.pdf",
    "https:x.pdf", "zip:a::file:b.pdf", "-rf.pdf", "--lake.pdf", "-.pdf", "~.pdf", "~root.pdf",
    "CON.pdf", "nul.pdf", "COM1.pdf", "🦄.pdf", "né.pdf", unicodedata.normalize("NFD", "né.pdf"),
    "\u200d.pdf", "\uffff.pdf", "NULL.pdf", "[bold red]x.pdf", "<b>x.pdf", "a,b;c.pdf",
    "x" * 251 + ".pdf", "ü" * 125 + ".pdf",
]  # fmt: skip
_BYTES = [
    b"\xff.pdf",
    b"caf\xe9.pdf",
    b"caf\xe9 %E9.pdf",
    b"\x80\x81\n\x1b[31m.pdf",
    b"\xed\xb3\xbf.pdf",
    b"\xc0\xae.pdf",
]
"""Names that are no UTF-8: Latin-1, lone surrogates, an overlong dot."""

_TALKS = [b"\x1b[31m'; DROP TABLE clips; --", b"talk \xff", "né".encode(), b"%2e%2e", b"[x]"]
"""Videos with subtitles beside them."""

_SCREEN = re.compile(r"\x1b\[[0-9;]*m")
"""Colours, which the tables have of their own."""


@dataclass(frozen=True)
class Named:
    """The lake of a folder of such names."""

    lake: str
    root: Path
    names: dict[bytes, int]
    """Path below the corpus, and the number that the page states."""
    exit_code: int
    report: str
    before: set[bytes]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Named]:
    """Write the files, and ingest their folder through Ray, from a folder of its own."""
    root = tmp_path_factory.mktemp("names")
    corpus = os.fsencode(root) + b"/corpus"
    os.mkdir(corpus)  # noqa: PTH102 - Path knows no bytes
    names: dict[bytes, int] = {}
    deep = b"/".join([b"d" * 200] * 18)
    folders = [b"\xff folder", b"-r; 'x' \n", b"%2e%2e", b"*[a]", deep]
    plain = [*map(os.fsencode, _TEXTS), *_BYTES]
    for number, name in enumerate([*plain, *(folder + b"/page.pdf" for folder in folders)]):
        _write(corpus, name, glyph_pdf(line_at(72, 700, f"Paper {number}")))
        names[name] = number
    for number, name in enumerate(_TALKS):
        _write(corpus, name + b".mp4", good()["talk.mp4"] + number.to_bytes(8, "big") + b"free")
        _write(corpus, name + b".en.srt", b"1\n00:00:00,000 --> 00:00:01,000\nTalk %d\n" % number)
    _write(corpus, b"broken\xff\n::.pdf", b"%PDF-1.7\n")
    _write(corpus, b"broken::\x1b.pdf", b"%PDF-1.7\n%%")
    before = _tree(root)
    elsewhere = root / "elsewhere"
    elsewhere.mkdir()
    here = Path.cwd()
    os.chdir(elsewhere)
    try:
        with pytest.MonkeyPatch.context() as patch:
            lake = str(root / "lake")
            with (elsewhere / "report").open("w+") as report:
                patch.setattr(sys, "stderr", report)
                code = run_ingest([str(root / "corpus")], lake, CONFIG)
                report.seek(0)
                said = report.read()
        yield Named(lake, root, names, code, said, before)
    finally:
        os.chdir(here)


def _write(corpus: bytes, name: bytes, content: bytes) -> None:
    path = corpus + b"/" + name
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - Path knows no bytes
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(content)


def _tree(root: Path) -> set[bytes]:
    """All that lies below, but for the lake."""
    lake = os.fsencode(root / "lake")
    return {
        path + b"/" + name
        for path, folders, files in os.walk(os.fsencode(root))
        for name in (*folders, *files)
        if not (path + b"/" + name).startswith(lake)
    }


def test_each_is_an_asset_under_its_own_uri(named: Named) -> None:
    """Every file is there once, with its own words, and its URI leads back to its bytes."""
    with Lake(named.lake).connect() as views:
        rows = views.execute(
            "SELECT uri, status, string_agg(ocr_text, ' ') FROM assets LEFT JOIN clips USING (asset_id) "
            "WHERE kind = 'document' AND status = 'ok' GROUP BY ALL"
        ).fetchall()
        ((discovered, *counts),) = views.execute(
            "SELECT discovered, ok, partial, failed, skipped FROM runs"
        ).fetchall()
    corpus = os.fsencode(named.root / "corpus") + b"/"
    found = {}
    for uri, _, text in rows:
        path = local_path(uri)
        assert path is not None
        found[os.fsencode(path).removeprefix(corpus)] = text

    assert found == {name: f"Paper {number}" for name, number in named.names.items()}
    assert len({uri for uri, _, _ in rows}) == len(named.names)
    assert named.exit_code == 3
    assert discovered == len(named.names) + 2 * len(_TALKS) + 2 == sum(counts)


def test_subtitles_are_found_beside_their_video(named: Named) -> None:
    """Whatever they are called, they go with the video of that name and no other."""
    with Lake(named.lake).connect() as views:
        rows = views.execute(
            "SELECT a.uri, u.text, u.language FROM utterances u JOIN assets a USING (asset_id)"
        ).fetchall()

    names = {text: (local_path(uri), language) for uri, text, language in rows}
    corpus = named.root / "corpus"
    assert names == {
        f"Talk {number}": (corpus / os.fsdecode(name + b".mp4"), "en") for number, name in enumerate(_TALKS)
    }


def test_nothing_is_written_outside_of_the_lake(named: Named) -> None:
    """No name is a path or a command: the folders around the lake are as they were."""
    added = _tree(named.root) - named.before

    assert added == {os.fsencode(named.root / "elsewhere"), os.fsencode(named.root / "elsewhere" / "report")}
    assert named.before <= _tree(named.root)
    tables = {path.name for path in Path(named.lake).iterdir()}
    assert all(re.fullmatch(r"[a-z_]+(\.[a-z]+)?", name) for name in tables), tables


def test_the_screen_shows_no_control_character(named: Named, capsys: pytest.CaptureFixture[str]) -> None:
    """The report, `show`, `status` and tables keep what a terminal would obey to themselves."""
    with Lake(named.lake).connect() as views:
        assets = [asset for (asset,) in views.execute("SELECT asset_id FROM assets").fetchall()]
    _assert_calm(named.report)
    assert "broken" in named.report
    run_status(named.lake)
    for asset in assets[::4]:
        run_show(named.lake, asset)
    run_query(named.lake, "SELECT * FROM failures", format="table")
    run_query(named.lake, "SELECT uri, title FROM assets", format="table")
    said = capsys.readouterr()
    _assert_calm(said.out)
    _assert_calm(said.err)


def _assert_calm(text: str) -> None:
    wild = {char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n"}
    # Joiners and marks of width are letters' own business; what moves or reorders is not.
    assert wild <= {"\u200b", "\u200d"}, [hex(ord(char)) for char in wild]


@pytest.mark.parametrize(
    "verb", [["query", "SELECT uri FROM assets"], ["query", "SELECT * FROM failures"], ["status"]]
)
def test_a_terminal_is_not_steered(named: Named, verb: list[str]) -> None:
    """On a real terminal there are colours, and nothing else that it would obey."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "jobs.cli", *verb, "--lake", named.lake]
    environment = os.environ | {"PYTHONPATH": str(_ROOT), "COLUMNS": "200", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        said = b""
        try:
            while chunk := os.read(ours, 1 << 16):
                said += chunk
        except OSError:  # Linux: the other side is closed.
            pass
    os.close(ours)

    assert process.returncode == 0
    _assert_calm(_SCREEN.sub("", said.decode()).replace("\r\n", "\n"))


def test_machines_get_the_names_back(named: Named, capsys: pytest.CaptureFixture[str]) -> None:
    """CSV and JSON hold each URI as it is in the lake; opened, it gives the bytes of that file."""
    sql = "SELECT uri, content_hash FROM assets ORDER BY uri"
    run_query(named.lake, sql, format="json")
    from_json = [(row["uri"], row["content_hash"]) for row in json.loads(capsys.readouterr().out)]
    run_query(named.lake, sql, format="csv")
    from_csv = [tuple(row) for row in csv.reader(io.StringIO(capsys.readouterr().out, newline=""))][1:]

    assert from_json == from_csv
    assert len(from_json) == len(named.names) + len(_TALKS) + 2
    assert len({digest for _, digest in from_json}) > len(named.names)
    for uri, digest in from_json:
        with open_source(uri) as file:
            assert not digest or ids.content_hash(file) == digest


def test_the_next_night_knows_them_all(named: Named, capfd: pytest.CaptureFixture[str]) -> None:
    """Names lead to the same assets again: nothing is new; and a retry finds those that failed."""
    assert run_ingest([str(named.root / "corpus")], named.lake, CONFIG) == 3
    assert run_retry(named.lake, CONFIG) == 3
    with Lake(named.lake).connect() as views:
        runs = views.execute("SELECT discovered, failed, skipped FROM runs ORDER BY started_at").fetchall()
    everything = len(named.names) + 2 * len(_TALKS) + 2
    assert runs[1:] == [(everything, 0, everything), (2, 2, 0)]


@pytest.mark.parametrize("name", [*map(os.fsencode, _TEXTS), *_BYTES])
def test_a_file_named_alone_is_that_file(tmp_path: Path, name: bytes) -> None:
    """Given as a path or as a URI, it is listed, under one URI that every table can hold."""
    _write(os.fsencode(tmp_path), name, b"%PDF-1.7\n")
    path = tmp_path / os.fsdecode(name)

    (listing,) = discover([str(path)], hidden=True).listings
    assert discover([listing.uri], hidden=True).listings == [listing]
    assert discover([str(tmp_path)], hidden=True).listings == [listing]
    assert listing.uri.encode("utf-8")
    assert local_path(listing.uri) == path
    assert local_uri(path) == listing.uri


def test_a_folder_deeper_than_the_system_allows_is_named(tmp_path: Path) -> None:
    """What cannot be listed is noted, and the rest is."""
    (tmp_path / "near.pdf").write_bytes(b"%PDF-1.7\n")
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=folder)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("far.pdf", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)

    found = discover([str(tmp_path)])

    assert [listing.uri for listing in found.listings] == [local_uri(tmp_path / "near.pdf")]
    (unlisted,) = found.unlisted
    assert "too long" in unlisted.message
