"""The object in an answer is found whatever stands around it, and garbage is never an object."""

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from operators.structured import Parsed, parse, parse_beginning, schema_of, texts_of
from schemas.failure import InputError, Reason


class Sentence(BaseModel):
    """One sentence and what it rests on."""

    text: str = Field(min_length=1, max_length=80)
    evidence: list[int] = Field(default_factory=list, max_length=4)


class Summary(BaseModel):
    """All of it has a default, so that an empty object would be valid."""

    title: str | None = None
    sentences: list[Sentence] = Field(default_factory=list, max_length=3)


# Pairs of surrogates are characters; halves are no text.
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)
summaries = st.builds(
    Summary,
    title=st.none() | words,
    sentences=st.lists(
        st.builds(Sentence, text=words, evidence=st.lists(st.integers(0, 99), max_size=4)), max_size=3
    ),
)
chatter = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=60)


@given(summaries, chatter, chatter, st.sampled_from(["{}", "```json\n{}\n```", "<think>a {{b}}</think>{}"]))
def test_an_object_survives_what_is_said_around_it(
    summary: Summary, before: str, after: str, around: str
) -> None:
    """Fences, thoughts and chatter change nothing, nor do signs in the strings."""
    shown = around.format(summary.model_dump_json())
    assert parse(f"{before}{shown}{after}", Summary) == Parsed(summary, repaired=False)
    spread = json.dumps(summary.model_dump(), indent=2, ensure_ascii=False)
    assert parse(f"{before}\n{spread}\n{after}", Summary).value == summary


@given(st.text(max_size=200) | st.text("{}[]\":,'\\ntrue0123", max_size=60))
def test_garbage_is_no_object(text: str) -> None:
    """It is said to be malformed, also where an empty object would be valid, and nothing else is raised."""
    with contextlib.suppress(InputError):
        found = parse(text, Summary)
        assert '"title"' in text or '"sentences"' in text, found
    assert parse_beginning(text, Summary) is None or "title" in text or "sentences" in text


@pytest.mark.parametrize(
    "text",
    [
        '{"sentences":[{"text":"A boat.","evidence":[1]},{"text":"A sea.","evidence":[2]}',
        '{"sentences":[{"text":"A boat." "evidence":[1]},{"text":"A sea.","evidence":[2],},]}',
        "{'sentences':[{'text':'A boat.','evidence':[1]},{'text':'A sea.','evidence':[2]}]} I hope it helps.",
        '```json\n{"sentences":[{"text":"A boat.","evidence":[1]},\n{"text":"A sea.","evidence":[2]}]\n```',
        '{sentences:[{text:"A boat.",evidence:[1]},{text:"A sea.",evidence:[2]}]}',
    ],
)
def test_what_is_nearly_an_object_is_mended(text: str) -> None:
    """And that is said."""
    found = parse(text, Summary)
    assert found.repaired
    assert [(one.text, one.evidence) for one in found.value.sentences] == [("A boat.", [1]), ("A sea.", [2])]


def test_quotation_marks_in_a_string_that_were_not_escaped_are_kept() -> None:
    """The usual fault of small models."""
    found = parse('{"sentences":[{"text":"He said "no" and left","evidence":[3]}]}', Summary)
    assert found == Parsed(Summary(sentences=[Sentence(text='He said "no" and left', evidence=[3])]), True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot do that.",
        "{}",
        "{garbage}",
        '{"sentences": [',
        '{"sentences": [}',
        '{"sentences": garbage}',
        '{"other": 1}',
        "[[[{{{",
        "The form is {x} and {y}.",
        '{"sentences":["a sentence"]}',
    ],
)
def test_what_is_none_is_not_made_empty(text: str) -> None:
    """An empty summary would look like a good one."""
    with pytest.raises(InputError) as caught:
        parse(text, Summary)
    assert caught.value.reason == Reason.MALFORMED


def test_bounds_count_and_what_is_wrong_is_told_without_the_words_of_the_answer() -> None:
    """The message goes back to the model, and into a table."""
    texts = [{"text": "ignore all rules" * 9, "evidence": [1]}, {"text": "", "evidence": ["x", 1, 2, 3, 4]}]
    with pytest.raises(InputError) as caught:
        parse(json.dumps({"sentences": texts}), Summary)
    for part in (
        "sentences.0.text: String should have at most 80",
        "sentences.1.text",
        "sentences.1.evidence",
    ):
        assert part in caught.value.message
    assert "ignore" not in caught.value.message


def test_of_several_the_last_is_taken() -> None:
    """The first are the form that was asked for, or a draft."""
    text = 'The form is {"title":"a"}. A draft: {"title":"b"}. Now: {"title":"c"} (not {"colour":"d"})'
    assert parse(text, Summary).value.title == "c"


def test_the_whole_parts_of_a_beginning_are_kept() -> None:
    """The sentence in which it broke off is left out, wherever that was."""
    whole = '{"sentences":[{"text":"A boat.","evidence":[1]},{"text":"A sea.","evidence":[2]}]}'
    for cut in range(len(whole)):
        found = parse_beginning(whole[:cut], Summary)
        kept = [one.text for one in found.value.sentences] if found else []
        expected = 2 if cut >= whole.index("]}]}") + 2 else 1 if cut >= whole.index("},") + 1 else 0
        if expected:
            assert kept[:expected] == ["A boat.", "A sea."][:expected], whole[:cut]
        assert set(kept) <= {"A boat.", "A sea."}


def test_brackets_without_end_take_no_time() -> None:
    """Mending them would take minutes."""
    began = time.monotonic()
    for text in ('{"' * 10_000, '{"a":[' * 4000, '{"sentences":' * 20 + '"' * 10_000, "{" * 50_000):
        with pytest.raises(InputError):
            parse(text, Summary)
        assert parse_beginning(text + "}", Summary) is None
    assert time.monotonic() - began < 10


def test_a_schema_is_one_that_strict_servers_take() -> None:
    """Each object closed, all its fields required, no defaults; a field named title is kept."""
    schema = schema_of(Summary)
    objects: list[Any] = [schema, *schema["$defs"].values()]
    for one in objects:
        assert one["additionalProperties"] is False
        assert one["required"] == list(one["properties"])
    assert "title" in schema["properties"]
    assert "default" not in json.dumps(schema)
    assert "description" not in json.dumps(schema)
    assert schema["$defs"]["Sentence"]["properties"]["text"]["maxLength"] == 80


def test_the_words_of_an_object_are_listed() -> None:
    """Of all depths, in order, and no keys."""
    assert texts_of(Summary(title="a", sentences=[Sentence(text="b", evidence=[1])])) == ["a", "b"]
