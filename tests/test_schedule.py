"""What starts the nightly run is what its scheduler takes, and starts what was asked for."""

import copy
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cronsim import CronSim, CronSimError
from dockerfile_parse import DockerfileParser
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cluster.cron import render_crontab
from cluster.kuberay import render_nightly, render_once
from cluster.ray_up import render_cluster
from cluster.scheduled import CONFIG_FILE, Scheduled, dump_yaml
from cluster.systemd import quoted, render_units
from jobs import schedule
from jobs.cli import app
from jobs.schedule import run_schedule
from schemas.config import Config, ConfigError, load_config
from schemas.timetable import Timetable, parse_timetable
from tests.kuberay_schema import validate

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "cluster" / "manifests"
SOURCES, LAKE = ("s3://talks/",), "s3://lake/"
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")


def scheduled(*settings: str, profile: str = "gpu", at: str = "02:30", **parts: Any) -> Scheduled:
    """A run on object stores."""
    values: dict[str, Any] = {
        "sources": SOURCES,
        "lake": LAKE,
        "timetable": parse_timetable(at, parts.pop("zone", None)),
    }
    return Scheduled(**(values | {"config": load_config(profile, settings=settings)} | parts))


def documents(text: str) -> list[dict[str, Any]]:
    """Read manifests as a client does."""
    return list(yaml.safe_load_all(text))


def by_kind(text: str, kind: str) -> dict[str, Any]:
    """The last one of a kind."""
    return [manifest for manifest in documents(text) if manifest["kind"] == kind][-1]


def jobs(text: str) -> Iterator[dict[str, Any]]:
    """Every RayJob in manifests, wherever it stands."""
    for manifest in documents(text):
        if manifest["kind"] == "RayJob":
            yield manifest
        elif manifest["kind"] == "RayCronJob":
            yield {
                "apiVersion": "ray.io/v1",
                "kind": "RayJob",
                "metadata": {},
                "spec": manifest["spec"]["jobTemplate"],
            }
        elif "rayjob.yaml" in manifest.get("data", {}):
            yield yaml.safe_load(manifest["data"]["rayjob.yaml"])


# --- when -----------------------------------------------------------------------------------

_VALUE = {"minute": 59, "hour": 23, "day": 31, "month": 12, "week": 7}


def _field(name: str) -> st.SearchStrategy[str]:
    low = 1 if name in ("day", "month") else 0
    number = st.integers(low, _VALUE[name]).map(str)
    span = st.tuples(st.integers(low, _VALUE[name]), st.integers(low, _VALUE[name])).map(
        lambda ends: f"{min(ends)}-{max(ends)}"
    )
    return st.one_of(st.just("*"), number, span, st.lists(number, min_size=2, max_size=4).map(",".join))


@given(st.tuples(*map(_field, _VALUE)).map(" ".join))
@hypothesis_settings(max_examples=60)
def test_what_is_rendered_is_due_when_what_was_written_is(text: str) -> None:
    """The form that every scheduler reads alike says the same as the form that was given."""
    try:
        wanted = list(islice(CronSim(text, MONDAY), 4))
    except CronSimError:  # 31 February
        wanted = []
    if not wanted:
        with pytest.raises(ConfigError, match="never comes"):
            parse_timetable(text)
        return
    timetable = parse_timetable(text)
    assert list(islice(timetable.after(MONDAY), 4)) == wanted
    assert re.fullmatch(r"[\d*,-]+( [\d*,-]+){4}", timetable.cron)
    assert "7" not in timetable.cron.split()[4], "Kubernetes knows no day 7"


@pytest.mark.parametrize(
    ("text", "cron", "calendar"),
    [
        ("02:30", "30 2 * * *", ["*-*-* 02:30:00"]),
        ("0 3 * * mon-fri", "0 3 * * 1-5", ["Mon,Tue,Wed,Thu,Fri *-*-* 03:00:00"]),
        ("*/20 1-4 * * 7", "0,20,40 1-4 * * 0", ["Sun *-*-* 01..04:00,20,40:00"]),
        ("5 4 1,15 * mon", "5 4 1,15 * 1", ["*-*-01,15 04:05:00", "Mon *-*-* 04:05:00"]),
        ("0 2 1 * 0-6", "0 2 * * *", ["*-*-* 02:00:00"]),  # the first, or any day of the week
    ],
)
def test_times_in_each_form(text: str, cron: str, calendar: list[str]) -> None:
    """For cron and Kubernetes, and for systemd, whose parts are all joined by and."""
    timetable = parse_timetable(text)
    assert (timetable.cron, timetable.calendar) == (cron, calendar)


