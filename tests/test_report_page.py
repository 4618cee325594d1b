"""`gloss report`: the page says what the lake says, whatever files are called, and loads nothing."""

import base64
import io
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jobs.page import run_report
from jobs.page_chart import chart_of, clock_of, spread
from jobs.page_facts import Activity
from operators.commit import commit, put_run
from operators.lake import Lake
from operators.write import rows_of, write_rows
from schemas.config import load_config
from schemas.tables import Count, DriftRow, FailureRow, StageCost
from tests.media import encode, save, slide, steady
from tests.pages import drawn_pdf
from tests.rows import NOW, asset_row, cost_row, run_row

RED, BLUE = (230, 0, 0), (30, 60, 220)
HOSTILE = "\"><img src=x onerror=alert(1)>\u202e&'.pdf"
MESSAGE = (
    "</article><script>console.log('m')</script>\x1b[31m {{{{ run.run_id }}}}"
    '<img src="http://127.0.0.1:{port}/stolen"><link rel=stylesheet href="http://127.0.0.1:{port}/style">'
)


class Asked:
    """A server on this machine that notes what it is asked for."""

    def __init__(self) -> None:
        """Listen."""
        paths: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                paths.append(self.path)
                self.send_error(404)

            def log_message(self, *_: object) -> None:
                pass

        self.paths = paths
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    """The same, for the length of these tests."""
    asked = Asked()
    yield asked
    asked.server.shutdown()
    asked.server.server_close()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, asked: Asked) -> Lake:
    """A run with failures on a page, in a frame and of a file that is gone; all names are hostile."""
    root = tmp_path_factory.mktemp("report")
    shown = [(0.0, slide([], (320, 180), paper=RED)), (4.0, slide([], (320, 180), paper=BLUE))]
    save(root, "film.mp4", encode(steady(shown, 8.0, rate=5)))
    save(root, HOSTILE, drawn_pdf(lambda _: None, lambda canvas: canvas.rect(0, 0, 595, 842, fill=1)))
    assets = [
        asset_row(
            asset_id=f"a{index}", uri=f"file://{root / name}", kind=kind, write_id=f"w{index}",
            status="partial",
            bytes=(root / name).stat().st_size if (root / name).exists() else 5,
            width_px=320, height_px=180,
            page_count=2 if kind == "document" else None, duration_seconds=8.0 if kind == "video" else None,
            failure_count=1, clip_count=0, segment_count=0,
        )
        for index, (name, kind) in enumerate(
            [("film.mp4", "video"), (HOSTILE, "document"), ("gone.mp4", "video")]
        )
    ]  # fmt: skip
    message = MESSAGE.format(port=asked.port)
    failures = [
        FailureRow("a0", "v0", assets[0].uri, "ocr", "timeout", "Too slow.", None, 5.0, 6.0, "r0", NOW, "w0",
                   "gloss try film.mp4 --at 5.0"),
        FailureRow("a1", "v0", assets[1].uri, "decode", "corrupt", message, 2, None, None, "r0", NOW, "w1",
                   f"gloss try '{HOSTILE}' --page 2"),
        FailureRow("a2", "v0", assets[2].uri, "decode", "corrupt", "Broken.", None, 1.0, 2.0, "r0",
                   NOW, "w2"),
    ]  # fmt: skip
    costs = [
        cost_row(asset_id="a0", uri=assets[0].uri, stage="ocr", seconds=20.0, cpu_seconds=9.0, money=0.5),
        cost_row(asset_id="a1", uri=assets[1].uri, stage="decode", seconds=3.0, cpu_seconds=12.0, money=2.0),
        # Of the same asset and stage, written with a later commit.
        cost_row(
            asset_id="a0", uri=assets[0].uri, stage="ocr", seconds=5.0, cpu_seconds=1.0, money=0.25,
            started_at=NOW + timedelta(seconds=50), ended_at=NOW + timedelta(seconds=55),
        ),
        cost_row(asset_id="a0", run_id="other", uri=assets[0].uri, stage="ocr", seconds=1000.0),
    ]  # fmt: skip
    lake = Lake(root / "lake")
    lake.create()
    drift = DriftRow("r0", NOW, "failure_rate", "", 0.375, 0.125, 0.25, 0.1, True)
    files = [
        write_rows(lake, "failures", failures), write_rows(lake, "costs", costs),
        write_rows(lake, "drift", [drift]),
    ]  # fmt: skip
    commit(lake, assets, rows_of(files))
    config = load_config("embedded", None, ["prices.currency=EUR", "speech.language=<b>de</b>"])
    put_run(lake, run_row(run_id="other", started_at=NOW - timedelta(days=1)))
    put_run(
        lake,
        run_row(
            finished_at=NOW + timedelta(seconds=60), exit_code=3, sources=["/data/<i>"], discovered=8, ok=1,
            partial=3, failed=0, skipped=4, skipped_by_reason=[Count("unchanged", 4)],
            config=config.model_dump_json(),
            failures_by_reason=[Count("corrupt", 2), Count("timeout", 1)],
            versions='{"ray": "2.60"}',
            stages=[StageCost("ocr", 25.0, 2, 0), StageCost("decode", 3.0, 1, 0)],
        ),
    )  # fmt: skip
    lake.write_views()
    return lake


