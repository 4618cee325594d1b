"""A store that speaks S3 on the loopback, in a process of its own, with faults on demand.

moto keeps the objects; a proxy before it counts the bytes that each object costs, and stumbles as real
stores do. It is a process of its own because Ray's workers read from it too, and because Delta holds
the interpreter while it waits: a server in the same process would never answer.

    with s3_server() as s3:
        s3.put("talks/a.mp4", data)
        subprocess.run([...], env=os.environ | s3.environment)   # s3://BUCKET/talks/a.mp4
        s3.inject(Fault("reset", key="talks/", after_bytes=1000, times=2))
        s3.inject(Fault("away", seconds=3))
        assert s3.sent()["talks/a.mp4"] < 2 * len(data)
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import pytest

BUCKET = "media"

_CONTROL = "/_control/"
_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{said}</Message></Error>"
_CHUNK_BYTES = 1 << 14


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with the next requests that it fits.

    `slow`: each answer waits `seconds` before it begins. `reset`: the connection is reset after
    `after_bytes` of the body. `short`: it is closed there as if nothing were wrong. `lost`: the request
    is carried out, and the connection reset before the answer. `busy`: 503 SlowDown. `broken`: 500
    InternalError. `denied`: 403 InvalidAccessKeyId. `away`: for `seconds` from now on every connection is
    reset.
    """

    kind: Literal["slow", "reset", "short", "lost", "busy", "broken", "denied", "away"]
    key: str = ""
    """Regular expression that the key, without the bucket, must hold."""
    method: str = ""
    """GET, PUT, HEAD…; all when empty."""
    times: int = 1
    """How often; ignored by `away`."""
    after_bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request that the proxy has answered."""

    method: str
    key: str
    """Within the bucket; empty for a list of keys."""
    range: str
    """As asked for (`bytes=0-99`); empty for all."""
    status: int
    """0 when the connection was reset before the answer began."""
    sent_bytes: int
    """Of the body."""
    fault: str


class S3Server:
    """A running server, seen from a test."""

    bucket = BUCKET

    def __init__(self, port: int) -> None:
        """Take over a server that listens."""
        self.endpoint = f"http://127.0.0.1:{port}"
        self.environment = environment(port)

    @cached_property
    def client(self) -> Any:
        """A boto3 client, for what the methods below do not offer."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.environment["AWS_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )

    def url(self, key: str) -> str:
        """Name an object as a source or a lake is named."""
        return f"s3://{self.bucket}/{key}"

    def put(self, key: str, data: bytes | Path) -> str:
        """Store an object in one part and return its URL."""
        body = data.read_bytes() if isinstance(data, Path) else data
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)
        return self.url(key)

    def get(self, key: str) -> bytes:
        """Read an object."""
        body: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def keys(self, prefix: str = "") -> list[str]:
        """List the keys below a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def delete(self, prefix: str) -> None:
        """Delete all objects below a prefix."""
        for key in self.keys(prefix):
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def inject(self, *faults: Fault) -> None:
        """Add faults; each request meets the first that fits it."""
        for fault in faults:
            self._control("inject", asdict(fault))

    def heal(self) -> None:
        """Forget all faults."""
        self._control("heal")

    def reset_counts(self) -> None:
        """Forget all requests."""
        self._control("forget")

    def requests(self) -> list[Request]:
        """List what was answered since the counts were reset."""
        return [Request(**item) for item in self._control("requests")]

    def sent(self) -> Counter[str]:
        """Count the bytes of bodies that GET requests were sent, by key."""
        counts: Counter[str] = Counter()
        for request in self.requests():
            if request.method == "GET":
                counts[request.key] += request.sent_bytes
        return counts

    def _control(self, what: str, value: object = None) -> Any:
        data = json.dumps(value).encode()
        with urllib.request.urlopen(f"{self.endpoint}{_CONTROL}{what}", data, timeout=60) as answer:  # noqa: S310
            return json.load(answer)


def environment(port: int) -> dict[str, str]:
    """Spell out what a process needs to reach the server, and nothing else of this machine."""
    nowhere = os.devnull
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "AKIATESTONLYACCESSID",
        "AWS_SECRET_ACCESS_KEY": "only-for-tests/never-a-real-secret",
        "AWS_REGION": "eu-central-1",
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def s3_server(port: int = 0) -> Iterator[S3Server]:
    """Start a server with one empty bucket; it ends with the block, or with this process."""
    port = port or free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.s3_server", str(port)],
        cwd=Path(__file__).resolve().parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n", "the server did not start"
        server = S3Server(port)
        server.client.create_bucket(
            Bucket=BUCKET,
            CreateBucketConfiguration={"LocationConstraint": server.environment["AWS_REGION"]},
        )
        yield server
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """One server for all tests of a session; give each test prefixes of its own."""
    with s3_server(int(os.environ.get("GLOSS_TEST_S3_PORT", "0"))) as server:
        yield server


class _Proxy:
    """Hands requests on to moto, counts what comes back, and stumbles as it was told to."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.faults: list[dict[str, Any]] = []
        self.away_until = 0.0
        self.log: list[Request] = []
        # Two writers of one key: S3 lets one of them win, moto looks first and writes later.
        self.writing = asyncio.Lock()

    async def serve(self, port: int) -> None:
        """Serve until standard input ends."""
        from aiohttp import ClientSession, TCPConnector, web

        async with ClientSession(connector=TCPConnector(limit=0), auto_decompress=False) as session:
            self.session = session
            server = web.Server(self.answer, access_log=None)
            runner = web.ServerRunner(server)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            print("ready", flush=True)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, sys.stdin.read)
            await runner.cleanup()

    async def answer(self, request: Any) -> Any:
        """Answer one request."""
        from aiohttp import web

        path = request.raw_path.partition("?")[0]
        if path.startswith(_CONTROL):
            return web.json_response(self.control(path.removeprefix(_CONTROL), await request.json()))
        key = unquote(path).removeprefix(f"/{BUCKET}").removeprefix("/")
        if request.headers.get("Expect", "").lower() == "100-continue":
            # Only aiohttp's router does this by itself; s3fs sends nothing before it is told to.
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        body = await request.content.read()  # request.read() takes no more than a MiB
        fault = self.fault(request.method, key)
        kind = fault.get("kind", "")
        said = {
            "busy": (503, "SlowDown"),
            "broken": (500, "InternalError"),
            "denied": (403, "InvalidAccessKeyId"),
        }
        if kind == "away":
            return self.cut(request, key, 0, 0, kind)
        if kind == "slow":
            await asyncio.sleep(fault["seconds"])
        if kind in said:
            status, code = said[kind]
            self.note(request, key, status, 0, kind)
            text = _ERROR.format(code=code, said="As the test wanted it.")
            return web.Response(status=status, body=text, content_type="application/xml")
        if request.method in ("PUT", "POST", "DELETE"):
            async with self.writing:
                return await self.pass_on(request, key, body, fault)
        return await self.pass_on(request, key, body, fault)

    async def pass_on(self, request: Any, key: str, body: bytes, fault: dict[str, Any]) -> Any:
        """Let moto answer, and hand its answer on, or as much of it as the fault allows."""
        from aiohttp import web
        from yarl import URL

        url = URL(self.upstream + request.raw_path, encoded=True)
        headers = request.headers.copy()
        headers.popall("Transfer-Encoding", None)
        headers.popall("Expect", None)
        headers["Content-Length"] = str(len(body))
        kind = fault.get("kind", "")
        async with self.session.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as found:
            if kind == "lost":
                await found.read()
                return self.cut(request, key, 0, 0, kind)
            answer = web.StreamResponse(status=found.status, reason=found.reason)
            for name, value in found.headers.items():
                if name.lower() not in ("connection", "transfer-encoding", "date", "server"):
                    answer.headers.add(name, value)
            await answer.prepare(request)
            sent = 0
            try:
                async for chunk in found.content.iter_chunked(_CHUNK_BYTES):
                    part = chunk
                    if kind in ("reset", "short"):
                        part = chunk[: max(0, fault["after_bytes"] - sent)]
                    await answer.write(part)
                    sent += len(part)
                    if len(part) < len(chunk):
                        await asyncio.sleep(
                            0.05
                        )  # the kernel throws away what it has not sent before a reset
                        return self.cut(request, key, found.status, sent, kind)
                await answer.write_eof()
            except ConnectionError:
                kind = "left"  # by who had asked
            self.note(request, key, found.status, sent, kind)
            return answer

    def cut(self, request: Any, key: str, status: int, sent: int, kind: str) -> Any:
        """End the connection: as if nothing were wrong, or with a reset."""
        from aiohttp import web

        self.note(request, key, status, sent, kind)
        transport = request.transport
        if transport is not None:
            transport.close() if kind == "short" else transport.abort()
        return web.Response(status=503)

    def note(self, request: Any, key: str, status: int, sent: int, fault: str) -> None:
        """Remember a request."""
        asked = request.headers.get("Range", "")
        self.log.append(Request(request.method, key, asked, status, sent, fault))

    def fault(self, method: str, key: str) -> dict[str, Any]:
        """Find the fault of a request."""
        if time.monotonic() < self.away_until:
            return {"kind": "away"}
        for fault in self.faults:
            if fault["times"] > 0 and fault["method"] in ("", method) and re.search(fault["key"], key):
                fault["times"] -= 1
                return fault
        return {}

    def control(self, what: str, value: Any) -> Any:
        """Do what the test says."""
        match what:
            case "inject" if value["kind"] == "away":
                self.away_until = time.monotonic() + value["seconds"]
            case "inject":
                self.faults.append(value)
            case "heal":
                self.faults.clear()
                self.away_until = 0.0
            case "forget":
                self.log.clear()
            case "requests":
                return [asdict(request) for request in self.log]
        return None


def _serve(port: int) -> None:
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, upstream = server.get_host_and_port()
    asyncio.run(_Proxy(f"http://127.0.0.1:{upstream}").serve(port))
    threading.Thread(target=server.stop, daemon=True).start()


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
