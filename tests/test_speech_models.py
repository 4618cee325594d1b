"""Finding, fetching, pinning and refusing the weights of speech models."""

import json
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from jobs.cli import app
from operators.checkpoint_files import CheckpointError
from operators.hub import ModelError
from operators.speech_checkpoints import check_checkpoint
from operators.speech_engines import check_engine, engine_revision, load_engine, speech_name
from operators.speech_models import (
    ENGINES,
    fetch,
    find_model,
    folder_digest,
    installed_models,
    is_folder,
    model_folder,
    offers,
    repository,
    resolve_speech,
)
from schemas.config import ConfigError, Speech, load_config
from tests.fake_hub import FakeHub, fake_hub
from tests.tiny_whisper import (
    build_checkpoint,
    convert_checkpoint,
    make_tokenizer,
    model_config,
    trained_ids,
)

SMALL = "Systran/faster-whisper-small"
ORIGINAL = "openai/whisper-small"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make a checkpoint of random weights for each engine."""
    from safetensors.torch import save_file
    from transformers import WhisperForConditionalGeneration

    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    network = WhisperForConditionalGeneration(model_config(len(trained_ids(make_tokenizer()))))
    state = {name: weights for name, weights in network.state_dict().items() if name != "proj_out.weight"}
    save_file(state, root / "compact.safetensors")
    original = build_checkpoint(root / "original", root / "compact.safetensors")
    return {
        "transformers": original,
        "faster-whisper": convert_checkpoint(original, root / "converted"),
    }


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """Serve a hub to this process, which has an empty cache."""
    with fake_hub() as served:
        _point(monkeypatch, served.url, tmp_path)
        yield served


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Let the hub be an address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    _point(monkeypatch, address, tmp_path)
    return address


def _point(monkeypatch: pytest.MonkeyPatch, address: str, folder: Path) -> None:
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
        "pytorch_model.bin.index.json": b"{}",
        "tf_model.h5": b"x" * 1000,
    }


def quiet(sentence: str) -> None:
    """Drop what is said."""


def speech(engine: str = "faster-whisper", **changes: object) -> Speech:
    """Make the section."""
    return Speech.model_validate({"engine": engine, **changes})


# --- folders --------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_a_folder_is_pinned_by_what_is_in_it(made: dict[str, Path], engine: str, tmp_path: Path) -> None:
    """The revision of a folder is a digest of what the engine reads, wherever it lies."""
    config = load_config(settings=[f"speech.engine={engine}", f"speech.model={made[engine]}"])
    first = resolve_speech(config, quiet)
    assert first.speech.revision == folder_digest(made[engine], engine)
    copy = shutil.copytree(made[engine], tmp_path / "copy")
    (copy / "README.md").write_text("not read by an engine")
    assert folder_digest(copy, engine) == first.speech.revision
    (copy / "config.json").write_text((copy / "config.json").read_text() + "\n")
    assert folder_digest(copy, engine) != first.speech.revision
    assert speech_name(first.speech) == f"{engine}:{made[engine].name}"
    assert str(first.speech.revision)[:12] in engine_revision(first.speech)


def test_a_folder_that_changed_after_the_start_is_not_loaded(made: dict[str, Path], tmp_path: Path) -> None:
    """A worker loads the weights that the run began with, or none."""
    copy = shutil.copytree(made["faster-whisper"], tmp_path / "copy")
    pinned = resolve_speech(load_config(settings=[f"speech.model={copy}"]), quiet).speech
    assert model_folder(pinned) == copy
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"changed": True}))
    with pytest.raises(CheckpointError, match="were changed"):
        load_engine(pinned, 1)
    # A new run takes the folder as it is now.
    again = resolve_speech(load_config(settings=[f"speech.model={copy}", "speech.revision=old"]), quiet)
    assert again.speech.revision == folder_digest(copy, "faster-whisper")


Damage = Callable[[Path], object]


def cut(name: str, left: int) -> Damage:
    """Cut a file short."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:left])


