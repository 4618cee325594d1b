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
from collections.abc import Iterator
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
        yield Check(
            "engines",
            f"ocr.engine={engine}",
            problem is None,
            "ready" if problem is None else "cannot run",
            problem or "",
            needed=engine == "rapidocr",
        )
    yield from _speech()
    yield from _vision()
    yield from _summary()
    yield from _embedding()


def _speech() -> Iterator[Check]:
    from operators.speech_engines import check_engine
    from operators.speech_models import installed_models

    for engine in ("faster-whisper", "transformers"):
        speech = Speech.model_validate({"engine": engine, "model": Speech.default_model()})
        problem = check_engine(speech)
        yield Check(
            "engines",
            f"speech.engine={engine}",
            problem is None,
            "ready" if problem is None else "cannot run",
            problem or "",
        )
    models = [model.name for model in installed_models()]
    yield Check(
        "engines",
        "speech weights",
        bool(models),
        ", ".join(models) or "none in the cache",
        f"gloss models pull {Speech.default_model()}; without them words come from subtitles alone.",
    )


def _vision() -> Iterator[Check]:
    from operators.vision_engines import check_vision
    from operators.vision_models import EXAMPLES, installed_vision

    gpu = bool(gpu_names())
    for engine in ("transformers", "vllm"):
        problem = check_vision(Vision.model_validate({"engine": engine, "model": EXAMPLES[0]}), gpu or None)
        if problem is None and engine == "vllm" and not gpu:
            problem = "It needs a GPU; on CPUs take vision.engine=transformers."
        ready = "ready" if gpu else "ready, on CPUs"
        yield Check(
            "engines",
            f"vision.engine={engine}",
            problem is None,
            ready if problem is None else "cannot run",
            problem or "",
        )
    yield Check("engines", "vision.engine=openai", True, "ready; needs vision.base_url of a server")
    torchvision = _version("torchvision") or "missing"
    yield Check(
        "engines", "torchvision", True, f"{torchvision}; not needed, frames of a clip are shown as pictures"
    )
    models = [model.name for model in installed_vision()]
    yield Check(
        "engines",
        "vision weights",
        bool(models),
        ", ".join(models) or "none in the cache",
        f"gloss models pull --vision {EXAMPLES[0]}, or a folder by vision.model.",
    )


def _summary() -> Iterator[Check]:
    from operators.text_models import EXAMPLES, check_summary, installed_text

    gpu = bool(gpu_names())
    for engine in ("transformers", "vllm"):
        wanted = Summary.model_validate({"engine": engine, "model": EXAMPLES[0]})
        problem = check_summary(wanted, gpu or None)
        if problem is None and engine == "vllm" and not gpu:
            problem = "It needs a GPU; on CPUs take summary.engine=transformers."
        ready = "ready" if gpu else "ready, on CPUs"
        yield Check(
            "engines",
            f"summary.engine={engine}",
            problem is None,
            ready if problem is None else "cannot run",
            problem or "",
        )
    yield Check("engines", "summary.engine=openai", True, "ready; needs summary.base_url of a server")
    models = [model.name for model in installed_text()]
    yield Check(
        "engines",
        "summary weights",
        bool(models),
        ", ".join(models) or "none in the cache",
        f"gloss models pull --summary {EXAMPLES[0]}; without them sentences are picked, not written.",
    )


def _embedding() -> Iterator[Check]:
    from operators.embedding_engines import check_embedding
    from operators.embedding_models import EXAMPLES, installed_embeddings

    models = {name: examples[0] for name, examples in EXAMPLES.items()}
    problem = check_embedding(Embedding.model_validate({"engine": "transformers", **models}))
    yield Check(
        "engines",
        "embedding.engine=transformers",
        problem is None,
        "ready" if problem is None else "cannot run",
        problem or "",
    )
    yield Check("engines", "embedding.engine=openai", True, "ready; needs embedding.base_url of a server")
    held = [model.name for model in installed_embeddings()]
    yield Check(
        "engines",
        "embedding weights",
        bool(held),
        ", ".join(held) or "none in the cache",
        f"gloss models pull --embedding {models['model']}, or folders by embedding.model and .frames.",
    )


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
