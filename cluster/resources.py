"""Whether the operators fit the cluster, and how many workers each gets.

Ray Data waits for ever for an actor that no node can hold; so what cannot fit is refused
before the first file, by the name of the setting that asks for too much.
"""

from schemas.config import Config, ConfigError

_ROUNDING = 1e-9
"""Shares are decimal fractions: 0.5 + 0.1 + 0.4 must fit one core."""


def require_fit(config: Config, cpus: float, gpus: float) -> None:
    """Check that each operator can run on a cluster of so many cores and GPUs.

    Raises:
        ConfigError: An operator asks for more than there is; the message names the setting.
    """
    use = config.resources
    for name in _operators(config, ("probe_cpus", "decode_cpus", "ocr_cpus"), ("speech_cpus",)):
        wanted = getattr(use, name)
        if wanted > cpus:
            msg = f"resources.{name} wants {wanted:g} cores; the cluster has {cpus:g}. Lower it."
            raise ConfigError(msg)
    for name in _operators(config, ("ocr_gpus",), ("speech_gpus",)):
        wanted = getattr(use, name)
        if wanted > gpus:
            msg = (
                f"resources.{name} wants {wanted:g} of a GPU for each worker; the cluster has {gpus:g} GPUs. "
                f"Set resources.{name}=0, or take the profile embedded or cpu."
            )
            raise ConfigError(msg)
    _require_embedding(config, cpus, gpus)
    readers, listeners = ocr_workers(config, cpus, gpus), speech_workers(config, cpus, gpus)
    gpus_left = gpus - _frames_share(config, cpus, gpus)[1]
    if readers * use.ocr_gpus + listeners * use.speech_gpus > gpus_left + _ROUNDING:
        msg = (
            f"{readers} OCR workers of resources.ocr_gpus={use.ocr_gpus:g} and {listeners} speech workers of "
            f"resources.speech_gpus={use.speech_gpus:g} want more than the cluster's {gpus:g} GPUs. Lower "
            "resources.ocr_workers, resources.speech_workers, or what each takes."
        )
        raise ConfigError(msg)
    _require_vision(config, cpus, gpus)
    _require_summary(config, cpus, gpus)
    embedders = _frames_share(config, cpus, gpus)[0]
    held = readers * use.ocr_cpus + listeners * use.speech_cpus + embedders
    if held + max(use.decode_cpus, use.probe_cpus) > cpus + _ROUNDING:
        msg = (
            f"{readers} OCR workers of resources.ocr_cpus={use.ocr_cpus:g} and {listeners} speech workers of "
            f"resources.speech_cpus={use.speech_cpus:g}"
            + (f", beside {embedders:g} cores of embedding workers," if embedders else "")
            + f" leave too little of {cpus:g} cores to decode for them. Lower resources.ocr_workers, "
            "resources.speech_workers, or what each takes."
        )
        raise ConfigError(msg)


def _require_vision(config: Config, cpus: float, gpus: float) -> None:
    """Check the same for a vision-language model, which runs when readers and listeners have ended."""
    use = config.resources
    if not config.vision.looks or (config.vision.engine == "vllm" and gpus >= 1):
        return
    if config.vision.engine == "vllm":
        msg = f"vision.engine=vllm wants a GPU; the cluster has {gpus:g}. Take transformers or openai."
        raise ConfigError(msg)
    workers = vision_workers(config, cpus, gpus)
    if workers * use.vision_gpus > gpus + _ROUNDING:
        msg = (
            f"{workers} vision workers of resources.vision_gpus={use.vision_gpus:g} want more than the "
            f"cluster's {gpus:g} GPUs. Lower resources.vision_workers or resources.vision_gpus."
        )
        raise ConfigError(msg)
    if workers * use.vision_cpus + max(use.decode_cpus, use.probe_cpus) > cpus + _ROUNDING:
        msg = (
            f"{workers} vision workers of resources.vision_cpus={use.vision_cpus:g} leave too little of "
            f"{cpus:g} cores to decode for them. Lower resources.vision_workers or resources.vision_cpus."
        )
        raise ConfigError(msg)


def _require_summary(config: Config, cpus: float, gpus: float) -> None:
    """Check the same for a language model, which writes when all is read, heard and looked at."""
    use = config.resources
    if not config.summary.writes:
        return
    if config.summary.engine == "vllm" and gpus < 1:
        msg = f"summary.engine=vllm wants a GPU; the cluster has {gpus:g}. Take transformers or openai."
        raise ConfigError(msg)
    workers = summary_workers(config, cpus, gpus)
    if workers * use.summary_gpus > gpus + _ROUNDING:
        msg = (
            f"{workers} summary workers of resources.summary_gpus={use.summary_gpus:g} want more than the "
            f"cluster's {gpus:g} GPUs. Lower resources.summary_workers or resources.summary_gpus."
        )
        raise ConfigError(msg)
    if workers * use.summary_cpus + use.probe_cpus > cpus + _ROUNDING:
        msg = (
            f"{workers} summary workers of resources.summary_cpus={use.summary_cpus:g} leave too little of "
            f"{cpus:g} cores to read for them. Lower resources.summary_workers or resources.summary_cpus."
        )
        raise ConfigError(msg)


