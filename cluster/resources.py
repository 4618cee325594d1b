"""Whether the operators fit the cluster, and how many workers each gets.

Ray Data waits for ever for an actor that no node can hold; so what cannot fit is refused
before the first file, by the name of the setting that asks for too much.
"""

from schemas.config import Config, ConfigError


def require_fit(config: Config, cpus: float, gpus: float) -> None:
    """Check that each operator can run on a cluster of so many cores and GPUs.

    Raises:
        ConfigError: An operator asks for more than there is; the message names the setting.
    """
    use = config.resources
    if use.ocr_gpus > gpus:
        msg = (
            f"resources.ocr_gpus wants {use.ocr_gpus:g} of a GPU for each OCR worker; the cluster has "
            f"{gpus:g} GPUs. Set resources.ocr_gpus=0, or take the profile embedded."
        )
        raise ConfigError(msg)
    for name in ("probe_cpus", "decode_cpus", "ocr_cpus"):
        wanted = getattr(use, name)
        if wanted > cpus:
            msg = f"resources.{name} wants {wanted:g} cores; the cluster has {cpus:g}. Lower it."
            raise ConfigError(msg)
    workers = ocr_workers(config, cpus, gpus)
    held = workers * use.ocr_cpus
    if held + max(use.decode_cpus, use.probe_cpus) > cpus:
        msg = (
            f"{workers} OCR workers of resources.ocr_cpus={use.ocr_cpus:g} leave too little of {cpus:g} "
            "cores to decode anything for them. Lower resources.ocr_workers or resources.ocr_cpus."
        )
        raise ConfigError(msg)


def ocr_workers(config: Config, cpus: float, gpus: float) -> int:
    """Decide how many OCR actors to hold: one for each core, or for each share of a GPU."""
    use = config.resources
    if use.ocr_workers:
        return use.ocr_workers
    # Decoding and probing must find room beside the actors, or nothing ever moves.
    room = int((cpus - max(use.decode_cpus, use.probe_cpus)) / use.ocr_cpus)
    if use.ocr_gpus:
        return max(1, min(int(gpus / use.ocr_gpus), room))
    return max(1, min(int(cpus / use.ocr_threads), room))
