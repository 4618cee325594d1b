"""Against a server on this machine that looks at what it is sent, and stumbles as it is told."""

import asyncio
import json
import logging
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from operators.chat_client import ChatClient, Patience
from operators.chat_key import checked_url, key_of
from operators.chat_model import check_server, served_revision
from operators.chat_protocol import data_url, parse_answer, parse_body
from operators.chat_status import retry_after
from operators.vision_engine import Answer, Generation, Pixels, Request
from operators.vision_openai import OpenAiEngine
from schemas.failure import InputError, Reason
from tests import openai_server as faults
from tests.openai_server import COLOURS, MODEL, Asked, ChatServer, Fault, Seen, openai_server

KEY = "sk-Zitronenfalter/7731+x"
HASTY = Patience(attempts=4, first_wait_seconds=0.01, longest_wait_seconds=0.05, total_seconds=5)
HOW = Generation(max_new_tokens=40)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    """A server that lists one model."""
    with openai_server() as one:
        yield one


def engine_for(server: ChatServer, **settings: object) -> OpenAiEngine:
    """An engine whose patience is short."""
    values: dict[str, object] = {"timeout_seconds": 30.0, "patience": HASTY, "revision": "r", **settings}
    return OpenAiEngine(name=f"openai:{MODEL}", model=MODEL, base_url=server.url, **values)  # type: ignore[arg-type]


def picture(colour: str, width: int = 64, height: int = 48) -> Pixels:
    """A picture of one colour."""
    return np.full((height, width, 3), COLOURS[colour], np.uint8)


def request(*parts: str | Pixels) -> Request:
    """A question of these parts."""
    times: list[float | None] = [None for part in parts if not isinstance(part, str)]
    return Request(list(parts), visual_tokens=100, text_tokens=20, times=times)


def ask(engine: OpenAiEngine, *requests: Request, how: Generation = HOW) -> list[Answer | InputError]:
    """Ask, and close the engine."""
    with closing(engine):
        return engine.generate(requests, how)


def ask_one(server: ChatServer, **settings: object) -> Answer | InputError:
    """Ask about one red picture."""
    [outcome] = ask(engine_for(server, **settings), request("What is this?", picture("red")))
    return outcome


def text_of(outcome: Answer | InputError) -> str:
    """The text of what has to be an answer."""
    assert isinstance(outcome, Answer), outcome
    return outcome.text


def error_of(outcome: Answer | InputError) -> InputError:
    """What has to be an error."""
    assert isinstance(outcome, InputError), outcome
    return outcome


RIGHT = "1 pictures: red 64x48."


def test_text_and_pictures_arrive_in_order_and_at_their_size(server: ChatServer) -> None:
    """The server decodes what was sent: in the order of the parts, each picture at its size and colour."""
    engine = engine_for(server)
    parts: list[str | Pixels] = [
        "First:",
        picture("red"),
        "then:",
        picture("blue", 32, 100),
        "Say what you see.",
    ]
    [outcome] = ask(engine, request(*parts))
    assert text_of(outcome) == "2 pictures: red 64x48, blue 32x100."
    [asked] = server.asked
    kinds = [part if isinstance(part, str) else part.colour for part in asked.parts]
    assert kinds == ["First:", "red", "then:", "blue", "Say what you see."]


def test_parameters_as_configured(server: ChatServer) -> None:
    """What is configured stands in the body under the names of the protocol."""
    ask(engine_for(server), request("Hi"), how=Generation(77, 0.4, 9, 1.1))
    body = server.asked[0].body
    sent = {name: body[name] for name in body if name != "messages"}
    assert sent == {
        "model": MODEL,
        "max_tokens": 77,
        "temperature": 0.4,
        "seed": 9,
        "stream": False,
        "repetition_penalty": 1.1,
    }
    assert body["messages"] == [{"role": "user", "content": "Hi"}]


def test_usual_question_has_nothing_a_strict_server_does_not_know(server: ChatServer) -> None:
    """At default settings nothing is sent that OpenAI's own server would refuse."""
    ask(engine_for(server), request("Hi"))
    assert set(server.asked[0].body) == {
        "model",
        "messages",
        "max_tokens",
        "temperature",
        "seed",
        "stream",
    }