def drop(*names: str) -> Damage:
    """Remove files."""

    def remove(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return remove


def put(name: str, data: bytes) -> Damage:
    """Write a file."""
    return lambda folder: (folder / name).write_bytes(data)


def edit(name: str, **changes: object) -> Damage:
    """Change keys of a JSON file; null removes one."""

    def change(folder: Path) -> None:
        value = json.loads((folder / name).read_text()) | changes
        kept = {key: item for key, item in value.items() if item is not None}
        (folder / name).write_text(json.dumps(kept))

    return change


def other_spec(folder: Path) -> None:
    """Name another kind of model in the header of model.bin."""
    data = (folder / "model.bin").read_bytes()
    length = struct.unpack("<H", data[4:6])[0]
    (folder / "model.bin").write_bytes(
        data[:4] + data[4:6] + b"OtherSpec\0\0\0"[:length] + data[6 + length :]
    )


def shifted_tokens(folder: Path) -> None:
    """Give every token of the tokenizer the number of another."""
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace("<|transcribe|>", "<|translated|>"))


BROKEN: list[tuple[str, str, Damage, str]] = [
    ("faster-whisper", "cut", cut("model.bin", 100_000), "cut short"),
    ("faster-whisper", "last byte", cut("model.bin", -1), "cut short"),
    ("faster-whisper", "empty", put("model.bin", b""), "cut short"),
    ("faster-whisper", "noise", put("model.bin", b"x" * 1000), "none of CTranslate2"),
    ("faster-whisper", "other model", other_spec, "not Whisper"),
    ("faster-whisper", "no tokenizer", drop("tokenizer.json"), "no tokenizer.json"),
    ("faster-whisper", "bad tokenizer", put("tokenizer.json", b"{"), "cannot be read"),
    ("faster-whisper", "tokens", shifted_tokens, "another model"),
    ("faster-whisper", "no vocabulary", drop("vocabulary.json"), "no vocabulary"),
    ("faster-whisper", "bad config", put("config.json", b"{"), "no JSON"),
    ("faster-whisper", "no heads", edit("config.json", alignment_heads=None), "alignment_heads"),
    ("faster-whisper", "no languages", edit("config.json", lang_ids=[]), "lang_ids"),
    ("faster-whisper", "mels", edit("preprocessor_config.json", feature_size=128), "128 mel bands"),
    ("faster-whisper", "no weights", drop("model.bin"), "found config.json"),
    ("transformers", "cut", cut("model.safetensors", 100_000), "cut short"),
    ("transformers", "last byte", cut("model.safetensors", -1), "cut short"),
    ("transformers", "empty", put("model.safetensors", b""), "cut short"),
    ("transformers", "noise", put("model.safetensors", b"x" * 1000), "cut short"),
    ("transformers", "other model", edit("config.json", model_type="wav2vec2"), "not whisper"),
    ("transformers", "other width", edit("config.json", d_model=128), "do not fit config.json"),
    ("transformers", "more layers", edit("config.json", decoder_layers=9), "do not fit config.json"),
    ("transformers", "no tokenizer", drop("tokenizer.json"), "no tokenizer"),
    ("transformers", "no features", drop("preprocessor_config.json"), "no preprocessor_config.json"),
    ("transformers", "no weights", drop("model.safetensors"), "found config.json"),
]


@pytest.mark.parametrize(("engine", "damage", "found"), [(e, d, f) for e, _, d, f in BROKEN],
                         ids=[f"{e}-{n}" for e, n, _, _ in BROKEN])  # fmt: skip
def test_a_folder_that_cannot_be_read_is_refused_by_name(
    made: dict[str, Path], tmp_path: Path, engine: str, damage: Damage, found: str
) -> None:
    """The message says which folder, what was wanted, what was found and what to do."""
    folder = shutil.copytree(made[engine], tmp_path / "broken")
    damage(folder)
    config = load_config(settings=[f"speech.engine={engine}", f"speech.model={folder}"])
    with pytest.raises(ConfigError, match=found) as refused:
        resolve_speech(config, quiet)
    message = str(refused.value)
    assert message.startswith(f"Wanted a Whisper model for {engine} in {folder}; found ")
    assert "speech.engine=" in message


