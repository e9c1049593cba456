"""The fields of KubeRay that deploy/ uses: what the custom resource definitions of ray.io/v1 say of them.

From KubeRay's API reference (docs/reference/api.md), types (ray-operator/apis/ray/v1/*_types.go), and the definition
ray.io_raycronjobs.yaml of its Helm chart, which holds all the others' too. A field's type is one of Python's, the name
of another type here, or, in a list, that of its items. What belongs to Kubernetes (pod templates), its schema checks.

Since when: `authOptions` KubeRay 1.5.1, `autoscalerOptions.version` 1.4, RayCronJob 1.6 (alpha); all else 1.2 or older.
"""

from typing import Any

KUBERNETES = object()
"""Checked by Kubernetes' own schema."""

QUOTED = {str: str}
"""A mapping of strings to strings: a number in it must be quoted."""

TYPES: dict[str, dict[str, Any]] = {
    "RayJob": {"apiVersion": str, "kind": str, "metadata": KUBERNETES, "spec": "RayJobSpec"},
    "RayCronJob": {"apiVersion": str, "kind": str, "metadata": KUBERNETES, "spec": "RayCronJobSpec"},
    "RayCronJobSpec": {"schedule": str, "suspend": bool, "jobTemplate": "RayJobSpec"},
    "RayJobSpec": {
        "activeDeadlineSeconds": int,
        "backoffLimit": int,
        "entrypoint": str,
        "rayClusterSpec": "RayClusterSpec",
        "shutdownAfterJobFinishes": bool,
        "suspend": bool,
        "ttlSecondsAfterFinished": int,
    },
    "RayClusterSpec": {
        "authOptions": "AuthOptions",
        "autoscalerOptions": "AutoscalerOptions",
        "enableInTreeAutoscaling": bool,
        "headGroupSpec": "HeadGroupSpec",
        "rayVersion": str,
        "workerGroupSpecs": ["WorkerGroupSpec"],
    },
    "AuthOptions": {"mode": {"disabled", "token"}},
    "AutoscalerOptions": {
        "idleTimeoutSeconds": int,
        "securityContext": KUBERNETES,
        "upscalingMode": {"Default", "Aggressive", "Conservative"},
        "version": {"v1", "v2"},
    },
    "HeadGroupSpec": {"rayStartParams": QUOTED, "template": KUBERNETES},
    "WorkerGroupSpec": {
        "groupName": str,
        "maxReplicas": int,
        "minReplicas": int,
        "rayStartParams": QUOTED,
        "replicas": int,
        "template": KUBERNETES,
    },
}

REQUIRED = {
    "RayCronJobSpec": {"schedule", "jobTemplate"},
    "RayClusterSpec": {"headGroupSpec"},
    "HeadGroupSpec": {"template"},
    "WorkerGroupSpec": {"groupName", "maxReplicas", "minReplicas", "template"},
}


def faults(value: Any, expected: Any, where: str) -> list[str]:
    """What is wrong with a value, as lines that say where."""
    if expected is KUBERNETES:
        return []
    if isinstance(expected, str):
        return _faults_of_mapping(value, expected, where)
    if isinstance(expected, list):
        return [fault for i, item in enumerate(value) for fault in faults(item, expected[0], f"{where}[{i}]")]
    if isinstance(expected, set):
        return [] if value in expected else [f"{where}: {value!r} is none of {sorted(expected)}"]
    if expected is QUOTED:
        return [f"{where}.{name}: {item!r} is not a string" for name, item in value.items() if type(item) is not str]
    return [] if type(value) is expected else [f"{where}: {value!r} is no {expected.__name__}"]


def _faults_of_mapping(value: Any, name: str, where: str) -> list[str]:
    fields = TYPES[name]
    unknown = [f"{where}.{field}: not a field of {name} that we know" for field in sorted(value.keys() - fields.keys())]
    missing = [f"{where}.{field}: missing" for field in sorted(REQUIRED.get(name, set()) - value.keys())]
    known = {field: item for field, item in value.items() if field in fields}
    deeper = [fault for field, item in known.items() for fault in faults(item, fields[field], f"{where}.{field}")]
    return unknown + missing + deeper
