"""A server of the OpenAI chat completions protocol on the loopback, which really looks.

It decodes the pictures it is sent and answers from them, so that a test can tell right from wrong.
On request it misbehaves as real servers do. What it was asked is kept: in which order, when, with
which headers, and how many at once.

    with openai_server() as server:
        server.fault(too_many(retry_after="1"), broken(500))   # the next two questions, in order
        ...  # use server.url
        assert server.most_at_once <= 8
"""

import base64
import io
import json
import re
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

Json: TypeAlias = dict[str, Any]

MODEL = "looker-1"

COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "red": (220, 30, 30),
    "green": (30, 160, 60),
    "blue": (30, 60, 220),
    "yellow": (240, 220, 40),
    "purple": (140, 40, 160),
}


@dataclass(frozen=True)
class Seen:
    """A picture as the server decoded it."""

    width_px: int
    height_px: int
    mean: tuple[int, int, int]
    kind: str
    """`PNG` or `JPEG`."""
    pixels: bytes = field(repr=False)

    @property
    def colour(self) -> str:
        """The name of the colour that is nearest to the mean."""
        return min(
            COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(COLOURS[name], self.mean, strict=True))
        )


@dataclass
class Asked:
    """A question as it came in."""

    body: Json
    parts: list[str | Seen]
    """Text and pictures in their order."""
    headers: dict[str, str]
    """Names in lower case."""
    at: float
    """By `time.monotonic`."""

    @property
    def text(self) -> str:
        """All text of it."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def pictures(self) -> list[Seen]:
        """All pictures of it."""
        return [part for part in self.parts if isinstance(part, Seen)]


def describe(asked: Asked) -> str:
    """Answer from what was decoded, such as `2 pictures: red 64x48, blue 32x32.` for two."""
    shown = ", ".join(f"{seen.colour} {seen.width_px}x{seen.height_px}" for seen in asked.pictures)
    return f"{len(asked.pictures)} pictures: {shown}." if asked.pictures else f"No picture: {asked.text}"


def summarise(asked: Asked) -> str:
    """Answer with the first two numbered lines that are quoted, each cited.

    Without a schema it says something before and after the JSON, as models do.
    """
    lines = re.findall(r"^\| \[(\d+)\] (.+)$", asked.text, re.MULTILINE)[:2]
    sentences = [{"text": text, "evidence": [int(number)]} for number, text in lines]
    answer = json.dumps({"sentences": sentences}, ensure_ascii=False)
    return answer if "response_format" in asked.body else f"Here is it:\n```json\n{answer}\n```\nGood luck!"


@dataclass(frozen=True)
class Fault:
    """How one answer goes wrong; what is null or 0 is as it should be."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    wait_seconds: float = 0.0
    """Before anything is sent."""
    change: Callable[[Json], object] | None = None
    """Changes the JSON of the right answer before it is written."""
    body: Callable[[Json, Asked], bytes] | None = None
    """Writes the body in its own way."""
    cut_at: int | None = None
    """Bytes of the body after which it hangs up, although it promised all."""
    drip_seconds: float = 0.0
    """Between one byte and the next."""


Script: TypeAlias = Callable[[Asked], Fault | None]


def too_many(retry_after: str | None = None) -> Fault:
    """429."""
    headers = () if retry_after is None else (("Retry-After", retry_after),)
    return complaint(429, "Rate limit reached", headers=headers)


def broken(status: int = 500) -> Fault:
    """Fail with a page of HTML, as proxies do."""
    return Fault(
        status, (("Content-Type", "text/html"),), body=lambda _, __: b"<html><h1>Bad day</h1></html>"
    )


