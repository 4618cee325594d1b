"""A submitted run is the local run, on several nodes of which one dies; with a store that speaks S3.

The commands that submit, kill and ask are those of docs/cluster.md.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import app
from operators.claim import Claim
from operators.lake import Lake
from schemas.config import load_config
from schemas.tables import CHILDREN
from tests import pages
from tests.processes import descendants
from tests.ray_nodes import Node, RayNodes, ray_nodes
from tests.s3_server import S3Server, s3_server

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.timeout(900)
"""Much of it waits for processes that start: nodes, drivers, workers."""

FAST = ("ocr.engine=off", "speech.engine=off")
"""For what is not about reading pictures: no engine has to be loaded."""


@pytest.fixture(scope="module")
def store() -> Iterator[S3Server]:
    """A store of its own, whose environment all nodes have."""
    with s3_server() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="module")
def nodes(store: S3Server) -> Iterator[RayNodes]:
    """A head that only leads, and two workers of one core."""
    with ray_nodes([Node(cpus=1), Node(cpus=1)]) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has nothing to do with Gloss, but with names that could be taken for it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in ("jobs", "operators", "schemas", "start_job", "json"):
        (folder / f"{name}.py").write_text("raise ImportError('a file of the user, not of Gloss')\n")
    return folder


_OURS = {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
"""As the installed command finds its code: never in the current folder."""


def client(nodes: RayNodes) -> dict[str, str]:
    """The environment of a client of the cluster: it has the token."""
    return nodes.environment | _OURS


def gloss(*arguments: str, at: Path, nodes: RayNodes | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own."""
    environment = client(nodes) if nodes is not None else dict(os.environ) | _OURS
    command = [sys.executable, "-m", "jobs.cli", *arguments]
    return subprocess.run(
        command, cwd=at, env=environment, check=False, capture_output=True, text=True, timeout=400
    )


