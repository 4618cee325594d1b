"""Which language model is chosen, what it is called, what it costs, and where it can do no harm."""

import ctypes
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.nodes import one_node
from cluster.resources import plan_workers
from operators import text_isolated
from operators.checkpoint_files import CheckpointError
from operators.generating_child import OnDevice
from operators.isolate import Bounds
from operators.text_engine import Question, TextEngine
from operators.text_engines import (
    chat_tokens_of,
    check_summary,
    context_of,
    load_text,
    room_of,
    summary_name,
    summary_revision,
    text_counter_of,
)
from operators.text_isolated import IsolatedTextEngine, quiet_seconds, text_engine
from operators.text_vllm import VllmTextEngine, sampling_arguments
from operators.vision_engine import Answer, Generation
from schemas.config import Config, ConfigError, Limits, Summary, load_config
from schemas.failure import InputError, Reason
from tests.tiny_lm import CONTEXT, TINY_LM

QWEN = "Qwen/Qwen2.5-1.5B-Instruct"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SERVER = "http://127.0.0.1:8000/v1"


def summary(engine: str = "transformers", **changes: object) -> Summary:
    """Make the section."""
    return Summary.model_validate({"engine": engine, **changes})


def server(**changes: object) -> Summary:
    """Make the section for a server."""
    return summary("openai", **{"base_url": SERVER, "model": "writes", **changes})


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "gpu", "says"),
    [
        (summary(), False, ("summary.model", QWEN, "folder")),
        (summary(model="Qwen2.5-1.5B-Instuct"), False, ("owner", f"Did you mean {QWEN}?")),
        (summary(model=QWEN), False, None),
        (summary(model=QWEN, precision="float16"), False, ("summary.precision=float16", "summary_gpus")),
        (summary(model=QWEN, precision="float16"), True, None),
        (summary(model=QWEN, context_tokens=1024, max_new_tokens=1024), False, ("summary.context_tokens",)),
        (server(), False, None),
        (server(base_url=None), False, ("summary.base_url",)),
        (server(base_url="https://me:hunter2@host/v1"), False, ("summary.api_key_env=OPENAI_API_KEY",)),
        (server(model=None), False, ("summary.model", f"{SERVER}/models")),
        (Summary(), False, None),
        (summary("off"), False, None),
    ],
)
def test_what_cannot_run_is_refused_by_name(
    section: Summary, gpu: bool | None, says: Sequence[str] | None
) -> None:
    """Without disk or network, and saying what was wanted and what to do."""
    problem = check_summary(section, gpu)
    assert (problem is None) == (says is None), problem
    for part in says or ():
        assert part in str(problem)
    assert "hunter2" not in str(problem)
    assert "vision" not in str(problem)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it; vLLM is wanted on GPUs alone."""
    gone = {"torch", "vllm"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in gone else object())
    assert "pip install 'gloss[transformers]'" in str(check_summary(summary(model=QWEN)))
    assert "pip install 'gloss[vllm]'" in str(check_summary(summary("vllm", model=QWEN), gpu=True))
    gone.clear()
    assert "resources.summary_gpus=0" in str(check_summary(summary("vllm", model=QWEN), gpu=False))
    assert check_summary(summary("vllm", model=QWEN), gpu=True) is None


# --- names, revisions and costs -------------------------------------------------------------


def test_summaries_bear_engine_model_and_revision() -> None:
    """Without the owner of a repository; a pinned commit is not looked for on this node."""
    assert summary_name(summary(model=QWEN)) == "transformers:Qwen2.5-1.5B-Instruct"
    assert summary_name(summary(model=str(TINY_LM))) == "transformers:tiny_lm"
    assert summary_name(server(model="org/writes:4b")) == "openai:org/writes:4b"
    assert summary_name(Summary()) == "extractive"
    revision = summary_revision(summary(model=QWEN, revision=COMMIT))
    assert revision.startswith("transformers-5.")
    assert revision.endswith(f" Qwen2.5-1.5B-Instruct@{COMMIT[:12]}")
    assert summary_revision(server(timeout_seconds=5)) == "openai 127.0.0.1:8000/v1 writes"
    assert summary_revision(Summary()) == "off"


def test_costs_are_told_by_the_checkpoint() -> None:
    """The window is the smaller of what is configured and what the model has."""
    section = summary(model=str(TINY_LM))
    assert context_of(section) == CONTEXT == 8192
    assert context_of(section.model_copy(update={"context_tokens": 2000})) == 2000
    assert context_of(section.model_copy(update={"context_tokens": 20_000})) == CONTEXT
    assert text_counter_of(section)("the boat") == 4
    assert 0 < chat_tokens_of(section) < 20
    assert room_of(section) == CONTEXT - chat_tokens_of(section) - section.max_new_tokens


def test_costs_of_a_server_are_never_too_low() -> None:
    """Nobody knows its tokenizer or its template; its window is what is configured."""
    assert context_of(server(context_tokens=4096)) == 4096
    assert text_counter_of(server())("a red square") >= 3
    assert chat_tokens_of(server()) >= 40


# --- checkpoints ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (shutil.rmtree, "found nothing"),
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "any code"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda folder: os.truncate(folder / "model.safetensors", 9000), "cut short"),
        (lambda folder: _describe(folder, architectures=["BertModel"]), "BertModel.*ForCausalLM"),
        (lambda folder: _describe(folder, auto_map={"AutoModel": "x.Y"}), "never run"),
    ],
)
def test_a_folder_that_is_no_language_model_is_refused(change: Any, says: str, tmp_path: Path) -> None:
    """Before it is loaded, by names and headers."""
    folder = shutil.copytree(TINY_LM, tmp_path / "model")
    change(folder)
    with pytest.raises(CheckpointError, match=says):
        summary_revision(summary(model=str(folder)))


def _describe(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# --- loading --------------------------------------------------------------------------------


def test_what_writes_nothing_is_not_loaded() -> None:
    """None at all, and what cannot run."""
    for section in (Summary(), summary("off")):
        with pytest.raises(ValueError, match=f"summary.engine={section.engine}"):
            load_text(section, 1)
    with pytest.raises(ValueError, match=r"summary\.model"):
        load_text(summary(), 1)


def test_workers_share_the_pace_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten requests a minute are ten of all workers together; its client needs no child."""
    settings = ["summary.engine=openai", f"summary.base_url={SERVER}", "summary.model=writes"]
    given: list[float | None] = []

    def load(
        section: Summary, threads: int, gpu: float, requests_per_minute: float | None = None
    ) -> TextEngine:
        given.append(requests_per_minute)
        return load_text(section, threads, gpu, requests_per_minute)

    monkeypatch.setattr(text_isolated, "load_text", load)
    engine = text_engine(load_config(settings=[*settings, "summary.requests_per_minute=10"]), workers=4)
    text_engine(load_config(settings=settings), workers=4)
    assert not isinstance(engine, IsolatedTextEngine)
    assert engine.name == "openai:writes"
    assert given == [2.5, 0.0]


