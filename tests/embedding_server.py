"""A server with the embeddings endpoint of the OpenAI protocol on the loopback, which really embeds.

A text becomes the count of its letters, so that a test can tell right from wrong. What it was asked is kept.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "letters-1"
LETTERS = "abcdefghijklmnopqrstuvwxyz"

Reply = tuple[int, Any]


class EmbeddingServer:
    """What it was asked, and how it is to misbehave."""

    def __init__(self, most_characters: int) -> None:
        """Begin; a text that is longer is refused, as servers do."""
        self.most_characters = most_characters
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.url = ""
        self.change: Callable[[dict[str, Any]], Any] | None = None
        """Changes the right answer before it is sent."""

    def reply(self, body: dict[str, Any]) -> Reply:
        """Answer one question."""
        self.bodies.append(body)
        if body["model"] != MODEL:
            return 404, {"error": {"message": f"The model {body['model']} does not exist"}}
        if any(len(text) > self.most_characters for text in body["input"]):
            return 400, {"error": {"message": "This model's maximum context length is 512 tokens"}}
        # Places are stated, and need not be in order.
        data = [{"index": place, "embedding": letters(text)} for place, text in enumerate(body["input"])]
        answer: dict[str, Any] = {"object": "list", "data": data[::-1], "model": MODEL}
        return 200, self.change(answer) if self.change else answer


def letters(text: str) -> list[float]:
    """Count the letters of a text; a little of each is always there."""
    return [text.lower().count(letter) + 0.01 for letter in LETTERS]


@contextmanager
def embedding_server(most_characters: int = 100_000) -> Iterator[EmbeddingServer]:
    """Serve until the end of the block."""
    state = EmbeddingServer(most_characters)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.keys.append(self.headers["Authorization"])
            is_known = self.path == "/v1/embeddings"
            status, answer = state.reply(body) if is_known else (404, {"error": {"message": "nothing here"}})
            sent = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