@dataclass
class Page(HTMLParser):
    """A page, taken apart by a parser of HTML that fails on what is not closed."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    stack: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin."""
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that is closed at once."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Check that what is closed was open."""
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text that is shown."""
        if self.stack and self.stack[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All that is shown."""
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def written(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the newest run."""
    path = tmp_path_factory.mktemp("page") / "run.html"
    assert run_report(lake.uri, output=path) == 0
    return path


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    """The same, taken apart."""
    page = Page()
    page.feed(written.read_text(encoding="utf-8"))
    page.close()
    assert page.stack == []
    return page


def test_the_page_says_what_the_lake_says(page: Page) -> None:
    """Ledger, stages, assets, failures with their commands, configuration and versions."""
    text = page.text
    for wanted in (
        "Run r0", "finished, exit code 3", "1 ok + 3 partial + 0 failed + 4 skipped = 8, which is all",
        "Skipped: 4 unchanged", "took 1:00", "Failures: 3", "corrupt (2)", "timeout (1)",
        "gloss try film.mp4 --at 5.0", "speech.language <b>de</b>", "prices.currency EUR", "ray 2.60",
        "failure_rate 0.375 0.125 0.25 0.1 over its limit",
    ):  # fmt: skip
        assert wanted in text, wanted
    # What two commits wrote is one; what another run spent is not of this one.
    assert re.search(r"ocr 25\.0 10\.0", text)
    assert "1,000" not in text
    # The film took most seconds, the document most money.
    slow, dear = (match.start() for match in re.finditer(r"file kind length", text))
    assert text.index("film.mp4", slow) < text.index("onerror", slow) < dear
    assert text.index("onerror", dear) < text.index("film.mp4", dear)


def test_names_and_messages_are_text_and_nothing_else(written: Path, page: Page) -> None:
    """No element or handler comes out of them, nor a mark that reorders what is read."""
    raw = written.read_text(encoding="utf-8")
    assert "onerror=alert(1)" in page.text
    assert "<script>console.log('m')</script>" in page.text
    assert "{{ run.run_id }}" in page.text
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert not {"script", "iframe", "object", "link", "base", "form", "i", "b"} & (
        {tag for tag, _ in page.tags} - {"b"}
    )
    assert not set("\u202e\x1b\u200f") & set(raw)


def test_nothing_is_loaded(page: Page) -> None:
    """Every picture is in the page, and its policy forbids all else."""
    (policy,) = (
        attrs["content"] or ""
        for tag, attrs in page.tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    for _, attrs in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attrs.get(name)
            assert value is None or value.startswith("data:image/jpeg;base64,")
        assert "style" not in attrs


def test_pictures_are_of_the_page_and_moment_that_failed(page: Page) -> None:
    """The frame at five seconds is blue, the second page black; of a file that is gone the page says so."""
    found = {}
    for tag, attrs in page.tags:
        if tag == "img":
            data = base64.b64decode((attrs["src"] or "").partition(",")[2])
            with Image.open(io.BytesIO(data)) as picture:
                found[attrs["alt"]] = picture.convert("RGB").getpixel(
                    (picture.width // 2, picture.height // 2)
                )
    assert len(found) == 2
    frame, sheet = (
        found["5.0 s to 6.0 s of film.mp4"],
        next(found[name] for name in found if "page 2" in str(name)),
    )
    assert isinstance(frame, tuple) and isinstance(sheet, tuple)  # noqa: PT018
    assert all(abs(a - b) < 16 for a, b in zip(frame, BLUE, strict=True))
    assert max(sheet) < 40
    assert re.search(r"gone\.mp4.*No picture: Cannot read .*gone\.mp4", page.text)


def test_without_pictures_no_source_is_opened(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """The page of an older run goes to stdout, found by the beginning of its id."""
    assert run_report(lake.uri, run_id="oth", pictures=False) == 0
    out = capsys.readouterr().out
    assert "<img" not in out
    assert "Run other" in out


@pytest.mark.parametrize(
    ("run_id", "message"), [("nine", "id begins with 'nine'"), ("", "fits several runs")]
)
def test_a_run_that_is_none_is_wrong_usage(
    lake: Lake, run_id: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, with what to do."""
    assert run_report(lake.uri, run_id=run_id, pictures=False) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
def test_a_browser_shows_it_without_a_word(written: Path, asked: Asked, tmp_path: Path) -> None:
    """It parses, breaks no rule of its own policy, and asks for nothing: another page would."""
    shown = browse(written, tmp_path)
    assert "1 ok + 3 partial + 0 failed + 4 skipped = 8" in shown.stdout
    assert "CONSOLE" not in shown.stderr
    assert asked.paths == []

    careless = tmp_path / "careless.html"
    careless.write_text(MESSAGE.format(port=asked.port))
    assert "CONSOLE" in browse(careless, tmp_path).stderr
    assert "/stolen" in asked.paths


def browse(page: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Open a page in a browser without a window and give what it made of it."""
    return subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            f"--user-data-dir={folder / 'profile'}", "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--virtual-time-budget=2000", "--dump-dom", f"file://{page}",
        ],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


# --- the time line ----------------------------------------------------------------------------

SECONDS = st.floats(0, 1000, allow_nan=False)


@given(
    st.lists(st.tuples(SECONDS, SECONDS, st.floats(0, 500)), max_size=8),
    st.integers(1, 50),
)
def test_no_work_is_lost_between_bins(items: list[tuple[float, float, float]], bins: int) -> None:
    """What all bins show adds up to the seconds of all work, within the time of the run."""
    activities = [Activity("ocr", min(a, b), max(a, b), seconds) for a, b, seconds in items]
    shown = spread(activities, 1000.0, bins)
    assert len(shown) == bins
    assert sum(shown) * 1000.0 / bins == pytest.approx(sum(item[2] for item in items), rel=1e-6, abs=1e-6)


def test_work_stands_where_it_was_done() -> None:
    """Two workers for the second quarter: 2 there and 0 elsewhere."""
    assert spread([Activity("ocr", 25.0, 50.0, 50.0)], 100.0, 4) == [0.0, 2.0, 0.0, 0.0]


def test_lanes_are_in_the_order_in_which_stages_began() -> None:
    """Each with its seconds; an empty run has none."""
    chart = chart_of([Activity("ocr", 5, 9, 4), Activity("probe", 0, 1, 1), Activity("ocr", 9, 10, 2)], 10.0)
    assert [(lane.stage, lane.seconds, lane.start, lane.end) for lane in chart.lanes] == [
        ("probe", 1, 0, 1),
        ("ocr", 6, 5, 10),
    ]
    assert chart_of([], 0.0).lanes == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (60, "1:00"), (3599, "59:59"), (3725, "1:02:05")]
)
def test_times_are_written_as_people_read_them(seconds: float, text: str) -> None:
    """Seconds, minutes and hours."""
    assert clock_of(seconds) == text


@given(st.floats(0.01, 1e6))
def test_there_are_a_few_marks_of_time(seconds: float) -> None:
    """Never none, never a crowd."""
    assert 1 <= len(chart_of([Activity("ocr", 0, seconds, 1)], seconds).ticks) <= 14