def test_vllm_is_asked_within_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaded by the first question alone, from safetensors and without code of the checkpoint."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    monkeypatch.setattr("operators.model_settings.version", lambda _: "1")
    made = load_text(summary("vllm", model=str(TINY_LM), context_tokens=4096, seed=5), 1, gpu=0.5)
    assert isinstance(made, VllmTextEngine)
    wanted = {"max_model_len": 4096, "gpu_memory_utilization": 0.45, "tensor_parallel_size": 1, "seed": 5}
    assert wanted.items() <= made.arguments.items()
    assert made.arguments["trust_remote_code"] is False
    assert made.arguments["load_format"] == "safetensors"
    assert load_two_gpus().arguments["tensor_parallel_size"] == 2
    assert sampling_arguments(Generation(9, 0.5, 3, 1.1)) == {
        "max_tokens": 9,
        "temperature": 0.5,
        "seed": 3,
        "repetition_penalty": 1.1,
    }


def load_two_gpus() -> VllmTextEngine:
    """Prepare one that spreads over two GPUs."""
    return VllmTextEngine(
        TINY_LM, name="vllm:x", revision="1", precision="auto", context=1024, gpu=2.0, seed=0
    )


def test_what_vllm_says_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the library: what it is given, and how its outputs become answers."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(TINY_LM, local_files_only=True)
    given: dict[str, Any] = {}

    class Llm:
        def get_tokenizer(self) -> object:
            return tokenizer

        def chat(self, chats: Any, **settings: Any) -> list[object]:
            given.update(settings, chats=chats)
            said = [("yes. ", "stop"), ("and so", "length")]
            return [
                SimpleNamespace(
                    prompt_token_ids=[1, 2, 3],
                    outputs=[SimpleNamespace(text=text, finish_reason=reason, token_ids=[4, 5])],
                )
                for text, reason in said
            ]

    monkeypatch.setattr("operators.text_vllm._sampling", lambda question, _: question.schema)
    engine = load_two_gpus()
    monkeypatch.setattr(engine, "_llm", Llm())
    found = engine.generate([Question("a<|im_end|>", 1, {"x": 1}), Question("b", 1)], Generation(2))
    assert found == [Answer("yes.", True, 3, None, 2), Answer("and so", False, 3, None, 2)]
    assert given["sampling_params"] == [{"x": 1}, None]
    contents = [chat[0]["content"] for chat in given["chats"]]
    assert "<|im_end|>" not in contents[0]
    assert contents[1] == "b"


