"""`gloss doctor`: what this machine can run, and what to do about the rest.

Whoever starts on a laptop or a bare container wants to know before the first run which media
can be decoded, which engines can read, and which stores can be reached. Nothing heavy is
loaded for the answer: no model, no Ray, no torch.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from rich.text import Text

from jobs.output import EXIT_BROKEN, EXIT_OK, check_format, complain, console, emit_json, grid, size
from schemas.config import ConfigError, Embedding, Ocr, Speech, Summary, Vision

_DECODERS = {
    "video": ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg2video", "mjpeg", "prores", "theora"),
    "audio": ("aac", "mp3", "opus", "vorbis", "flac", "pcm_s16le"),
    "subtitles": ("subrip", "mov_text", "webvtt", "ass"),
}

_STORES = {
    "s3://": ("s3fs", "pip install 'gloss[s3]'"),
    "gs://": ("gcsfs", "pip install gcsfs"),
    "abfs://": ("adlfs", "pip install adlfs"),
    "https://": ("aiohttp", "pip install aiohttp"),
    "sftp://": ("paramiko", "pip install paramiko"),
}

_LEAST_MEMORY_BYTES = 3 << 30
"""Ray, two workers and one OCR engine fit in this."""

_LEAST_SHARED_BYTES = 256 << 20
"""Below this Ray keeps its objects on disk, which makes every hand-over slow."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing a machine has or lacks."""

    group: str
    name: str
    ok: bool
    found: str
    advice: str = ""
    """What to do where it is missing."""
    needed: bool = False
    """Whether the default profile cannot run without it."""


def run_doctor(*, format: str = "table") -> int:  # noqa: A002
    """Print what this machine can run.

    Returns:
        0 when the default profile can run, 1 when it cannot, 2 for a wrong format.
    """
    try:
        check_format(format, known=("table", "json"))
    except ConfigError as error:
        return complain(str(error))
    checks = list(examine())
    if format == "json":
        emit_json([asdict(check) for check in checks])
    else:
        _print(checks)
    return EXIT_OK if all(check.ok for check in checks if check.needed) else EXIT_BROKEN


def examine() -> Iterator[Check]:
    """Check one thing after the other."""
    yield from _software()
    yield from _machine()
    yield from _decoders()
    yield from _engines()
    yield from _stores()


def _software() -> Iterator[Check]:
    python = platform.python_version()
    yield Check(
        "software", "python", sys.version_info >= (3, 11), python, "Gloss needs Python 3.11.", needed=True
    )
    for name in ("gloss", "ray", "av", "pypdfium2", "duckdb", "deltalake"):
        found = _version(name)
        advice = "" if found else f"pip install {name}"
        yield Check("software", name, found is not None, found or "missing", advice, needed=name != "gloss")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _machine() -> Iterator[Check]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Check("machine", "cores", True, str(cores))
    memory = memory_bytes()
    yield Check(
        "machine",
        "memory",
        memory >= _LEAST_MEMORY_BYTES,
        size(memory),
        f"Give it {size(_LEAST_MEMORY_BYTES)} or lower resources.ocr_workers and limits.memory_bytes.",
    )
    shared = Path("/dev/shm")  # noqa: S108 - looked at, not written
    if shared.is_dir():
        room = shutil.disk_usage(shared).total
        yield Check(
            "machine",
            "shared memory",
            room >= _LEAST_SHARED_BYTES,
            size(room),
            "Ray hands rows over through it. In Docker: --shm-size=2g.",
        )
    gpus = gpu_names()
    yield Check(
        "machine",
        "gpus",
        bool(gpus),
        ", ".join(gpus) or "none",
        "Only the profile gpu needs one; the others run on CPUs.",
    )


def memory_bytes() -> int:
    """Memory of this machine, or of the container that limits it."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="ascii").strip() if limit.is_file() else "max"
    return min(physical, int(text)) if text.isdigit() else physical


def gpu_names() -> list[str]:
    """Name the NVIDIA GPUs, as their driver's own tool lists them."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        # The tool is there and its driver is not; that is a machine without a GPU.
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _decoders() -> Iterator[Check]:
    if find_spec("av") is None:
        return
    from av.codec.codec import Codec, UnknownCodecError

    for group, names in _DECODERS.items():
        for name in names:
            try:
                found, ok = Codec(name, "r").name, True
            except UnknownCodecError:
                found, ok = "missing", False
            yield Check(
                f"FFmpeg {group}",
                name,
                ok,
                found,
                "" if ok else "Install a PyAV wheel from PyPI: pip install av",
            )


def _engines() -> Iterator[Check]:
    from operators.ocr_engines import check_engine

    for engine in ("rapidocr", "paddleocr"):
        problem = check_engine(Ocr.model_validate({"engine": engine}))
        yield _engine("ocr", engine, problem, needed=engine == "rapidocr")
    yield from _speech()
    yield from _vision()
    yield from _summary()
    yield from _embedding()