def test_small_pictures_arrive_exactly(server: ChatServer) -> None:
    """A detail of 300x200 loses not one bit on its way."""
    noise = np.random.default_rng(1).integers(0, 256, (200, 300, 3), np.uint8)
    ask(engine_for(server), request("?", noise))
    [seen] = server.asked[0].pictures
    assert seen.kind == "PNG"
    assert seen.pixels == noise.tobytes()


def test_of_large_pictures_the_shorter_form_is_sent() -> None:
    """A flat slide goes as PNG, a photo as JPEG."""
    rng = np.random.default_rng(2)
    slide = np.full((800, 1200, 3), 255, np.uint8)
    slide[100:140, 100:900] = 0
    smooth = np.linspace(0, 200, 1200)[None, :, None] + rng.normal(0, 6, (800, 1200, 3))
    photo = smooth.clip(0, 255).astype(np.uint8)
    assert data_url(slide).startswith("data:image/png;base64,")
    assert data_url(photo).startswith("data:image/jpeg;base64,")


def test_large_photo_loses_little(server: ChatServer) -> None:
    """A large photo comes through JPEG with its colours, 1.1 of 255 off on average."""
    noise = np.random.default_rng(3).integers(0, 256, (600, 700, 3), np.uint8)
    photo = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2)))
    ask(engine_for(server), request("?", photo))
    [seen] = server.asked[0].pictures
    there = np.frombuffer(seen.pixels, np.uint8).reshape(photo.shape).astype(int)
    assert seen.kind == "JPEG"
    assert np.abs(there - photo).mean() < 1.5  # 1.1; with half the colours thrown away 2.2


def test_tokens_and_end(server: ChatServer) -> None:
    """Tokens are those the server counts; what cannot be told apart is null."""
    outcome = ask_one(server)
    assert outcome == Answer(RIGHT, True, 3 + 64 * 48 // 784, None, 4)


def test_absent_usage_is_null(server: ChatServer) -> None:
    """A server that counts nothing leaves the counts null."""
    server.fault(Fault(change=lambda answer: answer.pop("usage")))
    assert ask_one(server) == Answer(RIGHT, True, None, None, None)


@pytest.mark.parametrize("usage", [None, [], "many", {"prompt_tokens": "3", "completion_tokens": -1}])
def test_odd_usage_is_null(server: ChatServer, usage: object) -> None:
    """Counts that are no counts are null, and the answer stands."""
    server.fault(Fault(change=lambda answer: answer.update(usage=usage)))
    assert ask_one(server) == Answer(RIGHT, True, None, None, None)


def test_image_tokens_where_the_server_tells_them(server: ChatServer) -> None:
    """Where a server tells the tokens of pictures apart, they are kept."""
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"image_tokens": 6}}
    server.fault(Fault(change=lambda answer: answer.update(usage=usage)))
    assert ask_one(server) == Answer(RIGHT, True, 9, 6, 2)


def test_endless_answer_is_not_finished(server: ChatServer) -> None:
    """An answer that ran into the limit says so."""
    server.fault(faults.endless())
    outcome = ask_one(server)
    assert isinstance(outcome, Answer)
    assert not outcome.finished
    assert outcome.text.startswith("and so on")


def test_refusal_in_its_field(server: ChatServer) -> None:
    """A refusal in the field for it is told from an answer."""
    server.fault(faults.refusal("No."))
    outcome = ask_one(server)
    assert isinstance(outcome, Answer)
    assert (outcome.refused, outcome.text) == (True, "No.")


def test_content_filter(server: ChatServer) -> None:
    """An answer that was filtered counts as refused."""
    server.fault(Fault(change=lambda answer: answer["choices"][0].update(finish_reason="content_filter")))
    outcome = ask_one(server)
    assert isinstance(outcome, Answer)
    assert outcome.refused


