"""A Ray cluster of several nodes on this machine: a head with a job server, and workers.

Each node is a process tree of its own (`ray start --block`), on loopback, with a temporary folder of its
own, so that one of them can be killed as if its machine had lost its power.

    with ray_nodes([Node(cpus=1), Node(cpus=1, gpus=1)]) as cluster:
        subprocess.run(["gloss", "submit", …, "--address", cluster.address], env=cluster.environment)
        cluster.workers[0].kill()
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.processes import descendants, name_of
from tests.s3_server import free_port

ROOT = Path(__file__).resolve().parents[1]
_RAY = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from cluster.loopback import main; main()"
"""`python -m cluster.loopback`, without this checkout on the path of the node's workers: a job must bring
its code along."""
_START_SECONDS = 120
_STARTS = 3
_STORE_BYTES = 150 << 20


@dataclass(frozen=True, slots=True)
class Node:
    """What a node offers; its GPUs are logical ones."""

    cpus: int = 1
    gpus: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class RunningNode:
    """A node that runs."""

    start: Callable[[], "subprocess.Popen[bytes]"]
    log: Path
    process: "subprocess.Popen[bytes]" = field(init=False)
    starts: int = 0

    def __post_init__(self) -> None:
        """Start it."""
        self.restart()

    def restart(self) -> None:
        """Start it again: on a busy machine Ray gives up after half a minute."""
        self.starts += 1
        self.process = self.start()

    def kill(self) -> None:
        """Kill the raylet with SIGKILL; its workers notice, and go too."""
        (raylet,) = [pid for pid in descendants(self.process.pid) if name_of(pid) == "raylet"]
        os.kill(raylet, signal.SIGKILL)

    def end(self) -> None:
        """End the node with everything it has started."""
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(timeout=20)


@dataclass(slots=True)
class RayNodes:
    """A cluster that runs."""

    address: str
    """Of its job server, for `--address`."""
    gcs_address: str
    """Of its store, for another node."""
    environment: dict[str, str]
    """Of its nodes, and for clients: it has the token."""
    root: Path
    head: RunningNode
    workers: list[RunningNode] = field(default_factory=list)

    def add(self, *nodes: Node) -> None:
        """Start workers, all at once, and wait for them."""
        started = [
            _start(
                self.root,
                f"n{len(self.workers) + number}",
                self.environment,
                *_offer(node),
                f"--address={self.gcs_address}",
            )
            for number, node in enumerate(nodes)
        ]
        self.workers += started
        for node in started:
            _wait(node, partial(_says, node, "Ray runtime started"))

    def end(self) -> None:
        """End all nodes."""
        for node in (*self.workers, self.head):
            node.end()
        shutil.rmtree(self.root, ignore_errors=True)

    def alive(self) -> int:
        """Count the nodes that the head takes for alive, itself included."""
        found = _ask(f"{self.address}/api/v0/nodes?limit=100", self.environment["RAY_AUTH_TOKEN"])
        rows = json.loads(found)["data"]["result"]["result"]
        return sum(row["state"] == "ALIVE" for row in rows)


@contextmanager
def ray_nodes(
    workers: Sequence[Node], *, head: Node | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[RayNodes]:
    """Start a head and workers; all end with the block.

    Args:
        workers: What each offers.
        head: What the head offers; by default nothing, as on a cluster where it only leads.
        environment: Variables for all nodes, and so for all jobs: credentials of a store.
    """
    variables = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
    }
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "PYTHONPATH"):
        variables.pop(name, None)
    variables |= environment or {}
    cluster = _started(workers, head or Node(cpus=0), variables)
    try:
        yield cluster
    finally:
        cluster.end()


def _started(workers: Sequence[Node], head: Node, variables: dict[str, str]) -> RayNodes:
    """Start all nodes; where some do not find each other (somebody took a port meanwhile), once more."""
    for attempt in range(1, _STARTS + 1):
        # Ray's sockets lie below it, and their names must not be longer than 107 bytes.
        root = Path(tempfile.mkdtemp(prefix="rn-", dir="/tmp"))
        port, dashboard = free_port(), free_port()
        first = _start(
            root, "h", variables, *_offer(head), "--head", f"--port={port}",
            f"--dashboard-port={dashboard}", "--include-dashboard=true",
        )  # fmt: skip
        address = f"http://127.0.0.1:{dashboard}"
        cluster = RayNodes(address, f"127.0.0.1:{port}", variables, root, first)
        try:
            _wait(first, partial(_answers, f"{address}/api/version", variables["RAY_AUTH_TOKEN"]))
            cluster.add(*workers)
        except BaseException as error:
            cluster.end()
            if attempt == _STARTS or not isinstance(error, AssertionError):
                raise
        else:
            return cluster
    raise AssertionError


def _offer(node: Node) -> list[str]:
    return [
        f"--num-cpus={node.cpus}",
        f"--num-gpus={node.gpus}",
        f"--resources={json.dumps(dict(node.resources))}",
    ]


def _start(root: Path, name: str, environment: Mapping[str, str], *arguments: str) -> RunningNode:
    log = root / f"{name}.log"
    command = [
        sys.executable, "-c", _RAY, "start", "--block", "--disable-usage-stats",
        "--node-ip-address=127.0.0.1", "--dashboard-agent-listen-port=0",
        f"--temp-dir={root / name}", f"--object-store-memory={_STORE_BYTES}", *arguments,
    ]  # fmt: skip

    def start() -> "subprocess.Popen[bytes]":
        with log.open("wb") as file:
            return subprocess.Popen(
                command, stdout=file, stderr=file, env=dict(environment), start_new_session=True
            )

    return RunningNode(start, log)


def _wait(node: RunningNode, ready: Callable[[], bool]) -> None:
    until = time.monotonic() + _START_SECONDS
    while not ready():
        if node.process.poll() is not None:
            assert node.starts < _STARTS, node.log.read_text(errors="replace")[-3000:]
            node.end()
            node.restart()
        assert time.monotonic() < until, node.log.read_text(errors="replace")[-3000:]
        time.sleep(0.2)


def _says(node: RunningNode, text: str) -> bool:
    return text in node.log.read_text(errors="replace")


def _answers(url: str, token: str) -> bool:
    try:
        _ask(url, token)
    except OSError:
        return False
    return True


def _ask(url: str, token: str) -> bytes:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        data: bytes = answer.read()
    return data
