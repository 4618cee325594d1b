"""Rows on their way to vLLM and back, through Ray's own classes; vLLM itself wants a GPU.

What stands in for it (`tests.looking_stage`) answers from the pictures that arrive.
"""

import asyncio
import importlib.util
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray.data

from cluster.session import session
from cluster.vllm import add_vllm, build_vllm
from operators.prompts import load_prompt
from operators.vision_engine import Answer, Generation, Request
from operators.vision_vllm import (
    ERROR,
    PASSES,
    VllmRows,
    answer_of,
    pack,
    processor_arguments,
    question_of,
    unpack,
)
from schemas.arrow import from_table, to_table
from schemas.config import Config
from schemas.failure import InputError, Reason
from schemas.look import Glance, Look, Shown
from schemas.media import Asset, Kind, Unit, UnitKind
from schemas.perception import Perception, View
from tests.openai_server import COLOURS

Row = dict[str, Any]

needs_aiohttp = pytest.mark.skipif(
    importlib.util.find_spec("aiohttp") is None, reason="ray.data.llm imports aiohttp, which ray[llm] brings"
)

ASSET = Asset("a", "v", "file:///talk.mp4", Kind.VIDEO, 1, "fingerprint", "hash")

CONFIG = Config.model_validate(
    {
        "vision": {
            "engine": "vllm",
            "model": "/models/looker",
            "family": "qwen2_vl",
            "max_visual_tokens": 512,
            "max_quoted_tokens": 256,
            "max_new_tokens": 40,
            "max_frames": 6,
            "max_details": 2,
            "seed": 5,
        },
        "resources": {"vision_gpus": 1, "vision_cpus": 0.25, "decode_cpus": 0.25, "vision_batch": 4},
    }
)


def rows_of(config: Config = CONFIG) -> VllmRows:
    """What takes rows there and back."""
    return VllmRows(config, name="vllm:looker", revision="r1")


def look(*colours: str, index: int = 0, prompt: str = "caption") -> Perception:
    """A look at frames of these colours, one a second."""
    glances = [Glance(6, 4, 16, float(place)) for place in range(len(colours))]
    plan = Look(index, glances, prompt, "en", visual_tokens=16 * len(colours), text_tokens=50)
    unit = Unit(index, UnitKind.LOOK, 0.0, 9.0, look=plan)
    shown = [
        Shown(6, 4, np.full((4, 6, 3), COLOURS[colour], np.uint8).tobytes(), float(place))
        for place, colour in enumerate(colours)
    ]
    return Perception(ASSET, unit, shown=shown)


def other(index: int) -> Perception:
    """A row with nothing to be shown."""
    unit = Unit(index, UnitKind.SPAN, 0.0, 9.0)
    return Perception(ASSET, unit, views=[View(64, 48, time_seconds=1.0)], sampled=3, unit_id="u")


def answered(text: str, tokens: int = 7, error: str = "") -> Row:
    """Columns as Ray's stage gives them."""
    columns = {"generated_text": text, "num_generated_tokens": tokens, "num_input_tokens": 90}
    return {**columns, "time_taken_llm": 0.25, "metrics": {}, ERROR: error}


# --- one row ---------------------------------------------------------------------------------


def test_a_question_has_places_for_its_pictures_in_order() -> None:
    """Text and places stand in the order of the request; the pictures beside them, exactly."""
    red, blue = (np.full((4, 6, 3), COLOURS[name], np.uint8) for name in ("red", "blue"))
    request = Request(["First:", red, "Then:", blue, "Say."], 32, 9, [0.0, 1.0])
    question = question_of(request, Generation(40, 0.0, 5, 1.1))
    assert question["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "First:"},
                {"type": "image"},
                {"type": "text", "text": "Then:"},
                {"type": "image"},
                {"type": "text", "text": "Say."},
            ],
        }
    ]
    assert [np.asarray(one).tolist() for one in question["multimodal_data"]["image"]] == [
        red.tolist(),
        blue.tolist(),
    ]
    assert question["sampling_params"] == {
        "max_tokens": 40,
        "temperature": 0.0,
        "seed": 5,
        "repetition_penalty": 1.1,
    }


def test_a_row_to_be_asked_goes_without_its_pixels_twice() -> None:
    """Pixels travel as pictures only; all else of the row stays whole."""
    row = rows_of().to_ray({"perception": pack(look("red", "blue"))})
    assert row[ERROR] == ""
    assert unpack(row["perception"]) == replace(look("red", "blue"), shown=[])
    assert [one.size for one in row["multimodal_data"]["image"]] == [(6, 4), (6, 4)]
    assert row["sampling_params"]["max_tokens"] == 40


def test_a_transcription_gets_more_room() -> None:
    """`read` may answer eight times as long as `caption`, here as with other engines."""
    row = rows_of().to_ray({"perception": pack(look("red", prompt="read"))})
    assert row["sampling_params"]["max_tokens"] == 320


