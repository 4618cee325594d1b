"""What the stage makes of a vision-language model that errs in every known way.

The engine here is scripted: the colour of the first picture says what will be answered, so that
each fault can be called up. The genuine engines have tests of their own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.answers import AnswerDoubt
from operators.prompts import lay_out, load_prompt
from operators.vision_engine import Answer, Generation, Request
from operators.vlm import Vlm, all_prompts, finish
from schemas.config import Config, ConfigError
from schemas.failure import Failure, InputError, Reason, Stage
from schemas.look import Glance, Look, Shown
from schemas.media import Asset, Kind, Unit, UnitKind
from schemas.perception import Perception

ASSET = Asset("id", "version", "file:///talk.mp4", Kind.VIDEO, 1, "fingerprint", "hash")

Script = str | Answer | InputError | Exception | Callable[[Generation], str | Answer]


@dataclass
class Scripted:
    """Answers what its script says of a picture's colour."""

    script: dict[int, Script] = field(default_factory=dict)
    room: int = 1000
    """Requests for which there is memory."""
    name: str = "scripted:model"
    revision: str = "1"
    calls: list[tuple[list[int], Generation]] = field(default_factory=list)
    closed: int = 0

    def generate(self, requests: Sequence[Request], how: Generation) -> list[Answer | InputError]:
        """Look each picture up."""
        colours = [colour_of(request) for request in requests]
        self.calls.append((colours, how))
        if len(requests) > self.room:
            raise MemoryError("too many")
        return [self._answer(colour, how) for colour in colours]

    def _answer(self, colour: int, how: Generation) -> Answer | InputError:
        said = self.script.get(colour, f"A picture in the shade number {colour}.")
        if callable(said):
            said = said(how)
        if isinstance(said, InputError | Answer):
            if isinstance(said, InputError) and said.reason == Reason.CRASHED:
                raise said
            return said
        if isinstance(said, Exception):
            raise said
        return Answer(said, True, 100, 64, 10)

    def close(self) -> None:
        """Count."""
        self.closed += 1


def colour_of(request: Request) -> int:
    """The value of the first picture's pixels."""
    pictures = [part for part in request.parts if not isinstance(part, str)]
    return int(pictures[0][0, 0, 0])


def row(
    colour: int, *, index: int = 0, tokens: int = 64, prompt: str = "caption", seen: str = ""
) -> Perception:
    """A look at one frame of one colour."""
    look = Look(index, [Glance(2, 2, tokens, 5.0)], prompt, None, seen, "", tokens, 40, 1024)
    unit = Unit(index, UnitKind.LOOK, 4.0 * index, 4.0 * index + 4.0, look=look)
    return Perception(ASSET, unit, shown=[Shown(2, 2, bytes([colour]) * 12, 5.0)])


def ask(engine: Scripted, *rows: Perception, **vision: object) -> list[Perception]:
    """Call the stage."""
    return Vlm(Config.model_validate({"vision": vision}), engine)(list(rows))


def texts(rows: Sequence[Perception]) -> list[str]:
    """All captions."""
    return [caption.text for one in rows for caption in one.captions]


def reasons(rows: Sequence[Perception]) -> list[str]:
    """Why anything was lost."""
    return [failure.reason for one in rows for failure in one.failures]


