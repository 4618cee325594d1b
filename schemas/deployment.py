"""Where and with what `gloss schedule` lets the nightly run take place."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.section import Section

Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)]
"""What Kubernetes, systemd and the rest all take for a name; room is left for what they append."""
Resource = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.:-]*$")]
"""What Ray takes for the name of a resource, and no shell for anything else."""
_PLAIN = r"^[^\s\x00-\x1f\x7f]+$"


class Deployment(Section):
    """The machines, image and rights of a scheduled run. It changes nothing of what the run does."""

    name: Label = "gloss-nightly"
    """Of everything that is made."""
    image: str = Field("gloss:latest", pattern=_PLAIN)
    """Container image, as `cluster/Containerfile` builds it."""
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    kuberay: Literal["cronjob", "raycronjob"] = "cronjob"
    """`cronjob` is a plain CronJob that creates a RayJob, with any KubeRay from 1.1 on; `raycronjob` is
    KubeRay's own, alpha from 1.6 on: its operator must run with the feature gate `RayCronJob=true`."""
    kubectl_image: str = Field("registry.k8s.io/kubectl:v1.34.0", pattern=_PLAIN)
    """For `cronjob`: what creates the RayJob; its entry point is kubectl."""
    namespace: Label = "default"
    """Where the manifests are applied. Nothing but the rights of `cronjob` has to know it."""
    network_policy: bool = True
    """Let nobody but the pods of the run and KubeRay's operator reach them: who reaches Ray's dashboard may
    run what he likes. It needs a network that enforces policies."""
    secret: Label | None = None
    """Kubernetes Secret whose keys become environment variables of the run (AWS_ACCESS_KEY_ID…); made by
    you, its values are written nowhere."""
    service_account: Label | None = None
    """Kubernetes ServiceAccount of the Ray pods, where the cloud gives rights by that."""
    ray_version: str | None = Field(None, pattern=r"^\d+\.\d+\.\d+$")
    """Of Ray in the image; null takes the one installed here."""
    head_cpus: int = Field(2, ge=1)
    """Of the pod that leads the run; it takes no work of Ray."""
    head_memory_gib: int = Field(8, ge=2)
    workers: int = Field(2, ge=0)
    """Pods without GPU, for as long as the run lasts."""
    worker_cpus: int = Field(8, ge=1)
    worker_memory_gib: int = Field(32, ge=2)
    gpu_workers: int = Field(1, ge=1)
    """Pods with GPUs; there are none when no operator uses one (see `resources`)."""
    gpu_worker_cpus: int = Field(8, ge=1)
    gpu_worker_memory_gib: int = Field(48, ge=2)
    gpus_per_worker: int = Field(1, ge=1)
    worker_resources: dict[Resource, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Resources of your own that every worker pod offers to Ray (see `resources.custom`)."""
    gpu_resource: str = Field("nvidia.com/gpu", pattern=_PLAIN)
    """What Kubernetes calls a GPU."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels of the nodes for pods without GPU."""
    gpu_node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels of nodes with GPUs: `{"cloud.google.com/gke-accelerator" = "nvidia-l4"}`."""
    model_cache: str = Field("gloss-models", pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$", max_length=63)
    """PersistentVolumeClaim for weights of models, made with the rest; empty uses none, and fetches them in
    every run."""
    model_cache_gib: int = Field(100, ge=1)
    model_cache_class: str | None = Field(None, pattern=_PLAIN)
    """Storage class; it has to let many nodes write (ReadWriteMany). Null takes the cluster's default."""
    model_cache_path: str = Field("/models", pattern=r"^/[^\s:\x00-\x1f]+$")
    """Where pods find it; models by folder are named below it."""
    deadline_seconds: int = Field(20 * 3600, ge=60)
    """A run that takes longer is stopped; what was finished stays, and the next one goes on from there."""
    starting_deadline_seconds: int = Field(6 * 3600, ge=60)
    """A start that a Kubernetes CronJob missed is made up for within this."""
    ttl_seconds: int = Field(600, ge=0)
    """How long pods stay after the run, for their logs."""
    retries: int = Field(0, ge=0, le=10)
    """How often a failed RayJob is tried again the same night, each time on a new cluster."""
    head_instance: str = Field("m7i.xlarge", pattern=_PLAIN)
    """`ray-up`: kind of machine, as the cloud names it; AWS unless you change the file."""
    worker_instance: str = Field("m7i.2xlarge", pattern=_PLAIN)
    gpu_instance: str = Field("g6.2xlarge", pattern=_PLAIN)
    region: str = Field("us-west-2", pattern=_PLAIN)
    user: str | None = Field(None, pattern=r"^[a-z_][a-z0-9_-]*\$?$")
    """systemd: who the run is; null is who calls `gloss schedule`."""
    environment_file: str | None = Field(None, pattern=r"^/[^\x00-\x1f]+$")
    """cron and systemd: file of `NAME=value` lines with credentials, readable by that user alone."""
    program: list[str] = Field(default_factory=list)
    """cron and systemd: how gloss is called; empty takes the one that is running."""
