"""How many workers each stage gets: for any cluster at least one of each, and no more than there is room for."""

import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipelines.config import EngineSettings
from pipelines.errors import SettingsError
from pipelines.pools import MOST_ON_A_GPU, SMALLEST_DECODER_CPUS, Node, Pool, Pools, pools_here, pools_of_cluster

AMOUNTS = st.one_of(st.integers(0, 200).map(float), st.floats(0, 8).map(lambda value: round(value, 4)))


@st.composite
def machines(draw: st.DrawFn) -> Node:
    """A machine, of which other jobs hold a part."""
    total = {"CPU": float(draw(st.integers(0, 200))), "GPU": float(draw(st.integers(0, 8)))}
    if draw(st.booleans()):
        total["decoding"] = float(draw(st.integers(1, 100)))
    free = {name: min(amount, draw(AMOUNTS)) if draw(st.booleans()) else amount for name, amount in total.items()}
    labels = {"role": draw(st.sampled_from(["decode", "other"]))}
    return Node(total, free, labels)


CLUSTERS = st.lists(machines(), min_size=1, max_size=12)
SETTINGS = st.builds(
    EngineSettings,
    workers=st.none() | st.integers(1, 500),
    transcribers=st.none() | st.integers(1, 20),
    decode_resources=st.sampled_from([{}, {"decoding": 1.0}, {"decoding": 0.5}]),
    decode_labels=st.sampled_from([{}, {"role": "decode"}]),
)


def place(pools: Pools, nodes: list[Node]) -> bool:
    """Whether all find room at the same time, stage after stage, each worker on the first machine that has any."""
    left = [dict(node.free) for node in nodes]
    for pool in (pools.decode, pools.transcribe, pools.infer, pools.write):
        wanted = {"CPU": pool.cpus, "GPU": pool.gpus} | dict(pool.resources)
        for _ in range(pool.size):
            for node, room in zip(nodes, left, strict=True):
                has_labels = all(node.labels.get(name) == value for name, value in pool.labels.items())
                if has_labels and all(room.get(name, 0) + 1e-6 >= amount for name, amount in wanted.items()):
                    for name, amount in wanted.items():
                        room[name] = room.get(name, 0) - amount
                    break
            else:
                return False
    return True


def pools_or_nothing(settings: EngineSettings, nodes: list[Node]) -> Pools:
    """The pools of a cluster that has what is asked for."""
    try:
        return pools_of_cluster(settings, nodes)
    except SettingsError:
        assume(False)
        raise


@given(SETTINGS, CLUSTERS)
def test_every_stage_has_a_worker_and_all_find_room_at_the_same_time(
    settings: EngineSettings, nodes: list[Node]
) -> None:
    assume(any(node.total["CPU"] for node in nodes))
    pools = pools_or_nothing(settings, nodes)
    stages = (pools.decode, pools.transcribe, pools.infer, pools.write)
    assert all(1 <= pool.size <= pool.most for pool in stages)
    assert pools.workers <= (settings.workers or math.inf)
    assert pools.crowded or place(pools, nodes)


@given(SETTINGS, CLUSTERS, st.data())
def test_wherever_decoders_are_there_is_room_for_one_of_every_other_stage(
    settings: EngineSettings, nodes: list[Node], data: st.DataObject
) -> None:
    """Also after machines have left, and the decoders of those that did crowd the others."""
    idle = [Node(node.total, node.total, node.labels) for node in nodes]
    assume(any(node.total["CPU"] for node in idle))
    pools = pools_or_nothing(settings.model_copy(update={"gpus": 0.0}), idle)
    stayed = data.draw(st.lists(st.sampled_from(idle), min_size=1, unique_by=id))
    assume(any(node.total["CPU"] for node in stayed))
    full = [
        node.total["CPU"] - pools.decode.cpus * math.floor(node.total["CPU"] / pools.decode.cpus) for node in stayed
    ]
    assert sum(full) >= pools.transcribe.cpus + pools.infer.cpus + pools.write.cpus


@given(CLUSTERS)
def test_a_cluster_is_called_crowded_only_where_no_cpu_worth_its_name_is_free(nodes: list[Node]) -> None:
    assume(any(node.total["CPU"] for node in nodes))
    if pools_of_cluster(EngineSettings(), nodes).crowded:
        assert all(node.free["CPU"] < 2 * SMALLEST_DECODER_CPUS for node in nodes)


