"""What the API server of a Kubernetes with KubeRay takes: a strict schema for its kinds.

KubeRay's own fields are listed here by hand, as its API reference and its CRDs name them (`ray.io/v1` of
KubeRay 1.6 and later); all below a pod template, which is nearly all of those CRDs, is the complete schema
of Kubernetes that comes with `kubernetes-validate`. Unknown fields are errors, though the API server only
drops them.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
import kubernetes_validate
import referencing

KUBERNETES = "1.34"
_CORE = "https://kubernetes.io/api/_definitions.json#/$defs/io.k8s.api.core.v1"

_INT32 = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
_TEXT, _BOOL, _NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "number"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_POD = {"$ref": f"{_CORE}.PodTemplateSpec"}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


_HEAD = _object(
    ["template"],
    enableIngress=_BOOL,
    headService={"$ref": f"{_CORE}.Service"},
    labels=_TEXTS,
    rayStartParams=_TEXTS,
    resources=_TEXTS,
    serviceType={"enum": ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]},
    template=_POD,
)
_WORKERS = _object(
    ["groupName", "minReplicas", "maxReplicas", "template"],
    groupName=_TEXT,
    idleTimeoutSeconds=_INT32,
    labels=_TEXTS,
    maxReplicas=_INT32,
    minReplicas=_INT32,
    numOfHosts=_INT32,
    rayStartParams=_TEXTS,
    replicas=_INT32,
    resources=_TEXTS,
    suspend=_BOOL,
    template=_POD,
)
_CLUSTER = _object(
    ["headGroupSpec"],
    enableInTreeAutoscaling=_BOOL,
    headGroupSpec=_HEAD,
    headServiceAnnotations=_TEXTS,
    managedBy=_TEXT,
    rayVersion=_TEXT,
    suspend=_BOOL,
    workerGroupSpecs={"type": "array", "items": _WORKERS},
)
_JOB = _object(
    [],
    activeDeadlineSeconds=_INT32,
    backoffLimit=_INT32,
    clusterSelector=_TEXTS,
    entrypoint=_TEXT,
    entrypointNumCpus=_NUMBER,
    entrypointNumGpus=_NUMBER,
    entrypointResources=_TEXT,
    jobId=_TEXT,
    managedBy=_TEXT,
    metadata=_TEXTS,
    rayClusterSpec=_CLUSTER,
    runtimeEnvYAML=_TEXT,
    shutdownAfterJobFinishes=_BOOL,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
    submitterConfig=_object([], backoffLimit=_INT32),
    submitterPodTemplate=_POD,
    suspend=_BOOL,
    ttlSecondsAfterFinished=_INT32,
)
_SPECS = {
    "RayJob": _JOB,
    "RayCronJob": _object(
        ["jobTemplate", "schedule"],
        jobTemplate=_JOB,
        schedule=_TEXT,
        suspend=_BOOL,
        timeZone={"type": "string", "minLength": 1},
    ),
}


@cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    folder = files("kubernetes_validate") / f"kubernetes-json-schema/v{KUBERNETES}.0-local-strict"
    core = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))
    registry: referencing.Registry[Any] = referencing.Resource.from_contents(core) @ referencing.Registry()
    metadata = {
        "$ref": "https://kubernetes.io/api/_definitions.json#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    }
    schema = _object(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "ray.io/v1"},
        kind={"const": kind},
        metadata=metadata,
        spec=_SPECS[kind],
    )
    return jsonschema.Draft202012Validator(schema, registry=registry)


def validate(manifest: dict[str, Any]) -> None:
    """Check one manifest strictly.

    Raises:
        jsonschema.ValidationError: It is not what its kind takes.
    """
    if manifest["apiVersion"].startswith("ray.io/"):
        _validator(manifest["kind"]).validate(manifest)
    else:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