def test_empty_answer_is_an_answer(server: ChatServer) -> None:
    """Nothing, and null, are empty answers: what to do about them is decided elsewhere."""
    server.fault(faults.empty(), faults.says(None))
    first, second = ask(engine_for(server, concurrency=1), request("a"), request("b"))
    assert text_of(first) == text_of(second) == ""


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "A red "}, {"type": "text", "text": "square."}], "A red square."),
        ([{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": "Red."}], "Red."),
        ("<think>Is it red? It is.</think>\n\nRed.", "Red."),
        ("Is it red? It is.</think>Red.", "Red."),
        ("<think>Is it red? Or is it", ""),
        ("The page shows <think>x</think> as code.", "The page shows <think>x</think> as code."),
        ("  Red. \n", "Red."),
    ],
)
def test_thoughts_are_not_the_answer(server: ChatServer, content: object, text: str) -> None:
    """Thoughts are left out, however they are marked; thoughts that never end leave nothing."""
    server.fault(faults.says(content, reasoning_content="Let me think. Red."))
    assert text_of(ask_one(server)) == text


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"\ud83d\ude00", "\N{GRINNING FACE}"),
        (r"a\ud83d", "a\N{REPLACEMENT CHARACTER}"),
        (r"\ude00b", "\N{REPLACEMENT CHARACTER}b"),
        (r"a\u0000b", "ab"),
    ],
)
def test_no_half_characters_reach_a_table(server: ChatServer, escaped: str, text: str) -> None:
    """Escaped halves are joined or replaced: the text can always be written as UTF-8."""
    body = f'{{"choices": [{{"message": {{"content": "{escaped}"}}}}]}}'.encode()
    server.fault(Fault(body=lambda _, __: body))
    found = text_of(ask_one(server))
    assert found == text
    assert found.encode()


@pytest.mark.parametrize(
    ("encoding", "content_type"),
    [
        ("utf-8", "application/json"),
        ("utf-8-sig", "application/json"),
        ("utf-16", "application/json; charset=utf-8"),
        ("utf-16-be", "application/json"),
        ("latin-1", "application/json; charset=ISO-8859-1"),
        ("utf-8", "application/json; charset=nonsense"),
    ],
)
def test_encodings_that_can_be_told(server: ChatServer, encoding: str, content_type: str) -> None:
    """An encoding is told by its marks, else by the header; umlauts arrive."""
    server.fault(faults.written_in(encoding, "Grüße aus Köln", content_type))
    assert text_of(ask_one(server)) == "Grüße aus Köln"


@given(st.binary(max_size=300))
def test_whatever_comes_back_is_a_json_object_or_an_input_error(data: bytes) -> None:
    """Whatever bytes come back, they are a JSON object or malformed, and nothing else is raised."""
    try:
        outcome: object = parse_body(data, "application/json")
    except InputError as error:
        outcome = error.reason
    assert outcome == Reason.MALFORMED or outcome == json.loads(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["choices", "message", "content", "usage", "refusal", "type", "text"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_an_answer_holds_it_is_read_or_malformed(value: object) -> None:
    """Whatever stands in the fields of an answer, it is read or malformed."""
    for reply in ({"choices": value}, {"choices": [{"message": value}]}, {"choices": [value]}):
        try:
            text = parse_answer(reply).text
        except InputError as error:
            text = str(error.reason)
        assert text.encode("utf-8").decode() == text


@pytest.mark.parametrize(
    "fault",
    [
        faults.too_many(),
        faults.complaint(408, "Timed out"),
        faults.complaint(409, "Conflict"),
        faults.broken(500),
        faults.broken(502),
        faults.broken(503),
        faults.complaint(529, "Overloaded"),
        faults.cut_off(),
        faults.cut_off(0),
        faults.malformed(),
        faults.nested(),
        faults.written_in("latin-1", "Grüße", "application/json; charset=utf-8"),
        Fault(body=lambda _, __: b""),
        Fault(body=lambda _, __: b'"yes"'),
        Fault(body=lambda _, __: b'{"error": {"code": 502, "message": "Provider returned error"}}'),
    ],
)
def test_what_passes_is_tried_again(server: ChatServer, fault: Fault) -> None:
    """After two stumbles of any kind that passes, the third answer counts."""
    server.fault(fault, fault)
    assert text_of(ask_one(server)) == RIGHT
    assert len(server.asked) == 3


def test_slow_answers_are_not_waited_for(server: ChatServer) -> None:
    """A late answer and one that drips are both ended at the deadline of an attempt."""
    server.fault(faults.slow(9.0), faults.drip(0.1))  # some 25 s
    began = time.monotonic()
    assert text_of(ask_one(server, timeout_seconds=0.5)) == RIGHT
    assert time.monotonic() - began < 8
    assert len(server.asked) >= 3


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.broken(503), Reason.UNREACHABLE),
        (faults.too_many(), Reason.UNREACHABLE),
        (faults.cut_off(), Reason.UNREACHABLE),
        (faults.malformed(), Reason.MALFORMED),
        (faults.slow(0.4), Reason.TIMEOUT),
    ],
    ids=["503", "429", "cut off", "malformed", "slow"],
)
def test_patience_ends(server: ChatServer, fault: Fault, reason: Reason) -> None:
    """After its attempts a question fails with the reason of the last, and may be asked in another run."""
    server.always = lambda _: fault
    error = error_of(ask_one(server, timeout_seconds=0.2 if reason == Reason.TIMEOUT else 30.0))
    assert (error.reason, error.transient) == (reason, True)
    assert "Tried 4 times" in error.message
    # Of those given up at the deadline, the server may have seen fewer.
    assert len(server.asked) == 4 or reason == Reason.TIMEOUT


