"""A RayJob for one run: its head, its workers, and what their pods may do.

Pods run as nobody in particular on a file system that they cannot write to, hold no rights on the cluster,
and get credentials by the name of a Secret. Nothing here is about when.
"""

import shlex
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from cluster.nodes import Node
from cluster.scheduled import CONFIG_FILE, Scheduled
from cluster.shares import loads_nothing
from schemas.config import Config
from schemas.resources import Pool

Manifest = dict[str, Any]

_CONFIG_FOLDER = "/etc/gloss"
_LABEL = "gloss/deployment"
_USER = 1000
"""Of the image, see cluster/Containerfile."""
_RAY_MEMORY = 0.7
"""Share of a pod's memory that Ray gives to tasks; the rest is its object store."""
CONFINED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
NOBODY = {
    "runAsNonRoot": True,
    "runAsUser": _USER,
    "runAsGroup": _USER,
    "fsGroup": _USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def uses_gpus(config: Config) -> bool:
    """Tell whether an operator of a run uses GPUs."""
    on: dict[Pool, bool] = {
        "ocr": config.ocr.engine != "off",
        "speech": config.speech.engine != "off",
        "vision": config.vision.looks,
        "summary": config.summary.writes,
        "embedding": config.embedding.engine != "off",
    }
    shares = (
        getattr(config.resources, f"{pool}_gpus")
        for pool in on
        if on[pool] and not loads_nothing(config, pool)
    )
    return any(shares) or "vllm" in (config.vision.engine, config.summary.engine)


def nodes_of(config: Config) -> list[Node]:
    """List the pods that take work, as Ray will see them."""
    use = config.deployment
    marks = {f"accelerator_type:{name}": 1.0 for name in config.resources.accelerator.values()}
    custom = {name: float(amount) for name, amount in use.worker_resources.items()}
    nodes = [
        Node({"CPU": float(use.worker_cpus), "memory": _ray_memory(use.worker_memory_gib)} | custom)
    ] * use.workers
    if uses_gpus(config):
        held = {"CPU": float(use.gpu_worker_cpus), "memory": _ray_memory(use.gpu_worker_memory_gib)}
        nodes += [Node(held | custom | marks, (1.0,) * use.gpus_per_worker)] * use.gpu_workers
    return nodes


def _ray_memory(gib: int) -> float:
    return _RAY_MEMORY * gib * (1 << 30)


def ray_job(run: Scheduled) -> Manifest:
    """Describe one run on a cluster of its own, which is there for as long as the run."""
    use = run.config.deployment
    command = ["gloss", *run.arguments(f"{_CONFIG_FOLDER}/{CONFIG_FILE}", "--set", "run.address=auto")]
    ray = use.ray_version or version("ray")
    submitter = _pod(run.config, "submitter", {"cpu": "1", "memory": "1Gi"})
    workers = [] if not use.workers else [_workers(run.config, "cpu", use.workers)]
    if uses_gpus(run.config):
        workers.append(_workers(run.config, "gpu", use.gpu_workers))
    head_pod = _pod(run.config, "ray-head", {"cpu": use.head_cpus, "memory": f"{use.head_memory_gib}Gi"})
    _mount(head_pod, "config", _CONFIG_FOLDER, {"configMap": {"name": f"{use.name}-config"}}, read_only=True)
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"generateName": f"{use.name}-", "labels": labels(run.config)},
        "spec": {
            "entrypoint": shlex.join(command),
            "submissionMode": "K8sJobMode",
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": use.ttl_seconds,
            "activeDeadlineSeconds": use.deadline_seconds,
            "backoffLimit": use.retries,
            "submitterPodTemplate": {
                "metadata": submitter["metadata"],
                "spec": submitter["spec"] | {"restartPolicy": "Never"},
            },
            "rayClusterSpec": {
                "rayVersion": ray,
                "headGroupSpec": {
                    "serviceType": "ClusterIP",
                    # The head leads and takes no work, so that nothing there is starved of memory.
                    "rayStartParams": {"num-cpus": "0"},
                    "template": head_pod,
                },
                "workerGroupSpecs": workers,
            },
        },
    }