# --- isolation ------------------------------------------------------------------------------

BOUNDS = replace(Bounds.of(Limits(unit_seconds=2)), memory_bytes=1 << 30, may_write=True)
HOW = Generation(max_new_tokens=120)


class Dangerous:
    """Does what a question says; else tells its process."""

    name = revision = "dangerous"

    def generate(self, questions: Sequence[Question], how: Generation) -> list[Answer | InputError]:
        """Answer, unless a question is poison."""
        for question in questions:
            match question.text:
                case "crash":
                    ctypes.string_at(0)
                case "hang":
                    time.sleep(600)
        return [Answer(str(os.getpid()), True, None, None, how.max_new_tokens) for _ in questions]


class Small:
    """A GPU without room."""

    name = revision = "small"

    def generate(self, questions: Sequence[Question], how: Generation) -> list[Answer | InputError]:
        """Answer none."""
        raise MemoryError(len(questions), how.max_new_tokens)


def on_device() -> TextEngine:
    """Load it as the child of a GPU does."""
    return OnDevice(Small(), text_isolated.ADVICE)


@pytest.fixture
def dangerous() -> Iterator[IsolatedTextEngine]:
    """The dangerous engine where it cannot do harm."""
    made = IsolatedTextEngine("dangerous", "1", BOUNDS, Dangerous, gpu=True)
    yield made
    made.close()


def test_what_kills_the_child_costs_its_batch(dangerous: IsolatedTextEngine) -> None:
    """The caller lives, is told why, and the next batch is answered by one child."""
    assert dangerous.generate([], HOW) == []
    assert not dangerous.is_running
    plain = Question("What?", 1)
    for poison, reason in (("crash", Reason.CRASHED), ("hang", Reason.TIMEOUT)):
        with pytest.raises(InputError) as caught:
            dangerous.generate([plain, Question(poison, 1)], HOW)
        assert caught.value.reason == reason
    found = dangerous.generate([plain, plain], HOW)
    assert found == [Answer(str(dangerous.pid), True, None, None, 120)] * 2


def test_a_gpu_without_memory_for_a_batch_keeps_its_weights() -> None:
    """The error comes back from the same child: loading again would take a minute."""
    engine = IsolatedTextEngine("small", "1", BOUNDS, on_device, gpu=True)
    try:
        engine.start()
        pid = engine.pid
        with pytest.raises(InputError, match="summary_batch") as caught:
            engine.generate([Question("What?", 1)], HOW)
        assert caught.value.reason == Reason.MEMORY
        assert engine.pid == pid
    finally:
        engine.close()


def test_long_questions_have_more_time_on_cpus() -> None:
    """All tries included; a server has its patience instead."""
    config = load_config(settings=["summary.engine=transformers", f"summary.model={QWEN}"])
    assert quiet_seconds(config, 4) == pytest.approx(4 * quiet_seconds(config, 1))
    long = load_config(settings=["summary.engine=transformers", "summary.context_tokens=32768"])
    assert quiet_seconds(long, 1) > 2 * quiet_seconds(config, 1)
    gpu = load_config(settings=["summary.engine=transformers", "resources.summary_gpus=1"])
    assert quiet_seconds(gpu, 1) == gpu.limits.unit_seconds * gpu.summary.tries
    asks = load_config(settings=["summary.engine=openai", "summary.patience_seconds=10", "summary.tries=1"])
    assert quiet_seconds(asks, 9) == 2 * (10 + asks.summary.timeout_seconds)


# --- workers --------------------------------------------------------------------------------


def test_workers_fit_the_cluster() -> None:
    """One model for each four threads or GPU share, one caller of a server, a picker for each core."""

    def workers(config: Config, cpus: int, gpus: int) -> int:
        return plan_workers(config, one_node(cpus, gpus)).summary

    here = ["summary.engine=transformers", f"summary.model={QWEN}"]
    assert workers(load_config(settings=here), 16, 0) == 4
    assert workers(load_config(settings=here), 2, 0) == 1
    assert workers(load_config(settings=[*here, "resources.summary_gpus=0.5"]), 16, 2) == 4
    assert workers(load_config(settings=[*here, "resources.summary_workers=3"]), 16, 0) == 3
    assert workers(load_config(settings=["summary.engine=openai"]), 16, 0) == 1
    assert workers(load_config(), 16, 0) == 16
    for settings, says in (
        (["resources.summary_gpus=1"], "resources.summary_gpus wants 1"),
        (["resources.summary_workers=9", "resources.summary_cpus=2"], "resources.summary_cpus=2"),
        (["summary.engine=vllm"], "summary.engine=vllm"),
    ):
        with pytest.raises(ConfigError, match=says):
            workers(load_config(settings=[*here, *settings]), 4, 0)
    assert workers(load_config(settings=here), 4, 0) == 1


