"""Summaries from a server: held to a schema where it can, and without one where it cannot."""

import json
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from operators.ask_text import Asker
from operators.chat_client import Patience
from operators.quote import quoted
from operators.structured import schema_of
from operators.text_engine import Question
from operators.text_models import resolve_summary
from operators.text_openai import OpenAiTextEngine
from operators.vision_engine import Answer, Generation
from schemas.config import ConfigError, load_config
from schemas.failure import InputError, Reason
from tests.openai_server import ChatServer, Fault, broken, complaint, endless, openai_server, refusal, says
from tests.openai_server import summarise as summary_of

MODEL = "writer-1"
HOW = Generation(max_new_tokens=100, temperature=0.2, seed=7)
KEY = "hunter2-0123456789"


class Sentence(BaseModel):
    """One sentence and what it rests on."""

    text: str
    evidence: list[int]


class Summary(BaseModel):
    """What is asked for."""

    sentences: list[Sentence]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    """A server that writes summaries."""
    with openai_server([MODEL], answer=summary_of) as served:
        yield served


def engine(server: ChatServer, with_schema: bool = True) -> OpenAiTextEngine:
    """Ask it with little patience."""
    patience = Patience(attempts=2, first_wait_seconds=0.01, total_seconds=2)
    return OpenAiTextEngine(
        name="openai:writer",
        model=MODEL,
        base_url=server.url,
        revision="1",
        patience=patience,
        with_schema=with_schema,
    )


def question(*lines: str) -> Question:
    """Ask about numbered lines."""
    shown = quoted("\n".join(f"[{number}] {line}" for number, line in enumerate(lines, 1)))
    return Question(f"Sum it up.\n{shown}", 50, schema_of(Summary))


def test_a_question_is_one_message_with_the_schema_of_its_answer(server: ChatServer) -> None:
    """And with the conditions of the try."""
    [answer] = engine(server).generate([question("A boat.", "A sea.", "A gull.")], HOW)
    assert isinstance(answer, Answer)
    assert json.loads(answer.text) == {
        "sentences": [{"text": "A boat.", "evidence": [1]}, {"text": "A sea.", "evidence": [2]}]
    }
    [asked] = server.asked
    [message] = asked.body["messages"]
    assert message["content"] == question("A boat.", "A sea.", "A gull.").text
    assert asked.body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema_of(Summary), "strict": True},
    }
    sent = {name: asked.body[name] for name in ("model", "max_tokens", "temperature", "seed")}
    assert sent == {"model": MODEL, "max_tokens": 100, "temperature": 0.2, "seed": 7}


def test_a_schema_is_sent_only_where_it_is_wanted(server: ChatServer) -> None:
    """By `summary.schema_in_request`, and where there is one."""
    engine(server, with_schema=False).generate([question("A boat.")], HOW)
    engine(server).generate([Question("Say yes.", 5)], HOW)
    assert all("response_format" not in asked.body for asked in server.asked)


@pytest.mark.parametrize(
    "refused",
    [
        complaint(400, "Unsupported parameter: 'response_format' is not supported with this model."),
        complaint(400, "'response_format.type' must be 'text' or 'json_object'."),
        complaint(400, "Invalid schema: json_schema uses a keyword that is not permitted"),
        complaint(422, "structured outputs are not enabled"),
        Fault(
            422,
            body=lambda _, __: json.dumps(
                {"detail": [{"loc": ["body", "response_format", "type"], "msg": "unexpected value"}]}
            ).encode(),
        ),
    ],
)
def test_a_server_that_knows_no_schema_is_asked_without_for_good(server: ChatServer, refused: Fault) -> None:
    """The refusal costs one request, and the answer is found in what is said around it."""
    server.always = lambda asked: refused if "response_format" in asked.body else None
    asking = engine(server)
    for _ in range(2):
        [answer] = asking.generate([question("A boat.")], HOW)
        assert isinstance(answer, Answer)
        assert "Good luck!" in answer.text
    assert ["response_format" in asked.body for asked in server.asked] == [True, False, False]


def test_another_complaint_is_not_taken_for_one_of_the_schema(server: ChatServer) -> None:
    """A question that is too long stays one, and names the setting."""
    server.fault(complaint(400, "This model's maximum context length is 512 tokens."))
    [found] = engine(server).generate([question("A boat.")], HOW)
    assert isinstance(found, InputError)
    assert found.reason == Reason.TOO_LARGE
    assert "summary.context_tokens" in found.message
    assert len(server.asked) == 1


def test_outcomes_are_those_of_each_question(server: ChatServer) -> None:
    """In order, whatever becomes of others."""

    def script(asked: object) -> Fault | None:
        text = getattr(asked, "text", "")
        faults = {"b": refusal(), "c": broken(), "d": endless(), "e": says("")}
        return next((fault for name, fault in faults.items() if f"[1] {name}\n" in text), None)

    server.always = script
    one, two, three, four, five = engine(server).generate([question(name) for name in "abcde"], HOW)
    assert isinstance(one, Answer)
    assert '"a"' in one.text
    assert isinstance(two, Answer)
    assert two.refused
    assert isinstance(three, InputError)
    assert three.reason == Reason.UNREACHABLE
    assert isinstance(four, Answer)
    assert not four.finished
    assert isinstance(five, Answer)
    assert five.text == ""


def test_messages_name_the_section_and_no_key(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to do is said in terms of `summary`."""
    monkeypatch.setenv("MY_KEY", KEY)
    server.key = "another"
    asking = OpenAiTextEngine(
        name="w", model=MODEL, base_url=server.url, revision="1", api_key_env="MY_KEY", timeout_seconds=5
    )
    [found] = asking.generate([question("A boat.")], HOW)
    assert isinstance(found, InputError)
    assert "summary.api_key_env" in found.message
    assert KEY not in found.message
    with pytest.raises(ValueError, match=r"summary\.base_url"):
        OpenAiTextEngine(name="w", model=MODEL, base_url="nonsense", revision="1")


def test_all_of_it_together(server: ChatServer) -> None:
    """Many questions at once, by configuration, to values; one that is answered badly is asked again."""
    settings = ["summary.engine=openai", f"summary.base_url={server.url}", f"summary.model={MODEL}"]
    asker = Asker(load_config(settings=[*settings, "summary.concurrency=4"]))
    server.refuses.add("response_format")
    server.fault(None, None, says("Well."))
    prompts = [question(f"Line {number} of it.", "More.").text for number in range(12)]
    found = asker.ask(prompts, Summary)
    asker.close()
    texts = [one.value.sentences[0].text for one in found if isinstance(one.value, Summary)]
    assert texts == [f"Line {number} of it." for number in range(12)]
    assert sorted(one.tries for one in found) == [1] * 11 + [2]
    assert asker.name == f"openai:{MODEL}"
    assert server.most_at_once <= 4
    assert all(one.input_tokens and one.output_tokens for one in found)


def test_a_server_is_asked_before_the_run(server: ChatServer) -> None:
    """What it does not have is refused by the name of the setting."""
    settings = ["summary.engine=openai", f"summary.base_url={server.url}"]
    found = resolve_summary(load_config(settings=[*settings, f"summary.model={MODEL}"]), pytest.fail)
    assert found.summary.revision == ""
    server.takes_any_model = False
    with pytest.raises(ConfigError, match=rf"\(summary\.model\).*found {MODEL}"):
        resolve_summary(load_config(settings=[*settings, "summary.model=writer-2"]), pytest.fail)