def test_a_row_with_nothing_to_show_passes_by() -> None:
    """It is marked as Ray marks rows in error, and comes back as it was."""
    rows, before = rows_of(), other(3)
    row = rows.to_ray({"perception": pack(before)})
    assert row == {"perception": pack(before), ERROR: PASSES}
    assert answer_of(row, 40) is None


def test_a_look_that_cannot_be_asked_is_a_failure_and_passes_by() -> None:
    """A picture that is missing is told before the engine sees the row."""
    broken = look("red", "blue")
    row = rows_of().to_ray({"perception": pack(replace(broken, shown=broken.shown[:1]))})
    assert row[ERROR] == PASSES
    [failure] = unpack(row["perception"]).failures
    assert failure.reason == Reason.INTERNAL


def test_an_answer_is_read_from_rays_columns() -> None:
    """Text and tokens are those of the stage; pictures are not told apart."""
    assert answer_of(answered("Red."), 40) == Answer("Red.", True, 90, None, 7)


@pytest.mark.parametrize(("tokens", "finished"), [(39, True), (40, False), (41, False)])
def test_an_answer_as_long_as_it_may_be_was_cut_off(tokens: int, finished: bool) -> None:
    """Ray hands on no reason why an answer ended."""
    answer = answer_of(answered("Red", tokens), 40)
    assert isinstance(answer, Answer)
    assert answer.finished is finished


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            "ValueError: The decoder prompt (length 900) is longer than the maximum model length of 512.",
            "too_large",
        ),
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "memory"),
        ("RuntimeError: something else", "internal"),
    ],
)
def test_an_error_of_the_stage_has_a_reason(error: str, reason: str) -> None:
    """What vLLM raises for one row becomes the reason of its failure, and its text is kept."""
    outcome = answer_of(answered("", 0, error), 40)
    assert isinstance(outcome, InputError)
    assert outcome.reason == reason
    assert error.rstrip(".") in outcome.message


def test_columns_of_another_release_are_told() -> None:
    """A row without the columns of an answer is a failure, not an exception."""
    outcome = answer_of({ERROR: ""}, 40)
    assert isinstance(outcome, InputError)
    assert outcome.reason == Reason.INTERNAL


def test_packing_loses_nothing() -> None:
    """A row comes out of its bytes as it went in, pixels and times included."""
    for perception in (look("red", "blue"), other(2)):
        assert unpack(pack(perception)) == perception
    table = to_table(Perception, [look("red"), other(1)])
    assert [unpack(value) for value in rows_of().packed(table)["perception"].to_pylist()] == [
        look("red"),
        other(1),
    ]


# --- settings --------------------------------------------------------------------------------


def test_the_engine_holds_what_the_budget_can_need_and_trusts_nothing() -> None:
    """Length and pictures are bounded by the configuration; no code and no pickles are loaded."""
    engine = processor_arguments(CONFIG, "/models/looker")["engine_kwargs"]
    assert engine["max_model_len"] == 512 + 256 + 1024 + 40
    assert engine["limit_mm_per_prompt"] == {"image": 8}
    assert engine["trust_remote_code"] is False
    assert engine["load_format"] == "safetensors"
    assert (engine["dtype"], engine["seed"]) == ("bfloat16", 5)


@pytest.mark.parametrize(
    ("gpus", "parallel", "memory", "bundles"),
    [(1, 1, 0.9, None), (2, 2, 0.9, None), (0.5, 1, 0.45, [{"CPU": 1, "GPU": 0.5}])],
)
def test_gpus_are_shared_or_joined(
    gpus: float, parallel: int, memory: float, bundles: list[dict[str, float]] | None
) -> None:
    """Several GPUs hold one model together; of a shared one only the share is filled."""
    config = CONFIG.model_copy(
        update={"resources": CONFIG.resources.model_copy(update={"vision_gpus": gpus})}
    )
    arguments = processor_arguments(config, "/models/looker")
    engine = arguments["engine_kwargs"]
    assert (engine["tensor_parallel_size"], engine["gpu_memory_utilization"]) == (parallel, memory)
    assert arguments.get("placement_group_config", {}).get("bundles") == bundles


@needs_aiohttp
def test_rays_own_classes_take_the_settings() -> None:
    """The processor is built as far as it can be without vLLM: chat template, then engine, once each."""
    from ray.data.llm import vLLMEngineProcessorConfig

    arguments = processor_arguments(CONFIG, "/models/looker", workers=2)
    settings = vLLMEngineProcessorConfig(**arguments)
    assert settings.should_continue_on_error
    assert settings.get_concurrency() == {"min_size": 2, "max_size": 2}
    assert settings.batch_size * settings.max_concurrent_batches >= 256
    assert set(arguments) <= set(vLLMEngineProcessorConfig.model_fields)