def test_a_folder_for_the_other_engine_is_refused(made: dict[str, Path], tmp_path: Path) -> None:
    """A folder for transformers given to faster-whisper comes with the way to convert it, and the reverse."""
    with pytest.raises(CheckpointError, match="ct2-transformers-converter"):
        check_checkpoint(made["transformers"], "faster-whisper")
    with pytest.raises(CheckpointError, match=r"converted for faster-whisper .*speech.engine=faster-whisper"):
        check_checkpoint(made["faster-whisper"], "transformers")
    pickled = shutil.copytree(made["transformers"], tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model.bin alone.*save_pretrained"):
        check_checkpoint(pickled, "transformers")


def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    """A folder that is not there is an error also for the engine `auto`, which was given it."""
    config = load_config(settings=[f"speech.model={tmp_path / 'none'}"])
    with pytest.raises(ConfigError, match=r"none; found nothing"):
        resolve_speech(config, quiet)


def test_weights_in_parts_are_read(made: dict[str, Path], tmp_path: Path) -> None:
    """Large checkpoints come as several files with an index; one that is missing is named."""
    from transformers import WhisperForConditionalGeneration

    folder = shutil.copytree(made["transformers"], tmp_path / "parts")
    (folder / "model.safetensors").unlink()
    network = WhisperForConditionalGeneration.from_pretrained(made["transformers"])
    network.save_pretrained(folder, max_shard_size="10MB")
    parts = sorted(folder.glob("model-*.safetensors"))
    assert len(parts) > 1
    check_checkpoint(folder, "transformers")
    parts[0].unlink()
    with pytest.raises(CheckpointError, match=parts[0].name):
        check_checkpoint(folder, "transformers")


# --- names ----------------------------------------------------------------------------------


def test_what_is_a_name_and_what_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in the way does not change what a known name means."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    (tmp_path / "mine").mkdir()
    assert [is_folder(model) for model in ("small", "openai/whisper-small")] == [False, False]
    assert [is_folder(model) for model in ("mine", "./small", "/no/where", "~/x")] == [True] * 4
    assert repository("small", "faster-whisper") == SMALL
    assert repository("small", "transformers") == ORIGINAL
    assert repository("turbo", "transformers") == "openai/whisper-large-v3-turbo"
    for offer in offers():
        for engine in ENGINES:
            assert repository(offer.name, engine).count("/") == 1
    with pytest.raises(ConfigError, match="Did you mean small"):
        repository("smal", "faster-whisper")


@pytest.mark.parametrize(("engine", "repo"), [("faster-whisper", SMALL), ("transformers", ORIGINAL)])
def test_a_model_is_fetched_pinned_and_found_again(
    hub: FakeHub, made: dict[str, Path], engine: str, repo: str
) -> None:
    """What an engine does not read is not fetched; once here, the network is not needed."""
    commit = hub.put(repo, contents(made[engine]))
    said: list[str] = []
    config = load_config(settings=[f"speech.engine={engine}"])
    first = resolve_speech(config, said.append)
    assert first.speech.revision == commit
    assert first.speech.model == "small"
    assert len(said) == 1
    assert repo in said[0]
    assert "MB" in said[0]
    fetched = {path.name for path in model_folder(first.speech).iterdir()}
    assert fetched == {path.name for path in made[engine].iterdir()}
    hub.asked.clear()
    # The hub has moved on; the cache has not.
    hub.put(repo, contents(made[engine]) | {"new": b""})
    assert resolve_speech(config, said.append) == first
    assert not hub.asked
    assert len(said) == 1
    (held,) = installed_models()
    assert (held.name, held.engine, held.revision, held.problem) == (repo, engine, commit, None)
    assert held.bytes == sum(path.stat().st_size for path in made[engine].iterdir())


def test_a_revision_that_is_pinned_is_the_one_that_is_fetched(hub: FakeHub, made: dict[str, Path]) -> None:
    """A worker on a node without the weights fetches the commit of the driver, not the newest."""
    old = hub.put(SMALL, contents(made["faster-whisper"]))
    hub.put(SMALL, contents(made["faster-whisper"]) | {"config.json": b"{}"})
    assert model_folder(speech(model="small", revision=old)).name == old
    assert find_model(speech(model="small", revision=old), quiet) == old
    with pytest.raises(ModelError, match="it has none such"):
        find_model(speech(model="small", revision="f" * 40), quiet)


def test_a_hub_that_breaks_off_leaves_nothing_half(
    hub: FakeHub, made: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a file is not taken for a model, and the next try goes on from there."""
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    hub.put(SMALL, contents(made["faster-whisper"]))
    hub.breaks_at = 1_000_000
    with pytest.raises(ModelError, match="broke off"):
        find_model(speech(model="small"), quiet)
    assert installed_models() == []
    hub.breaks_at = None
    assert find_model(speech(model="small"), quiet)


def test_a_transfer_that_is_cut_goes_without_speech_if_nobody_asked_for_it(
    hub: FakeHub, made: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine `auto` says what is left out, and the run goes on."""
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    hub.put(SMALL, contents(made["faster-whisper"]))
    hub.breaks_at = 1000
    said: list[str] = []
    assert resolve_speech(load_config(), said.append).speech.engine == "off"
    assert "broke off" in said[-1]
    assert "gloss models pull small" in said[-1]


def test_bytes_that_are_not_what_the_hub_states_are_refused(hub: FakeHub, made: dict[str, Path]) -> None:
    """The checksum is compared, not only the size; what differs does not stay."""
    hub.put(SMALL, contents(made["faster-whisper"]))
    hub.spoils.add("model.bin")
    with pytest.raises(ModelError, match=r"model.bin came twice with another checksum"):
        find_model(speech(model="small"), quiet)
    assert installed_models() == []
    hub.spoils.clear()
    assert find_model(speech(model="small"), quiet)


def test_pulling_mends_what_was_damaged_in_the_cache(
    hub: FakeHub, made: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged file in the cache is refused before the run, and `gloss models pull` fetches it again."""
    hub.put(SMALL, contents(made["faster-whisper"]))
    folder = fetch(SMALL, "faster-whisper", None, quiet)
    (folder / "model.bin").resolve().write_bytes((folder / "model.bin").read_bytes()[:-100])
    with pytest.raises(ConfigError, match=r"cut short.*gloss models pull small"):
        resolve_speech(load_config(), quiet)
    assert CliRunner().invoke(app, ["models", "pull", "small"]).exit_code == 0
    assert resolve_speech(load_config(), quiet).speech.revision == folder.name


def test_a_repository_for_the_other_engine_is_refused_before_it_is_fetched(
    hub: FakeHub, made: dict[str, Path]
) -> None:
    """Gigabytes that no engine could read are not fetched."""
    hub.put(ORIGINAL, contents(made["transformers"]))
    with pytest.raises(CheckpointError, match=r"speech.engine=transformers"):
        find_model(speech(model=ORIGINAL), quiet)
    hub.put(SMALL, contents(made["faster-whisper"]))
    with pytest.raises(CheckpointError, match=r"speech.engine=faster-whisper"):
        find_model(speech("transformers", model=SMALL), quiet)
    assert not hub.asked


def test_several_workers_of_a_node_fetch_once(hub: FakeHub, made: dict[str, Path], tmp_path: Path) -> None:
    """Processes that begin together share one transfer and one cache."""
    commit = hub.put(SMALL, contents(made["faster-whisper"]))
    code = (
        "from operators.speech_models import model_folder; from schemas.config import Speech; "
        f"print(model_folder(Speech(engine='faster-whisper', model='small', revision='{commit}')).name)"
    )
    environment = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "shared"), "HOME": str(tmp_path)}
    workers = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(3)
    ]
    assert [worker.communicate(timeout=60)[0].strip() for worker in workers] == [commit] * 3
    assert hub.asked["model.bin"] == 1


# --- without a network ----------------------------------------------------------------------


def test_without_a_network_the_default_profile_goes_without_speech_and_says_so(no_hub: str) -> None:
    """Two or three lines: what is missing, what is left out, how to get it, how to silence them."""
    said: list[str] = []
    config = load_config()
    assert resolve_speech(config, said.append).speech == config.speech.model_copy(update={"engine": "off"})
    (notice,) = said
    assert len(notice.splitlines()) == 3
    for part in (SMALL, no_hub, "subtitles alone", "gloss models pull small", "speech.engine=off"):
        assert part in notice


@pytest.mark.parametrize(
    ("profile", "settings"),
    [
        ("cpu", []),
        ("embedded", ["speech.engine=faster-whisper"]),
        ("embedded", ["speech.model=medium"]),
        ("embedded", ["speech.engine=transformers"]),
        ("gpu", []),
    ],
)
def test_without_a_network_what_was_asked_for_is_refused(
    no_hub: str, profile: str, settings: list[str]
) -> None:
    """An engine or a model that is named has to run."""
    with pytest.raises(ConfigError, match=r"not in the cache .* cannot be asked"):
        resolve_speech(load_config(profile, settings=settings), quiet)


def test_a_hub_that_does_not_answer_is_given_up_in_seconds(
    monkeypatch: pytest.MonkeyPatch, no_hub: str
) -> None:
    """A network that swallows what is sent does not hold up the start of a run."""
    monkeypatch.setattr("operators.hub.REACH_SECONDS", 0.5)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(ModelError, match="cannot be asked"):
            find_model(speech(model="small"), quiet)
        assert time.monotonic() - began < 5


def test_offline_is_respected(hub: FakeHub, made: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_HUB_OFFLINE keeps Gloss from asking; what is in the cache is still used."""
    hub.put(SMALL, contents(made["faster-whisper"]))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="offline"):
        find_model(speech(model="small"), quiet)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    commit = find_model(speech(model="small"), quiet)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert find_model(speech(model="small"), quiet) == commit


# --- engines --------------------------------------------------------------------------------


def test_speech_that_is_off_asks_nobody(no_hub: str) -> None:
    """Nothing is looked for and nothing said."""
    config = load_config(settings=["speech.engine=off"])
    assert resolve_speech(config, pytest.fail) is config
    assert check_engine(config.speech) is None
    assert engine_revision(config.speech) == "off"
    with pytest.raises(ValueError, match="off"):
        load_engine(config.speech, 1)


@pytest.mark.parametrize(
    ("engine", "precision", "gpu", "runs"),
    [
        ("faster-whisper", "float16", False, False),
        ("faster-whisper", "bfloat16", False, False),
        ("faster-whisper", "float16", None, True),
        ("faster-whisper", "int8", True, True),
        ("transformers", "int8", True, False),
        ("transformers", "int8", None, False),
        ("transformers", "float16", False, False),
        ("transformers", "bfloat16", True, True),
    ],
)
def test_a_precision_that_would_not_be_computed_is_refused(
    engine: str, precision: str, gpu: bool | None, runs: bool
) -> None:
    """CTranslate2 would take another one without a word."""
    problem = check_engine(speech(engine, precision=precision), gpu)
    assert (problem is None) == runs
    if problem is not None:
        assert f"speech.precision={precision}" in problem
        assert "auto" in problem
    assert ("speech_gpus" in str(problem)) == (not runs and not gpu and precision != "int8")


def test_a_language_that_whisper_has_no_token_for_is_refused() -> None:
    """The nearest code is named."""
    assert check_engine(speech(language="de")) is None
    assert "Did you mean en?" in str(check_engine(speech(language="EN")))
    assert "german" in str(check_engine(speech(language="german")))


def test_a_language_that_the_model_does_not_know_is_refused(made: dict[str, Path], tmp_path: Path) -> None:
    """An English-only model would hear English in everything."""
    english = shutil.copytree(made["faster-whisper"], tmp_path / "tiny.en")
    vocabulary = json.loads((english / "vocabulary.json").read_text())
    (english / "vocabulary.json").write_text(json.dumps(vocabulary[:-1]))
    german = [f"speech.model={english}", "speech.language=de"]
    with pytest.raises(ConfigError, match="English alone"):
        resolve_speech(load_config(settings=german), quiet)
    assert resolve_speech(load_config(settings=[german[0], "speech.language=en"]), quiet).speech.revision
    known = [f"speech.model={made['transformers']}", "speech.engine=transformers", german[1]]
    assert resolve_speech(load_config(settings=known), quiet).speech.language == "de"


# --- gloss models ---------------------------------------------------------------------------


def test_models_are_pulled_and_listed(hub: FakeHub, made: dict[str, Path]) -> None:
    """`pull` prints where a model lies; `list` shows it, and the folder that is configured."""
    commit = hub.put(SMALL, contents(made["faster-whisper"]))
    run = CliRunner()
    pulled = run.invoke(app, ["models", "pull", "small"])
    assert pulled.exit_code == 0
    assert commit in pulled.stdout
    listed = run.invoke(
        app, ["models", "list", "--format", "json", "--set", f"speech.model={made['transformers']}",
              "--set", "speech.engine=transformers"],
    )  # fmt: skip
    value = json.loads(listed.stdout)
    assert [(one["model"], one["engine"], one["configured"]) for one in value["held"]] == [
        (str(made["transformers"]), "transformers", True),
        (SMALL, "faster-whisper", False),
    ]
    assert {"model": "small", "megabytes": {"faster-whisper": 484, "transformers": 967}} in value["available"]
    shown = run.invoke(app, ["models", "list"])
    assert shown.exit_code == 0
    assert SMALL in shown.stdout
    assert "configured" in shown.stdout


def test_pulling_says_what_is_wrong(no_hub: str) -> None:
    """1 when the hub cannot be asked; wrong names and engines are wrong usage."""
    run = CliRunner()
    assert run.invoke(app, ["models", "pull", "small"]).exit_code == 1
    unknown = run.invoke(app, ["models", "pull", "smal"])
    assert isinstance(unknown.exception, ConfigError)
    assert isinstance(run.invoke(app, ["models", "pull", "small", "--engine", "x"]).exception, ConfigError)