def submitted(nodes: RayNodes, at: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Submit and wait."""
    return gloss("submit", *arguments, "--address", nodes.address, at=at, nodes=nodes)


def settings(*pairs: str) -> list[str]:
    """Write settings as arguments."""
    return [word for pair in pairs for word in ("--set", pair)]


# --- the same run ---------------------------------------------------------------------------

_OF_A_RUN = {"run_id", "started_at", "finished_at", "versions"}
_MEASURED = {"seconds", "cpu_seconds", "gpu_seconds"}


def runs(lake: str) -> list[dict[str, Any]]:
    """Rows of `runs`, oldest first, without what two runs never share."""
    with Lake(lake).connect() as connection:
        cursor = connection.execute("SELECT * FROM runs ORDER BY started_at")
        names = [column[0] for column in cursor.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return [
        {name: _unmeasured(value) for name, value in row.items() if name not in _OF_A_RUN} for row in rows
    ]


def _unmeasured(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unmeasured(item) for name, item in value.items() if name not in _MEASURED}
    return [_unmeasured(item) for item in value] if isinstance(value, list) else value


def said(stderr: str, lake: str) -> list[str]:
    """Lines for the user, without numbers that a clock gave, and progress, which comes when it does."""
    lines = []
    for line in stderr.replace(lake, "LAKE").splitlines():
        if not line.startswith(("gloss: submitted", "gloss: 0/", "gloss: 1/", "gloss: 2/")):
            plain = re.sub(r"Run \S+ (\w+) after [\d.]+ s", r"Run \1", re.sub(r" +", " ", line))
            lines.append(re.sub(r"^(\w+ )[\d.]+(?= \d+ )", r"\1", plain))  # seconds of a stage
    return lines


def rows(lake: str) -> dict[str, list[str]]:
    """All rows of all tables, without what belongs to a run."""
    left_out = {"run_id", "at", "ingested_at", "write_id"}
    found = {}
    with Lake(lake).connect() as connection:
        for table in ("assets", *CHILDREN, "skips"):
            cursor = connection.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description or []]
            found[table] = sorted(
                json.dumps({n: v for n, v in zip(names, row, strict=True) if n not in left_out}, default=str)
                for row in cursor.fetchall()
            )
    return found


def test_a_submitted_run_is_the_local_run(nodes: RayNodes, store: S3Server, elsewhere: Path) -> None:
    """Exit code, log, result, `runs` and rows: of a whole corpus, of one with a broken file, of a mistake."""
    source = store.put(
        "same/report.pdf", pages.drawn_pdf(_prose("The bridge was opened in 1931."))
    ).rpartition("/")[0]
    local, remote = store.url("same-local"), store.url("same-remote")
    asked = [source, *settings(*FAST, "run.executor=ray")]  # by itself a small machine starts no Ray
    here, there = [], []
    for broken in (False, True):
        if broken:
            store.put("same/broken.pdf", b"%PDF-1.7 and nothing else")
        with ThreadPoolExecutor(2) as both:  # most of either is waiting for processes that start
            mine = both.submit(gloss, "ingest", *asked, "--lake", local, at=elsewhere)
            there.append(submitted(nodes, elsewhere, *asked, "--lake", remote))
        here.append(mine.result())
    assert [ran.returncode for ran in here] == [0, 3], "\n".join(ran.stderr for ran in here)
    assert [ran.returncode for ran in there] == [0, 3], "\n".join(ran.stderr for ran in there)
    for one, other in zip(here, there, strict=True):
        assert said(other.stderr, remote) == said(one.stderr, local)
        assert other.stdout == one.stdout == ""
    assert runs(remote) == runs(local)
    assert rows(remote) == rows(local)

    mistaken = [store.url("nowhere/a.pdf"), *settings(*FAST)]
    one = gloss("ingest", *mistaken, "--lake", local, at=elsewhere)
    other = submitted(nodes, elsewhere, *mistaken, "--lake", remote)
    assert (one.returncode, other.returncode) == (2, 2)
    assert said(other.stderr, remote) == said(one.stderr, local)


def test_a_job_outlives_its_terminal_and_can_be_stopped(
    nodes: RayNodes, store: S3Server, elsewhere: Path
) -> None:
    """Ctrl-C ends the watching alone and says how to go on; `--stop` ends the job."""
    lake = Lake(store.url("held"))
    lake.create()
    store.put("held-in/report.pdf", pages.drawn_pdf(_prose("Nobody gets to read this.")))
    asked = ["submit", store.url("held-in"), "--lake", lake.uri, "--address", nodes.address]
    with Claim(lake, "the test", what="ingest"):  # so that the job waits, as long as the test wants
        # Who was started in the background ignores Ctrl-C, and so would all that it starts.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        watching = subprocess.Popen(
            [sys.executable, "-m", "jobs.cli", *asked, *settings(*FAST, "run.wait_seconds=600")],
            cwd=elsewhere, env=client(nodes),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        signal.signal(signal.SIGINT, before)
        assert watching.stderr is not None
        job = watching.stderr.readline().split()[2]
        wait_for(lambda: driver_of(nodes, job) is not None, "driver")
        watching.send_signal(signal.SIGINT)
        _, said_last = watching.communicate(timeout=60)
        assert watching.returncode == 130, said_last
        assert f"{job} goes on" in said_last
        assert f"gloss submit --follow {job} --address {nodes.address}" in said_last
        assert driver_of(nodes, job) is not None
        stopped = submitted(nodes, elsewhere, "--stop", job)
    assert (stopped.returncode, "STOPPED" in stopped.stderr) == (0, True), stopped.stderr
    assert driver_of(nodes, job) is None
    (listed,) = json.loads(submitted(nodes, elsewhere, "--list", "--format", "json").stdout)[:1]
    assert (listed["job"], listed["status"], listed["exit_code"]) == (job, "STOPPED", 1)
    unknown = submitted(nodes, elsewhere, "--follow", "gloss-nothing")
    assert (unknown.returncode, "--list" in unknown.stderr) == (2, True)


def test_a_cluster_is_not_reached_without_its_token(nodes: RayNodes, elsewhere: Path) -> None:
    """Found before anything is submitted, with what to set."""
    environment = {
        name: value for name, value in nodes.environment.items() if not name.startswith("RAY_AUTH")
    }
    asked = ["submit", "--list", "--address", nodes.address]
    ran = subprocess.run(
        [sys.executable, "-m", "jobs.cli", *asked],
        cwd=elsewhere, check=False, capture_output=True, text=True, timeout=120,
        env=environment | _OURS | {"HOME": str(elsewhere)},
    )  # fmt: skip
    assert (ran.returncode, "RAY_AUTH_TOKEN" in ran.stderr) == (2, True), ran.stderr


# --- nodes that die -------------------------------------------------------------------------


def commands(mark: str) -> list[str]:
    """The lines of a marked block of the page."""
    (block,) = re.findall(rf"<!-- {mark} -->\n```bash\n(.*?)```", PAGE, re.DOTALL)
    return [line for line in block.splitlines() if line.strip()]


def shell(line: str, nodes: RayNodes, store: S3Server) -> list[str]:
    """A line of the page as a command here: ports and folders are those of this test."""
    line = line.replace("http://127.0.0.1:8265", nodes.address).replace(
        "/tmp/gloss-two",  # noqa: S108 - as the page has it
        str(nodes.root / "n1"),
    )
    line = line.replace("s3://media/", store.url("page-"))
    return ["bash", "-c", line.replace("gloss ", f"{shlex.quote(sys.executable)} -m jobs.cli ", 1)]


def test_a_node_and_a_driver_die_and_the_lake_is_complete(
    nodes: RayNodes, store: S3Server, elsewhere: Path
) -> None:
    """With the commands of the page: the driver is killed, then a node; rows are those of a calm run."""
    for number in range(4):
        # Of different sizes, so that their contents are not compared first.
        texts = [f"Report {number} page {page}. {pages.WORDS} {'Again. ' * number}" for page in range(2)]
        store.put(f"page-in/{number}.pdf", pages.drawn_pdf(*map(_prose, texts), title=f"Report {number}"))
    store.put("page-in/broken.pdf", b"%PDF-1.7 and nothing else")
    often = settings("store.commit_seconds=3", "documents.pages_per_task=1", "documents.text_layer=never")
    _, submit = commands("submit")
    command = f"{submit} {shlex.join(often)}"

    started = run(f"{command} --no-wait", nodes, store, elsewhere)
    job = started.stdout.strip()
    assert (started.returncode, job.startswith("gloss-")) == (0, True), started.stderr
    wait_for(lambda: len(store.keys("page-lake/units/")) > 2, "units")
    driver = driver_of(nodes, job)
    assert driver is not None
    os.kill(driver, signal.SIGKILL)
    followed = submitted(nodes, elsewhere, "--follow", job)
    assert followed.returncode == 1
    assert "broke" in followed.stderr.splitlines()[-1]

    before = len(store.keys("page-lake/units/"))
    second = subprocess.Popen(
        shell(command, nodes, store),
        cwd=elsewhere,
        env=client(nodes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: len(store.keys("page-lake/units/")) > before or second.poll() is not None, "more units")
    assert second.poll() is None, second.communicate()[1]
    (kill,) = commands("kill")
    assert run(kill, nodes, store, elsewhere).returncode == 0
    stdout, stderr = second.communicate(timeout=400)
    assert (second.returncode, stdout) == (3, ""), stdout + stderr
    assert re.search(r"^gloss: \d+/5 files", stderr, re.MULTILINE), "no progress was shown"
    assert nodes.alive() == 2

    (query,) = commands("query")
    asked = run(query, nodes, store, elsewhere)
    assert json.loads(asked.stdout) == [{"status": "failed", "files": 1}, {"status": "ok", "files": 4}]
    calm = store.url("page-calm")
    options = [*settings("speech.engine=off"), *often]
    assert gloss("ingest", store.url("page-in"), "--lake", calm, *options, at=elsewhere).returncode == 3
    assert rows(store.url("page-lake")) == rows(calm)


def run(line: str, nodes: RayNodes, store: S3Server, at: Path) -> "subprocess.CompletedProcess[str]":
    """Run a line of the page."""
    return subprocess.run(
        shell(line, nodes, store),
        cwd=at, env=client(nodes), check=False, capture_output=True, text=True, timeout=400,
    )  # fmt: skip


def _prose(text: str) -> Any:
    return lambda canvas: pages.prose(canvas, words=text)


def wait_for(condition: Any, what: str, seconds: float = 300) -> None:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"no {what} after {seconds} s"
        time.sleep(0.2)


def driver_of(nodes: RayNodes, job: str) -> int | None:
    """Find the process of a job's command on the head; null if there is none."""
    for pid in descendants(nodes.head.process.pid):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if words[1:3] == [b"start_job.py", b"ingest"] and job.encode() in environment:
            return pid
    return None


def test_the_pages_nodes_are_those_of_the_test() -> None:
    """The page starts nodes with no option but those that the tests start theirs with."""
    shown = set(
        re.findall(
            r"(--[a-z-]+)",
            " ".join(re.findall(r"^start_node.*|.*cluster.loopback start -.*", PAGE, re.MULTILINE)),
        )
    )
    helper = set(re.findall(r"(--[a-z-]+)", (ROOT / "tests" / "ray_nodes.py").read_text(encoding="utf-8")))
    assert {"--head", "--address", "--temp-dir", "--node-ip-address"} <= shown
    assert shown <= helper


def test_the_pages_settings_and_options_exist() -> None:
    """Every verb, option and setting that the page names."""
    from typer.main import get_command

    commands = getattr(get_command(app), "commands")  # noqa: B009 - not in the type
    options = {
        option for verb in ("submit", "query", "ingest") for p in commands[verb].params for option in p.opts
    }
    named = set(re.findall(r"`(?:gloss submit )?(--[a-z-]+)", PAGE))
    named |= set(re.findall(r"(--[a-z-]+)", " ".join(re.findall(r"^gloss .*", PAGE, re.MULTILINE))))
    assert named - {"--num-cpus"} <= options
    for setting in re.findall(r"`?((?:run|speech)\.\w+=\w+)", PAGE):
        load_config(settings=[setting])