# --- before a run ---------------------------------------------------------------------------


def writing(*settings: str) -> Config:
    """Configure the tiny model, without speech."""
    wanted = ["summary.engine=transformers", f"summary.model={TINY_LM}", "speech.engine=off"]
    return load_config(settings=[*wanted, *settings])


def test_a_folder_is_pinned_by_its_digest_and_kept() -> None:
    """Workers load what the driver found, or refuse."""
    from operators.text_models import resolve_summary, text_folder

    resolved = resolve_summary(writing(), pytest.fail)
    assert resolved.summary.model == str(TINY_LM)
    assert text_folder(resolved.summary) == TINY_LM
    with pytest.raises(CheckpointError, match="files were changed"):
        text_folder(resolved.summary.model_copy(update={"revision": "0" * 32}))
    for config in (load_config(), load_config(settings=["summary.engine=off"])):
        assert resolve_summary(config, pytest.fail) is config
    with pytest.raises(ConfigError, match=r"summary\.model.*found none"):
        resolve_summary(load_config(settings=["summary.engine=transformers"]), pytest.fail)


def test_a_model_by_name_is_fetched_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its commit is pinned, later runs of the lake take the same one, and `gloss models` shows it."""
    from typer.testing import CliRunner

    from jobs.cli import app
    from jobs.doctor import examine
    from jobs.settle import settle
    from operators.commit import put_run
    from operators.lake import Lake
    from operators.text_models import installed_text
    from tests.fake_hub import fake_hub
    from tests.rows import NOW, run_row
    from tests.test_vision_models import point

    lake = Lake(str(tmp_path / "lake"))
    lake.create()

    def remember(hour: int, config: Config) -> None:
        began = NOW + timedelta(hours=hour)
        put_run(lake, run_row(run_id=f"run-{hour}", started_at=began, config=config.model_dump_json()))

    files = {path.name: path.read_bytes() for path in TINY_LM.iterdir()}
    wanted = load_config(
        settings=["summary.engine=transformers", "summary.model=me/writer", "speech.engine=off"]
    )
    with fake_hub() as hub:
        point(monkeypatch, hub.url, tmp_path)
        old = hub.put("me/writer", files | {"pytorch_model.bin": b"never fetched"})
        first = settle(wanted, lake)
        assert first.summary.revision == old
        assert "pytorch_model.bin" not in hub.asked
        remember(0, first)
        hub.put("me/writer", files | {"generation_config.json": b"{}"})
        assert settle(wanted, lake).summary.revision == old
        hub.put("me/pickled", {"config.json": b"{}", "pytorch_model.bin": b""})
        with pytest.raises(ConfigError, match="pickles alone"):
            settle(load_config(settings=["summary.engine=transformers", "summary.model=me/pickled"]), lake)
        # The lake has summaries by a model, and nobody said what is to become of them.
        with pytest.raises(ConfigError, match=r"--set summary\.engine=transformers --set summary\.model=me"):
            settle(load_config(settings=["speech.engine=off"]), lake)
        extractive = load_config(settings=["speech.engine=off", "summary.engine=extractive"])
        assert settle(extractive, lake).summary.engine == "extractive"
        run = CliRunner()
        pulled = run.invoke(app, ["models", "pull", "--summary", "me/writer"])
        assert pulled.exit_code == 0, pulled.output
        assert {one.name for one in installed_text()} == {"me/writer"}
        chosen = ["--set", "summary.engine=transformers", "--set"]
        listed = run.invoke(app, ["models", "list", "--format", "json", *chosen, f"summary.model={TINY_LM}"])
        held = json.loads(listed.stdout)["held"]
        assert [(one["use"], one["model"], one["configured"]) for one in held][:2] == [
            ("summary", str(TINY_LM), True),
            ("summary", "me/writer", False),
        ]
        checks = {check.name: check for check in examine()}
    assert "me/writer" in checks["summary weights"].found
    assert checks["summary.engine=transformers"].ok