def test_time_is_bounded_too(server: ChatServer) -> None:
    """Attempts without number still end in time."""
    server.always = lambda _: faults.broken()
    patience = Patience(attempts=1000, first_wait_seconds=0.05, longest_wait_seconds=0.1, total_seconds=1.0)
    began = time.monotonic()
    assert error_of(ask_one(server, patience=patience)).reason == Reason.UNREACHABLE
    assert 0.5 < time.monotonic() - began < 12
    assert len(server.asked) < 40


def test_nobody_listens() -> None:
    """A port on which nobody listens is unreachable, and the message says what to look at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = ChatServer(url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        error = error_of(ask_one(nobody))
    assert (error.reason, error.transient) == (Reason.UNREACHABLE, True)
    assert "Is the server running" in error.message


def test_dead_server_is_not_waited_for_by_every_question(server: ChatServer) -> None:
    """After three questions in vain each further one is asked once, until one succeeds."""
    server.always = lambda _: faults.broken()
    engine = engine_for(server, concurrency=1)
    with closing(engine):
        for _ in range(3):
            engine.generate([request("x")], HOW)
        before = len(server.asked)
        engine.generate([request("x")], HOW)
        assert (before, len(server.asked)) == (12, 13)
        server.always = None
        engine.generate([request("x")], HOW)
        server.fault(faults.broken(), faults.broken())
        [outcome] = engine.generate([request("again")], HOW)
    assert text_of(outcome) == "No picture: again"  # patient again


@pytest.mark.parametrize("dated", [False, True])
def test_retry_after_is_honoured_by_all_questions(server: ChatServer, dated: bool) -> None:
    """After a 429 no question is sent before the time the server named, in seconds or as a date."""

    def script(_: Asked) -> Fault | None:
        if len(server.asked) > 1:
            return None
        # A date has whole seconds, so it may be up to a second nearer than it was meant.
        at = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
        return faults.too_many(at if dated else "1")

    server.always = script
    patience = Patience(first_wait_seconds=0.01, longest_wait_seconds=3)
    engine = engine_for(server, patience=patience, concurrency=1)
    outcomes = ask(engine, request("a"), request("b"))
    assert [text_of(outcome) for outcome in outcomes] == ["No picture: a", "No picture: b"]
    assert server.asked[1].at - server.asked[0].at > 0.9


def test_a_question_that_was_not_refused_waits_too(server: ChatServer) -> None:
    """While one question waits as it was told to, no other is begun."""
    refused = iter([faults.too_many("1")])

    def script(asked: Asked) -> Fault | None:
        return next(refused, None) if asked.text == "a" else faults.slow(0.5)

    server.always = script
    patience = Patience(first_wait_seconds=0.01, longest_wait_seconds=3)
    ask(engine_for(server, patience=patience, concurrency=2), *map(request, "abc"))
    at = {asked.text: asked.at for asked in reversed(server.asked)}  # of each the first time
    assert at["c"] - at["a"] > 0.9


def test_retry_after_is_capped(server: ChatServer) -> None:
    """A server that asks for a day gets the longest wait."""
    server.fault(faults.too_many("86400"))
    assert text_of(ask_one(server)) == RIGHT


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Tue, 24 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-3"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read(header: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds and dates are read; what makes no sense is ignored."""
    assert retry_after(httpx2.Headers(header), datetime(2026, 11, 24, 12, tzinfo=UTC)) == seconds


