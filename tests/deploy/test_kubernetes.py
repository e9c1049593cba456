"""Kubernetes takes what deploy/kubernetes gives it: by its own schemas, and by the fields of KubeRay."""

import importlib
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.files import (
    KUBERNETES,
    OVERLAYS,
    Document,
    documents,
    of_kind,
    pod_templates,
    rayjob_spec,
    render,
    rendered,
)
from tests.deploy.kuberay_fields import faults

VERSIONS = ("1.27", "1.37")
"""The oldest Kubernetes that has a CronJob's timeZone, and the newest whose schema there is."""

GIB = 1024**3
RAY_OWN_BYTES = GIB
WORKER_BYTES_A_CPU = 1.5 * GIB
"""As in SIZING.md: 3 GiB for two CPUs."""

KUSTOMIZATIONS = sorted(KUBERNETES.rglob("kustomization.yaml"))


def short(path: Path) -> str:
    return str(path.parent.relative_to(KUBERNETES))


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> list[Document]:
    return rendered(request.param)


def validate(document: Document) -> None:
    """By Kubernetes' own schemas, which the package carries. Unknown fields are errors."""
    try:
        package: Any = importlib.import_module("kubernetes_validate")
    except ImportError:
        pytest.skip("kubernetes-validate is not installed: no schema of Kubernetes here")
    for version in VERSIONS:
        package.validate(document, version, strict=True)


@pytest.mark.parametrize("kustomization", KUSTOMIZATIONS, ids=short)
def test_a_kustomization_names_files_that_are_there_and_targets_that_exist(kustomization: Path) -> None:
    (content,) = documents(kustomization)
    folder = kustomization.parent
    named = [*content.get("resources", []), *content.get("components", [])]
    named += [patch["path"] for patch in content.get("patches", []) if "path" in patch]
    named += [file for generator in content.get("configMapGenerator", []) for file in generator["files"]]
    assert [name for name in named if not (folder / name).exists()] == []

    everything = [document for path in KUBERNETES.rglob("*.yaml") for document in documents(path)]
    known = {(item["kind"], item["metadata"]["name"]) for item in everything if "metadata" in item}
    for patch in content.get("patches", []):
        target = patch.get("target")
        if target is None:
            body = yaml.safe_load(patch["patch"])
            target = {"kind": body["kind"], "name": body["metadata"]["name"]}
        assert (target["kind"], target["name"]) in known


def test_what_is_kubernetes_own_fits_its_schemas(overlay: list[Document]) -> None:
    for document in overlay:
        if not document["apiVersion"].startswith("ray.io/"):
            validate(document)