def test_each_look_gets_its_words_and_says_what_made_them() -> None:
    """Rows come back in order, without pixels, with plan, count, engine and prompt."""
    (first, nothing, last) = ask(Scripted(), row(3), replace(row(9, index=1), shown=[]), row(7, index=2))
    assert texts([first, last]) == ["A picture in the shade number 3.", "A picture in the shade number 7."]
    assert nothing == replace(row(9, index=1), shown=[])
    (caption,) = last.captions
    assert (caption.clip, caption.engine, caption.revision) == (2, "scripted:model", "1")
    assert (caption.prompt, caption.prompt_version) == ("caption", load_prompt("caption").version)
    assert (caption.planned_visual_tokens, caption.visual_tokens) == (64, 64)
    assert (caption.planned_text_tokens, caption.input_tokens, caption.output_tokens) == (40, 100, 10)
    assert (caption.pictures, caption.tries, caption.doubts) == (1, 1, [])
    assert not last.shown
    assert not last.failures
    assert [(cost.stage, cost.items, cost.bytes) for cost in last.costs] == [
        ("vlm", 1, 12),
        ("vlm_input_tokens", 100, 0),
        ("vlm_output_tokens", 10, 0),
    ]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(4, 3000)), max_size=12),
    st.integers(1, 5),
    st.integers(1, 6),
)
def test_batches_and_memory_change_nothing(looks: list[tuple[int, int]], most: int, room: int) -> None:
    """Whatever looks are answered together, each row gets what it would get alone."""
    script: dict[int, Script] = {1: "", 2: InputError(Reason.UNREACHABLE, "gone"), 3: ValueError("bad")}
    config = Config.model_validate({"resources": {"vision_batch": most, "vision_batch_tokens": 6000}})
    rows = [row(colour, index=index, tokens=tokens) for index, (colour, tokens) in enumerate(looks)]
    engine = Scripted(script, room)
    together = Vlm(config, engine)(rows)
    alone = [Vlm(config, Scripted(script))([one])[0] for one in rows]
    assert [replace(one, costs=[]) for one in together] == [replace(one, costs=[]) for one in alone]
    assert all(len(colours) <= most for colours, _ in engine.calls)
    assert all(len(one.captions) + len(one.failures) == 1 for one in together)


def test_batches_keep_to_the_budget_of_tokens() -> None:
    """With 160 new tokens each, looks of 1,000 and 40 tokens fit three times into 4,096."""
    engine = Scripted()
    config = Config.model_validate({"resources": {"vision_batch": 16}})
    Vlm(config, engine)([row(colour, index=colour, tokens=1000) for colour in range(7)])
    assert [len(colours) for colours, _ in engine.calls] == [3, 3, 1]


def test_memory_that_is_short_halves_the_batches_for_a_while() -> None:
    """A batch too large for the device is halved; after a while larger ones are tried again."""
    engine = Scripted(room=2)
    config = Config.model_validate({"resources": {"vision_batch": 8, "vision_batch_tokens": 100_000}})
    stage = Vlm(config, engine)
    rows = [row(colour, index=colour) for colour in range(16)]
    assert len(texts(stage(rows))) == 16
    assert [len(colours) for colours, _ in engine.calls][:3] == [8, 4, 2]
    engine.room = 8
    for _ in range(3):
        engine.calls.clear()
        stage(rows)
    assert max(len(colours) for colours, _ in engine.calls) == 8


def test_memory_that_is_short_for_one_alone_is_a_failure() -> None:
    """It says so, and where."""
    (lost,) = ask(Scripted(room=0), row(5, index=3))
    assert lost.failures == [
        Failure(
            Stage.VLM,
            Reason.MEMORY,
            "Wanted memory for words for what is shown; there was none (too many).",
            3,
            None,
            12.0,
            16.0,
        )
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InputError(Reason.CRASHED, "The model crashed (SIGSEGV)."), Reason.CRASHED),
        (InputError(Reason.UNREACHABLE, "No server."), Reason.UNREACHABLE),
        (RuntimeError("shapes do not match"), Reason.INTERNAL),
    ],
)
def test_one_bad_look_does_not_take_its_batch_along(error: Exception, reason: Reason) -> None:
    """The culprit alone becomes a failure, whether the engine returns, raises or dies."""
    rows = ask(Scripted({9: error}), *(row(colour, index=at) for at, colour in enumerate([1, 9, 2, 3])))
    assert texts(rows) == [f"A picture in the shade number {colour}." for colour in (1, 2, 3)]
    assert reasons(rows) == [reason]
    assert rows[1].failures[0].unit == 1
    assert not rows[1].shown


