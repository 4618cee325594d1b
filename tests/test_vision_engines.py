"""Which vision-language model is chosen, what it is called, and where it can do no harm."""

import ctypes
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from operators import vision_isolated
from operators.generating_child import OnDevice
from operators.isolate import Bounds
from operators.vision_engine import Answer, Generation, Request, VisionEngine
from operators.vision_engines import (
    check_vision,
    context_of,
    load_vision,
    text_counter_of,
    token_rule_of,
    vision_name,
    vision_revision,
)
from operators.vision_isolated import IsolatedVisionEngine, vision_engine
from schemas.config import Limits, Vision, load_config
from schemas.failure import InputError, Reason

QWEN = "Qwen/Qwen2-VL-2B-Instruct"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SERVER = "http://127.0.0.1:8000/v1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model as a folder."""
    # Children import this file, and need no PyTorch for it.
    from tests.test_vision_models import random_checkpoint

    return random_checkpoint(tmp_path_factory.mktemp("vision"))


def vision(engine: str = "transformers", **changes: object) -> Vision:
    """Make the section."""
    return Vision.model_validate({"engine": engine, **changes})


def server(**changes: object) -> Vision:
    """Make the section for a server."""
    return vision("openai", **{"base_url": SERVER, "model": "sees", **changes})


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "gpu", "says"),
    [
        (vision(), False, ("vision.model", QWEN, "folder")),
        (vision(model="Qwen2-VL-2B-Instuct"), False, ("owner", f"Did you mean {QWEN}?")),
        (vision(model="a/b/c"), False, ("owner", "'a/b/c'")),
        (vision(model="../../etc/x y"), False, None),  # a folder; whether it is there is asked later
        (vision(model=QWEN), False, None),
        (vision(model=QWEN, precision="float16"), False, ("vision.precision=float16", "vision_gpus", "auto")),
        (vision(model=QWEN, precision="float16"), True, None),
        (vision(model=QWEN, precision="float16"), None, None),
        (vision(model=QWEN, precision="bfloat16"), False, None),
        (server(), False, None),
        (server(base_url=None), False, ("vision.base_url", "http://127.0.0.1:8000/v1")),
        (server(base_url="ftp://host/v1"), False, ("http or https",)),
        (server(base_url="127.0.0.1:8000/v1"), False, ("http or https",)),
        (server(base_url="http://host:port/v1"), False, ("http or https",)),
        (server(base_url="http://"), False, ("http or https",)),
        (server(model=None), False, ("vision.model", f"{SERVER}/models")),
        (server(precision="float16"), False, ("vision.precision=float16", "server")),
        (Vision(), False, None),
    ],
)
def test_what_cannot_run_is_refused_by_name(
    section: Vision, gpu: bool | None, says: Sequence[str] | None
) -> None:
    """Without disk or network, and saying what was wanted and what to do."""
    problem = check_vision(section, gpu)
    assert (problem is None) == (says is None), problem
    for part in says or ():
        assert part in str(problem)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it; vLLM is wanted on GPUs alone."""
    gone = {"torch", "vllm"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in gone else object())
    assert "Wanted torch for" in str(check_vision(vision(model=QWEN)))
    assert "pip install 'gloss[transformers]'" in str(check_vision(vision(model=QWEN)))
    assert "pip install 'gloss[vllm]'" in str(check_vision(vision("vllm", model=QWEN), gpu=True))
    gone.clear()
    assert "resources.vision_gpus=0" in str(check_vision(vision("vllm", model=QWEN), gpu=False))
    assert check_vision(vision("vllm", model=QWEN), gpu=True) is None


@pytest.mark.parametrize(
    "address",
    [
        "https://me:hunter2@host/v1",
        "https://hunter2@host/v1",
        "https://host/v1?key=hunter2",
        "https://host/v1#hunter2",
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    """The configuration is stored with the run, so a key must come from the environment."""
    problem = str(check_vision(server(base_url=address)))
    assert "vision.api_key_env=OPENAI_API_KEY" in problem
    assert "hunter2" not in problem
    assert "hunter2" not in vision_revision(server(base_url=address))


# --- names and revisions --------------------------------------------------------------------


def test_captions_bear_engine_and_model(folder: Path) -> None:
    """Without the owner of a repository, and without the place of a folder."""
    assert vision_name(vision(model=QWEN)) == "transformers:Qwen2-VL-2B-Instruct"
    assert vision_name(vision("vllm", model=QWEN)) == "vllm:Qwen2-VL-2B-Instruct"
    assert vision_name(vision(model=str(folder))) == "transformers:tiny-sight"
    assert vision_name(server(model="org/sees:4b")) == "openai:org/sees:4b"
    assert vision_name(Vision()) == "off"


def test_a_revision_names_libraries_and_weights() -> None:
    """A pinned commit is not looked for on this node."""
    revision = vision_revision(vision(model=QWEN, revision=COMMIT))
    assert revision.startswith("transformers-5.")
    assert " torch-2." in revision
    assert revision.endswith(f" Qwen2-VL-2B-Instruct@{COMMIT[:12]}")
    assert vision_revision(Vision()) == "off"


def test_the_revision_of_a_server_is_what_and_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another model or place may say something else; patience, haste and keys change no words."""
    monkeypatch.setenv("MY_KEY", "hunter2")
    first = vision_revision(server())
    assert first == "openai 127.0.0.1:8000/v1 sees"
    same = server(timeout_seconds=5, requests_per_minute=7, concurrency=3, api_key_env="MY_KEY")
    assert vision_revision(same) == first
    assert vision_revision(server(base_url=f"{SERVER}/")) == first
    assert vision_revision(server(model="other")) != first
    assert vision_revision(server(base_url="http://other:8000/v1")) != first


