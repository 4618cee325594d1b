"""What each operator takes of a cluster."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.section import Section

Pool = Literal["ocr", "speech", "vision", "summary", "embedding"]
"""Operators that workers hold a model for."""

Operator = Literal["probe", "decode", "ocr", "speech", "vision", "summary", "embedding"]


class Resources(Section):
    """Share of the cluster each operator takes. Fractions let operators overlap on few cores."""

    probe_cpus: float = Field(0.25, gt=0)
    decode_cpus: float = Field(0.4, gt=0)
    ocr_cpus: float = Field(0.5, gt=0)
    ocr_gpus: float = Field(0.0, ge=0)
    ocr_workers: int = Field(0, ge=0)
    """Actors that hold an OCR engine; 0 takes one for each core (or each GPU share)."""
    ocr_threads: int = Field(1, ge=1)
    """Threads inside each OCR engine; more than one only helps with cores to spare."""
    ocr_memory_bytes: int = Field(2 << 30, ge=256 << 20)
    """Resident memory at which the process of an OCR engine is replaced: native engines leak."""
    speech_cpus: float = Field(0.1, gt=0)
    speech_gpus: float = Field(0.0, ge=0)
    speech_workers: int = Field(0, ge=0)
    """Actors that hold a speech engine; 0 takes one for each `speech_threads` cores (or each GPU
    share)."""
    speech_threads: int = Field(1, ge=1)
    """Threads inside each speech engine. More threads and fewer workers hold fewer copies of a
    large model."""
    speech_batch: int = Field(0, ge=0, le=256)
    """Pieces recognised together; 0 takes 4 on CPUs, 16 on GPUs."""
    speech_memory_bytes: int = Field(6 << 30, ge=256 << 20)
    """Resident memory at which the process of a speech engine is replaced."""

    vision_cpus: float = Field(0.5, gt=0)
    vision_gpus: float = Field(0.0, ge=0)
    vision_workers: int = Field(0, ge=0)
    """Actors that hold a vision-language model; 0 takes one for each `vision_threads` cores (or each
    GPU share)."""
    vision_threads: int = Field(4, ge=1)
    """Threads inside each model on a CPU, of as many cores as there are: each model is a copy of
    some gigabytes, so that few with many threads are better than many."""
    vision_batch: int = Field(0, ge=0, le=1024)
    """Most clips or pages of a batch; 0 takes 2 on CPUs, 16 on GPUs."""
    vision_batch_tokens: int = Field(0, ge=0)
    """Most tokens of a batch, padding and answers included; 0 takes 4,096 on CPUs, 32,768 on GPUs."""
    vision_memory_bytes: int = Field(24 << 30, ge=256 << 20)
    """Resident memory at which the process of a model is replaced."""

    summary_cpus: float = Field(0.5, gt=0)
    summary_gpus: float = Field(0.0, ge=0)
    summary_workers: int = Field(0, ge=0)
    """Actors that hold a language model; 0 takes one for each `summary_threads` cores (or each GPU share)."""
    summary_threads: int = Field(4, ge=1)
    """Threads inside each language model on a CPU, of as many cores as there are."""
    summary_batch: int = Field(0, ge=0, le=1024)
    """Most questions of a batch; 0 takes 2 on CPUs, 16 on GPUs."""
    summary_memory_bytes: int = Field(24 << 30, ge=256 << 20)
    """Resident memory at which the process of a language model is replaced."""
    embedding_cpus: float = Field(0.25, gt=0)
    embedding_gpus: float = Field(0.0, ge=0)
    embedding_workers: int = Field(0, ge=0)
    """Actors that hold an embedding model; 0 takes one for each two cores (or each
    GPU share)."""
    embedding_threads: int = Field(1, ge=1)
    """Threads inside each embedding model."""

    max_workers: dict[Pool, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """To how many workers a pool may grow while there is more to do than it can, on a cluster that grows;
    `ocr_workers` and the like say with how many it begins. Where nothing is said, it keeps its size."""
    reserve_bytes: dict[Operator, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """Memory that Ray sets aside for each worker or task, so that no node is given more than it holds; Ray
    counts, and enforces nothing."""
    accelerator: dict[Operator, str] = Field(default_factory=dict)
    """Type of GPU that workers want, as Ray names it (`L4`, `A100`)."""
    custom: dict[Operator, dict[str, Annotated[float, Field(gt=0)]]] = Field(default_factory=dict)
    """Resources of your own that nodes were started with: `resources.custom.decode.fast_network=0.1`."""

    def looks_per_batch(self) -> int:
        """Return how many clips or pages a vision-language model is shown together, at most."""
        return self.vision_batch or (16 if self.vision_gpus else 2)

    def tokens_per_batch(self) -> int:
        """Return how many tokens a batch of a vision-language model holds, at most."""
        return self.vision_batch_tokens or (32_768 if self.vision_gpus else 4_096)

    def pieces_per_batch(self) -> int:
        """Return how many pieces of sound are recognised together."""
        return self.speech_batch or (16 if self.speech_gpus else 4)