def _operators(config: Config, always: tuple[str, ...], listening: tuple[str, ...]) -> tuple[str, ...]:
    return (*always, *listening) if config.speech.listens else always


def ocr_workers(config: Config, cpus: float, gpus: float) -> int:
    """Decide how many OCR actors to hold: one for each core, or for each share of a GPU."""
    use = config.resources
    if use.ocr_workers:
        return use.ocr_workers
    room = _room(config, cpus) - (use.speech_cpus if config.speech.listens else 0.0)
    room, gpus = room - _frames_share(config, cpus, gpus)[0], gpus - _frames_share(config, cpus, gpus)[1]
    both = config.speech.listens and use.speech_gpus > 0
    return _workers(room, use.ocr_cpus, use.ocr_threads, use.ocr_gpus, cpus, gpus / 2 if both else gpus)


def speech_workers(config: Config, cpus: float, gpus: float) -> int:
    """Decide how many speech actors to hold: as OCR actors, in the room that those leave."""
    use = config.resources
    if not config.speech.listens:
        return 0
    if use.speech_workers:
        return use.speech_workers
    room = _room(config, cpus) - ocr_workers(config, cpus, gpus) * use.ocr_cpus
    room, gpus = room - _frames_share(config, cpus, gpus)[0], gpus - _frames_share(config, cpus, gpus)[1]
    both = use.ocr_gpus > 0
    return _workers(
        room, use.speech_cpus, use.speech_threads, use.speech_gpus, cpus, gpus / 2 if both else gpus
    )


def vision_workers(config: Config, cpus: float, gpus: float) -> int:
    """Decide how many vision-language models to hold; a server needs one caller, however many cores."""
    use, vision = config.resources, config.vision
    if not vision.looks:
        return 0
    if use.vision_workers or vision.engine == "openai":
        return use.vision_workers or 1
    room = _room(config, cpus)
    return _workers(room, use.vision_cpus, use.vision_threads, use.vision_gpus, cpus, gpus)


def embedding_workers(config: Config, cpus: float, gpus: float) -> int:
    """Decide how many embedding models to hold; a server needs one caller, however many cores."""
    use, embedding = config.resources, config.embedding
    if embedding.engine == "off":
        return 0
    if use.embedding_workers or (embedding.engine == "openai" and not embedding.embeds_frames):
        return use.embedding_workers or 1
    return max(1, int(gpus) if use.embedding_gpus else int(cpus / (2 * use.embedding_threads)))


def _frames_share(config: Config, cpus: float, gpus: float) -> tuple[float, float]:
    """Cores and GPUs that models of pictures hold beside readers and listeners."""
    if not config.embedding.embeds_frames:
        return 0.0, 0.0
    use, workers = config.resources, embedding_workers(config, cpus, gpus)
    return workers * use.embedding_cpus, workers * use.embedding_gpus


def _require_embedding(config: Config, cpus: float, gpus: float) -> None:
    """Check the same for embedding models; those of texts run when all else has ended."""
    use, workers = config.resources, embedding_workers(config, cpus, gpus)
    if workers * use.embedding_gpus > gpus + _ROUNDING:
        msg = (
            f"{workers} embedding workers of resources.embedding_gpus={use.embedding_gpus:g} want more than "
            f"the cluster's {gpus:g} GPUs. Lower resources.embedding_workers or resources.embedding_gpus."
        )
        raise ConfigError(msg)
    if workers * use.embedding_cpus + max(use.decode_cpus, use.probe_cpus) > cpus + _ROUNDING:
        msg = (
            f"{workers} embedding workers of resources.embedding_cpus={use.embedding_cpus:g} leave too "
            f"little of {cpus:g} cores to decode for them. Lower resources.embedding_workers or "
            "resources.embedding_cpus."
        )
        raise ConfigError(msg)


def summary_workers(config: Config, cpus: float, gpus: float) -> int:
    """Decide how many workers write summaries: models, a caller of a server, or pickers of sentences."""
    use, summary = config.resources, config.summary
    room = cpus - use.probe_cpus  # reading the texts must find room beside them, or nothing ever moves
    if not summary.writes:
        return _workers(room, use.probe_cpus, 1, 0.0, cpus, gpus)
    if use.summary_workers or summary.engine == "openai":
        return use.summary_workers or 1
    return _workers(room, use.summary_cpus, use.summary_threads, use.summary_gpus, cpus, gpus)


def _room(config: Config, cpus: float) -> float:
    """Cores for actors: decoding and probing must find room beside them, or nothing ever moves."""
    return cpus - max(config.resources.decode_cpus, config.resources.probe_cpus)


def _workers(room: float, share: float, threads: int, gpu_share: float, cpus: float, gpus: float) -> int:
    fit = int(room / share + _ROUNDING)
    return max(1, min(int(gpus / gpu_share + _ROUNDING) if gpu_share else int(cpus / threads), fit))
