"""What several test files share: a Ray cluster, and one ingested lake of the examples."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# No model that happens to lie on this machine, and none from the network, may change what a test
# sees; both are read when huggingface_hub is imported.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_CACHE"] = tempfile.mkdtemp(prefix="no-models-")

from tests.s3_server import environment, free_port, s3  # noqa: F401 - a fixture for all tests

# No credentials of this machine either. The workers of the one cluster must know the test server's
# address before it is started, which is only where a test wants it.
os.environ["GLOSS_TEST_S3_PORT"] = str(free_port())
os.environ.update(environment(int(os.environ["GLOSS_TEST_S3_PORT"])))

import pytest
import ray
from hypothesis import settings

from schemas.config import Config, load_config

# A shared machine may pause a test at any point: time proves nothing about an example.
settings.register_profile("gloss", deadline=None)
settings.load_profile("gloss")

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    """One local cluster of two cores for all tests of a file.

    Where there is none, a run on a small machine goes through threads, four times as fast here: files whose
    subject is not Ray do without.
    """
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def whisper_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Whisper as a folder of the hub."""
    from tests.tiny_whisper import build_checkpoint

    return build_checkpoint(tmp_path_factory.mktemp("whisper") / "tiny-talk")


@pytest.fixture(scope="session")
def ctranslate_folder(whisper_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, converted for faster-whisper."""
    from tests.tiny_whisper import convert_checkpoint

    return convert_checkpoint(whisper_folder, tmp_path_factory.mktemp("ctranslate") / "tiny-talk")


@pytest.fixture(scope="session")
def tiny_vlm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen2-VL as a folder of the hub; it knows the scenes of `tests.scenes`."""
    from tests.tiny_vlm import build_checkpoint

    return build_checkpoint(tmp_path_factory.mktemp("vlm") / "tiny-looker")


@dataclass(frozen=True, slots=True)
class Ingested:
    """A lake that the whole pipeline made of the example corpus."""

    lake: str
    corpus: Path
    config: Config
    exit_code: int


@pytest.fixture(scope="session")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    """Ingest a copy of the examples once, through Ray, as a machine without weights of speech does."""
    from jobs.ingest import run_ingest

    root = tmp_path_factory.mktemp("examples")
    corpus = root / "corpus"
    shutil.copytree(EXAMPLES / "corpus", corpus)
    (corpus / "notes.docx").write_bytes(b"PK\x03\x04 not read by this version")
    (corpus / ".hidden.txt").write_text("hidden")
    silent = "speech.engine=off"
    lake = str(root / "lake")
    code = run_ingest([str(corpus)], lake, load_config("embedded", None, [silent, "run.executor=ray"]))
    return Ingested(lake, corpus, load_config("embedded", None, [silent]), code)
