"""What cannot fit the cluster is refused by name; what fits leaves room for decoding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.nodes import ROUNDING, Node, Share, one_node, place
from cluster.resources import Workers, plan_workers
from cluster.shares import share_of
from schemas.config import Config, ConfigError, load_config

TRANSFORMERS = ["summary.engine=transformers"]


def plan(settings: list[str], cpus: float = 2, gpus: int = 0, profile: str = "embedded") -> Workers:
    """Plan for one machine."""
    return plan_workers(load_config(profile, None, settings), one_node(cpus, gpus))


@given(st.integers(1, 256), st.booleans())
def test_defaults_fit_every_machine(cpus: int, listens: bool) -> None:
    """From one core on, the defaults fit and a decoder fits beside all workers, with speech or without."""
    config = load_config("embedded", None, ["speech.engine=faster-whisper"] if listens else [])
    workers, use = plan_workers(config, one_node(cpus)), config.resources
    held = workers.ocr * use.ocr_cpus + workers.speech * use.speech_cpus

    assert held + use.decode_cpus <= cpus + ROUNDING
    assert workers.ocr == min(cpus, int((cpus - use.decode_cpus - 0.1 * listens) / 0.5 + ROUNDING))
    assert (workers.speech > 0) == listens


@given(st.integers(2, 256), st.integers(1, 16))
def test_the_profile_gpu_fits_every_machine_with_a_gpu(cpus: int, gpus: int) -> None:
    """Readers and listeners share the GPUs: an actor that no GPU can hold would be waited for without end."""
    workers = plan([], cpus, gpus, "gpu")
    assert 1 <= workers.ocr <= 4 * gpus
    assert workers.ocr * 0.25 + workers.speech * 0.25 <= gpus


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["resources.ocr_gpus=0.5"], "resources.ocr_gpus wants 0.5 .* has 0 GPUs"),
        (["resources.decode_cpus=3"], "resources.decode_cpus wants 3 cores; the cluster has 2"),
        (["resources.ocr_workers=4"], "leave too little of 2 cores"),
        (["resources.custom.decode.disk=1"], "resources.custom.decode.disk wants 1; the cluster has 0"),
        (["resources.accelerator.ocr=L4"], "resources.accelerator.ocr wants L4; the cluster has none"),
        (["resources.reserve_bytes.ocr=9"], "resources.reserve_bytes.ocr wants 9 bytes; the cluster has 0"),
        (["resources.ocr_workers=3", "resources.max_workers.ocr=2"], "max_workers.ocr=2"),
        (
            ["speech.engine=transformers", "resources.speech_gpus=1"],
            "resources.speech_gpus wants 1 .* 0 GPUs",
        ),
        (
            ["speech.engine=transformers", "resources.speech_workers=16"],
            "16 speech workers .* too little of 2",
        ),
        (
            [*TRANSFORMERS, "resources.summary_workers=2", "resources.summary_cpus=1"],
            "2 summary workers of .*summary_cpus=1 leave too little of 2 cores to read",
        ),
    ],
)
def test_what_can_never_run_is_refused(settings: list[str], message: str) -> None:
    """Two cores and no GPU: the message names the setting, what is wanted and what is there."""
    with pytest.raises(ConfigError, match=message):
        plan(settings)


def test_gpu_workers_share_gpus() -> None:
    """Four workers of a quarter on one GPU, as far as cores allow."""
    assert plan([], 16, 1, "gpu") == Workers(ocr=2, speech=2, summary=16)
    assert plan([], 2, 1, "gpu") == Workers(ocr=1, speech=1, summary=2)
    assert plan(["speech.engine=off"], 16, 1, "gpu") == Workers(ocr=4, summary=16)


def test_a_part_of_a_gpu_lies_on_one_gpu() -> None:
    """Three workers of 0.6 do not fit two GPUs, whatever the sum says."""
    settings = ["speech.engine=off", "resources.ocr_gpus=0.6"]
    assert plan(settings, 16, 2, "gpu").ocr == 2
    with pytest.raises(ConfigError, match=r"3 OCR workers of resources.ocr_cpus=1, resources.ocr_gpus=0\.6"):
        plan([*settings, "resources.ocr_workers=3"], 16, 2, "gpu")


def test_who_calls_a_server_takes_no_gpu() -> None:
    """The defaults of the profile are for models here."""
    server = ["vision.engine=openai", "vision.model=m", "speech.engine=off", "resources.ocr_gpus=0"]
    writer = ["summary.engine=openai", "summary.model=m"]
    workers = plan([*server, *writer], 8, 0, "gpu")
    assert (workers.vision, workers.summary) == (1, 1)


def test_models_of_pictures_hold_their_share_beside_readers() -> None:
    """Of cores and of GPUs; those of texts run alone, and a server needs one caller."""
    seer = ["embedding.engine=transformers", "embedding.frames=/m", "resources.embedding_cpus=1.0"]
    workers = plan(["speech.engine=off", *seer], 4)
    assert workers.embedding == 1  # readers come first
    assert workers.ocr * 0.5 <= 4 - 1 - 0.4
    assert plan(["speech.engine=off", *seer, "resources.embedding_workers=2"], 4).embedding == 2
    with pytest.raises(ConfigError, match=r"resources\.embedding_gpus wants 1"):
        plan([*seer, "resources.embedding_gpus=1.0"], 4)
    with pytest.raises(ConfigError, match=r"resources\.embedding_cpus=1"):
        plan(seer, 1)
    assert plan(["embedding.engine=openai", "embedding.model=m"], 64).embedding == 1
    assert plan([], 64).embedding == 0


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
    if cpus == 1 and share == 1.0 and config.summary.writes:
        with pytest.raises(ConfigError, match="summary"):
            plan_workers(config, one_node(cpus))
        return
    workers = plan_workers(config, one_node(cpus)).summary
    assert workers >= 1
    assert workers * share_of(config, "summary").cpus + config.resources.probe_cpus <= cpus + ROUNDING


# --- several nodes --------------------------------------------------------------------------

NODES = st.lists(
    st.builds(
        lambda cpus, gpus: one_node(cpus, gpus)[0],
        st.sampled_from([0, 0.5, 1, 1.5, 2, 4, 7]),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=6,
)


@given(NODES, st.sampled_from([0.5, 0.7, 1.0, 2.0]), st.booleans())
def test_what_is_planned_is_placed_with_room_for_a_task(
    nodes: list[Node], cpus: float, listens: bool
) -> None:
    """On every cluster: all workers find a node, and after them a decoder does, or the run is refused."""
    settings = [f"resources.ocr_cpus={cpus}", f"speech.engine={'transformers' if listens else 'off'}"]
    config = load_config(settings=settings)
    decode = share_of(config, "decode")
    try:
        workers = plan_workers(config, nodes)
    except ConfigError:
        # No node has room for one reader, and room for a decoder is beside it nowhere.
        reader = place(nodes, share_of(config, "ocr"), 1)
        listener = reader and (place(reader, share_of(config, "speech"), 1) if listens else reader)
        assert not listener or place(listener, decode, 1) is None or max(node.cpus for node in nodes) < 3
        return
    left = place(nodes, share_of(config, "ocr"), workers.ocr)
    assert left is not None
    if listens:
        left = place(left, share_of(config, "speech"), workers.speech)
    assert left is not None
    assert place(left, decode, 1) is not None


def test_sums_over_nodes_mislead() -> None:
    """Four nodes of a core and a half hold four workers of one core, not five."""
    config = load_config(settings=["resources.ocr_cpus=1.0"])
    assert plan_workers(config, one_node(1.5) * 4).ocr == 4
    five = load_config(settings=["resources.ocr_cpus=1.0", "resources.ocr_workers=5"])
    with pytest.raises(ConfigError, match=r"5 OCR workers .* leave too little of 6 cores on 4 nodes"):
        plan_workers(five, one_node(1.5) * 4)


def test_every_node_keeps_room_where_nodes_are_large_enough() -> None:
    """Then a decoder finds room wherever Ray puts the workers; on tiny nodes, one of them keeps it."""
    config = load_config(settings=["resources.ocr_cpus=0.5"])
    assert plan_workers(config, one_node(1) * 3).ocr == 3
    tiny = load_config(settings=["resources.ocr_cpus=0.8"])
    assert plan_workers(tiny, one_node(1) * 3).ocr == 2
    with pytest.raises(ConfigError, match=r"1 OCR worker of resources\.ocr_cpus=0\.8 leave"):
        plan_workers(tiny, one_node(1))


def test_workers_without_a_gpu_leave_those_nodes_to_others() -> None:
    """A head without cores, a node with a GPU, one without."""
    nodes = [*one_node(0), *one_node(4, 1), *one_node(4)]
    left = place(nodes, Share(1.0), 3)
    assert left is not None
    assert [node.cpus for node in left] == [0, 4, 1]
    with_gpu = place(nodes, Share(1.0, gpus=0.5), 2)
    assert with_gpu is not None
    assert with_gpu[1].gpus == (0.0,)
    assert place(nodes, Share(1.0, gpus=0.5), 3) is None


@given(st.lists(st.sampled_from([0.25, 0.3, 0.5, 1.0, 2.0]), max_size=8), st.integers(0, 3))
def test_gpus_are_never_overbooked(wanted: list[float], gpus: int) -> None:
    """Whole ones are whole, parts lie on one; what is left is what was there less what was taken."""
    node, taken = one_node(100, gpus)[0], 0.0
    for amount in wanted:
        after = node.less(Share(0.1, gpus=amount))
        if after is None:
            whole = [free for free in node.gpus if free >= 1 - ROUNDING]
            assert len(whole) < amount if amount >= 1 else all(free < amount for free in node.gpus)
            continue
        node, taken = after, taken + amount
    assert sum(node.gpus) == pytest.approx(gpus - taken)
    assert all(free > -ROUNDING for free in node.gpus)


def test_custom_resources_and_memory_count_on_one_node() -> None:
    """A node with the memory and another with the licence hold no worker that wants both."""
    nodes = [Node({"CPU": 4, "memory": 100.0}), Node({"CPU": 4, "licence": 1.0})]
    settings = ["resources.reserve_bytes.ocr=100", "resources.custom.ocr.licence=1"]
    with pytest.raises(
        ConfigError, match=r"wants CPU 0.5, memory 100, licence 1 on one node; none of .* 2 nodes"
    ):
        plan_workers(load_config(settings=settings), nodes)
    assert plan_workers(load_config(settings=settings[:1]), nodes).ocr == 1


def test_a_share_is_said_as_ray_takes_it() -> None:
    """What is not wanted is left out, so that stages of equal shares still run in one process."""
    settings = ["resources.ocr_gpus=0.5", "resources.accelerator.ocr=L4", "resources.custom.ocr.disk=0.1"]
    config: Config = load_config(settings=[*settings, "resources.reserve_bytes.ocr=7"])
    assert share_of(config, "ocr").remote_args() == {
        "num_cpus": 0.5,
        "num_gpus": 0.5,
        "memory": 7,
        "resources": {"disk": 0.1},
        "accelerator_type": "L4",
    }
    assert share_of(config, "decode").remote_args() == {"num_cpus": 0.4}
