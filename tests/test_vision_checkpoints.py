"""A folder that would not load is refused before, by the name of what is wrong."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from operators.checkpoint_files import CheckpointError
from operators.vision_checkpoints import check_vision_checkpoint, context_of, context_tokens
from tests.vision_families import CONTEXT, FAMILIES, build_family


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a folder that loads."""
    return build_family("qwen2_vl", tmp_path_factory.mktemp("genuine"))


@pytest.fixture
def folder(genuine: Path, tmp_path: Path) -> Path:
    """Copy it, to be damaged."""
    return Path(shutil.copytree(genuine, tmp_path / "model"))


def change(name: str, **values: Any) -> Callable[[Path], None]:
    """Change what a file of JSON says."""

    def damage(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), encoding="utf-8")

    return damage


def remove(*names: str) -> Callable[[Path], None]:
    """Remove files."""

    def damage(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return damage


def write(name: str, content: bytes, *gone: str) -> Callable[[Path], None]:
    """Write a file, and remove others."""

    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content)
        remove(*gone)(folder)

    return damage


def cut_short(folder: Path) -> None:
    """Lose the end of the weights."""
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def shard(folder: Path) -> None:
    """Name two files of weights, of which one is there."""
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    named = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": named}), encoding="utf-8")


WEIGHTS = "model.safetensors"
DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no config": (remove("config.json"), r"no config\.json, but"),
    "config is no JSON": (write("config.json", b"{"), r"config\.json that is no JSON"),
    "a model of text": (
        change("config.json", model_type="llama"),
        r"of the type 'llama'\. Take one of a family",
    ),
    "no type": (change("config.json", model_type=None), "of the type None"),
    "code of its own": (
        change("config.json", auto_map={"AutoModel": "modeling.Own"}),
        r"never run \(auto_map in config\.json: AutoModel\)",
    ),
    "code for pictures": (
        change("preprocessor_config.json", auto_map={"AutoImageProcessor": "own.Own"}),
        r"auto_map in preprocessor_config\.json",
    ),
    "code for text": (
        change("tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Own", None]}),
        r"auto_map in tokenizer_config\.json",
    ),
    "no weights": (remove(WEIGHTS), r"no weights \(model\.safetensors\)"),
    "a pickle": (write("pytorch_model.bin", b"\x80", WEIGHTS), "can run any code when it is opened"),
    "cut short": (cut_short, "cut short or damaged"),
    "no shard": (shard, r"no model-00002-of-00002\.safetensors, which .*index\.json names"),
    "only an index": (
        write("model.safetensors.index.json", b'{"weight_map": {"a": "model-1-of-1.safetensors"}}', WEIGHTS),
        r"no model-1-of-1\.safetensors",
    ),
    "no weight in it": (write(WEIGHTS, b"\x02" + bytes(7) + b"{}"), "weights of nothing"),
    "no tokenizer": (remove("tokenizer.json"), "no tokenizer"),
    "no processor": (remove("preprocessor_config.json"), r"no preprocessor_config\.json"),
    "a processor of something else": (
        change("preprocessor_config.json", size=7, min_pixels=None, max_pixels=None),
        "do not say how pictures become tokens",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_refuses_what_would_not_load(damage: str, folder: Path) -> None:
    """The message says where, what was found and what to do."""
    make, message = DAMAGES[damage]
    make(folder)
    with pytest.raises(CheckpointError, match=message) as refused:
        check_vision_checkpoint(folder)
    assert str(folder) in str(refused.value)
    assert str(refused.value).startswith("Wanted a vision-language model")


def test_refuses_what_is_no_folder(tmp_path: Path) -> None:
    """A name that was mistyped, or a file."""
    with pytest.raises(CheckpointError, match=r"found nothing\. Correct vision\.model"):
        check_vision_checkpoint(tmp_path / "none")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CheckpointError, match="found a file"):
        check_vision_checkpoint(tmp_path / "file")


def test_lets_pass_what_loads(folder: Path) -> None:
    """One file or several, and settings of pictures within those of the processor."""
    check_vision_checkpoint(folder)
    inner = json.loads((folder / "preprocessor_config.json").read_text("utf-8"))
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": inner}), encoding="utf-8")
    (folder / "preprocessor_config.json").unlink()
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    named = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(named), encoding="utf-8")
    check_vision_checkpoint(folder)


def test_says_how_much_a_model_takes(folder: Path) -> None:
    """That of the part for text; a config that says nothing is no error, a missing one is."""
    assert context_tokens(folder) == CONTEXT
    assert context_of({"max_position_embeddings": 9}) == 9
    assert context_of({"text_config": {}, "vision_config": {"max_position_embeddings": 5}}) is None
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        context_tokens(folder)


def test_checks_without_torch(folder: Path) -> None:
    """The check runs where a job is submitted, which has no torch."""
    code = (
        "import sys; from pathlib import Path; from operators.vision_checkpoints import *;"
        f"check_vision_checkpoint(Path({str(folder)!r}));"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_knows_a_rule_for_each_family_that_is_built() -> None:
    """All eight families that are named in the documentation."""
    assert set(FAMILIES) == {
        "blip-2",
        "internvl",
        "llava_next_video",
        "llava_onevision",
        "qwen2_5_vl",
        "qwen2_vl",
        "qwen3_vl",
        "smolvlm",
    }
