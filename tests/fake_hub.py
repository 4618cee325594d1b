"""A small Hugging Face hub on the loopback: it speaks the part of the protocol that fetching needs.

It can be told to break off, to send other bytes than it states, or not to answer at all.
"""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    """Files by commit; `main` is a commit."""

    commits: dict[str, dict[str, bytes]]
    main: str


@dataclass
class FakeHub:
    """What the hub holds, how it misbehaves, and what was asked of it."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    breaks_at: int | None = None
    """Bytes after which it hangs up, in every file that is longer."""
    spoils: set[str] = field(default_factory=set)
    """Files whose bytes it changes on the way."""
    asked: Counter[str] = field(default_factory=Counter)
    """Requests for contents, by file."""

    def put(self, name: str, files: dict[str, bytes], commit: str | None = None) -> str:
        """Add a commit to a repository; `main` follows it."""
        joined = json.dumps({path: hashlib.sha256(data).hexdigest() for path, data in files.items()})
        commit = commit or hashlib.sha1(joined.encode(), usedforsecurity=False).hexdigest()
        repository = self.repositories.setdefault(name, Repository({}, commit))
        repository.commits[commit] = files
        repository.main = commit
        return commit


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _is_large(path: str) -> bool:
    return path.endswith((".bin", ".safetensors"))


def _listed(path: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": _blob(data)}
    if _is_large(path):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry


def _sibling(path: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": _blob(data)}
    if _is_large(path):
        entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            if parts[:2] == ["api", "models"]:
                self._describe("/".join(parts[2:4]), parts[4:])
            else:
                self._send_file("/".join(parts[:2]), parts[3], "/".join(parts[4:]), with_body)

        def _find(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
            repository = hub.repositories.get(name)
            if repository is None:
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                return None
            commit = repository.main if revision == "main" else revision
            if commit not in repository.commits:
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return None
            return commit, repository.commits[commit]

        def _describe(self, name: str, rest: list[str]) -> None:
            found = self._find(name, rest[1] if len(rest) > 1 else "main")
            if found is None:
                return
            commit, files = found
            value: Any = {"id": name, "sha": commit, "siblings": [_sibling(*item) for item in files.items()]}
            if rest[:1] == ["tree"]:
                value = [_listed(*item) for item in files.items()]
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _send_file(self, name: str, revision: str, path: str, with_body: bool) -> None:
            found = self._find(name, revision)
            if found is None:
                return
            commit, files = found
            if path not in files:
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            data = files[path]
            etag = hashlib.sha256(data).hexdigest() if _is_large(path) else _blob(data)
            headers = {"X-Repo-Commit": commit, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
            if not with_body:
                self._send(200, data, headers, body=b"")
                return
            hub.asked[path] += 1
            sent = bytes(255 - byte for byte in data) if path in hub.spoils else data
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            cut = sent[start : hub.breaks_at] if hub.breaks_at is not None else sent[start:]
            self._send(206 if start else 200, sent[start:], headers, body=cut)

        def _send(self, code: int, data: bytes, headers: dict[str, str], body: bytes | None = None) -> None:
            self.send_response(code)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            part = data if body is None else body
            self.wfile.write(part)
            if 0 < len(part) < len(data) or (not part and data and self.command == "GET"):
                self.close_connection = True

    return Handler


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """Serve an empty hub on a free port."""
    hub = FakeHub()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub)) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