def test_a_server_that_is_gone_is_not_asked_for_each_half() -> None:
    """It is gone for all of the batch, and waiting for it costs time."""

    class Gone(Scripted):
        def generate(self, requests: Sequence[Request], how: Generation) -> list[Answer | InputError]:
            super().generate(requests, how)
            raise InputError(Reason.UNREACHABLE, "No server.")

    engine = Gone()
    rows = ask(engine, row(1), row(2, index=1))
    assert reasons(rows) == [Reason.UNREACHABLE] * 2
    assert len(engine.calls) == 1


def test_an_engine_that_counts_wrong_is_found_out() -> None:
    """One answer too few is no answer for the next."""

    class Short(Scripted):
        def generate(self, requests: Sequence[Request], how: Generation) -> list[Answer | InputError]:
            return super().generate(requests, how)[:-1]

    rows = ask(Short(), row(1), row(2, index=1))
    assert reasons(rows) == [Reason.MALFORMED] * 2


def test_a_loop_is_asked_again_warmer_with_a_penalty() -> None:
    """Temperature, seed and penalty change; the words and tokens of the second try count."""

    def looped(how: Generation) -> str:
        return "the man and " * 30 if how.temperature == 0 else "A man walks."

    engine = Scripted({4: looped})
    (done, other) = ask(engine, row(4), row(5, index=1), seed=7)
    assert texts([done]) == ["A man walks."]
    assert (done.captions[0].tries, done.captions[0].input_tokens, done.captions[0].output_tokens) == (
        2,
        200,
        20,
    )
    assert other.captions[0].tries == 1
    first, second = (how for colours, how in engine.calls if 4 in colours)
    assert (first.temperature, first.seed, first.repetition_penalty, first.max_new_tokens) == (
        0.0,
        7,
        1.0,
        160,
    )
    assert (second.temperature, second.seed, second.max_new_tokens) == (0.4, 8, 160)
    assert second.repetition_penalty == 1.15


def test_what_is_drawn_again_is_drawn_alone() -> None:
    """So the words of a second try do not depend on what else was wrong."""
    engine = Scripted({4: "", 5: ""})
    ask(engine, row(4), row(5, index=1), tries=2)
    assert [colours for colours, how in engine.calls if how.temperature > 0] == [[4], [5]]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", Reason.NO_ANSWER),
        ("so and " * 40, Reason.REPETITION),
        ("I'm sorry, but I can't assist with that.", Reason.REFUSAL),
        (Answer("", True, None, None, None, refused=True), Reason.REFUSAL),
        (load_prompt("caption").text, Reason.MALFORMED),
        (Answer("A man who is", False, 100, 64, 160), Reason.CUT_OFF),
    ],
)
def test_what_stays_wrong_is_a_failure_by_name(said: str | Answer, reason: Reason) -> None:
    """No caption is kept, and the tries are those of the configuration; tokens still count."""
    engine = Scripted({4: said})
    (lost,) = ask(engine, row(4, index=2), tries=4)
    assert not lost.captions
    (failure,) = lost.failures
    assert (failure.stage, failure.reason, failure.unit) == (Stage.VLM, reason, 2)
    assert (failure.start_seconds, failure.end_seconds) == (8.0, 12.0)
    assert "4 times" in failure.message
    assert len(engine.calls) == 4
    assert len({how.seed for _, how in engine.calls}) == 4
    if isinstance(said, str):
        assert [cost.items for cost in lost.costs if cost.stage == "vlm_input_tokens"] == [400]


def test_an_answer_that_is_cut_off_gets_more_room() -> None:
    """What was only too long is asked for again as it was, with twice the length."""

    def long(how: Generation) -> Answer:
        enough = how.max_new_tokens >= 640
        return Answer("A man speaks. He walks" + " away." * enough, enough, 100, 64, how.max_new_tokens)

    engine = Scripted({4: long})
    (done,) = ask(engine, row(4))
    assert texts([done]) == ["A man speaks. He walks away."]
    assert [how.max_new_tokens for _, how in engine.calls] == [160, 320, 640]
    assert {how.temperature for _, how in engine.calls} == {0.0}
    assert done.captions[0].output_tokens == 160 + 320 + 640
    assert not done.failures