# --- what it costs --------------------------------------------------------------------------


def test_costs_are_told_by_the_checkpoint(folder: Path) -> None:
    """Of pictures, of text and of both together."""
    section = vision(model=str(folder))
    config = json.loads((folder / "config.json").read_text())
    text = config.get("text_config", config)
    assert context_of(section) == text["max_position_embeddings"]
    (tokens,) = token_rule_of(section).count([(280, 280)])
    assert tokens > 0
    assert 0 < text_counter_of(section)("a red square") <= 12


def test_costs_of_a_server_are_told_by_the_family_that_is_named() -> None:
    """28 pixels of a side make a token of the Qwen2-VL family; without one, tiles as OpenAI counts them."""
    assert context_of(server()) is None
    assert token_rule_of(server(family="qwen2_vl")).count([(280, 280)]) == [100]
    assert token_rule_of(server()).count([(280, 280)]) != [100]
    assert text_counter_of(server())("a red square") >= 3
    assert token_rule_of(vision("vllm", model=QWEN, family="qwen2_vl")).count([(280, 280)]) == [100]


# --- loading --------------------------------------------------------------------------------


def test_what_runs_in_no_worker_is_not_loaded_there() -> None:
    """None at all, and what Ray runs itself."""
    for section in (Vision(), vision("vllm", model=QWEN)):
        with pytest.raises(ValueError, match=f"vision.engine={section.engine}"):
            load_vision(section, 1)
    with pytest.raises(ValueError, match=r"vision\.model"):
        load_vision(vision(), 1)


def test_a_server_is_asked_from_the_worker_itself_and_workers_share_its_pace() -> None:
    """Its client needs no child, and ten requests a minute are ten of all workers together."""
    settings = ["vision.engine=openai", f"vision.base_url={SERVER}", "vision.model=sees"]
    config = load_config(settings=[*settings, "vision.requests_per_minute=10"])
    given: list[float | None] = []

    def load(
        section: Vision, threads: int, gpu: bool, requests_per_minute: float | None = None
    ) -> VisionEngine:
        given.append(requests_per_minute)
        return load_vision(section, threads, gpu, requests_per_minute)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vision_isolated, "load_vision", load)
        engine = vision_engine(config, workers=4)
        vision_engine(load_config(settings=settings), workers=4)
    assert not isinstance(engine, IsolatedVisionEngine)
    assert engine.name == "openai:sees"
    assert given == [2.5, 0.0]


def test_a_model_answers_from_its_child(folder: Path) -> None:
    """The same words as in this process, and the child is gone after."""
    config = load_config(settings=["vision.engine=transformers", f"vision.model={folder}"])
    requests = [request(side) for side in (56, 84)]
    how = Generation(max_new_tokens=8)
    here = load_vision(config.vision, 1).generate(requests, how)
    engine = vision_engine(config)
    assert isinstance(engine, IsolatedVisionEngine)
    assert (engine.name, engine.revision) == (vision_name(config.vision), vision_revision(config.vision))
    assert not engine.is_running
    assert engine.generate(requests, how) == here
    pid = engine.pid
    assert pid is not None
    engine.close()
    assert not engine.is_running
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# --- isolation ------------------------------------------------------------------------------

BOUNDS = replace(Bounds.of(Limits(unit_seconds=2)), memory_bytes=1 << 30, may_write=True)
HOW = Generation(max_new_tokens=120)