def _engine(
    section: str, engine: str, problem: str | None, ready: str = "ready", needed: bool = False
) -> Check:
    found = ready if problem is None else "cannot run"
    return Check("engines", f"{section}.engine={engine}", problem is None, found, problem or "", needed)


def _server(section: str) -> Check:
    return _engine(section, "openai", None, f"ready; needs {section}.base_url of a server")


def _weights(section: str, names: list[str], advice: str) -> Check:
    found = ", ".join(names) or "none in the cache"
    return Check("engines", f"{section} weights", bool(names), found, advice)


def _generators(section: str, check: Callable[[str, bool | None], str | None]) -> Iterator[Check]:
    """Look at the engines that run a model which generates text.

    Args:
        section: Of the configuration.
        check: Tells why an engine cannot run, given whether it gets a GPU (null: not settled), or None.
    """
    gpu = bool(gpu_names())
    for engine in ("transformers", "vllm"):
        problem = check(engine, gpu or None)
        if problem is None and engine == "vllm" and not gpu:
            problem = f"It needs a GPU; on CPUs take {section}.engine=transformers."
        yield _engine(section, engine, problem, "ready" if gpu else "ready, on CPUs")
    yield _server(section)


def _speech() -> Iterator[Check]:
    from operators.speech_engines import check_engine
    from operators.speech_models import installed_models

    model = Speech.default_model()
    for engine in ("faster-whisper", "transformers"):
        problem = check_engine(Speech.model_validate({"engine": engine, "model": model}))
        yield _engine("speech", engine, problem)
    advice = f"gloss models pull {model}; without them words come from subtitles alone."
    yield _weights("speech", [model.name for model in installed_models()], advice)


def _vision() -> Iterator[Check]:
    from operators.vision_engines import check_vision
    from operators.vision_models import EXAMPLES, installed_vision

    def check(engine: str, gpu: bool | None) -> str | None:
        return check_vision(Vision.model_validate({"engine": engine, "model": EXAMPLES[0]}), gpu)

    yield from _generators("vision", check)
    torchvision = _version("torchvision") or "missing"
    yield Check(
        "engines", "torchvision", True, f"{torchvision}; not needed, frames of a clip are shown as pictures"
    )
    advice = f"gloss models pull --vision {EXAMPLES[0]}, or a folder by vision.model."
    yield _weights("vision", [model.name for model in installed_vision()], advice)


def _summary() -> Iterator[Check]:
    from operators.text_models import EXAMPLES, check_summary, installed_text

    def check(engine: str, gpu: bool | None) -> str | None:
        return check_summary(Summary.model_validate({"engine": engine, "model": EXAMPLES[0]}), gpu)

    yield from _generators("summary", check)
    advice = f"gloss models pull --summary {EXAMPLES[0]}; without them sentences are picked, not written."
    yield _weights("summary", [model.name for model in installed_text()], advice)


def _embedding() -> Iterator[Check]:
    from operators.embedding_engines import check_embedding
    from operators.embedding_models import FRAME_WEIGHTS, TEXT_WEIGHTS, installed_embeddings

    kinds = (TEXT_WEIGHTS, FRAME_WEIGHTS)
    models = {kind.setting: kind.examples[0] for kind in kinds}
    problem = check_embedding(Embedding.model_validate({"engine": "transformers", **models}))
    yield _engine("embedding", "transformers", problem)
    yield _server("embedding")
    held = [model.name for kind in kinds for model in installed_embeddings(kind)]
    example = TEXT_WEIGHTS.examples[0]
    advice = f"gloss models pull --embedding {example}, or folders by embedding.model and .frames."
    yield _weights("embedding", held, advice)


def _stores() -> Iterator[Check]:
    yield Check("stores", "local files", True, "ready", needed=True)
    for scheme, (package, advice) in _STORES.items():
        ok = find_spec(package) is not None
        yield Check("stores", scheme, ok, f"{package} {_version(package) or ''}".strip() if ok else "missing",
                    "" if ok else advice)  # fmt: skip


def _print(checks: list[Check]) -> None:
    screen = console()
    groups = dict.fromkeys(check.group for check in checks)
    for group in groups:
        screen.print(Text(f"\n{group}", style="bold underline"))
        rows = [
            (_mark(check), check.name, check.found, "" if check.ok else check.advice)
            for check in checks
            if check.group == group
        ]
        screen.print(grid(("", "", "found", "what to do"), rows))
    missing = [check.name for check in checks if check.needed and not check.ok]
    verdict = (
        f"The default profile cannot run without: {', '.join(missing)}." if missing else "Ready to ingest."
    )
    screen.print(Text(f"\n{verdict}", style="bold"))


def _mark(check: Check) -> Text:
    return Text("yes", style="green") if check.ok else Text("no", style="red" if check.needed else "yellow")
