"""What cannot fit the cluster is refused by name; what fits leaves room for decoding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.resources import embedding_workers, ocr_workers, require_fit, speech_workers, summary_workers
from schemas.config import Config, ConfigError, load_config


@given(st.integers(1, 256), st.booleans())
def test_defaults_fit_every_machine(cpus: int, listens: bool) -> None:
    """From one core on, the defaults fit and a decoder fits beside all workers, with speech or without."""
    config = load_config("embedded", None, ["speech.engine=faster-whisper"] if listens else [])
    require_fit(config, cpus, 0)
    use = config.resources
    held = ocr_workers(config, cpus, 0) * use.ocr_cpus + speech_workers(config, cpus, 0) * use.speech_cpus

    assert held + use.decode_cpus <= cpus + 1e-9
    assert (speech_workers(config, cpus, 0) > 0) == listens


@given(st.integers(2, 256), st.integers(1, 16))
def test_the_profile_gpu_fits_every_machine_with_a_gpu(cpus: int, gpus: int) -> None:
    """Readers and listeners share the GPUs: an actor that no GPU can hold would be waited for without end."""
    config = load_config("gpu")
    require_fit(config, cpus, gpus)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["resources.ocr_gpus=0.5"], "resources.ocr_gpus wants 0.5 .* has 0 GPUs"),
        (["resources.decode_cpus=3"], "resources.decode_cpus wants 3 cores; the cluster has 2"),
        (["resources.ocr_workers=4"], "leave too little of 2 cores"),
        (
            ["speech.engine=transformers", "resources.speech_gpus=1"],
            "resources.speech_gpus wants 1 .* 0 GPUs",
        ),
        (["speech.engine=transformers", "resources.speech_workers=9"], "9 speech workers .* too little of 2"),
    ],
)
def test_what_can_never_run_is_refused(settings: list[str], message: str) -> None:
    """Two cores and no GPU: the message names the setting, what is wanted and what is there."""
    with pytest.raises(ConfigError, match=message):
        require_fit(load_config("embedded", None, settings), 2, 0)


def test_gpu_workers_share_gpus() -> None:
    """Four workers of a quarter on one GPU, as far as cores allow."""
    config = load_config("gpu")

    assert (ocr_workers(config, 16, 1), speech_workers(config, 16, 1)) == (2, 2)
    assert (ocr_workers(config, 2, 1), speech_workers(config, 2, 1)) == (1, 1)
    alone = load_config("gpu", None, ["speech.engine=off"])
    assert (ocr_workers(alone, 16, 1), speech_workers(alone, 16, 1)) == (4, 0)


def test_models_of_pictures_hold_their_share_beside_readers() -> None:
    """Of cores and of GPUs; those of texts run alone, and a server needs one caller."""
    seer = ["embedding.engine=transformers", "embedding.frames=/m", "resources.embedding_cpus=1.0"]
    config = load_config(settings=["speech.engine=off", *seer])
    assert embedding_workers(config, cpus=4, gpus=0) == 2
    assert ocr_workers(config, cpus=4, gpus=0) * config.resources.ocr_cpus <= 4 - 2 - 0.4
    require_fit(config, cpus=4, gpus=0)
    with pytest.raises(ConfigError, match=r"resources\.embedding_gpus=1"):
        require_fit(load_config(settings=[*seer, "resources.embedding_gpus=1.0"]), cpus=4, gpus=0)
    with pytest.raises(ConfigError, match=r"resources\.embedding_cpus=1"):
        require_fit(config, cpus=1, gpus=0)
    server = ["embedding.engine=openai", "embedding.model=m"]
    assert embedding_workers(load_config(settings=server), cpus=64, gpus=0) == 1
    assert embedding_workers(Config(), cpus=64, gpus=0) == 0


@given(
    st.integers(1, 256),
    st.sampled_from(["extractive", "transformers", "openai"]),
    st.sampled_from([0.25, 0.5, 1.0]),
    st.integers(1, 4),
)
def test_texts_can_be_read_beside_those_who_write(cpus: int, engine: str, share: float, threads: int) -> None:
    """Workers that held all cores would wait without end for what they are to write about."""
    settings = [f"summary.engine={engine}", f"resources.summary_cpus={share}"]
    config = load_config("embedded", None, [*settings, f"resources.summary_threads={threads}"])
    use, workers = config.resources, summary_workers(config, cpus, 0)
    each = use.summary_cpus if config.summary.writes else use.probe_cpus
    fits = workers * each + use.probe_cpus <= cpus + 1e-9
    assert workers >= 1
    assert fits or (cpus, share) == (1, 1.0)
    if fits:
        require_fit(config, cpus, 0)
    else:
        with pytest.raises(ConfigError, match="summary"):
            require_fit(config, cpus, 0)


def test_writers_that_leave_no_room_are_refused() -> None:
    """By the names of the settings."""
    settings = ["summary.engine=transformers", "resources.summary_workers=2", "resources.summary_cpus=1"]
    with pytest.raises(ConfigError, match=r"2 summary workers of .*summary_cpus=1 leave too little"):
        require_fit(load_config("embedded", None, settings), 2, 0)