def test_the_pods_of_a_ray_cluster_fit_kubernetes_schema(overlay: list[Document]) -> None:
    for group, template in pod_templates(rayjob_spec(overlay)).items():
        validate({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": group}, "template": template})


def test_a_field_that_kubernetes_does_not_know_would_be_found(overlay: list[Document]) -> None:
    template = pod_templates(rayjob_spec(overlay))["head"]
    wrong = template | {"spec": template["spec"] | {"tolerance": []}}
    with pytest.raises(Exception, match="tolerance"):
        validate({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "head"}, "template": wrong})


def test_what_is_kuberays_has_only_fields_of_its_definitions(overlay: list[Document]) -> None:
    ours = [document for document in overlay if document["apiVersion"] == "ray.io/v1"]
    assert ours
    for document in ours:
        assert faults(document, document["kind"], document["kind"]) == []


def test_a_field_that_kuberay_does_not_know_would_be_found(overlay: list[Document]) -> None:
    spec = rayjob_spec(overlay) | {"shutDownAfterJobFinishes": True, "backoffLimit": "1"}
    assert faults(spec, "RayJobSpec", "spec") == [
        "spec.shutDownAfterJobFinishes: not a field of RayJobSpec that we know",
        "spec.backoffLimit: '1' is no int",
    ]


def test_start_parameters_are_options_of_ray_start(overlay: list[Document]) -> None:
    from ray.scripts.scripts import start

    options = {option.removeprefix("--") for parameter in start.params for option in parameter.opts}
    cluster = rayjob_spec(overlay)["rayClusterSpec"]
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        assert group["rayStartParams"].keys() <= options


def test_the_ray_of_the_cluster_is_the_one_that_the_lock_pins(overlay: list[Document]) -> None:
    lock = (KUBERNETES.parents[1] / "requirements.lock").read_text("utf-8")
    assert f"\nray=={rayjob_spec(overlay)['rayClusterSpec']['rayVersion']} " in lock


def test_the_head_runs_no_work_and_stands_on_no_machine_that_can_be_taken_back(overlay: list[Document]) -> None:
    head = rayjob_spec(overlay)["rayClusterSpec"]["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert head["rayStartParams"]["num-gpus"] == "0"
    affinity = head["template"]["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert {expression["operator"] for expression in term["matchExpressions"]} == {"NotIn"}
    assert "tolerations" not in head["template"]["spec"]


def test_the_workers_that_a_run_asks_for_fit_into_the_cluster_at_its_largest(overlay: list[Document]) -> None:
    cluster = rayjob_spec(overlay)["rayClusterSpec"]
    (head,) = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    asked = {entry["name"]: entry.get("value") for entry in head["env"]}
    groups = cluster["workerGroupSpecs"]
    cpus = sum(group["maxReplicas"] * int(group["rayStartParams"]["num-cpus"]) for group in groups)
    gpus = sum(group["maxReplicas"] * int(group["rayStartParams"].get("num-gpus", 0)) for group in groups)
    assert int(asked["FV2ES_ENGINE__WORKERS"]) <= cpus
    assert float(asked.get("FV2ES_ENGINE__GPUS", 0)) == gpus
    assert all(group["minReplicas"] == 0 for group in groups)


def test_a_worker_has_the_cpus_it_says_and_memory_for_them(overlay: list[Document]) -> None:
    for group in rayjob_spec(overlay)["rayClusterSpec"]["workerGroupSpecs"]:
        (container,) = group["template"]["spec"]["containers"]
        cpus = int(group["rayStartParams"]["num-cpus"])
        store = int(group["rayStartParams"]["object-store-memory"])
        assert container["resources"]["requests"]["cpu"] == str(cpus)
        memory = int(container["resources"]["limits"]["memory"].removesuffix("Gi")) * GIB
        assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]
        assert memory >= cpus * WORKER_BYTES_A_CPU + store + RAY_OWN_BYTES


def test_no_pod_is_root_or_may_become_it(overlay: list[Document]) -> None:
    pods = [template["spec"] for template in pod_templates(rayjob_spec(overlay)).values()]
    pods += [
        document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        for document in overlay
        if document["kind"] == "CronJob"
    ]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        for container in pod["containers"] + pod.get("initContainers", []):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_images_have_exact_tags_and_name_no_registry(overlay: list[Document]) -> None:
    images = [line.split("image:")[1].strip() for line in yaml.safe_dump_all(overlay).splitlines() if "image:" in line]
    assert len(images) >= 2
    for image in images:
        name, _, tag = image.partition(":")
        assert "/" not in name
        assert tag not in ("", "latest")


def test_the_command_has_no_character_that_a_shell_would_take_for_its_own(overlay: list[Document]) -> None:
    entrypoint = rayjob_spec(overlay)["entrypoint"]
    assert shlex.join(entrypoint.split()) == entrypoint
    assert entrypoint.startswith("fv2es-job ")


def test_a_night_starts_only_when_the_last_one_is_over_and_one_night_is_one_rayjob() -> None:
    documents = rendered("nightly")
    cronjob, rayjob = of_kind(documents, "CronJob"), of_kind(documents, "RayJob")
    assert cronjob["spec"]["concurrencyPolicy"] == "Forbid"
    assert rayjob["spec"]["suspend"] is True  # the template itself never runs
    assert rayjob["spec"]["shutdownAfterJobFinishes"] is True  # KubeRay refuses to suspend one that keeps its cluster
    job = cronjob["spec"]["jobTemplate"]["spec"]
    assert job["activeDeadlineSeconds"] > rayjob["spec"]["activeDeadlineSeconds"]


def test_the_cronjob_may_do_what_its_script_does_and_no_more() -> None:
    documents = rendered("nightly")
    pod = of_kind(documents, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert of_kind(documents, "Role")["rules"] == [
        {"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["get", "create"]}
    ]
    (subject,) = of_kind(documents, "RoleBinding")["subjects"]
    account = of_kind(documents, "ServiceAccount")["metadata"]["name"]
    assert subject["name"] == pod["serviceAccountName"] == account
    assert subject["namespace"] == of_kind(documents, "ServiceAccount")["metadata"]["namespace"]

    (container,) = pod["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    assert environment["RAYJOB_TEMPLATE"]["value"] == of_kind(documents, "RayJob")["metadata"]["name"]
    assert environment.keys() == {"RAYJOB_TEMPLATE", "NAMESPACE", "JOB_NAME", "JOB_UID"}
    scripts = of_kind(documents, "ConfigMap")
    assert pod["volumes"][0]["configMap"]["name"] == scripts["metadata"]["name"]
    assert Path(container["command"][-1]).name in scripts["data"]


def test_the_raycronjob_makes_the_same_run_as_the_cronjob() -> None:
    ours = rayjob_spec(rendered("nightly"))
    theirs = rayjob_spec(rendered("nightly-raycronjob"))
    assert {name: value for name, value in ours.items() if name != "suspend"} == theirs
    cronjob = of_kind(rendered("nightly"), "CronJob")
    raycronjob = of_kind(rendered("nightly-raycronjob"), "RayCronJob")
    assert raycronjob["spec"]["schedule"] == cronjob["spec"]["schedule"]
    assert [document["kind"] for document in rendered("nightly-raycronjob")] == ["RayCronJob"]


def test_weights_that_are_fetched_at_the_start_lie_where_the_image_looks_for_them(tmp_path: Path) -> None:
    """As a user's own overlay would take the component up."""
    tree = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, tree)
    kustomization = tree / "overlays" / "once" / "kustomization.yaml"
    kustomization.write_text(
        kustomization.read_text("utf-8") + "components:\n  - ../../components/weights-at-start\n", "utf-8"
    )
    dockerfile = (KUBERNETES.parent / "Dockerfile").read_text("utf-8")
    for template in pod_templates(rayjob_spec(render(kustomization.parent))).values():
        validate({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "group"}, "template": template})
        (pull,) = template["spec"]["initContainers"]
        assert pull["command"] == ["fv2es", "models", "pull"]
        for container in [pull, *template["spec"]["containers"]]:
            assert container["image"] == "fv2es:0.1.0-cpu"
            assert f"FV2ES_CACHE={container['volumeMounts'][0]['mountPath']} " in dockerfile
