"""Finding, fetching, pinning and refusing the weights of vision-language models."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from jobs.cli import app
from jobs.doctor import examine
from jobs.settle import settle
from operators.checkpoint_files import CheckpointError
from operators.commit import put_run
from operators.hub import ModelError
from operators.hub_weights import is_folder
from operators.lake import Lake
from operators.vision_engines import vision_name, vision_revision
from operators.vision_models import WEIGHTS, installed_vision, resolve_vision, vision_folder
from schemas.config import Config, ConfigError, Vision, load_config
from tests.fake_hub import FakeHub, fake_hub
from tests.rows import NOW, run_row
from tests.tiny_vlm import build_checkpoint, model_config

REPO = "Qwen/Qwen2-VL-2B-Instruct"
KEY = "hunter2-0123456789"


def random_checkpoint(root: Path) -> Path:
    """Make a folder with a tiny model of random weights."""
    from safetensors.torch import save_file
    from transformers import Qwen2VLForConditionalGeneration

    torch.manual_seed(0)
    state = Qwen2VLForConditionalGeneration(model_config()).state_dict()
    kept = {name: tensor.contiguous() for name, tensor in state.items() if name != "lm_head.weight"}
    save_file(kept, root / "random.safetensors")
    return build_checkpoint(root / "tiny-sight", root / "random.safetensors")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a checkpoint once."""
    return random_checkpoint(tmp_path_factory.mktemp("models"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """Serve a hub to this process, which has an empty cache."""
    with fake_hub() as served:
        point(monkeypatch, served.url, tmp_path)
        yield served


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Let the hub be an address at which nobody listens."""
    address = f"http://127.0.0.1:{free_port()}"
    point(monkeypatch, address, tmp_path)
    return address


def free_port() -> int:
    """Find a port at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def point(monkeypatch: pytest.MonkeyPatch, address: str, folder: Path) -> None:
    """Do what HF_ENDPOINT and HF_HUB_CACHE do when the client is imported."""
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


def contents(folder: Path) -> dict[str, bytes]:
    """Read the files of a model, and put some beside them that no engine needs."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | {
        "README.md": b"a model",
        "pytorch_model.bin": b"x" * 1000,
        "consolidated.safetensors": b"x" * 1000,
        "modeling_custom.py": b"raise SystemExit",
        "tokenization_custom.py": b"raise SystemExit",
    }


def quiet(sentence: str) -> None:
    """Drop what is said."""


def vision(**changes: object) -> Vision:
    """Make the section."""
    return Vision.model_validate({"engine": "transformers", **changes})


def config(*settings: str) -> Config:
    """Configure a run with this engine."""
    return load_config(settings=["vision.engine=transformers", *settings])


# --- folders --------------------------------------------------------------------------------


def test_a_folder_is_pinned_by_what_is_in_it(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The revision of a folder is a digest of what the engine reads, wherever it lies."""
    monkeypatch.chdir(made.parent)
    first = resolve_vision(config(f"vision.model=./{made.name}"), pytest.fail).vision
    assert first.model == str(made)
    assert first.revision == WEIGHTS.digest(made)
    assert vision_name(first) == "transformers:tiny-sight"
    assert vision_revision(first).endswith(f" tiny-sight@{WEIGHTS.digest(made)[:12]}")
    copy = shutil.copytree(made, tmp_path / "copy")
    (copy / "README.md").write_text("not read by an engine")
    assert WEIGHTS.digest(copy) == first.revision
    (copy / "chat_template.jinja").write_text("{{ 'another' }}")
    assert WEIGHTS.digest(copy) != first.revision


def test_a_folder_that_changed_after_the_start_is_not_loaded(made: Path, tmp_path: Path) -> None:
    """A worker loads the weights that the run began with, or none."""
    copy = shutil.copytree(made, tmp_path / "copy")
    pinned = resolve_vision(config(f"vision.model={copy}"), quiet).vision
    assert vision_folder(pinned) == copy
    (copy / "generation_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="were changed"):
        vision_folder(pinned)
    # A new run takes the folder as it is now.
    again = resolve_vision(config(f"vision.model={copy}", "vision.revision=old"), quiet)
    assert again.vision.revision == WEIGHTS.digest(copy)


Damage = Callable[[Path], object]


def drop(name: str) -> Damage:
    """Remove a file."""
    return lambda folder: (folder / name).unlink()


def put(name: str, data: bytes) -> Damage:
    """Write a file."""
    return lambda folder: (folder / name).write_bytes(data)


def pickled(folder: Path) -> None:
    """Put pickles in the place of safetensors."""
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def text_alone(folder: Path) -> None:
    """Describe a model of text."""
    (folder / "config.json").write_text(
        json.dumps({"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]})
    )


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (pickled, "safetensors"),
        (text_alone, "qwen2"),
        (put("config.json", b"{"), "config.json"),
        (put("model.safetensors", b""), "model.safetensors"),
        (drop("config.json"), "config.json"),
    ],
)
def test_a_folder_that_no_engine_can_read_is_refused_before_the_first_item(
    made: Path, tmp_path: Path, damage: Damage, says: str
) -> None:
    """By its name, with what is wrong."""
    folder = shutil.copytree(made, tmp_path / "mine")
    damage(folder)
    with pytest.raises(ConfigError, match=says) as caught:
        resolve_vision(config(f"vision.model={folder}"), quiet)
    assert "mine" in str(caught.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, no_hub: str) -> None:
    """It is not taken for a name on the hub."""
    with pytest.raises(ConfigError, match=str(tmp_path / "none")):
        resolve_vision(config(f"vision.model={tmp_path / 'none'}"), pytest.fail)
    assert is_folder("./none")
    assert not is_folder(REPO)


# --- names ----------------------------------------------------------------------------------


def test_a_model_is_fetched_pinned_and_found_again(hub: FakeHub, made: Path) -> None:
    """Pickles, code and second copies are not fetched; once here, the network is not needed."""
    commit = hub.put(REPO, contents(made))
    said: list[str] = []
    first = resolve_vision(config(f"vision.model={REPO}"), said.append)
    assert (first.vision.model, first.vision.revision) == (REPO, commit)
    (notice,) = said
    assert REPO in notice
    assert "MB" in notice
    assert {path.name for path in vision_folder(first.vision).iterdir()} == {
        path.name for path in made.iterdir()
    }
    assert vision_name(first.vision) == "transformers:Qwen2-VL-2B-Instruct"
    assert vision_revision(first.vision).endswith(f" Qwen2-VL-2B-Instruct@{commit[:12]}")
    hub.asked.clear()
    # The hub has moved on; the cache has not.
    hub.put(REPO, contents(made) | {"new": b""})
    assert resolve_vision(config(f"vision.model={REPO}"), pytest.fail) == first
    assert WEIGHTS.revision(REPO, None) == commit
    assert not hub.asked
    (held,) = installed_vision()
    assert (held.name, held.revision, held.refs, held.problem) == (REPO, commit, ("main",), None)
    assert held.bytes == sum(path.stat().st_size for path in made.iterdir())


def test_a_revision_that_is_pinned_is_the_one_that_is_fetched(hub: FakeHub, made: Path) -> None:
    """A worker on a node without the weights fetches the commit of the driver, not the newest."""
    old = hub.put(REPO, contents(made))
    hub.put(REPO, contents(made) | {"generation_config.json": b"{}"})
    assert vision_folder(vision(model=REPO, revision=old)).name == old
    with pytest.raises(ModelError, match="it has none such"):
        WEIGHTS.find(REPO, "f" * 40, quiet)


def test_weights_in_parts_are_fetched_whole(
    hub: FakeHub, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transfer that broke off between two parts is not taken for a model."""
    from transformers import Qwen2VLForConditionalGeneration

    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    folder = shutil.copytree(made, tmp_path / "parts")
    (folder / "model.safetensors").unlink()
    Qwen2VLForConditionalGeneration.from_pretrained(made).save_pretrained(folder, max_shard_size="1MB")
    parts = {path.name for path in folder.glob("model-*.safetensors")}
    assert len(parts) > 1
    commit = hub.put(REPO, contents(folder))
    fetched = vision_folder(vision(model=REPO))
    (fetched / min(parts)).resolve().unlink()
    (fetched / min(parts)).unlink()
    with pytest.raises(CheckpointError, match=f"pull --vision {REPO}"):
        WEIGHTS.revision(REPO, None)
    hub.breaks_at = 1000
    with pytest.raises(ConfigError, match="broke off"):
        resolve_vision(config(f"vision.model={REPO}"), quiet)
    assert installed_vision() == []
    hub.breaks_at = None
    assert resolve_vision(config(f"vision.model={REPO}"), quiet).vision.revision == commit
    assert parts <= {path.name for path in vision_folder(vision(model=REPO)).iterdir()}


def test_pulling_mends_what_was_damaged_in_the_cache(hub: FakeHub, made: Path) -> None:
    """A damaged file is refused before the run, and the message names the command that mends it."""
    hub.put(REPO, contents(made))
    folder = vision_folder(vision(model=REPO))
    weights = (folder / "model.safetensors").resolve()
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ConfigError, match=f"gloss models pull --vision {REPO}"):
        resolve_vision(config(f"vision.model={REPO}"), quiet)
    assert CliRunner().invoke(app, ["models", "pull", "--vision", REPO]).exit_code == 0
    assert resolve_vision(config(f"vision.model={REPO}"), quiet).vision.revision == folder.name


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model.safetensors": None}, "pickles alone"),
        ({"model.safetensors": None, "pytorch_model.bin": None}, "no safetensors"),
        ({"preprocessor_config.json": None, "processor_config.json": None}, "no model of pictures"),
        ({"config.json": None}, "no config.json"),
    ],
)
def test_a_repository_of_another_kind_is_refused_before_it_is_fetched(
    hub: FakeHub, made: Path, changes: dict[str, None], says: str
) -> None:
    """Gigabytes that no engine could read are not fetched."""
    files = contents(made)
    hub.put(
        REPO, {name: data for name, data in files.items() if name not in changes and "consol" not in name}
    )
    with pytest.raises(ConfigError, match=says) as caught:
        resolve_vision(config(f"vision.model={REPO}"), pytest.fail)
    assert REPO in str(caught.value)
    assert not hub.asked


def test_a_model_of_text_is_refused_by_what_it_says_it_is(hub: FakeHub, made: Path, tmp_path: Path) -> None:
    """A description of another kind of model is refused, though all files are there."""
    folder = shutil.copytree(made, tmp_path / "text")
    text_alone(folder)
    hub.put(REPO, contents(folder))
    with pytest.raises(ConfigError, match=f"qwen2.*{REPO}"):
        resolve_vision(config(f"vision.model={REPO}"), quiet)
    assert installed_vision() == []


def test_several_workers_of_a_node_fetch_once(hub: FakeHub, made: Path, tmp_path: Path) -> None:
    """Processes that begin together share one transfer and one cache."""
    commit = hub.put(REPO, contents(made))
    code = (
        "from operators.vision_models import vision_folder; from schemas.config import Vision; "
        f"print(vision_folder(Vision(engine='vllm', model='{REPO}', revision='{commit}')).name)"
    )
    environment = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "shared"), "HOME": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    workers = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    assert [worker.communicate(timeout=60)[0].strip() for worker in workers] == [commit] * 2
    assert hub.asked["model.safetensors"] == 1


# --- without a network ----------------------------------------------------------------------


def test_without_a_network_a_model_is_refused_with_what_to_do(no_hub: str) -> None:
    """An engine that is named has to run: captions are never left out unasked."""
    with pytest.raises(ConfigError, match="not in the cache") as caught:
        resolve_vision(config(f"vision.model={REPO}"), pytest.fail)
    for part in (REPO, no_hub, f"gloss models pull --vision {REPO}", "vision.model=FOLDER"):
        assert part in str(caught.value)
    with pytest.raises(CheckpointError, match="not in the cache"):
        vision_folder(vision(model=REPO))


def test_a_model_has_to_be_named(no_hub: str) -> None:
    """There is no default that would fetch gigabytes."""
    with pytest.raises(ConfigError, match=r"vision\.model.*found none"):
        resolve_vision(config(), pytest.fail)


def test_vision_that_is_off_asks_nobody(no_hub: str) -> None:
    """Nothing is looked for and nothing said."""
    off = load_config()
    assert resolve_vision(off, pytest.fail) is off
    assert vision_revision(off.vision) == "off"


# --- servers --------------------------------------------------------------------------------


@contextmanager
def chat_server(*models: dict[str, str], seen: list[str] | None = None) -> Iterator[str]:
    """Serve a list of models and nothing else; give its address."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def do_GET(self) -> None:
            if seen is not None:
                seen.append(self.headers.get("Authorization") or "")
            self._send(200, {"object": "list", "data": list(models)})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._send(404, {"error": {"message": "no such model", "code": 404}})

        def _send(self, status: int, value: dict[str, Any]) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def asks(base_url: str, model: str = "sees", *settings: str) -> Config:
    """Configure a run that asks a server."""
    wanted = ["vision.engine=openai", f"vision.base_url={base_url}", f"vision.model={model}"]
    return load_config(settings=[*wanted, *settings])


def test_a_server_is_asked_before_the_run(no_hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is behind a name is written down where the server says; no weights are looked for here."""
    monkeypatch.setenv("MY_KEY", KEY)
    seen: list[str] = []
    models = ({"id": "sees"}, {"id": "alias", "root": "Qwen/Qwen2-VL-2B-Instruct"})
    with chat_server(*models, seen=seen) as url:
        plain = resolve_vision(asks(url, "sees", "vision.api_key_env=MY_KEY"), pytest.fail).vision
        alias = resolve_vision(asks(url, "alias"), pytest.fail).vision
        with pytest.raises(ConfigError, match="found sees, alias") as caught:
            resolve_vision(asks(url, "sess", "vision.api_key_env=MY_KEY"), pytest.fail)
    place = url.removeprefix("http://")
    assert plain.revision == ""
    assert vision_revision(plain) == f"openai {place} sees"
    assert vision_revision(alias) == f"openai {place} alias@Qwen/Qwen2-VL-2B-Instruct"
    assert vision_name(plain) == "openai:sees"
    assert f"Bearer {KEY}" in seen
    for text in (plain.model_dump_json(), repr(plain), vision_revision(plain), str(caught.value)):
        assert KEY not in text


def test_a_server_that_is_not_there_is_refused_in_seconds() -> None:
    """By its address, before the first item."""
    address = f"http://127.0.0.1:{free_port()}/v1"
    began = time.monotonic()
    with pytest.raises(ConfigError, match=address):
        resolve_vision(asks(address), pytest.fail)
    assert time.monotonic() - began < 10


# --- a lake that has captions ---------------------------------------------------------------


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    lake = Lake(str(tmp_path / "lake"))
    lake.create()
    return lake


def remember(lake: Lake, hour: int, config: Config) -> None:
    """Write down that a run began at some hour with this configuration."""
    began = NOW + timedelta(hours=hour)
    put_run(lake, run_row(run_id=f"run-{hour}", started_at=began, config=config.model_dump_json()))


def test_a_lake_keeps_the_weights_that_captioned_it(hub: FakeHub, made: Path, lake: Lake) -> None:
    """A model that was published anew does not make all captions again; naming a revision does."""
    wanted = config(f"vision.model={REPO}", "speech.engine=off")
    old = hub.put(REPO, contents(made))
    first = settle(wanted, lake)
    assert first.vision.revision == old
    remember(lake, 0, first)
    remember(lake, 1, load_config(settings=["speech.engine=off"]))  # which did not look at all
    new = hub.put(REPO, contents(made) | {"generation_config.json": b"{}"})
    # The cache was emptied, so that `main` would be the newest.
    shutil.rmtree(Path(hub_cache()))
    assert settle(wanted, lake).vision.revision == old
    newest = config(f"vision.model={REPO}", "speech.engine=off", "vision.revision=main")
    assert settle(newest, lake).vision.revision == new
    # Another engine reads the same weights; another model has others.
    remember(lake, 2, config(f"vision.model={REPO}", f"vision.revision={new}"))
    assert settle(wanted, lake).vision.revision == new
    remember(lake, 3, config("vision.model=some/other", f"vision.revision={old}"))
    assert settle(wanted, lake).vision.revision == new


def hub_cache() -> str:
    """Find the cache of this test."""
    from operators.hub import cache_folder

    return cache_folder()


def test_what_cannot_run_is_refused_before_speech_is_fetched(hub: FakeHub, lake: Lake) -> None:
    """A wrong setting is found in no time."""
    with pytest.raises(ConfigError, match=r"vision\.model"):
        settle(config("speech.engine=faster-whisper"), lake)
    assert not hub.asked


# --- gloss models and gloss doctor ----------------------------------------------------------


def test_models_are_pulled_and_listed(hub: FakeHub, made: Path) -> None:
    """`pull --vision` prints where a model lies; `list` shows it, and the folder that is configured."""
    commit = hub.put(REPO, contents(made))
    run = CliRunner()
    pulled = run.invoke(app, ["models", "pull", "--vision", REPO])
    assert pulled.exit_code == 0
    assert commit in pulled.stdout
    chosen = ["--set", "vision.engine=transformers", "--set"]
    listed = run.invoke(app, ["models", "list", "--format", "json", *chosen, f"vision.model={made}"])
    held = json.loads(listed.stdout)["held"]
    assert [(one["use"], one["model"], one["revision"], one["configured"]) for one in held] == [
        ("vision", str(made), WEIGHTS.digest(made), True),
        ("vision", REPO, commit, False),
    ]
    assert held[1]["bytes"] == sum(path.stat().st_size for path in made.iterdir())
    shown = run.invoke(app, ["models", "list", *chosen, f"vision.model={REPO}"])
    assert shown.exit_code == 0
    assert REPO in shown.stdout
    assert "configured" in shown.stdout


def test_pulling_says_what_is_wrong(no_hub: str, made: Path) -> None:
    """1 when the hub cannot be asked; wrong names and engines are wrong usage."""
    run = CliRunner()
    assert run.invoke(app, ["models", "pull", "--vision", REPO]).exit_code == 1
    for arguments in (["Qwen2-VL-2B-Instruct"], [REPO, "--engine", "faster-whisper"], [str(made)]):
        failed = run.invoke(app, ["models", "pull", "--vision", *arguments])
        assert isinstance(failed.exception, ConfigError)


def test_doctor_says_which_models_could_look(hub: FakeHub, made: Path) -> None:
    """Engines, whether torchvision is wanted, and the weights that are here."""
    empty = {check.name: check for check in examine()}
    assert empty["vision.engine=transformers"].ok
    assert empty["vision.engine=openai"].ok
    assert not empty["vision weights"].ok
    assert "gloss models pull --vision" in empty["vision weights"].advice
    assert "shown as pictures" in empty["torchvision"].found
    hub.put(REPO, contents(made))
    vision_folder(vision(model=REPO))
    assert {check.name: check.found for check in examine()}["vision weights"] == REPO
