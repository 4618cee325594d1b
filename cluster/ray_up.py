"""A cluster file for `ray up`: machines of a cloud, without Kubernetes.

Machines come and go with the work. Ray's dashboard and its jobs listen on the head alone; `ray dashboard`
opens a tunnel to them.
"""

from typing import Any

from cluster.ray_job import uses_gpus
from cluster.scheduled import dump_yaml
from schemas.config import Config

_START = "ray start --address=$RAY_HEAD_IP:6379"
_LEAD = (
    "ray start --head --port=6379 --autoscaling-config=~/ray_bootstrap_config.yaml --num-cpus=0 "
    "--dashboard-host=127.0.0.1 --disable-usage-stats"
)


def render_cluster(config: Config) -> str:
    """Render the cluster that a configuration asks for, on AWS; elsewhere `provider` and kinds differ."""
    use = config.deployment
    kinds: dict[str, Any] = {
        "head": {"resources": {"CPU": 0}, "node_config": {"InstanceType": use.head_instance}},
        "worker": {
            "min_workers": use.workers,
            "max_workers": use.workers,
            "resources": {"CPU": use.worker_cpus, **use.worker_resources},
            "node_config": {"InstanceType": use.worker_instance},
        },
    }
    if uses_gpus(config):
        kinds["gpu"] = {
            "min_workers": use.gpu_workers,
            "max_workers": use.gpu_workers,
            "resources": {"CPU": use.gpu_worker_cpus, "GPU": use.gpus_per_worker, **use.worker_resources},
            "node_config": {"InstanceType": use.gpu_instance},
        }
    cluster = {
        "cluster_name": use.name,
        "provider": {"type": "aws", "region": use.region, "cache_stopped_nodes": False},
        "auth": {"ssh_user": "ubuntu"},
        "max_workers": use.workers + (use.gpu_workers if uses_gpus(config) else 0),
        "idle_timeout_minutes": 15,
        "docker": {
            "image": use.image,
            "container_name": use.name,
            "pull_before_run": use.pull_policy != "Never",
            "run_options": ["--ulimit nofile=65536:65536"],
        },
        "available_node_types": kinds,
        "head_node_type": "head",
        "head_start_ray_commands": ["ray stop", _LEAD],
        "worker_start_ray_commands": ["ray stop", _START],
    }
    head = "# Rendered by gloss schedule --target ray-up: render it again rather than edit it.\n"
    return head + dump_yaml(cluster)
