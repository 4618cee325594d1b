"""No file can make Gloss read another file, or call a server.

A text and a video that belong to nobody's corpus lie beside it; a server on this machine counts
its callers. Every lure that formats know asks for them. The system itself is asked whether
anybody opened them, and the lake, the logs and the screen are searched for what they say.
"""

import ctypes
import os
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import pyarrow.parquet as pq
import pytest
import ray

from jobs.ingest import run_ingest
from jobs.show import run_show
from jobs.status import run_status
from operators.lake import Lake
from schemas.config import load_config
from schemas.failure import Reason
from tests.lures import lures
from tests.media import Encoding, encode, slide

SECRET = "marzipan 7731 under the third step"
TITLE = "The diary of the lighthouse keeper"
WORDS = (SECRET, TITLE)


class Watch:
    """Tells which of some files anybody has opened since the last question (inotify)."""

    _OPENED = 0x20 | 0x1
    """IN_OPEN and IN_ACCESS."""

    def __init__(self, *files: Path) -> None:
        """Begin to watch."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK)
        assert self._descriptor >= 0, os.strerror(ctypes.get_errno())
        self._files = {
            self._libc.inotify_add_watch(self._descriptor, os.fsencode(file), self._OPENED): file.name
            for file in files
        }

    def opened(self) -> set[str]:
        """Names of the files opened since the last call."""
        try:
            events = os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return set()
        found, at = set(), 0
        while at < len(events):
            watch, _, _, length = struct.unpack_from("iIII", events, at)
            found.add(self._files[watch])
            at += 16 + length
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine that notes what it is asked for, and answers with the secret."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(SECRET.encode())

        do_HEAD = do_POST = do_OPTIONS = do_GET  # noqa: N815 - names of the library

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name of the library
            """Say nothing."""

    served = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_port}", asked
    served.shutdown()


@dataclass(frozen=True)
class Lured:
    """What came of ingesting all lures."""

    lake: Lake
    corpus: Path
    exit_code: int
    opened: set[str]
    asked: list[str]
    said: str
    """All that was printed, by the run and by `show` and `status` afterwards."""


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A text and a video outside of the corpus."""
    place = tmp_path_factory.mktemp("private")
    text, movie = place / "diary.txt", place / "lighthouse.mp4"
    text.write_text(SECRET)
    movie.write_bytes(encode([(0.0, slide([SECRET])), (1.0, slide([TITLE]))], Encoding(title=TITLE)))
    return text, movie


@pytest.fixture(scope="module")
def lured(
    ray_cluster: None,
    tmp_path_factory: pytest.TempPathFactory,
    secrets: tuple[Path, Path],
    server: tuple[str, list[str]],
) -> Lured:
    """Ingest all lures through Ray, then look at the lake as a user would."""
    root = tmp_path_factory.mktemp("lures")
    corpus = root / "corpus"
    corpus.mkdir()
    for name, content in lures(*secrets, server[0]).items():
        (corpus / name).write_bytes(content)
    return _ingest(corpus, root / "lake", Watch(*secrets), server[1])


def _ingest(corpus: Path, lake: Path, watch: Watch, asked: list[str]) -> Lured:
    said: list[str] = []
    config = load_config(
        settings=["ocr.engine=off", "limits.memory_bytes=1073741824", "limits.unit_seconds=20"]
    )
    code = _recorded(lambda: run_ingest([str(corpus)], str(lake), config), said)
    opened = watch.opened()
    with Lake(lake).connect() as connection:
        assets = [name for (name,) in connection.execute("SELECT asset_id FROM assets").fetchall()]
    for asset_id in assets[::5]:
        _recorded(partial(run_show, str(lake), asset_id), said)
    _recorded(partial(run_status, str(lake)), said)
    return Lured(Lake(lake), corpus, code, opened, list(asked), "\n".join(said))


def _recorded(work: Callable[[], int], said: list[str]) -> int:
    """Do something, keeping what it and the libraries under it print, and the logs they leave."""
    kept = os.dup(1), os.dup(2)
    with tempfile.TemporaryDirectory() as logs, tempfile.TemporaryFile("w+", errors="replace") as record:
        temporary, tempfile.tempdir = tempfile.tempdir, logs
        try:
            os.dup2(record.fileno(), 1)
            os.dup2(record.fileno(), 2)
            with redirect_stdout(record), redirect_stderr(record):
                return work()
        finally:
            tempfile.tempdir = temporary
            for stream, descriptor in enumerate(kept, 1):
                os.dup2(descriptor, stream)
                os.close(descriptor)
            record.flush()
            record.seek(0)
            said.append(record.read())
            said += [log.read_text(errors="replace") for log in Path(logs).glob("gloss-*.log")]


def test_the_watches_work(secrets: tuple[Path, Path], server: tuple[str, list[str]], tmp_path: Path) -> None:
    """FFmpeg, left to itself, follows the playlist: the watch sees it, so it would see Gloss."""
    text, movie = secrets
    watch = Watch(text, movie)
    (tmp_path / "hls.m3u8").write_bytes(lures(text, movie, server[0])["own.m3u8"])

    assert watch.opened() == set()
    with av.open(str(tmp_path / "hls.m3u8"), options={"allowed_extensions": "ALL"}) as container:
        assert container.streams.video
    assert watch.opened() == {movie.name}
    assert text.read_text() == SECRET
    assert watch.opened() == {text.name}


def test_nobody_opened_the_secrets(lured: Lured) -> None:
    """Not the driver, not a worker, not a decoding child."""
    assert lured.opened == set()


def test_nobody_called_the_server(lured: Lured) -> None:
    """No address in a file was asked for."""
    assert lured.asked == []