@needs_systemd
@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("02:30", None),
        ("5 4 1,15 * mon", None),
        ("0,20,40 1-4 * 2-11 sat,7", None),
        ("30 2 * * 1-5", "Asia/Tokyo"),
    ],
)
def test_systemd_reads_the_same_times(text: str, zone: str | None) -> None:
    """Its own parser, asked for the next ten of each line."""
    timetable = parse_timetable(text, zone)
    found: set[datetime] = set()
    for line in timetable.calendar:
        said = subprocess.run(
            ["systemd-analyze", "calendar", line, "--iterations=10", "--base-time=2026-11-23 00:00:00 UTC"],
            capture_output=True, text=True, check=True, env=os.environ | {"TZ": "UTC", "LC_ALL": "C"},
        ).stdout  # fmt: skip
        times = re.findall(r"(?:\(in UTC\)|Next elapse|Iter\. #\d+): \w+ (\S+ \S+) UTC", said)
        found |= {datetime.fromisoformat(time).replace(tzinfo=UTC) for time in times}
    assert sorted(found)[:10] == list(islice(timetable.after(MONDAY - timedelta(seconds=1)), 10))


@pytest.mark.parametrize(
    "text",
    ["", "25:00", "30 2 * *", "0 30 2 * * *", "61 2 * * *", "0 2 L * *", "0 2 * * 5#2", "0 2 31 2 *",
     "@daily", "0 2 */2 * 1"],
)  # fmt: skip
def test_times_that_schedulers_read_differently_are_refused(text: str) -> None:
    """Or not at all."""
    with pytest.raises(ConfigError, match="Wanted"):
        parse_timetable(text)


def test_an_unknown_zone_is_refused() -> None:
    """Before anything is rendered."""
    with pytest.raises(ConfigError, match="Mars"):
        parse_timetable("02:30", "Mars/Olympus")


# --- Kubernetes -----------------------------------------------------------------------------

VARIANTS = [
    pytest.param("embedded", [], id="no-gpu"),
    pytest.param("gpu", [], id="gpu"),
    pytest.param("gpu", ["deployment.kuberay=raycronjob", "deployment.workers=0"], id="raycronjob-gpu-alone"),
    pytest.param(
        "embedded",
        ["deployment.kuberay=raycronjob", "deployment.model_cache_class=efs",
         "deployment.service_account=reader", "deployment.node_selector={pool = '1e3'}",
         "deployment.worker_resources.licence=2",
         "resources.custom.decode.licence=0.5", "deployment.secret=store"],
        id="everything",
    ),
    pytest.param("cpu", ["deployment.network_policy=false", "deployment.model_cache=''"], id="bare"),
]  # fmt: skip


@pytest.mark.parametrize(("profile", "settings"), VARIANTS)
def test_manifests_are_what_kubernetes_takes(profile: str, settings: list[str]) -> None:
    """Strictly: core kinds by their own schema, KubeRay's by theirs, and pods of both."""
    run = scheduled(*settings, profile=profile, zone="Europe/Berlin", options=("--prune",))
    for text in (render_nightly(run), render_once(run)):
        for manifest in (*documents(text), *jobs(text)):
            validate(manifest)
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in documents(render_nightly(run))]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name) for _, name in names)


def test_the_schema_finds_mistakes() -> None:
    """A field in the wrong place, of the wrong type or misspelt, of KubeRay's or of a pod."""
    (job,) = jobs(render_once(scheduled()))
    validate(job)

    def wrong(change: Any) -> None:
        broken = copy.deepcopy(job)
        change(broken["spec"])
        with pytest.raises(jsonschema.ValidationError):
            validate(broken)

    wrong(lambda spec: spec.update(ttlSecondsAfterFinish=1))
    wrong(lambda spec: spec.update(backoffLimit="0"))
    wrong(lambda spec: spec["rayClusterSpec"]["workerGroupSpecs"][0].pop("groupName"))
    wrong(lambda spec: spec["rayClusterSpec"]["headGroupSpec"]["rayStartParams"].update({"num-cpus": 0}))
    pod = ("rayClusterSpec", "headGroupSpec", "template", "spec")

    def in_pod(change: Any) -> None:
        def inner(spec: dict[str, Any]) -> None:
            for name in pod:
                spec = spec[name]
            change(spec)

        wrong(inner)

    in_pod(lambda spec: spec["containers"][0]["securityContext"].update(readOnlyRootFileSystem=True))
    in_pod(lambda spec: spec["containers"][0].update(env={"HOME": "/tmp"}))  # noqa: S108
    in_pod(lambda spec: spec.pop("containers"))