def _workers(config: Config, group: str, count: int) -> Manifest:
    use = config.deployment
    with_gpu = group == "gpu"
    cpus = use.gpu_worker_cpus if with_gpu else use.worker_cpus
    memory = use.gpu_worker_memory_gib if with_gpu else use.worker_memory_gib
    wanted: dict[str, Any] = {"cpu": cpus, "memory": f"{memory}Gi"}
    if with_gpu:
        wanted[use.gpu_resource] = use.gpus_per_worker
    pod = _pod(config, "ray-worker", wanted)
    if selector := use.gpu_node_selector if with_gpu else use.node_selector:
        pod["spec"]["nodeSelector"] = dict(selector)
    if with_gpu:
        pod["spec"]["tolerations"] = [{"key": use.gpu_resource, "operator": "Exists", "effect": "NoSchedule"}]
    return {
        "groupName": group,
        "replicas": count,
        "minReplicas": count,
        "maxReplicas": count,
        "rayStartParams": _start_params(use.worker_resources),
        "template": pod,
    }


def _start_params(resources: Mapping[str, int]) -> dict[str, str]:
    """Offer resources of the user's own, in the quoting that KubeRay and Ray's autoscaler want."""
    if not resources:
        return {}
    inner = ", ".join(f'\\"{name}\\": {amount}' for name, amount in resources.items())
    return {"resources": f'"{{{inner}}}"'}


def _pod(config: Config, name: str, wanted: Mapping[str, Any]) -> Manifest:
    """A pod of the run; what it writes, it writes to its own scratch space and to the cache of models."""
    use = config.deployment
    env = {"HOME": "/tmp", "RAY_USAGE_STATS_ENABLED": "0"}  # noqa: S108 - in its pod
    container: Manifest = {
        "name": name,
        "image": use.image,
        "imagePullPolicy": use.pull_policy,
        "resources": amounts(wanted),
        "securityContext": CONFINED,
    }
    spec: Manifest = {"automountServiceAccountToken": False, "securityContext": NOBODY}
    if use.service_account:
        # Clouds inject what they need for it; the token for Kubernetes itself stays out.
        spec["serviceAccountName"] = use.service_account
    pod = {"metadata": {"labels": labels(config)}, "spec": spec | {"containers": [container], "volumes": []}}
    _mount(pod, "tmp", "/tmp", {"emptyDir": {}})  # noqa: S108
    if use.model_cache and name != "submitter":
        env["HF_HOME"] = f"{use.model_cache_path}/huggingface"
        claim = {"persistentVolumeClaim": {"claimName": use.model_cache}}
        _mount(pod, "models", use.model_cache_path, claim)
    container["env"] = [{"name": key, "value": value} for key, value in env.items()]
    if use.secret and name != "submitter":
        container["envFrom"] = [{"secretRef": {"name": use.secret}}]
    return pod


def _mount(pod: Manifest, name: str, path: str, volume: Manifest, *, read_only: bool = False) -> None:
    mount: Manifest = {"name": name, "mountPath": path} | ({"readOnly": True} if read_only else {})
    pod["spec"]["containers"][0].setdefault("volumeMounts", []).append(mount)
    pod["spec"]["volumes"].append({"name": name, **volume})


def amounts(wanted: Mapping[str, Any]) -> Manifest:
    """Ask for what is used at most: Ray plans with the limits, and a pod beyond its memory is ended."""
    most = {name: str(amount) for name, amount in wanted.items()}
    return {"requests": most, "limits": dict(most)}


def labels(config: Config) -> dict[str, str]:
    """Return what marks everything of one deployment."""
    return {_LABEL: config.deployment.name}