def complaint(
    status: int,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Fault:
    """An error as the protocol writes it."""
    error = {"message": message, "type": "error", "param": param, "code": code}
    return Fault(status, headers, body=lambda _, __: json.dumps({"error": error}).encode())


def slow(seconds: float) -> Fault:
    """Answer rightly, but late."""
    return Fault(wait_seconds=seconds)


def drip(seconds: float) -> Fault:
    """Answer rightly, a byte at a time."""
    return Fault(drip_seconds=seconds)


def cut_off(at: int = 20) -> Fault:
    """Hang up in mid-body."""
    return Fault(cut_at=at)


def malformed() -> Fault:
    """Send half of the JSON, as if that were all."""
    return Fault(body=lambda answer, _: json.dumps(answer).encode()[:60])


def nested(depth: int = 200_000) -> Fault:
    """Send brackets within brackets."""
    return Fault(body=lambda _, __: b"[" * depth)


def written_in(encoding: str, text: str, content_type: str = "application/json") -> Fault:
    """Answer a text in an encoding, whatever the header says."""

    def body(answer: Json, _: Asked) -> bytes:
        answer["choices"][0]["message"]["content"] = text
        return json.dumps(answer, ensure_ascii=False).encode(encoding)

    return Fault(headers=(("Content-Type", content_type),), body=body)


def empty() -> Fault:
    """Say nothing."""
    return says("")


def says(content: object, **message: object) -> Fault:
    """Put something into the message in place of the right answer."""
    return Fault(change=lambda answer: answer["choices"][0]["message"].update(content=content, **message))


def refusal(why: str = "I cannot help with that.") -> Fault:
    """Decline in the field that the protocol has for it."""
    return says(None, refusal=why)


def endless(text: str = "and so on ") -> Fault:
    """Run to the limit and end there."""

    def change(answer: Json) -> None:
        answer["choices"][0].update(finish_reason="length")
        answer["choices"][0]["message"]["content"] = text * 20

    return Fault(change=change)


def huge(size: int) -> Fault:
    """Answer with so many bytes."""
    return says("x" * size)


def key_echo(status: int = 401) -> Fault:
    """Repeat the key in the error (or, with 200, in the answer)."""

    def body(answer: Json, asked: Asked) -> bytes:
        key = asked.headers.get("authorization", "none").removeprefix("Bearer ")
        if status == 200:
            answer["choices"][0]["message"]["content"] = f"The key is {key}, is it not?"
            return json.dumps(answer).encode()
        return json.dumps(
            {"error": {"message": f"Incorrect API key provided: {key} ({key[:6]}****)"}}
        ).encode()

    return Fault(status, body=body)


def redirect(to: str) -> Fault:
    """Point elsewhere."""
    return Fault(307, (("Location", to),), body=lambda _, __: b"")


@dataclass
class ChatServer:
    """What the server holds, how it misbehaves, and what was asked of it."""

    url: str = ""
    """With `/v1`, as a base URL."""
    models: list[Json] = field(default_factory=lambda: [{"id": MODEL, "object": "model"}])
    lists_models: bool = True
    takes_any_model: bool = True
    key: str | None = None
    """Refuse questions without it."""
    answer: Callable[[Asked], str] = describe
    refuses: set[str] = field(default_factory=set)
    """Parameters it does not take, as OpenAI's newer models do."""
    seconds: float = 0.0
    """Each answer takes."""
    always: Script | None = None
    """Asked for a fault at each question for which none waits."""
    asked: list[Asked] = field(default_factory=list)
    listed: int = 0
    """How often it was asked for its models."""
    most_at_once: int = 0
    _faults: deque[Fault | None] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _at_once: int = 0

    def fault(self, *faults: Fault | None) -> None:
        """Misbehave at the next questions, one fault each; None behaves."""
        with self._lock:
            self._faults.extend(faults)

    def _next_fault(self, asked: Asked) -> Fault | None:
        with self._lock:
            if self._faults:
                return self._faults.popleft()
        if name := next((name for name in sorted(self.refuses) if name in asked.body), None):
            instead = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
            return complaint(400, f"Unsupported parameter: '{name}' is not supported.{instead}", param=name)
        if not self.takes_any_model and asked.body.get("model") not in [entry["id"] for entry in self.models]:
            return complaint(404, f"The model `{asked.body.get('model')}` does not exist.")
        return self.always(asked) if self.always else None


def _parts(content: object) -> list[str | Seen]:
    if isinstance(content, str):
        return [content]
    assert isinstance(content, list), "content must be a text or a list"
    return [part["text"] if part["type"] == "text" else _look(part["image_url"]["url"]) for part in content]


def _look(url: str) -> Seen:
    head, _, data = url.partition(";base64,")
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
        kind = str(image.format)
        assert head == f"data:image/{kind.lower()}", f"{head} holds a {kind}"
        pixels = np.asarray(image.convert("RGB"))
    mean = [round(float(value)) for value in pixels.mean(axis=(0, 1))]
    return Seen(pixels.shape[1], pixels.shape[0], (mean[0], mean[1], mean[2]), kind, pixels.tobytes())


def _reply(server: ChatServer, asked: Asked) -> Json:
    text = server.answer(asked)
    words = len(text.split())
    pictures = sum(seen.width_px * seen.height_px // 784 for seen in asked.pictures)
    used = {"prompt_tokens": len(asked.text.split()) + pictures, "completion_tokens": words}
    return {
        "id": f"chatcmpl-{len(server.asked)}",
        "object": "chat.completion",
        "model": asked.body.get("model"),
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {**used, "total_tokens": sum(used.values())},
    }


def _handler(server: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def do_GET(self) -> None:
            if self.path != "/v1/models" or not server.lists_models:
                self._send(404, b'{"detail": "Not Found"}')
            elif self._may():
                with server._lock:
                    server.listed += 1
                self._send(200, json.dumps({"object": "list", "data": server.models}).encode())

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path != "/v1/chat/completions":
                self._send(404, b'{"detail": "Not Found"}')
                return
            body = json.loads(data)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(body, _parts(body["messages"][-1]["content"]), headers, time.monotonic())
            with server._lock:
                server.asked.append(asked)
                server._at_once += 1
                server.most_at_once = max(server.most_at_once, server._at_once)
            try:
                if self._may():
                    self._answer(asked)
            finally:
                with server._lock:
                    server._at_once -= 1

        def _may(self) -> bool:
            found = self.headers.get("Authorization")
            if server.key is None or found == f"Bearer {server.key}":
                return True
            self._send(401, b'{"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}')
            return False

        def _answer(self, asked: Asked) -> None:
            fault = server._next_fault(asked) or Fault()
            time.sleep(server.seconds + fault.wait_seconds)
            reply = _reply(server, asked)
            if fault.change is not None:
                fault.change(reply)
            body = fault.body(reply, asked) if fault.body else json.dumps(reply).encode()
            self._send(fault.status, body, fault)

        def _send(self, status: int, body: bytes, fault: Fault | None = None) -> None:
            fault = fault or Fault()
            headers = {"Content-Type": "application/json", **dict(fault.headers)}
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self._write(body, fault)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client has had enough

        def _write(self, body: bytes, fault: Fault) -> None:
            if fault.cut_at is not None:
                self.wfile.write(body[: fault.cut_at])
                self.close_connection = True
            elif fault.drip_seconds:
                for byte in body:
                    self.wfile.write(struct.pack("B", byte))
                    time.sleep(fault.drip_seconds)
            else:
                self.wfile.write(body)

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def openai_server(
    models: Sequence[str] = (MODEL,),
    *,
    key: str | None = None,
    answer: Callable[[Asked], str] = describe,
    seconds: float = 0.0,
) -> Iterator[ChatServer]:
    """Serve on a free port.

    Args:
        models: Names it lists.
        key: Refuse questions without it.
        answer: Makes the right answer from what was decoded.
        seconds: Each answer takes.
    """
    server = ChatServer(
        models=[{"id": name, "object": "model"} for name in models], key=key, answer=answer, seconds=seconds
    )
    with _Server(("127.0.0.1", 0), _handler(server)) as http:
        server.url = f"http://127.0.0.1:{http.server_port}/v1"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