def test_the_secret_is_nowhere_in_the_lake(lured: Lured) -> None:
    """In no value of any table, and in no byte of any file of it."""
    strings = 0
    for path in Path(lured.lake.root).rglob("*"):
        if path.is_file():
            _assert_silent(path.read_bytes().decode("latin-1"), str(path))
        if path.suffix == ".parquet":
            for text in _strings(pq.read_table(path).to_pylist()):
                strings += 1
                _assert_silent(text, str(path))
    assert strings > 500


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("latin-1")
    elif isinstance(value, dict):
        yield from (text for item in value.values() for text in _strings(item))
    elif isinstance(value, list):
        yield from (text for item in value for text in _strings(item))


def _assert_silent(text: str, where: str) -> None:
    for word in WORDS:
        assert word not in text, where
        assert word.encode("utf-16-le").decode("latin-1") not in text, where


def test_the_secret_is_nowhere_on_the_screen_or_in_a_log(lured: Lured) -> None:
    """Neither the run, nor `show`, nor `status`, nor what Ray's processes wrote tells it."""
    assert "Lake:" in lured.said
    _assert_silent(lured.said, "the screen")
    node: Any = vars(ray._private.worker)["_global_node"]
    logs = Path(node.get_session_dir_path(), "logs")
    files = [path for path in logs.rglob("*") if path.is_file()]
    assert files
    for path in files:
        _assert_silent(path.read_bytes().decode("latin-1"), str(path))


def test_every_lure_is_accounted_for(lured: Lured) -> None:
    """Each is refused, failed, left out by name, or read for what it is without what it names."""
    with lured.lake.connect() as views:
        ((discovered, *counts),) = views.execute(
            "SELECT discovered, ok, partial, failed, skipped FROM runs"
        ).fetchall()
        reasons = {reason for (reason,) in views.execute("SELECT reason FROM failures").fetchall()}
        status = {uri.rpartition("/")[2]: state for uri, state in
                  views.execute("SELECT uri, status FROM assets").fetchall()}  # fmt: skip
        refused = {uri.rpartition("/")[2] for (uri,) in
                   views.execute("SELECT uri FROM failures WHERE reason = 'refused'").fetchall()}  # fmt: skip

    assert lured.exit_code == 3
    assert discovered == len(list(lured.corpus.iterdir())) == sum(counts)
    assert reasons <= set(Reason) - {Reason.INTERNAL, Reason.LOST, Reason.UNREADABLE}
    for kind in ("hls", "keyed", "concat"):
        assert {f"{kind}.{suffix}" for suffix in ("mp4", "mkv", "ts", "mp3", "avi", "jpg", "pdf")} <= refused
    assert {"bom_hls.mp4", "late_hls.mkv", "dash.mp4", "asx.avi", "smil.ts", "pls.mkv"} <= refused
    # Its pictures lie in the other file, and there they stay.
    assert status["alias.mov"] == status["reference_path.mov"] == "failed"
    assert {"html.png", "svg.jpg", "eps.pdf", "msl.tiff"} <= refused
    # What is sound but for the reference in it is read.
    assert {status[name] for name in ("goto.pdf", "launch.pdf", "uri.pdf", "script.pdf", "xfa.pdf")} == {"ok"}
    assert {status[name] for name in ("url_file.mov", "gab2.avi", "attached.mkv", "linked_cover.mp3")} == {
        "ok"
    }
    assert {status[name] for name in ("pipe:0.mp4", "zip:x::file:y.png", "%05d.png")} == {"ok"}


def test_links_are_names_whose_text_is_not_taken_for_words(
    ray_cluster: None,
    tmp_path: Path,
    secrets: tuple[Path, Path],
    server: tuple[str, list[str]],
) -> None:
    """A link in the corpus is followed, but a text behind it is neither media nor subtitles.

    Corpora are often made of links, so a link to a video is that video; what lies behind one has
    to be what Gloss reads, like any other file. Folders behind links are not entered.
    """
    text, _ = secrets
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "talk.mp4").write_bytes(encode([(0.0, slide(["Tides"])), (1.0, slide(["Tides"]))]))
    names = ("talk.srt", "clip.mp4", "page.pdf", "scan.png", "song.mp3", "notes.txt", "noname")
    for name in names:
        (corpus / name).symlink_to(text)
    (corpus / "folder").symlink_to(text.parent)
    (corpus / "self.mp4").symlink_to("self.mp4")
    (corpus / "gone.mp4").symlink_to(text.parent / "nothing.mp4")
    (corpus / "null.mp4").symlink_to("/dev/zero")
    (corpus / "memory.mp4").symlink_to("/proc/self/environ")

    found = _ingest(corpus, tmp_path / "lake", Watch(text.parent / "lighthouse.mp4"), server[1])

    test_the_secret_is_nowhere_on_the_screen_or_in_a_log(found)
    for path in Path(found.lake.root).rglob("*.parquet"):
        for value in _strings(pq.read_table(path).to_pylist()):
            _assert_silent(value, str(path))
            assert "PYTHONPATH=" not in value
    assert found.opened == set()
    with found.lake.connect() as views:
        ((discovered, *counts),) = views.execute(
            "SELECT discovered, ok, partial, failed, skipped FROM runs"
        ).fetchall()
        rows = views.execute("SELECT uri, status FROM assets").fetchall()
    status = {uri.rpartition("/")[2]: state for uri, state in rows}
    assert sum(counts) == discovered >= len(names) + 4
    assert status["talk.mp4"] == "partial"
    failed = ("clip.mp4", "page.pdf", "scan.png", "song.mp3", "self.mp4", "gone.mp4", "memory.mp4")
    assert {status[name] for name in failed} == {"failed"}
    assert not any("lighthouse" in uri for uri, _ in rows)