def test_the_beginning_of_an_endless_answer_is_kept_and_told() -> None:
    """Whole sentences stay, with a doubt; that the rest is missing is a failure."""
    (done,) = ask(Scripted({4: Answer("A man speaks. Then he tur", False, 100, 64, 160)}), row(4), tries=1)
    assert texts([done]) == ["A man speaks."]
    assert done.captions[0].doubts == [AnswerDoubt.CUT_OFF]
    assert reasons([done]) == [Reason.CUT_OFF]
    assert "vision.max_new_tokens" in done.failures[0].message


def test_a_try_that_fails_does_not_take_the_one_before_along() -> None:
    """What was whole of the first answer stays when the engine dies at the second."""

    def dies(how: Generation) -> Answer:
        if how.max_new_tokens > 160:
            raise InputError(Reason.TIMEOUT, "Nothing came.")
        return Answer("A man speaks. Then he tur", False, 100, 64, 160)

    (done,) = ask(Scripted({4: dies}), row(4))
    assert texts([done]) == ["A man speaks."]
    assert done.captions[0].tries == 2
    assert reasons([done]) == [Reason.CUT_OFF]


def test_a_transcription_may_be_eight_times_as_long() -> None:
    """Prompts of both kinds are asked apart, each with its own limit and text."""
    engine = Scripted()
    rows = ask(engine, row(1), row(2, index=1, prompt="read"))
    limits = {colours[0]: how.max_new_tokens for colours, how in engine.calls}
    assert limits == {1: 160, 2: 1280}
    assert rows[1].captions[0].prompt_version == load_prompt("read").version


def test_copying_is_doubted_in_captions_only() -> None:
    """Whoever writes on a slide what the caption shall be is found out."""
    quote = "The best product of all that money can buy in this year."
    rows = ask(Scripted({1: quote, 2: quote}), row(1, seen=quote), row(2, index=1, prompt="read", seen=quote))
    assert [one.captions[0].doubts for one in rows] == [[AnswerDoubt.COPIED], []]


def test_pictures_that_were_not_planned_are_a_failure() -> None:
    """They are not shown, and the others are."""
    wrong = replace(row(1), shown=[Shown(3, 3, bytes(27), 5.0)])
    unknown = row(2, index=1, prompt="caption")
    assert unknown.unit.look is not None
    unknown = replace(unknown, unit=replace(unknown.unit, look=replace(unknown.unit.look, prompt="poem")))
    plain = replace(row(3), unit=Unit(2, UnitKind.SPAN))
    rows = ask(Scripted(), wrong, unknown, plain, row(4, index=3))
    assert reasons(rows) == [Reason.INTERNAL] * 3
    assert texts(rows) == ["A picture in the shade number 4."]
    assert all(not one.shown for one in rows)


def test_without_an_engine_pictures_are_put_down() -> None:
    """Nothing is asked where vision is off."""
    (done,) = Vlm(Config())([row(1)])
    assert done == replace(row(1), shown=[])


def test_the_engine_is_released_once() -> None:
    """By close, or when nobody holds the stage any more."""
    engine = Scripted()
    stage = Vlm(Config(), engine)
    stage.close()
    stage.close()
    assert engine.closed == 1
    other = Scripted()
    Vlm(Config(), other)([row(1)])
    assert other.closed == 1