@pytest.mark.parametrize(
    ("fault", "reason", "transient"),
    [
        (faults.complaint(400, "Bad picture"), Reason.MALFORMED, False),
        (faults.complaint(422, "Bad picture"), Reason.MALFORMED, False),
        (faults.complaint(400, "This model's maximum context length is 4096"), Reason.TOO_LARGE, False),
        (faults.complaint(413, "Payload"), Reason.TOO_LARGE, False),
        (faults.complaint(400, "Filtered", code="content_filter"), Reason.REFUSAL, False),
        (faults.complaint(401, "Who are you"), Reason.UNREACHABLE, True),
        (faults.complaint(403, "Not for you"), Reason.UNREACHABLE, True),
        (faults.complaint(404, "No such model"), Reason.UNREACHABLE, True),
        (faults.complaint(429, "Pay", code="insufficient_quota"), Reason.UNREACHABLE, True),
    ],
    ids=["400", "422", "context", "413", "filter", "401", "403", "404", "quota"],
)
def test_one_question_fails_alone(server: ChatServer, fault: Fault, reason: Reason, transient: bool) -> None:
    """What cannot pass is asked once, has its reason, and disturbs no other question."""
    server.always = lambda asked: fault if asked.text == "bad" else None
    good, bad, fine = ask(engine_for(server), request("good"), request("bad"), request("fine"))
    error = error_of(bad)
    assert (error.reason, error.transient) == (reason, transient)
    assert f"status {fault.status}" in error.message
    assert [text_of(good), text_of(fine)] == ["No picture: good", "No picture: fine"]
    assert [asked.text for asked in server.asked].count("bad") == 1


def test_huge_answer_is_not_read(server: ChatServer) -> None:
    """Of an answer of 12 MiB no more than the limit is read, and it is not asked for again."""
    server.fault(faults.huge(12 << 20))
    error = error_of(ask_one(server))
    assert error.reason == Reason.TOO_LARGE
    assert len(server.asked) == 1


@pytest.mark.parametrize("content", [7, {"text": "x"}, True])
def test_answer_that_is_no_text(server: ChatServer, content: object) -> None:
    """Content that is neither text nor parts is malformed."""
    server.fault(faults.says(content))
    assert error_of(ask_one(server)).reason == Reason.MALFORMED


def test_answer_without_choices(server: ChatServer) -> None:
    """An object without an answer in it is malformed."""
    server.fault(Fault(change=lambda answer: answer.update(choices=[])))
    assert error_of(ask_one(server)).reason == Reason.MALFORMED


