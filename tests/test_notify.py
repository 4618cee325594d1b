"""Whoever is to be told is told once, and nobody else; what fails is a sentence without secrets."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import ValidationError

from jobs.notify import notify, recipients
from schemas.config import ConfigError, load_config
from schemas.nightly import Nightly

TOKEN = "very-secret-token-0815"


@contextmanager
def server(
    answer: Callable[[int], int], location: str = ""
) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A server on this machine; `answer` says with what status the nth request is answered."""
    asked: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            asked.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(answer(len(asked)))
            if location:
                self.send_header("location", location)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - name of the library
            """Say nothing."""

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_port}", asked
    served.shutdown()


def tell(settings: Nightly, what: dict[str, object] | None = None) -> list[str]:
    """Notify with short pauses."""
    return notify(recipients(settings), what or {"run_id": "r0"}, first_wait_seconds=0.01)


def test_a_webhook_gets_the_whole_story_and_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON, in any script, by one request; proxies of the environment are not asked."""
    monkeypatch.setenv("HOOK_TOKEN", TOKEN)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with server(lambda _: 204) as (url, asked):
        assert tell(Nightly(webhook=f"{url}/hook", webhook_token_env="HOOK_TOKEN"), {"title": "秋夜"}) == []
    ((headers, body),) = asked
    assert json.loads(body) == {"title": "秋夜"}
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["content-type"] == "application/json"


def test_a_server_that_stumbles_is_asked_again() -> None:
    """As often as it is set, and then never again."""
    with server(lambda n: 503 if n < 3 else 200) as (url, asked):
        assert tell(Nightly(webhook=url, tries=3)) == []
        assert len(asked) == 3
    with server(lambda _: 500) as (url, asked):
        (problem,) = tell(Nightly(webhook=f"{url}/secret-path", tries=2))
        assert len(asked) == 2
    assert "500" in problem
    assert "secret-path" not in problem, "the address may be a secret"


def test_what_a_server_refuses_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong token stays wrong, and is in no message."""
    monkeypatch.setenv("HOOK_TOKEN", TOKEN)
    with server(lambda _: 401) as (url, asked):
        (problem,) = tell(Nightly(webhook=url, webhook_token_env="HOOK_TOKEN"))
        assert len(asked) == 1
    assert "401" in problem
    assert TOKEN not in problem
    assert TOKEN not in repr(recipients(Nightly(webhook=url, webhook_token_env="HOOK_TOKEN")))


def test_a_redirect_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would send the story and the token to somebody else."""
    monkeypatch.setenv("HOOK_TOKEN", TOKEN)
    with server(lambda _: 200) as (other, lured), server(lambda _: 307, location=other) as (url, asked):
        (problem,) = tell(Nightly(webhook=url, webhook_token_env="HOOK_TOKEN"))
        assert (len(asked), lured) == (1, [])
    assert "elsewhere" in problem


def test_nobody_there_is_a_sentence() -> None:
    """After all attempts."""
    (problem,) = tell(Nightly(webhook="http://127.0.0.1:9/secret-path", tries=2, timeout_seconds=1))
    assert "could not be reached" in problem
    assert "secret-path" not in problem


def test_an_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is a secret itself; what is missing there is found before any work."""
    with server(lambda _: 200) as (url, asked):
        monkeypatch.setenv("HOOK", f"{url}/T0/B0/secret")
        assert tell(Nightly(webhook_env="HOOK")) == []
        assert len(asked) == 1
    monkeypatch.setenv("HOOK", "http://example.org/secret")
    with pytest.raises(ConfigError, match="HOOK") as caught:
        recipients(Nightly(webhook_env="HOOK"))
    assert "secret" not in str(caught.value)
    monkeypatch.delenv("HOOK")
    for settings in (Nightly(webhook_env="HOOK"), Nightly(webhook="https://x", webhook_token_env="HOOK")):
        with pytest.raises(ConfigError, match="HOOK, which is not set"):
            recipients(settings)
    monkeypatch.setenv("HOOK", "two words\n")
    with pytest.raises(ConfigError, match="printable"):
        recipients(Nightly(webhook="https://x", webhook_token_env="HOOK"))


@pytest.mark.parametrize(
    "settings",
    [
        {"webhook": "http://example.org/hook"},
        {"webhook": "https://user:hunter2@example.org/hook"},
        {"webhook": "ftp://127.0.0.1/hook"},
        {"webhook": "https://hooks.slack.com/services/hunter2"},
        {"webhook": "https://example.org/hook?token=hunter2"},
        {"webhook": "https://x", "webhook_env": "X"},
        {"webhook_token_env": "X"},
        {"webhook_env": "https://hunter2"},
        {"schedule": "30 25 * * *"},
        {"schedule": "02:30", "timezone": "Mars/Olympus"},
        {"command": [""]},
    ],
)
def test_what_would_tell_others_is_refused_before_any_work(settings: dict[str, str]) -> None:
    """Plain http to elsewhere, secrets in what is stored with the run, half of a setting."""
    with pytest.raises(ValidationError):
        Nightly.model_validate(settings)


def test_a_refused_address_is_not_shown() -> None:
    """The message may end in a log, and a password with it."""
    with pytest.raises(ConfigError) as caught:
        load_config(settings=["nightly.webhook=https://user:hunter2@example.org/hook"])
    assert "hunter2" not in str(caught.value)


def test_a_command_gets_it_on_standard_input(tmp_path: Path) -> None:
    """Without a shell: what looks like one is an argument."""
    told = tmp_path / "told $(id).json"
    code = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"
    assert tell(Nightly(command=[sys.executable, "-c", code, str(told)])) == []
    assert json.loads(told.read_text()) == {"run_id": "r0"}


def test_a_command_that_fails_is_a_sentence() -> None:
    """With what it said."""
    code = "import sys; sys.stdin.read(); sys.exit('the mail server is away')"
    (problem,) = tell(Nightly(command=[sys.executable, "-c", code]))
    assert "ended with 1: the mail server is away" in problem
    (problem,) = tell(Nightly(command=["/no/such/program"]))
    assert "could not be started" in problem
    assert tell(Nightly(command=["true"])) == [], "it need not read what it is told"


def test_a_command_that_hangs_is_ended_with_all_it_started() -> None:
    """In time, though a child of it holds the pipes open."""
    started = time.monotonic()
    (problem,) = tell(Nightly(command=["sh", "-c", "sleep 60 & sleep 60"], timeout_seconds=0.5))
    assert "stopped after 0.5 s" in problem
    assert time.monotonic() - started < 20


def test_both_are_told_although_one_fails(tmp_path: Path) -> None:
    """Each for itself."""
    told = tmp_path / "told"
    with server(lambda _: 404) as (url, _):
        problems = tell(Nightly(webhook=url, command=["tee", str(told)]))
    assert len(problems) == 1
    assert told.exists()