@pytest.mark.parametrize(("profile", "settings"), VARIANTS)
def test_ray_reads_the_cluster_as_it_is_meant(profile: str, settings: list[str]) -> None:
    """Its own reader for KubeRay's clusters: cores, GPUs, resources and numbers of pods."""
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    run = scheduled(*settings, profile=profile)
    use = run.config.deployment
    (job,) = jobs(render_once(run))
    cluster = {"metadata": {"name": "n", "namespace": "d"}, "spec": job["spec"]["rayClusterSpec"]}
    kinds = _derive_autoscaling_config_from_ray_cr(cluster)["available_node_types"]
    assert kinds["headgroup"]["resources"]["CPU"] == 0
    assert ("cpu" in kinds, "gpu" in kinds) == (use.workers > 0, profile == "gpu")
    if use.workers:
        assert kinds["cpu"]["min_workers"] == kinds["cpu"]["max_workers"] == use.workers
        assert kinds["cpu"]["resources"]["CPU"] == use.worker_cpus
        assert kinds["cpu"]["resources"]["memory"] == use.worker_memory_gib << 30
        assert kinds["cpu"]["resources"].items() >= use.worker_resources.items()
        assert "GPU" not in kinds["cpu"]["resources"]
    if profile == "gpu":
        assert kinds["gpu"]["resources"]["GPU"] == use.gpus_per_worker


def pods(text: str) -> Iterator[dict[str, Any]]:
    """Every pod that manifests ask for."""
    for job in jobs(text):
        cluster = job["spec"]["rayClusterSpec"]
        groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
        yield from (group["template"] for group in groups)
        yield job["spec"]["submitterPodTemplate"]
    for manifest in documents(text):
        if manifest["kind"] == "CronJob":
            yield manifest["spec"]["jobTemplate"]["spec"]["template"]