def test_prompts_of_a_folder_reach_the_model_and_the_caption(tmp_path: Path) -> None:
    """The version of what was asked stands with what was answered."""
    (tmp_path / "caption.md").write_text("{pictures}\n\nWhat is this?", encoding="utf-8")
    (done,) = ask(Scripted(), row(1), prompts=str(tmp_path))
    assert done.captions[0].prompt_version == load_prompt("caption", str(tmp_path)).version
    with pytest.raises(ConfigError):
        ask(Scripted(), row(1), prompts=str(tmp_path / "missing"))


def test_answers_given_elsewhere_are_judged_alike() -> None:
    """One answer, no second try, pictures gone already."""
    prompts = all_prompts(Config().vision)
    bare = replace(row(1), shown=[])

    def judged(outcome: Answer | InputError) -> Perception:
        return finish(bare, outcome, prompts=prompts, name="vllm:m", revision="2", seconds=0.5)

    good = judged(Answer("```\nA dog runs.\n```", True, 120, None, 8))
    assert texts([good]) == ["A dog runs."]
    assert (good.captions[0].engine, good.captions[0].visual_tokens, good.captions[0].tries) == (
        "vllm:m",
        None,
        1,
    )
    assert good.costs[0].seconds == 0.5
    assert reasons([judged(Answer("", True, 120, None, 0))]) == [Reason.NO_ANSWER]
    assert reasons([judged(InputError(Reason.LOST, "Gone."))]) == [Reason.LOST]
    assert reasons(
        [
            finish(
                replace(bare, unit=Unit(0, UnitKind.SPAN)),
                Answer("", True, 1, 1, 1),
                prompts=prompts,
                name="",
                revision="",
            )
        ]
    ) == [Reason.INTERNAL]


def test_a_genuine_engine_counts_what_was_planned(tmp_path: Path) -> None:
    """Of a Qwen2-VL with random weights, each look ends as words or as a failure, at the planned cost."""
    import torch
    from transformers import Qwen2VLForConditionalGeneration

    from operators.text_tokens import text_counter
    from operators.vision_transformers import TransformersVisionEngine
    from operators.visual_tokens import rule_of_folder
    from tests.tiny_vlm import build_checkpoint, model_config, store_weights

    torch.manual_seed(0)
    store_weights(
        Qwen2VLForConditionalGeneration(model_config()).state_dict(), tmp_path / "random.safetensors"
    )
    folder = build_checkpoint(tmp_path / "model", tmp_path / "random.safetensors")
    count, rule = text_counter(folder), rule_of_folder(folder)
    rows = []
    for index, size in enumerate([(112, 84), (56, 56), (140, 84)]):
        visual = sum(rule.count([size, size]))
        glances = [Glance(*size, visual // 2, at) for at in (1.0, 2.0)]
        look = Look(index, glances, "caption", "de", "Guten Tag", "", visual, 0, 1024)
        text = sum(count(part) for part in lay_out(look, load_prompt("caption")) if isinstance(part, str))
        shown = [Shown(*size, bytes([60 * index]) * (3 * size[0] * size[1]), at) for at in (1.0, 2.0)]
        unit = Unit(index, UnitKind.LOOK, look=replace(look, text_tokens=text))
        rows.append(Perception(ASSET, unit, shown=shown))
    engine = TransformersVisionEngine(
        folder, name="transformers:tiny", revision="1", precision="float32", threads=1, gpu=False
    )
    config = Config.model_validate(
        {"vision": {"max_new_tokens": 8, "tries": 1}, "resources": {"vision_batch": 3}}
    )
    stage = Vlm(config, engine)
    for one, done in zip(rows, stage(rows), strict=True):
        assert one.unit.look is not None
        assert len(done.captions) + len(done.failures) >= 1
        assert not done.shown
        (used,) = (cost.items for cost in done.costs if cost.stage == "vlm_input_tokens")
        planned = one.unit.look.visual_tokens + one.unit.look.text_tokens
        # The chat template puts two marks about each picture, and a system message and roles about all.
        assert planned <= used <= planned + 40
        assert all(caption.visual_tokens == one.unit.look.visual_tokens for caption in done.captions)
    stage.close()
