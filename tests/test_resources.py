"""What cannot fit the cluster is refused by name; what fits leaves room for decoding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.resources import ocr_workers, require_fit
from schemas.config import Config, ConfigError, load_config


@given(st.integers(1, 256))
def test_defaults_fit_every_machine(cpus: int) -> None:
    """From one core on, the defaults fit and a decoder fits beside all OCR workers."""
    require_fit(Config(), cpus, 0)
    use = Config().resources

    assert ocr_workers(Config(), cpus, 0) * use.ocr_cpus + use.decode_cpus <= cpus


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["resources.ocr_gpus=0.5"], "resources.ocr_gpus wants 0.5 .* has 0 GPUs"),
        (["resources.decode_cpus=3"], "resources.decode_cpus wants 3 cores; the cluster has 2"),
        (["resources.ocr_workers=4"], "leave too little of 2 cores"),
    ],
)
def test_what_can_never_run_is_refused(settings: list[str], message: str) -> None:
    """Two cores and no GPU: the message names the setting, what is wanted and what is there."""
    with pytest.raises(ConfigError, match=message):
        require_fit(load_config("embedded", None, settings), 2, 0)


def test_gpu_workers_share_gpus() -> None:
    """Four workers of a quarter on one GPU, as far as cores allow."""
    config = load_config("gpu")

    assert ocr_workers(config, 16, 1) == 4
    assert ocr_workers(config, 2, 1) == 1