@pytest.mark.parametrize(("profile", "settings"), VARIANTS)
def test_pods_may_do_nothing_but_their_work(profile: str, settings: list[str]) -> None:
    """The restricted standard for pods, no rights on the cluster, and nothing on the network by default."""
    text = render_nightly(scheduled(*settings, profile=profile))
    for pod in pods(text):
        spec, (container,) = pod["spec"], pod["spec"]["containers"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"] == container["resources"]["requests"]
        is_starter = container["name"] == "kubectl"
        assert spec.get("automountServiceAccountToken", True) == is_starter
        mounted, there = [m["name"] for m in container["volumeMounts"]], [v["name"] for v in spec["volumes"]]
        assert sorted(mounted) == sorted(there)
        assert "hostPath" not in str(spec["volumes"])
    for job in jobs(text):
        assert job["spec"]["rayClusterSpec"]["headGroupSpec"]["serviceType"] == "ClusterIP"
        assert job["spec"]["shutdownAfterJobFinishes"] is True
    roles = [manifest["rules"] for manifest in documents(text) if manifest["kind"] == "Role"]
    assert all(
        rules == [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create"]}] for rules in roles
    )
    assert not {"Ingress", "Service", "Secret", "ClusterRole"} & {
        manifest["kind"] for manifest in documents(text)
    }


def test_pods_are_reached_by_each_other_and_the_operator_alone() -> None:
    """Every pod of Ray has the label that the policy lets in."""
    text = render_nightly(scheduled())
    spec = by_kind(text, "NetworkPolicy")["spec"]
    own = spec["podSelector"]["matchLabels"]
    assert all(pod["metadata"]["labels"].items() >= own.items() for pod in pods(text))
    among, operator = spec["ingress"]
    assert among == {"from": [{"podSelector": {"matchLabels": own}}]}
    assert operator["ports"] == [{"port": 8265, "protocol": "TCP"}]
    assert operator["from"][0]["podSelector"] != {}


def test_gpus_models_and_credentials_go_where_they_are_needed() -> None:
    """Nodes by their labels, weights in one volume, credentials by the name of a Secret."""
    run = scheduled(
        "deployment.secret=store",
        'deployment.gpu_node_selector={"cloud.google.com/gke-accelerator"="nvidia-l4"}',
    )
    text = render_nightly(run)
    (job,) = jobs(text)
    cluster = job["spec"]["rayClusterSpec"]
    cpu, gpu = cluster["workerGroupSpecs"]
    assert "nodeSelector" not in cpu["template"]["spec"]
    assert gpu["template"]["spec"]["nodeSelector"] == {"cloud.google.com/gke-accelerator": "nvidia-l4"}
    assert gpu["template"]["spec"]["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert by_kind(text, "PersistentVolumeClaim")["metadata"]["name"] == "gloss-models"
    for group in (cluster["headGroupSpec"], cpu, gpu):
        (container,) = group["template"]["spec"]["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "store"}}]
        assert {"name": "HF_HOME", "value": "/models/huggingface"} in container["env"]
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]
    (submitter,) = job["spec"]["submitterPodTemplate"]["spec"]["containers"]
    assert "envFrom" not in submitter


@pytest.mark.parametrize("kind", ["cronjob", "raycronjob"])
def test_a_night_is_due_in_its_zone_and_never_twice(kind: str) -> None:
    """The deadline ends a run before the next one; a plain CronJob makes up for a start that was missed."""
    run = scheduled(f"deployment.kuberay={kind}", at="0 3 * * 7", zone="Europe/Berlin")
    text = render_nightly(run)
    spec = by_kind(text, "CronJob" if kind == "cronjob" else "RayCronJob")["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("0 3 * * 0", "Europe/Berlin")
    if kind == "cronjob":
        assert (spec["concurrencyPolicy"], spec["startingDeadlineSeconds"]) == ("Forbid", 21600)
    (job,) = jobs(text)
    assert job["spec"]["activeDeadlineSeconds"] == 72000
    with pytest.raises(ConfigError, match="deadline_seconds"):
        render_nightly(scheduled(at="0 2,14 * * *"))
    assert render_nightly(scheduled("deployment.deadline_seconds=40000", at="0 2,14 * * *"))


def test_the_command_arrives_word_for_word() -> None:
    """Through every shell on the way: KubeRay's submitter and Ray's job each take it apart once."""
    sources = ("s3://talks/two words", 's3://b/it\'s $HOME;`id` "q" *.mp4', "--prune.pdf", "s3://b/秋夜")
    run = scheduled(sources=sources, options=("--max-cost", "1.5"))
    (job,) = jobs(render_once(run))
    command = job["spec"]["entrypoint"]
    for _ in range(2):
        said = subprocess.run(
            ["bash", "-c", f"printf '%s\\0' {command}"],
            capture_output=True,
            text=True,
            check=True,
            env={"HOME": "/"},
        ).stdout
        words = said.split("\0")[:-1]
        command = shlex.join(words)
    assert words[0] == "gloss"
    assert tuple(words[words.index("--") + 1 :]) == sources
    options = words[1 : words.index("--")]
    assert options == [
        "nightly", "--lake", LAKE, "--config", "/etc/gloss/gloss.yaml", "--set", "run.address=auto",
        "--max-cost", "1.5",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"\$\("):
        render_once(scheduled(sources=("s3://b/$(HOME)",)))


def test_the_command_is_one_that_gloss_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the configuration that was mounted beside it."""
    seen: dict[str, Any] = {}

    def nightly(sources: list[str], lake: str, config: Config, **options: Any) -> int:
        seen.update(sources=sources, lake=lake, config=config, **options)
        return 0

    monkeypatch.setattr("jobs.nightly.run_nightly", nightly)
    run = scheduled("summary.language=de", options=("--prune", "--limit", "7"))
    text = render_nightly(run)
    (job,) = jobs(text)
    mounted = [manifest for manifest in documents(text) if CONFIG_FILE in manifest.get("data", {})]
    (tmp_path / CONFIG_FILE).write_text(mounted[0]["data"][CONFIG_FILE])
    words = shlex.split(job["spec"]["entrypoint"].replace("/etc/gloss", str(tmp_path)))
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, done.output
    assert (seen["sources"], seen["lake"], seen["prune"], seen["selection"].limit) == (
        [*SOURCES],
        LAKE,
        True,
        7,
    )
    config = seen["config"]
    assert (config.run.address, config.profile, config.summary.language) == ("auto", "gpu", "de")


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["vision.engine=off", "speech.model='1e3'", "ocr.detail=off", "summary.language=no"],
        ["nightly.max_change.text_per_page=0.3", "nightly.command=['mail', '-s', 'it: \"went\" #1']"],
        ["store.storage_options={endpoint_url = 'https://s3', region = 'eu'}", "summary.levels=['asset']"],
        ["embedding.query_prefix='query: \\n\\ttwo'", "resources.accelerator.speech=L4"],
    ],
)
@pytest.mark.parametrize("profile", ["embedded", "gpu"])
def test_the_configuration_travels_whole(tmp_path: Path, profile: str, settings: list[str]) -> None:
    """What was set and what was not: a run treats an engine that was never named otherwise."""
    config = load_config(profile, settings=settings)
    (tmp_path / CONFIG_FILE).write_text(Scheduled((), "", config, parse_timetable("02:30")).config_text())
    arrived = load_config(file=tmp_path / CONFIG_FILE)
    assert arrived == config
    assert arrived.vision.model_fields_set == config.vision.model_fields_set


@given(st.text(max_size=12))
def test_text_is_the_same_to_every_reader_of_yaml(text: str) -> None:
    """PyYAML reads it back; what looks like a number to YAML 1.2 is in quotes."""
    written = dump_yaml({"key": text})
    assert yaml.safe_load(written) == {"key": text}
    if re.fullmatch(r"[-+]?[0-9][0-9_]*(\.[0-9]*)?([eE][-+]?[0-9]+)?|0[ox][0-9a-fA-F]+", text):
        assert "'" in written or '"' in written


def test_the_command_line_hands_on_what_it_is_given(tmp_path: Path) -> None:
    """Options of the run, its time and its configuration; results on stdout, files where they are wanted."""
    (tmp_path / "gloss.toml").write_text("[summary]\nlanguage = 'de'\n")
    arguments = ["schedule", *SOURCES, "--lake", LAKE, "--target", "kuberay", "--at", "0 3 * * *", "--prune"]
    arguments += ["--timezone", "Europe/Berlin", "--limit", "5", "--config"]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "gloss.toml")])
    assert done.exit_code == 0, done.output
    (job,) = jobs(done.stdout)
    assert job["spec"]["entrypoint"].endswith("--limit 5 --prune -- s3://talks/")
    mounted = yaml.safe_load(next(d["data"][CONFIG_FILE] for d in documents(done.stdout) if "data" in d))
    assert mounted["summary"] == {"language": "de"}
    assert mounted["nightly"] == {"schedule": "0 3 * * *", "timezone": "Europe/Berlin"}
    written = CliRunner().invoke(app, [*arguments, str(tmp_path / "gloss.toml"), "-o", str(tmp_path)])
    assert (written.exit_code, written.stdout) == (0, "")
    dear = CliRunner().invoke(app, [*arguments, str(tmp_path / "gloss.toml"), "--max-cost", "1"])
    assert isinstance(dear.exception, ConfigError), "what nightly would refuse is refused here"
    assert {path.name for path in tmp_path.glob("*.yaml")} == {
        "gloss-nightly.yaml",
        "gloss-nightly-once.yaml",
    }


# --- what does not travel -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "lake", "settings", "words"),
    [
        (["talks"], LAKE, [], ["talks", "object store"]),
        (["file:///talks"], LAKE, [], ["file:///talks"]),
        (["zip://*.pdf::talks.zip"], LAKE, [], ["talks.zip"]),
        ([*SOURCES], "./lake", [], ["the lake", "./lake"]),
        ([*SOURCES], "memory://lake", [], ["memory://lake"]),
        (["http://127.0.0.1:9000/talks"], LAKE, [], ["127.0.0.1"]),
        ([*SOURCES], LAKE, ["speech.model=./whisper"], ["speech.model", "/models/whisper"]),
        ([*SOURCES], LAKE, ["summary.prompts=/etc"], ["summary.prompts", "gloss-models"]),
        (
            [*SOURCES],
            LAKE,
            ["vision.engine=openai", "vision.base_url=http://localhost:8000/v1"],
            ["vision.base_url"],
        ),
        ([*SOURCES], LAKE, ["nightly.webhook=http://[::1]/hook"], ["nightly.webhook"]),
        ([*SOURCES], LAKE, ["deployment.workers=0"], ["deployment.workers"]),
        ([*SOURCES], LAKE, ["resources.ocr_cpus=9"], ["resources.ocr_cpus"]),
        ([*SOURCES], LAKE, ["resources.custom.decode.licence=1"], ["licence"]),
    ],
)
def test_what_pods_cannot_reach_or_hold_is_refused(
    sources: list[str], lake: str, settings: list[str], words: list[str]
) -> None:
    """By name, with what to do."""
    config = load_config(settings=settings)
    with pytest.raises(ConfigError) as caught:
        run_schedule(sources, lake, config, target="kuberay", at="02:30")
    for word in words:
        assert word in str(caught.value)


def test_models_in_the_cache_are_named_by_their_path_there(capsys: pytest.CaptureFixture[str]) -> None:
    """And need not exist here."""
    config = load_config(settings=["speech.model=/models/whisper"])
    assert run_schedule(SOURCES, LAKE, config, target="kuberay", at="02:30") == 0
    assert "model: /models/whisper" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["kuberay", "cron", "systemd", "ray-up"])
@pytest.mark.parametrize(
    "place",
    [
        "sftp://ann:hunter2@host/talks",
        "https://host/talks?X-Amz-Signature=hunter2",
        "https://h/t?sig=hunter2",
    ],
)
def test_no_secret_is_written(tmp_path: Path, target: str, place: str) -> None:
    """A password or a signature in an address is refused, and not shown; nothing is written."""
    for sources, lake in (([place], LAKE), ([*SOURCES], place)):
        with pytest.raises(ConfigError) as caught:
            run_schedule(sources, lake, Config(), target=target, output=tmp_path)
        assert "hunter2" not in str(caught.value)
        assert "ann" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_environment_is_written_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of variables travel, what they hold does not."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("HOOK", "https://example.org/hunter2")
    config = load_config(settings=["nightly.webhook_env=HOOK", "deployment.secret=store"])
    for target in schedule.TARGETS:
        assert run_schedule(SOURCES, LAKE, config, target=target, output=tmp_path / target) == 0
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(texts) == 8
    assert not any("hunter2" in text for text in texts)
    assert any("HOOK" in text for text in texts)


# --- cron and systemd -----------------------------------------------------------------------

WORDS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=8),
    min_size=1,
    max_size=3,
)


def cron_words(text: str, folder: Path) -> list[str]:
    r"""What a program gets whose line cron has read: `\%` is %, and the rest is the shell's."""
    line = text.splitlines()[-1]
    command = line.split(" ", 5)[5]
    assert not re.search(r"(?<!\\)%", command)
    (folder / "show").write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    (folder / "show").chmod(0o755)
    subprocess.run(["/bin/sh", "-c", command.replace("\\%", "%")], check=True)
    return (folder / "log %").read_text().split("\0")[:-1]


def test_cron_starts_what_was_asked_for(tmp_path: Path) -> None:
    """Whatever is in a name: cron's own signs, and the shell's."""
    sources = ("/a b/100%", "/it's/$HOME", "/a\\%b;`id`", "-x")
    run = scheduled(
        "nightly.tolerate_failures=true", profile="embedded", sources=sources, lake="/la ke", at="0 2 * * 1-5"
    )
    text = render_crontab(run, [str(tmp_path / "show")], Path("/etc/gloss.yaml"), tmp_path / "log %")
    words = cron_words(text, tmp_path)
    assert words == ["nightly", "--lake", "/la ke", "--config", "/etc/gloss.yaml", "--", *sources]
    due = next(CronSim(" ".join(text.splitlines()[-1].split()[:5]), MONDAY + timedelta(days=4, hours=3)))
    assert due == MONDAY + timedelta(days=7, hours=2)


def test_cron_gets_credentials_from_a_file_and_its_zone(tmp_path: Path) -> None:
    """The file is read by the shell that starts the run."""
    secrets = tmp_path / "gloss env"
    secrets.write_text("WHO='a b'\n")
    show = tmp_path / "who"
    show.write_text('#!/bin/sh\nprintf %s "$WHO"\n')
    show.chmod(0o755)
    run = scheduled(f"deployment.environment_file={secrets}", profile="embedded", zone="Europe/Berlin")
    text = render_crontab(run, [str(show)], Path("/c.yaml"), tmp_path / "log")
    assert "CRON_TZ=Europe/Berlin\n" in text
    subprocess.run(["/bin/sh", "-c", text.splitlines()[-1].split(" ", 5)[5]], check=True)
    assert (tmp_path / "log").read_text() == "a b"


def test_what_is_asked_for_means_the_same_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths become absolute; addresses stay as they are."""
    monkeypatch.chdir(tmp_path)
    sources = ["talks/*.mp4", "s3://media/talks", "zip://*.pdf::s3://media/a.zip"]
    run_schedule(sources, "lake", load_config(), target="cron", output=tmp_path / "out")
    (file,) = (tmp_path / "out").glob("*.crontab")
    line = file.read_text()
    for word in (f"{tmp_path}/talks/*.mp4", "s3://media/talks", "zip://*.pdf::s3://media/a.zip"):
        assert f" {shlex.quote(word)} " in f" {line} ".replace("\n", " ")
    assert f"--lake {tmp_path}/lake " in line


@pytest.mark.parametrize("sources", [("/a\nb",), tuple(f"/some/folder/{n}" for n in range(100))])
def test_what_a_crontab_cannot_hold_is_refused(sources: tuple[str, ...]) -> None:
    """A line break begins another line, and what is too long would be cut off."""
    with pytest.raises(ConfigError, match="Wanted"):
        render_crontab(scheduled(sources=sources), ["/gloss"], Path("/c.yaml"), Path("/log"))


@needs_systemd
def test_systemd_takes_the_units_without_a_word(tmp_path: Path) -> None:
    """`systemd-analyze verify`, with names full of its own signs, and a program that is there."""
    program = tmp_path / "gl oss%n"
    shutil.copy("/bin/true", program)
    run = scheduled(
        "deployment.environment_file=/etc/gl oss%n/env", profile="embedded", zone="Europe/Berlin",
        sources=("/a b/100%n", "/$HOME/${x}", '/"q" \\n;', ";", "/秋夜"), lake="/la ke",
    )  # fmt: skip
    units = render_units(
        run, [str(program)], Path("/etc/gl oss/gloss.yaml"), user="root",
        writable=[Path("/var/la ke%n")], environment={"HF_HOME": "/ca che%n"},
    )  # fmt: skip
    assert '"/$$HOME/$${x}"' in units["gloss-nightly.service"], "which $ would be replaced is not verified"
    for name, text in units.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in units)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    mine = [line for line in done.stderr.splitlines() if "gloss" in line]
    assert (done.returncode, mine) == (0, []), done.stderr
    (tmp_path / "gloss-nightly.timer").write_text(
        units["gloss-nightly.timer"].replace("OnCalendar=", "OnCalendar=x")
    )
    broken = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "gloss-nightly.timer")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "gloss-nightly.timer" in broken.stderr, "the check can fail"


def test_units_hold_what_matters(tmp_path: Path) -> None:
    """A missed night is made up for; a busy lake is no failure; the run may write to its lake alone."""
    lake = tmp_path / "made" / "later"
    config = load_config(settings=["deployment.user=gloss", "vision.prompts=~"])
    code = run_schedule(["talks"], str(lake), config, target="systemd", at="02:30", output=tmp_path / "units")
    assert code == 0
    service = (tmp_path / "units" / "gloss-nightly.service").read_text()
    assert "Persistent=true" in (tmp_path / "units" / "gloss-nightly.timer").read_text()
    for line in (
        "User=gloss",
        "SuccessExitStatus=5",
        "KillSignal=SIGINT",
        "ProtectSystem=strict",
        "PrivateDevices=yes",
    ):
        assert line in service.splitlines()
    assert f'ReadWritePaths="-{tmp_path}"' in service
    assert f'"{Path.cwd() / "talks"}"' in service
    arrived = load_config(file=tmp_path / "units" / CONFIG_FILE)
    assert (arrived.nightly.schedule, arrived.vision.prompts) == ("30 2 * * *", str(Path.home()))


@given(WORDS)
@hypothesis_settings(max_examples=30)
def test_words_of_a_unit_are_read_back(words: list[str]) -> None:
    """By the rules of systemd.syntax(7): quotes and backslashes, then specifiers."""
    for word in words:
        text = quoted(word)
        assert (text[0], text[-1]) == ('"', '"')
        inner = re.sub(r"\\(.)", r"\1", text[1:-1])
        assert inner.replace("%%", "%") == word
        assert not re.search(r'(?<!\\)(\\\\)*"', text[1:-1])
    with pytest.raises(ConfigError):
        quoted("a\nExecStart=/bin/evil")


def test_folders_are_wanted_where_there_are_several_files() -> None:
    """The configuration has to lie somewhere."""
    for target in ("cron", "systemd"):
        with pytest.raises(ConfigError, match="--output"):
            run_schedule(SOURCES, LAKE, Config(), target=target)
    with pytest.raises(ConfigError, match="kuberay, cron, systemd"):
        run_schedule(SOURCES, LAKE, Config(), target="airflow")


def test_the_program_is_named_so_that_anybody_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler knows no virtual environment."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert schedule._program(Config()) == [str(tmp_path / "python"), "-m", "jobs.cli"]
    (tmp_path / "gloss").touch()
    assert schedule._program(Config()) == [str(tmp_path / "gloss")]
    assert schedule._program(load_config(settings=["deployment.program=['sh', '-c']"]))[0].endswith("/sh")
    with pytest.raises(ConfigError, match="no-such-program"):
        schedule._program(load_config(settings=["deployment.program=['no-such-program']"]))


# --- what lies in cluster/ and docs/ --------------------------------------------------------


def sample(kind: str) -> Scheduled:
    """What the samples are made of: see docs/nightly.md."""
    settings = (
        f"deployment.kuberay={kind}",
        "deployment.secret=gloss-store",
        "deployment.ray_version=2.60.0",
    )
    run = scheduled(*settings, zone="Europe/Berlin", options=("--prune",))
    timetable, config = schedule._timed(run.config, "02:30", "Europe/Berlin")
    assert timetable == run.timetable
    return Scheduled(run.sources, run.lake, config, timetable, run.options)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("manifests/nightly-cronjob.yaml", lambda: render_nightly(sample("cronjob"))),
        ("manifests/nightly-raycronjob.yaml", lambda: render_nightly(sample("raycronjob"))),
        ("manifests/once-rayjob.yaml", lambda: render_once(sample("cronjob"))),
        ("ray-cluster.yaml", lambda: render_cluster(sample("cronjob").config)),
    ],
)
def test_samples_are_what_is_rendered(name: str, text: Any) -> None:
    """GLOSS_WRITE_SAMPLES=1 writes them anew."""
    path = ROOT / "cluster" / name
    if os.environ.get("GLOSS_WRITE_SAMPLES"):
        path.write_text(text(), encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text()


@pytest.mark.parametrize("profile", ["embedded", "gpu"])
def test_ray_takes_its_cluster_file(profile: str) -> None:
    """By its own schema, with its own defaults for the cloud; dashboards stay on the head."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = load_config(profile, settings=["deployment.worker_resources.licence=1"])
    cluster = yaml.safe_load(render_cluster(config))
    prepared = prepare_config(copy.deepcopy(cluster))
    prepared["cluster_synced_files"] = []
    validate_config(prepared)
    assert prepared["available_node_types"]["worker"]["resources"] == {"CPU": 8, "licence": 1}
    assert ("gpu" in prepared["available_node_types"]) == (profile == "gpu")
    assert "--dashboard-host=127.0.0.1" in " ".join(cluster["head_start_ray_commands"])
    cluster["available_node_types"]["worker"]["resources"] = "eight"
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config(cluster) | {"cluster_synced_files": []})


def test_the_image_is_built_from_what_is_there() -> None:
    """Files that are copied exist, extras too; the user is the one that manifests demand."""
    with (ROOT / "cluster" / "Containerfile").open("rb") as text:
        file = DockerfileParser(fileobj=text)
        steps = [(step["instruction"], step["value"]) for step in file.structure]
    assert steps[[name for name, _ in steps].index("FROM")][1].startswith("python:3.11-slim")
    for name, value in steps:
        if name == "COPY":
            for source in value.split()[:-1]:
                assert (ROOT / source).exists(), source
    copied = {source for name, value in steps if name == "COPY" for source in value.split()[:-1]}
    assert {"jobs", "operators", "schemas", "cluster", "pyproject.toml"} <= copied
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (extras,) = [value.partition("=")[2] for name, value in steps if name == "ARG"]
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    assert {project["readme"], *project["license-files"]} <= copied
    (run,) = jobs(render_once(scheduled()))
    wanted = run["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["securityContext"]
    users = [value for name, value in steps if name == "USER"]
    assert users[-1] == f"{wanted['runAsUser']}:{wanted['runAsGroup']}"
    assert any("wget" in value for name, value in steps if name == "RUN"), "KubeRay's checks call it"


@pytest.mark.parametrize("page", ["nightly", "airflow", "dagster"])
def test_pages_show_what_there_is(page: str, tmp_path: Path) -> None:
    """Python compiles, commands parse, settings load, links lead somewhere."""
    path = ROOT / "docs" / f"{page}.md"
    text = path.read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        compile(block, f"{page}.md", "exec")
    for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL):
        (tmp_path / "gloss.toml").write_text(block)
        load_config(file=tmp_path / "gloss.toml")
    for setting in re.findall(r"--set ([^\s`]+)", text):
        load_config(settings=[setting])
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}  # type: ignore[union-attr]
    assert set(re.findall(r"(?:^|\")gloss\"?,? \"?(\w+)", text, re.MULTILINE)) <= verbs
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert "://" in target or (path.parent / target).exists(), target


def test_every_timetable_is_a_value() -> None:
    """Two of the same times are the same."""
    assert parse_timetable("02:30") == parse_timetable("30 2 * * *")
    assert isinstance(parse_timetable("02:30"), Timetable)
