"""A real Ray cluster: nothing waits for itself, decoding goes where it was told, and metrics say what was done.

Machines that come late or leave are in `make soak`.
"""

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import ray
from prometheus_client.parser import text_string_to_metric_families
from ray.cluster_utils import Cluster

from tests.chaos import faults
from tests.deploy.test_grafana import OURS
from tests.labelling import segments, wait_until
from tests.pipelines.conftest import free_ports

pytestmark = [pytest.mark.ray, pytest.mark.media]

FAST_METRICS = {"RAY_metrics_report_interval_ms": "1000"}
STAGES = ("decode", "transcribe", "infer", "write")


class Undisturbed(NamedTuple):
    corpus: Path
    out: Path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A corpus, and what the plain loop makes of it."""
    base = tmp_path_factory.mktemp("undisturbed")
    corpus = faults.build_corpus(base / "corpus", files=3)
    env = faults.environment(base / "watch")
    arguments = ("label", corpus, "--out", base / "out", "--engine", "local")
    assert faults.finish(*arguments, env=env, log=base / "log") == 3
    return Undisturbed(corpus, base / "out")


@ray.remote(num_cpus=0.4)
class OtherJob:
    """Holds a part of a CPU, as another job on the cluster would."""

    def ready(self) -> bool:
        return True


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_on_one_cpu_of_which_another_job_holds_a_part_nothing_waits_for_itself(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    env = faults.environment(tmp_path / "watch")
    with faults.ray_cluster(env, num_cpus=1) as cluster:
        ray.init(address=cluster.address, log_to_driver=False)
        try:
            other = OtherJob.remote()
            assert ray.get(other.ready.remote())
            arguments = ("label", undisturbed.corpus, "--out", tmp_path / "out", "--address", cluster.address)
            assert faults.finish(*arguments, env=env, log=tmp_path / "log") == 3, (tmp_path / "log").read_text()
        finally:
            ray.shutdown()
    assert faults.same_tables(tmp_path / "out", undisturbed.out)


class TwoNodes(NamedTuple):
    cluster: Cluster
    raylet: psutil.Process  # of the node that decodes
    env: dict[str, str]
    watch: Path
    ports: tuple[int, int]


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    """A head, and a node with a resource and a label of its own, whose metrics can be read at two ports."""
    watch = tmp_path_factory.mktemp("watch")
    env = faults.environment(watch, pace_s=0.3, **FAST_METRICS)
    of_head, of_node = free_ports(2)
    with faults.ray_cluster(env, num_cpus=1, metrics_export_port=of_head) as cluster:
        own = {"resources": {"decoding": 1}, "labels": {"role": "decode"}}
        raylet = faults.add_node(cluster, num_cpus=1, metrics_export_port=of_node, **own)
        cluster.wait_for_nodes()
        yield TwoNodes(cluster, raylet, env, watch, (of_head, of_node))


def read_metrics(ports: tuple[int, int]) -> dict[str, Counter[str]]:
    """What Prometheus would read of ours, summed over workers: by name, then by stage or status."""
    sums: dict[str, Counter[str]] = {}
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        for sample in (sample for family in families for sample in family.samples):
            if sample.name.startswith("ray_fv2es_"):
                by = sample.labels.get("stage") or sample.labels.get("status") or ""
                sums.setdefault(sample.name, Counter())[by] += sample.value  # type: ignore[assignment]
    return sums


@pytest.mark.timeout(600)
def test_decoding_goes_where_it_was_told_and_metrics_say_what_was_done(
    undisturbed: Undisturbed, two_nodes: TwoNodes, tmp_path: Path
) -> None:
    told = {"FV2ES_ENGINE__DECODE_RESOURCES": '{"decoding": 1}', "FV2ES_ENGINE__DECODE_LABELS": '{"role": "decode"}'}
    arguments = ("label", undisturbed.corpus, "--out", tmp_path / "out", "--address", two_nodes.cluster.address)
    run = faults.start(*arguments, env=two_nodes.env | told, log=tmp_path / "log")
    gauges: dict[str, Counter[str]] = {}

    def ended() -> bool:
        for name, values in read_metrics(two_nodes.ports).items():
            gauges[name] = gauges.get(name, Counter()) | values
        return run.poll() is not None

    wait_until(ended, 500)
    assert run.returncode == 3, (tmp_path / "log").read_text()
    assert faults.same_tables(tmp_path / "out", undisturbed.out)
    assert faults.raylets_of(two_nodes.watch, "decode") == {two_nodes.raylet.pid}

    rows = segments(tmp_path / "out").to_pylist()
    media_s = sum(row["end_ms"] - row["start_ms"] for row in rows) / 1000
    found = read_metrics(two_nodes.ports)
    assert found["ray_fv2es_media_seconds_total"] == pytest.approx(dict.fromkeys(STAGES, media_s))
    assert found["ray_fv2es_segments_total"] == Counter(row["status"] for row in rows)
    shards = len({row["shard_id"] for row in rows})
    assert found["ray_fv2es_shards_committed_total"] == {"": shards}
    took = found["ray_fv2es_stage_seconds_total"]
    assert took.keys() == set(STAGES)
    assert all(took[stage] >= 0.3 * shards for stage in ("decode", "transcribe", "infer"))
    assert not any(found.get("ray_fv2es_shards_in_flight", {}).values())
    assert gauges.keys() == OURS.keys()  # which is what the dashboard asks for
    assert not gauges["ray_fv2es_spilled_bytes"][""]


@pytest.mark.timeout(600)
def test_what_the_cluster_has_not_is_said_before_work_begins(
    undisturbed: Undisturbed, two_nodes: TwoNodes, tmp_path: Path
) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    arguments = ("label", undisturbed.corpus, "--out", out, "--address", two_nodes.cluster.address)
    misspelt = {"FV2ES_ENGINE__DECODE_RESOURCES": '{"decodng": 1}'}
    assert faults.finish(*arguments, env=two_nodes.env | misspelt, log=log) == 2
    assert "asks for 1 of 'decodng' a decoder; no machine of the cluster has more than 0" in log.read_text()
    assert not list(tmp_path.rglob("*.json"))


def many_shards(folder: Path) -> Undisturbed:
    corpus = faults.build_corpus(folder / "corpus", files=12)
    env = faults.environment(folder / "undisturbed-watch")
    arguments = ("label", corpus, "--out", folder / "undisturbed", "--engine", "local")
    assert faults.finish(*arguments, env=env, log=folder / "log") == 3
    return Undisturbed(corpus, folder / "undisturbed")


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_machine_that_joins_late_is_used(tmp_path: Path) -> None:
    expected, watch = many_shards(tmp_path), tmp_path / "watch"
    env = faults.environment(watch, pace_s=8)  # Ray Data looks for new machines every 20 s
    with faults.ray_cluster(env, num_cpus=1) as cluster:
        arguments = ("label", expected.corpus, "--out", tmp_path / "out", "--address", cluster.address)
        run = faults.start(*arguments, env=env, log=tmp_path / "log")
        faults.wait_for_commits(tmp_path / "out", 1, run)
        late = faults.add_node(cluster, num_cpus=1)
        assert run.wait(faults.END_LIMIT_S) == 3, (tmp_path / "log").read_text()
    assert late.pid in faults.raylets_of(watch, "decode")
    assert len(faults.raylets_of(watch, "decode")) == 2
    assert faults.same_tables(tmp_path / "out", expected.out)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_machine_that_leaves_costs_a_retry_and_no_row(tmp_path: Path) -> None:
    expected, watch = many_shards(tmp_path), tmp_path / "watch"
    env = faults.environment(watch, pace_s=2)
    with faults.ray_cluster(env, num_cpus=1) as cluster:
        leaving = faults.add_node(cluster, num_cpus=1)
        cluster.wait_for_nodes()
        arguments = ("label", expected.corpus, "--out", tmp_path / "out", "--address", cluster.address)
        run = faults.start(*arguments, env=env, log=tmp_path / "log")
        wait_until(lambda: leaving.pid in faults.raylets_of(watch, "decode"), faults.START_LIMIT_S)
        faults.wait_for_commits(tmp_path / "out", 2, run)
        leaving.kill()
        assert run.wait(faults.END_LIMIT_S) == 3, (tmp_path / "log").read_text()
    assert faults.same_tables(tmp_path / "out", expected.out)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_machines_that_leave_one_after_the_other_make_no_file_look_deadly(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """Four times the machine goes at which one and the same shard is."""
    watch = tmp_path / "watch"
    told = {"FV2ES_ENGINE__DECODE_LABELS": '{"role": "decode"}', "FV2ES_PLAN__SHARD_MINUTES": "10"}
    env = faults.environment(watch, pace_s=3, **told)
    node: dict[str, Any] = {"num_cpus": 1, "labels": {"role": "decode"}}
    with faults.ray_cluster(env, num_cpus=1) as cluster:
        raylet = faults.add_node(cluster, **node)
        cluster.wait_for_nodes()
        arguments = ("label", undisturbed.corpus, "--out", tmp_path / "out", "--address", cluster.address)
        run = faults.start(*arguments, env=env, log=tmp_path / "log")
        for _ in range(4):
            there = raylet.pid
            wait_until(lambda: there in faults.raylets_of(watch, "decode"), faults.START_LIMIT_S)  # noqa: B023
            raylet.kill()
            raylet = faults.add_node(cluster, **node)
        assert run.wait(faults.END_LIMIT_S) == 3, (tmp_path / "log").read_text()
    statuses = [row["status"] for row in segments(tmp_path / "out").to_pylist()]
    assert statuses == [row["status"] for row in segments(undisturbed.out).to_pylist()]
    assert "crashed_worker" not in statuses


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_models_go_to_gpus_and_the_others_do_not_keep_them_out(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """The GPU is one in Ray's books only: the light operators have no use for it."""
    watch = tmp_path / "watch"
    env = faults.environment(watch)
    with faults.ray_cluster(env, num_cpus=0) as cluster:
        with_gpu = faults.add_node(cluster, num_cpus=1, num_gpus=1)
        faults.add_node(cluster, num_cpus=1)
        cluster.wait_for_nodes()
        arguments = ("label", undisturbed.corpus, "--out", tmp_path / "out", "--address", cluster.address)
        assert faults.finish(*arguments, env=env, log=tmp_path / "log") == 3, (tmp_path / "log").read_text()
    for stage in ("transcribe", "infer"):
        assert faults.raylets_of(watch, stage) == {with_gpu.pid}
    assert json.loads(next((tmp_path / "out").glob("_runs/*/state.json")).read_text())["outcome"] == "complete"
    assert faults.same_tables(tmp_path / "out", undisturbed.out)