def test_redirects_are_not_followed(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody but the configured server gets question or key."""
    monkeypatch.setenv("GLOSS_TEST_KEY", KEY)
    with openai_server() as elsewhere:
        server.fault(faults.redirect(f"{elsewhere.url}/chat/completions"))
        error = error_of(ask_one(server, api_key_env="GLOSS_TEST_KEY"))
        assert elsewhere.asked == []
    assert "redirects to 127.0.0.1" in error.message


def test_parameters_a_server_does_not_take_are_left_out_from_then_on(
    server: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused parameters are left out or renamed, once for all questions, and a log line says so."""
    server.refuses = {"max_tokens", "temperature", "seed"}
    engine = engine_for(server, concurrency=1)
    first, second = ask(engine, request("a"), request("b"))
    assert [text_of(first), text_of(second)] == ["No picture: a", "No picture: b"]
    assert len(server.asked) == 5  # three refusals, two answers
    assert set(server.asked[-1].body) == {"model", "messages", "max_completion_tokens", "stream"}
    assert server.asked[-1].body["max_completion_tokens"] == HOW.max_new_tokens
    assert "does not take temperature" in caplog.text


def test_a_wrong_value_is_not_taken_for_an_unknown_name(server: ChatServer) -> None:
    """A limit that is too high for a server is an error, not a dialect."""
    server.fault(faults.complaint(400, "max_tokens is too large: 40. The model has 8 left."))
    assert error_of(ask_one(server)).reason == Reason.TOO_LARGE
    assert len(server.asked) == 1


def test_concurrency_is_reached_and_not_passed(server: ChatServer) -> None:
    """Of twelve questions four are under way at once, and never more."""
    server.seconds = 0.2
    outcomes = ask(engine_for(server, concurrency=4), *(request(str(n)) for n in range(12)))
    assert [text_of(outcome) for outcome in outcomes] == [f"No picture: {n}" for n in range(12)]
    assert server.most_at_once == 4


def test_answers_keep_the_order_of_questions(server: ChatServer) -> None:
    """Answers that come late stand in the place of their questions."""
    server.always = lambda asked: faults.slow(0.2) if asked.text in ("0", "3") else None
    outcomes = ask(engine_for(server), *(request(str(n)) for n in range(6)))
    assert [text_of(outcome) for outcome in outcomes] == [f"No picture: {n}" for n in range(6)]


def test_rate_is_kept_also_by_retries(server: ChatServer) -> None:
    """600 a minute are 0.1 s apart, attempts after a failure included."""
    server.fault(None, faults.broken())
    engine = engine_for(server, requests_per_minute=600)
    began = time.monotonic()
    ask(engine, *(request(str(n)) for n in range(4)))
    # The fifth does not leave before 0.4 s; those before may arrive late, and say nothing.
    assert len(server.asked) == 5
    assert max(asked.at for asked in server.asked) - began > 0.399


def test_usable_from_several_threads(server: ChatServer) -> None:
    """Five threads with one engine each get their own answer."""
    engine = engine_for(server)
    found: dict[int, str] = {}

    def work(number: int) -> None:
        [outcome] = engine.generate([request(str(number))], HOW)
        found[number] = text_of(outcome)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.close()
    assert found == {number: f"No picture: {number}" for number in range(5)}


def test_connections_are_used_again(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four questions one after the other need one connection."""
    opened: list[object] = []
    connect = asyncio.BaseEventLoop.create_connection

    async def counted(loop: asyncio.BaseEventLoop, *args: Any, **settings: Any) -> Any:
        opened.append(args)
        return await connect(loop, *args, **settings)

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", counted)
    engine = engine_for(server, concurrency=1)
    with closing(engine):
        for _ in range(4):
            engine.generate([request("x")], HOW)
    assert len(server.asked) == 4
    assert len(opened) == 1


@pytest.fixture
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOSS_TEST_KEY", f" {KEY}\n")


@pytest.mark.usefixtures("_key")
def test_sent_in_its_header_only(server: ChatServer) -> None:
    """The key, stripped of blanks, is in the Authorization header and nowhere else."""
    server.key = KEY
    assert text_of(ask_one(server, api_key_env="GLOSS_TEST_KEY")) == RIGHT
    [asked] = server.asked
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    rest = {name: value for name, value in asked.headers.items() if name != "authorization"}
    assert KEY not in json.dumps([rest, asked.body])


@pytest.mark.usefixtures("_key")
def test_none_is_sent_where_none_is_set(server: ChatServer) -> None:
    """Without a key there is no such header."""
    ask_one(server, api_key_env="GLOSS_NO_SUCH_KEY")
    assert "authorization" not in server.asked[0].headers


@pytest.mark.usefixtures("_key")
@pytest.mark.parametrize("status", [400, 401, 500])
def test_echoed_key_is_in_no_message_and_no_log(
    server: ChatServer, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that the server repeats, whole or in part, is in no error and no log line at any level."""
    server.always = lambda _: faults.key_echo(status)
    with caplog.at_level(logging.DEBUG):
        error = error_of(ask_one(server, api_key_env="GLOSS_TEST_KEY"))
    assert "[key]" in error.message  # it was there, and was blotted out
    for text in (error.message, str(error), repr(error), caplog.text):
        assert KEY not in text
        assert KEY[:6] not in text


@pytest.mark.usefixtures("_key")
@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("before", [270, 290, 1980])
def test_a_key_is_not_cut_in_two_where_a_message_is_shortened(
    server: ChatServer, before: int, as_json: bool
) -> None:
    """Wherever the key stands in a long complaint, no part of it is left."""
    said = "y" * before + f" {KEY} " + "z" * 300
    body = json.dumps({"error": said}).encode() if as_json else said.encode()
    server.fault(Fault(400, body=lambda _, __: body))
    message = error_of(ask_one(server, api_key_env="GLOSS_TEST_KEY")).message
    assert KEY[:5] not in message
    assert len(message) < 500


@pytest.mark.usefixtures("_key")
def test_echoed_key_is_in_no_answer(server: ChatServer) -> None:
    """A key that comes back as an answer does not reach a table."""
    server.fault(faults.key_echo(200))
    assert text_of(ask_one(server, api_key_env="GLOSS_TEST_KEY")) == "The key is [key], is it not?"


@pytest.mark.usefixtures("_key")
def test_not_in_reprs_and_not_pickled(server: ChatServer) -> None:
    """The key is in no repr and no pickle; an unpickled engine takes it from its own environment."""
    engine = engine_for(server, api_key_env="GLOSS_TEST_KEY")
    assert KEY not in repr(engine) + repr(vars(engine.client))
    packed = pickle.dumps(engine)
    assert KEY.encode() not in packed
    again = pickle.loads(packed)  # noqa: S301 - our own
    ask(again, request("x"))
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.usefixtures("_key")
def test_an_engine_in_use_pickles(server: ChatServer) -> None:
    """Open connections do not keep an engine from travelling."""
    engine = engine_for(server)
    with closing(engine):
        engine.generate([request("x")], HOW)
        again = pickle.loads(pickle.dumps(engine))  # noqa: S301 - our own
    [outcome] = ask(again, request("y"))
    assert text_of(outcome) == "No picture: y"


@pytest.mark.usefixtures("_key")
def test_a_word_that_is_the_key_of_a_server_without_keys_stays_in_answers(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`EMPTY`, which serves as a key where none is needed, may still be read in a picture."""
    monkeypatch.setenv("GLOSS_TEST_KEY", "EMPTY")
    server.fault(faults.says("A sign reads EMPTY."))
    assert text_of(ask_one(server, api_key_env="GLOSS_TEST_KEY")) == "A sign reads EMPTY."


@pytest.mark.usefixtures("_key")
def test_key_that_no_header_can_carry(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key with an umlaut is refused by the name of its variable, without being repeated."""
    monkeypatch.setenv("GLOSS_TEST_KEY", "schlüssel-geheim")
    with pytest.raises(ValueError, match="GLOSS_TEST_KEY") as caught:
        engine_for(server, api_key_env="GLOSS_TEST_KEY")
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000/v1", "ftp://host/v1", "http://", "", "http://host:99999/v1", "http://[::1/v1"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    """What is no URL is refused before anything is sent."""
    with pytest.raises(ValueError, match=r"."):
        checked_url(url)


@pytest.mark.parametrize(
    "url", ["https://me:hush-hush@host/v1", "https://host/v1?key=hush-hush", "https://host/v1#hush-hush"]
)
def test_secrets_in_it_are_refused_and_not_repeated(url: str) -> None:
    """The URL is stored with the run, so secrets in it are refused, and not repeated."""
    with pytest.raises(ValueError, match="api_key_env") as caught:
        checked_url(url)
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://h/v1", " http://h/v1/", "http://h/v1/chat/completions"])
def test_usual_ways_to_write_it(url: str) -> None:
    """Blanks, a slash at the end and the full path are forgiven."""
    assert checked_url(url) == "http://h/v1"


def problem_with(url: str, model: str | None = MODEL, key: str | None = None) -> str | None:
    """What the check says of a server."""
    return check_server(model=model, base_url=url, api_key_env=key, timeout_seconds=30)


def test_fine(server: ChatServer) -> None:
    """A server that lists the model is asked nothing else."""
    assert problem_with(server.url) is None
    assert server.asked == []  # a listing is enough


def test_server_that_lists_nothing(server: ChatServer) -> None:
    """Where no models are listed one short question decides."""
    server.lists_models = False
    assert problem_with(server.url) is None
    assert len(server.asked) == 1


def test_nobody_there() -> None:
    """Nobody listens, and the message asks whether the server runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        problem = problem_with(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
    assert problem is not None
    assert "Is the server running" in problem


@pytest.mark.parametrize("key", [None, KEY])
def test_forgotten_path(server: ChatServer, key: str | None) -> None:
    """Without `/v1` the message gives the right URL, also where the server wants a key."""
    server.key = key
    problem = problem_with(server.url.removesuffix("/v1"))
    assert problem is not None
    assert problem.endswith(f"Set vision.base_url={server.url}.")


def test_wrong_key(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong key is named by its variable, and not repeated."""
    server.key = KEY
    monkeypatch.setenv("GLOSS_TEST_KEY", "sk-somebody-elses")
    problem = problem_with(server.url, key="GLOSS_TEST_KEY")
    assert problem is not None
    assert "variable GLOSS_TEST_KEY; it refuses it" in problem
    assert "somebody" not in problem


def test_missing_key(server: ChatServer) -> None:
    """A missing key is named by its variable."""
    server.key = KEY
    problem = problem_with(server.url, key="GLOSS_NO_SUCH_KEY")
    assert problem is not None
    assert "found none in the environment variable GLOSS_NO_SUCH_KEY" in problem


def test_model_that_it_has_not(server: ChatServer) -> None:
    """A model the server has not is answered with those it has, and the nearest."""
    server.takes_any_model = False
    problem = problem_with(server.url, model="Looker1")
    assert problem is not None
    assert f"found {MODEL}. Did you mean {MODEL}?" in problem


def test_model_that_it_takes_without_listing_it(server: ChatServer) -> None:
    """A name that is not listed and yet answered is fine."""
    assert problem_with(server.url, model="alias") is None


def test_no_model_named(server: ChatServer) -> None:
    """Without a model the message lists those there are."""
    problem = problem_with(server.url, model=None)
    assert problem is not None
    assert f"it has {MODEL}" in problem


def test_server_that_is_ill(server: ChatServer) -> None:
    """What the server says of its illness is passed on."""
    server.lists_models = False
    server.always = lambda _: faults.complaint(500, "CUDA out of memory")
    problem = problem_with(server.url)
    assert problem is not None
    assert "CUDA out of memory" in problem


def test_url_that_is_none() -> None:
    """A URL that is none is a problem, not an exception."""
    problem = problem_with("localhost:8000")
    assert problem is not None
    assert "vision.base_url" in problem


def test_what_the_name_stands_for(server: ChatServer) -> None:
    """Where the server says which weights a name stands for, that is the revision."""
    server.models = [{"id": MODEL, "root": "Qwen/Qwen2-VL-2B-Instruct"}]
    engine = engine_for(server, revision=None)
    assert engine.revision == "Qwen/Qwen2-VL-2B-Instruct"
    assert served_revision(model=MODEL, base_url=server.url) == "Qwen/Qwen2-VL-2B-Instruct"


def test_the_name_where_nothing_is_said(server: ChatServer) -> None:
    """Where it does not say, the revision is the name."""
    server.lists_models = False
    assert served_revision(model=MODEL, base_url=server.url) == MODEL


@pytest.mark.parametrize("models", [[], [7], [{"id": 3}], [{"id": MODEL, "root": None}]])
def test_odd_listings(server: ChatServer, models: list[object]) -> None:
    """Listings of any other shape do no harm."""
    server.models = models  # type: ignore[assignment]
    assert served_revision(model=MODEL, base_url=server.url) == MODEL


def test_server_of_these_tests_tells_colours_apart() -> None:
    """The server of these tests knows each of its colours by its mean."""
    for name, colour in COLOURS.items():
        assert Seen(1, 1, colour, "PNG", b"").colour == name
    asked = Asked({}, ["a", Seen(2, 3, (250, 0, 0), "PNG", b"")], {}, 0.0)
    assert faults.describe(asked) == "1 pictures: red 2x3."


def test_client_holds_no_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pickled of a client has no key; without a variable there is none."""
    monkeypatch.setenv("GLOSS_TEST_KEY", KEY)
    client = ChatClient("http://h/v1", "GLOSS_TEST_KEY")
    assert client.has_key
    assert KEY not in str(client.__getstate__())
    assert key_of(None).get_secret_value() == ""
