"""Manifests for Kubernetes with KubeRay: a cluster for the length of a run, every night.

The pods of a night are made for it and go with it: a head that leads, workers, and workers with GPUs if
an operator uses one. They hold no rights on the cluster, run as nobody in particular on a file system
they cannot write to, get credentials by the name of a Secret, and are reached by nobody but each other
and KubeRay's operator.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from cluster.ray_job import CONFINED, NOBODY, Manifest, amounts, labels, nodes_of, ray_job
from cluster.resources import plan_workers
from cluster.scheduled import CONFIG_FILE, Scheduled, dump_yaml
from schemas.config import Config, ConfigError


def render_nightly(run: Scheduled) -> str:
    """Render all that the nightly run needs, for `kubectl apply`.

    Raises:
        ConfigError: Its operators do not fit the pods, or runs could overlap.
    """
    _check(run)
    use = run.config.deployment
    shared = [_config_map(run)]
    shared += [_model_cache(run.config)] if use.model_cache else []
    shared += [_network_policy(run.config)] if use.network_policy else []
    due = [_ray_cron_job(run)] if use.kuberay == "raycronjob" else _cron_job(run)
    return _document(*shared, *due)


def render_once(run: Scheduled) -> str:
    """Render one run of the same kind, now, for `kubectl create` beside the nightly ones.

    Raises:
        ConfigError: As of `render_nightly`.
    """
    _check(run)
    return _document(ray_job(run))


def _document(*manifests: Manifest) -> str:
    return "# Rendered by gloss schedule: render it again rather than edit it.\n" + dump_yaml(*manifests)


def _check(run: Scheduled) -> None:
    use = run.config.deployment
    gap = run.timetable.shortest_gap(datetime.now(UTC))
    if gap.total_seconds() < use.deadline_seconds:
        msg = (
            f"Wanted runs that end before the next one is due; deployment.deadline_seconds is "
            f"{use.deadline_seconds}, and they are due {gap.total_seconds():.0f} s apart. Lower it."
        )
        raise ConfigError(msg)
    nodes = nodes_of(run.config)
    if not nodes:
        msg = (
            "Wanted pods that work; deployment.workers is 0, and no operator uses a GPU. Set it to 1 or more."
        )
        raise ConfigError(msg)
    plan_workers(run.config, nodes)
    if any("$(" in part or "\n" in part for part in run.arguments(CONFIG_FILE)):
        msg = "Wanted sources and a lake without $( and line breaks, which Kubernetes would change."
        raise ConfigError(msg)


# --- when -----------------------------------------------------------------------------------


def _ray_cron_job(run: Scheduled) -> Manifest:
    """KubeRay's own; it makes up for one start that was missed while its operator was away."""
    spec: Manifest = {"schedule": run.timetable.cron}
    if run.timetable.zone:
        spec["timeZone"] = run.timetable.zone
    return _manifest("ray.io/v1", "RayCronJob", run.config, spec | {"jobTemplate": ray_job(run)["spec"]})


def _cron_job(run: Scheduled) -> list[Manifest]:
    """A CronJob that creates a RayJob, and the right to do that and nothing else."""
    use = run.config.deployment
    starter = f"{use.name}-starter"
    named = {"metadata": {"name": starter, "labels": labels(run.config)}}
    job = dump_yaml(ray_job(run))
    container = {
        "name": "kubectl",
        "image": use.kubectl_image,
        "args": ["create", "--filename", "/rayjob/rayjob.yaml", "--cache-dir", "/tmp/cache"],  # noqa: S108 - in its pod
        "securityContext": CONFINED,
        "resources": amounts({"cpu": "100m", "memory": "128Mi"}),
        "volumeMounts": [
            {"name": "rayjob", "mountPath": "/rayjob", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
    }
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": starter,
        "securityContext": NOBODY,
        "containers": [container],
        "volumes": [{"name": "rayjob", "configMap": {"name": starter}}, {"name": "tmp", "emptyDir": {}}],
    }
    schedule: Manifest = {"schedule": run.timetable.cron}
    if run.timetable.zone:
        schedule["timeZone"] = run.timetable.zone
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", **named},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            **named,
            "rules": [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create"]}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            **named,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": starter},
            "subjects": [{"kind": "ServiceAccount", "name": starter, "namespace": use.namespace}],
        },
        {"apiVersion": "v1", "kind": "ConfigMap", **named, "data": {"rayjob.yaml": job}},
        _manifest(
            "batch/v1",
            "CronJob",
            run.config,
            {
                **schedule,
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": use.starting_deadline_seconds,
                "successfulJobsHistoryLimit": 3,
                "failedJobsHistoryLimit": 3,
                "jobTemplate": {
                    "spec": {
                        "backoffLimit": 3,
                        "activeDeadlineSeconds": 600,
                        "template": {"metadata": {"labels": labels(run.config)}, "spec": pod},
                    }
                },
            },
        ),
    ]


# --- beside it ------------------------------------------------------------------------------


def _config_map(run: Scheduled) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{run.config.deployment.name}-config", "labels": labels(run.config)},
        "data": {CONFIG_FILE: run.config_text()},
    }


def _model_cache(config: Config) -> Manifest:
    use = config.deployment
    spec: Manifest = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": f"{use.model_cache_gib}Gi"}},
    }
    if use.model_cache_class:
        spec["storageClassName"] = use.model_cache_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": use.model_cache, "labels": labels(config)},
        "spec": spec,
    }


def _network_policy(config: Config) -> Manifest:
    mine = {"matchLabels": labels(config)}
    operator: Sequence[Manifest] = [
        {
            "namespaceSelector": {},
            "podSelector": {"matchLabels": {"app.kubernetes.io/component": "kuberay-operator"}},
        }
    ]
    spec = {
        "podSelector": mine,
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": [{"podSelector": mine}]},
            {"from": operator, "ports": [{"port": 8265, "protocol": "TCP"}]},
        ],
    }
    return _manifest("networking.k8s.io/v1", "NetworkPolicy", config, spec)


def _manifest(api: str, kind: str, config: Config, spec: Manifest) -> Manifest:
    metadata = {"name": config.deployment.name, "labels": labels(config)}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}