class Dangerous:
    """Does what the text of a request says; else tells its process and the sum of the pixels."""

    name = revision = "dangerous"

    def generate(self, requests: Sequence[Request], how: Generation) -> list[Answer | InputError]:
        """Answer, unless a request is poison."""
        answers: list[Answer | InputError] = []
        for request in requests:
            words, pixels = request.parts
            assert isinstance(pixels, np.ndarray)
            match words:
                case "crash":
                    ctypes.string_at(0)
                case "hang":
                    time.sleep(600)
                case "balloon":
                    np.zeros(4 << 30, np.uint8)
                case "declined":
                    answers.append(InputError(Reason.REFUSAL, "it would not"))
                    continue
            answers.append(Answer(f"{os.getpid()} {int(pixels.sum())}", True, None, None, how.max_new_tokens))
        return answers


def on_device() -> VisionEngine:
    """Load it as the child of a GPU does."""
    return OnDevice(Dangerous(), vision_isolated.ADVICE)


def request(side: int = 64, words: str = "What is it?") -> Request:
    """Ask about a square of one grey, cut out of a larger picture."""
    pixels = np.full((side + 10, side + 10, 3), 3, np.uint8)[5:-5, 5:-5]
    return Request([words, pixels], visual_tokens=4, text_tokens=8, times=[None])


@pytest.fixture
def dangerous() -> Iterator[IsolatedVisionEngine]:
    """The dangerous engine where it cannot do harm."""
    made = IsolatedVisionEngine("dangerous", "1", BOUNDS, Dangerous)
    yield made
    made.close()


def test_pixels_arrive_whole_and_one_child_answers_all(dangerous: IsolatedVisionEngine) -> None:
    """Small and large pictures, one outcome for each request, in order, from one process."""
    assert dangerous.generate([], HOW) == []
    assert not dangerous.is_running
    sides = (8, 1200, 64)
    answers = dangerous.generate([request(side) for side in sides], HOW)
    assert answers == [
        Answer(f"{dangerous.pid} {3 * 3 * side * side}", True, None, None, 120) for side in sides
    ]
    declined, fine = dangerous.generate([request(words="declined"), request()], HOW)
    assert isinstance(declined, InputError)
    assert declined.reason == Reason.REFUSAL
    assert isinstance(fine, Answer)
    assert fine.text.startswith(f"{dangerous.pid} ")


@pytest.mark.parametrize(
    ("poison", "reason"), [("crash", Reason.CRASHED), ("balloon", Reason.MEMORY), ("hang", Reason.TIMEOUT)]
)
def test_what_kills_the_child_costs_its_batch(
    dangerous: IsolatedVisionEngine, poison: str, reason: Reason
) -> None:
    """The caller lives, is told why, and the next batch is answered."""
    dangerous.gpu = True  # so that a second answers for a request
    with pytest.raises(InputError) as caught:
        dangerous.generate([request(), request(words=poison)], HOW)
    assert caught.value.reason == reason
    assert isinstance(dangerous.generate([request()], HOW)[0], Answer)


def test_a_gpu_without_memory_for_a_batch_keeps_its_weights() -> None:
    """The error comes back from the same child: loading again would take a minute."""
    engine = IsolatedVisionEngine("dangerous", "1", BOUNDS, on_device, gpu=True)
    try:
        engine.start()
        pid = engine.pid
        with pytest.raises(InputError, match="vision_batch_tokens") as caught:
            engine.generate([request(words="balloon")], HOW)
        assert caught.value.reason == Reason.MEMORY
        assert engine.pid == pid
    finally:
        engine.close()


def test_a_batch_has_the_time_of_its_requests_and_on_cpus_of_its_tokens(
    dangerous: IsolatedVisionEngine,
) -> None:
    """Twice as many have twice the time; without a GPU long questions and answers have more."""
    alone = dangerous._shares([request()], HOW)
    assert alone > 2.0
    assert dangerous._shares([request()] * 3, HOW) == pytest.approx(3 * alone)
    assert dangerous._shares([request()], replace(HOW, max_new_tokens=1200)) == pytest.approx(alone + 9)
    long = replace(request(), visual_tokens=1204)
    assert dangerous._shares([long], HOW) == pytest.approx(alone + 1)
    dangerous.gpu = True
    assert dangerous._shares([request()] * 3, HOW) == 3


def test_weights_that_a_node_cannot_get_are_an_error_of_the_input() -> None:
    """The run goes on, and says so for each look."""
    settings = ["vision.engine=transformers", f"vision.model={QWEN}", f"vision.revision={COMMIT}"]
    engine = vision_engine(load_config(settings=settings))
    with pytest.raises(InputError, match=r"weights on this node.*not in the cache"):
        engine.generate([request()], HOW)