@needs_aiohttp
def test_rays_processor_has_the_stages_and_bounded_retries(ray_cluster: None) -> None:
    """No row is handed to one engine after the other without end."""
    processor: Any = build_vllm(processor_arguments(CONFIG, "/models/looker"), rows_of(), {"num_cpus": 0.25})
    assert processor.list_stage_names() == ["ChatTemplateStage", "vLLMEngineStage"]
    for name in processor.list_stage_names():
        settings = processor.get_stage_by_name(name).map_batches_kwargs
        assert (settings["max_restarts"], settings["max_task_retries"]) == (-1, 0)
    assert processor.get_stage_by_name("vLLMEngineStage").map_batches_kwargs["num_gpus"] == 1


@needs_aiohttp
def test_rays_chat_template_puts_pictures_in_their_places(tmp_path: Path) -> None:
    """Ray's own stage lays out a look by the template of Qwen2-VL, a mark for each picture."""
    from ray.llm._internal.batch.stages.chat_template_stage import ChatTemplateUDF
    from transformers import PreTrainedTokenizerFast

    from tests.tiny_vlm import CHAT_TEMPLATE, VOCABULARY

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(VOCABULARY))  # type: ignore[no-untyped-call]
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(tmp_path)
    stage = ChatTemplateUDF("__data", ["messages"], model=str(tmp_path))
    row = rows_of().to_ray({"perception": pack(look("red", "blue"))})

    async def run() -> Row:
        [batch] = [out async for out in stage({"__data": [row]})]
        [out] = batch["__data"]
        return dict(out)

    out = asyncio.run(run())
    mark = "<|vision_start|><|image_pad|><|vision_end|>"
    assert out["prompt"].count(mark) == 2
    before, between, _ = out["prompt"].split(mark)
    assert before.endswith("Picture at 0:00:\n")
    assert between.strip() == "Picture at 0:01:"
    assert len(out["multimodal_data"]["image"]) == 2


# --- the graph -------------------------------------------------------------------------------


@pytest.fixture
def _cluster(ray_cluster: None) -> Iterator[None]:
    """Ray Data as a run sets it up."""
    with session(Config()):
        yield


def through_ray(*perceptions: Perception, careful: bool = False) -> dict[int, Perception]:
    """Send rows through the graph; by unit, whatever their order."""
    from tests.looking_stage import build_looking

    tables = [to_table(Perception, [perception]) for perception in perceptions]
    dataset: ray.data.Dataset = ray.data.from_arrow(tables)
    arguments = processor_arguments(CONFIG, "/models/looker", careful=careful)
    dataset = add_vllm(dataset, arguments, rows_of(), cpus=0.25, build=build_looking)
    back: dict[int, Perception] = {}
    for table in dataset.iter_batches(batch_format="pyarrow", batch_size=None):
        back |= {perception.unit.index: perception for perception in from_table(Perception, table)}
    return back


@needs_aiohttp
@pytest.mark.usefixtures("_cluster")
def test_every_row_comes_back_with_its_own_words() -> None:
    """Looks get captions of their own pictures, a refused one a failure, other rows pass untouched."""
    sent = [
        look("red", "blue", index=0),
        other(1),
        look("green", index=2),
        look("yellow", index=3),
        other(4),
        look("black", "white", "red", index=5),
        look("blue", index=6),
    ]
    back = through_ray(*sent)
    assert sorted(back) == list(range(7))
    texts = {index: [one.text for one in row.captions] for index, row in back.items()}
    assert texts == {
        0: ["One after the other the frames are red and blue."],
        1: [],
        2: [],
        3: ["One after the other the frames are yellow."],
        4: [],
        5: ["One after the other the frames are black and white and red."],
        6: ["One after the other the frames are blue."],
    }
    assert [back[1], back[4]] == [sent[1], sent[4]]
    assert [(failure.reason, "too green" in failure.message) for failure in back[2].failures] == [
        (Reason.INTERNAL, True)
    ]
    assert not any(row.shown for row in back.values())
    [caption] = back[0].captions
    assert (caption.engine, caption.revision, caption.input_tokens) == ("vllm:looker", "r1", 90)
    assert caption.prompt_version == load_prompt("caption").version


@needs_aiohttp
@pytest.mark.usefixtures("_cluster")
def test_rows_of_which_none_is_to_be_shown_come_back() -> None:
    """A batch without a question starts no stage's work."""
    sent = [other(index) for index in range(3)]
    assert through_ray(*sent) == dict(enumerate(sent))


@needs_aiohttp
@pytest.mark.usefixtures("_cluster")
def test_a_look_that_kills_its_engine_is_alone_where_care_is_taken() -> None:
    """The engine is started again, the look is not tried without end, and its neighbours get words."""
    back = through_ray(
        look("red", index=0), look("purple", index=1), look("blue", index=2), other(3), careful=True
    )
    assert sorted(back) == [0, 2, 3]
    assert [len(back[index].captions) for index in (0, 2)] == [1, 1]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Ray's warnings of what it will take away are known (`cluster.stage`)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        yield