@given(st.integers(1, 512), st.none() | st.integers(1, 1000), st.sampled_from([0.0, 0.5, 1.0, 4.0]))
def test_here_pools_have_a_fixed_size_and_take_no_more_cpus_than_there_are_decoders(
    cpus: int, workers: int | None, gpus: float
) -> None:
    pools = pools_here(EngineSettings(workers=workers, gpus=gpus), cpus)
    decoders = workers or cpus
    assert pools.decode == Pool(decoders, decoders, pools.decode.cpus, eager=True)
    assert math.ceil(pools.cpus) <= decoders
    on_gpus = pools.transcribe.size * pools.transcribe.gpus + pools.infer.size * pools.infer.gpus
    assert on_gpus <= gpus + 1e-6


@given(st.integers(1, 1000), st.integers(1, 64))
def test_workers_share_gpus_evenly_and_no_gpu_has_more_than_it_holds(workers: int, gpus: int) -> None:
    nodes = [Node({"CPU": 1.0, "GPU": 1.0}, {"CPU": 1.0, "GPU": 1.0})] * gpus
    pools = pools_of_cluster(EngineSettings(workers=workers, autoscales=True), nodes)
    shares = {pools.transcribe.gpus, pools.infer.gpus}
    assert len(shares) == 1
    assert math.floor(1 / shares.pop() + 1e-6) <= MOST_ON_A_GPU
    assert (pools.transcribe.most, pools.infer.most) == (pools.transcribe.size, pools.infer.size)


def idle(cpus: float, **more: Any) -> Node:
    total = {"CPU": cpus} | more
    return Node(total, total)


@pytest.mark.parametrize(
    ("settings", "nodes", "decoders", "most"),
    [
        ({}, [idle(1)], 1, 4),
        ({}, [idle(0), idle(8), idle(8)], 16, 64),
        ({"workers": 64}, [idle(0)], 64, 64),  # grows from nothing: what waits for a machine is what asks for it
        ({"workers": 64}, [idle(8)], 8, 64),
        ({"workers": 64, "autoscales": True}, [idle(8)], 64, 64),
        ({"workers": 2}, [idle(8)], 2, 2),
        ({}, [Node({"CPU": 8.0}, {"CPU": 3.5})], 3, 12),
        ({}, [Node({"CPU": 8.0}, {"CPU": 0.5})], 1, 4),
        ({}, [Node({"CPU": 8.0}, {})], 1, 4),
        ({"decode_resources": {"decoding": 0.5}}, [idle(8), idle(8, decoding=2)], 4, 16),
    ],
)
def test_decoders_are_one_a_cpu_or_as_many_as_were_set(
    settings: dict[str, Any], nodes: list[Node], decoders: int, most: int | None
) -> None:
    pools = pools_of_cluster(EngineSettings(**settings), nodes)
    assert (pools.decode.size, pools.decode.most) == (decoders, most)


@pytest.mark.parametrize(
    ("settings", "nodes", "message"),
    [
        ({}, [idle(0)], "say by engine.workers how many decoders"),
        ({"autoscales": True}, [idle(8)], "say by engine.workers how many decoders"),
        (
            {"decode_resources": {"decoding": 2}},
            [idle(8), idle(8, decoding=1)],
            "no machine of the cluster has more",
        ),
        ({"decode_labels": {"role": "decode"}}, [idle(8)], "none with such a label"),
        (
            {"decode_labels": {"role": "decode"}},
            [Node({"CPU": 1}, {"CPU": 1}, {"role": "x"})],
            "has role=x",
        ),
        (
            {"decode_resources": {"decoding": 1}},
            [idle(8), idle(0, decoding=1)],
            "No machine of the cluster has a CPU",
        ),
        ({"gpus": 2}, [idle(8, GPU=1)], "engine.gpus is 2; the cluster has 1"),
        ({"transcribers": 99}, [idle(1)], "50 for each is the most"),
    ],
)
def test_what_a_cluster_has_not_is_refused_in_words(settings: dict[str, Any], nodes: list[Node], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        pools_of_cluster(EngineSettings(**settings), nodes)


def test_resources_of_machines_are_refused_without_a_cluster() -> None:
    with pytest.raises(SettingsError, match="say which cluster by --address"):
        pools_here(EngineSettings(decode_resources={"decoding": 1}), 2)


@pytest.mark.parametrize("name", ["CPU", "GPU", "memory"])
def test_rays_own_resources_are_no_resources_of_ones_own(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: not a resource of your own"):
        EngineSettings(decode_resources={name: 1})
