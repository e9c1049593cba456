"""What GPUs are used for, what `auto` comes to, and what of it is in the recipe."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.catalogue import locate
from operators.asr import compute_type
from operators.commit import Store
from operators.infer import execution
from operators.settings import InferSettings, SpeechSettings
from operators.write import Target
from pipelines import gpus, job, runs
from pipelines.config import Config, EngineSettings
from pipelines.errors import JobError, SettingsError
from pipelines.graph import _decode, labelling_graph
from pipelines.pools import MOST_WITH_DECODERS, Node, Pools, pools_here, pools_of_cluster
from pipelines.recipe import Weights, find_weights, recipe, recipe_id
from pipelines.retry import with_stored
from pipelines.staging import StagedWeights

CPU = pools_here(EngineSettings(), 8)
ONE_GPU = pools_here(EngineSettings(gpus=1), 8)
ONE_GPU_FOR_ALL = pools_here(EngineSettings(gpus=1), 8, decoders_on_gpu=True)
FAST, SLOW = ["NVIDIA A10G"], ["NVIDIA A10G", "Tesla T4"]


def auto_of(config: Config) -> tuple[str, str]:
    return config.infer.precision, config.speech.compute_type


@pytest.mark.parametrize(
    ("pools", "names", "expected"),
    [
        (CPU, [], ("float32", "int8")),
        (CPU, FAST, ("float32", "int8")),
        (ONE_GPU, FAST, ("bfloat16", "float16")),
        (ONE_GPU, SLOW, ("float32", "float16")),
        (ONE_GPU, [], ("float32", "float16")),  # of those nothing is known
    ],
)
def test_a_new_output_gets_what_its_machines_are_fast_in(
    pools: Pools, names: list[str], expected: tuple[str, str]
) -> None:
    assert auto_of(gpus.settled(Config(), pools, names, None)) == expected


@pytest.mark.parametrize("pools", [CPU, ONE_GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({"infer": {"batch_size": 32}, "speech": {"compute_type": "int8"}}, ("float32", "int8")),  # of an old release
        ({}, ("float32", "int8")),
        ({"infer": {"precision": "bfloat16"}, "speech": {"compute_type": "float16"}}, ("bfloat16", "float16")),
    ],
)
def test_an_output_is_gone_on_with_as_it_was_begun_wherever(
    pools: Pools, stored: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert auto_of(gpus.settled(Config(), pools, FAST, stored)) == expected
    said = Config(infer={"precision": "float32"}, speech={"compute_type": "float32"})
    assert auto_of(gpus.settled(said, pools, FAST, stored)) == ("float32", "float32")


def test_a_retry_takes_up_what_was_settled() -> None:
    stored = gpus.settled(Config(), ONE_GPU, FAST, None).public()
    assert auto_of(with_stored(Config(), stored)) == ("bfloat16", "float16")


@pytest.mark.parametrize(
    ("name", "has_it"),
    [
        *[(name, True) for name in ("NVIDIA A10G", "A100-40G", "L4", "NVIDIA L40S", "NVIDIA H100 80GB HBM3", "H200")],
        *[(name, True) for name in ("NVIDIA GeForce RTX 3090", "NVIDIA GeForce RTX 4090", "NVIDIA RTX A6000")],
        *[(name, False) for name in ("Tesla T4", "T4", "Tesla V100-SXM2-16GB", "P100", "K80", "TITAN RTX")],
        *[(name, False) for name in ("NVIDIA GeForce GTX 1080 Ti", "NVIDIA GeForce RTX 2080 Ti", "Quadro RTX 8000")],
    ],
)
def test_old_cards_are_known_by_name(name: str, has_it: bool) -> None:
    assert gpus.all_have_bfloat16([name]) is has_it


def test_the_names_of_a_clusters_gpus_are_rays() -> None:
    nodes = [
        Node({"CPU": 8, "GPU": 1, "accelerator_type:T4": 1}, {}),
        Node({"CPU": 8, "GPU": 2, "accelerator_type:L4": 1}, {}),
        Node({"CPU": 8, "accelerator_type:TPU-V4": 1}, {}),
    ]
    assert gpus.names_of_cluster(nodes) == ["T4", "L4"]


def test_the_driver_is_asked_for_the_names_of_gpus_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\n[ $1 = --query-gpu=name ] && printf 'NVIDIA A10G\\nTesla T4\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.names_here() == ["NVIDIA A10G", "Tesla T4"]
    program.write_text("#!/bin/sh\nexit 9\n")
    assert gpus.names_here() == []
    program.unlink()
    assert gpus.names_here() == []


@pytest.mark.parametrize(
    ("settings", "use", "on_gpu", "faces"),
    [
        ({}, "never", False, False),
        ({"faces": {"detector": "resnet50"}}, "if any", True, True),
        ({"faces": {"detector": "resnet50"}, "engine": {"faces_on": "cpu"}}, "never", False, False),
        ({"engine": {"faces_on": "gpu"}}, "must", True, True),
        ({"decode": {"hardware": "cuda"}}, "must", True, True),
        ({"decode": {"hardware": "cuda"}, "engine": {"faces_on": "cpu"}}, "must", True, False),
    ],
)
def test_decoders_share_a_gpu_where_they_have_a_use_for_it(
    settings: dict[str, Any], use: str, on_gpu: bool, faces: bool
) -> None:
    settings = settings | {"engine": {"gpus": 1.0} | settings.get("engine", {})}
    config = Config(**settings)
    assert gpus.decoders_on_gpu(config) == use
    pools, _ = job.resources(config)
    gpus.check_there_is_one(config, pools)
    assert bool(pools.decode.gpus) is on_gpu
    assert gpus.faces_on_gpu(config, pools) is faces


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": {"faces_on": "gpu"}}, "engine.faces_on=gpu wants a GPU"),
        ({"decode": {"hardware": "cuda"}}, r"decode.hardware=cuda wants a GPU .* set engine.gpus"),
    ],
)
def test_what_wants_a_gpu_is_refused_where_none_is_to_be_used(settings: dict[str, Any], message: str) -> None:
    config = Config(**settings)
    pools, _ = job.resources(config)
    with pytest.raises(SettingsError, match=message):
        gpus.check_hardware(config, pools)


def test_an_ffmpeg_without_cuda_is_a_wrong_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "ffmpeg"
    binary.write_text("#!/bin/sh\necho ffmpeg version 7.1\n")
    binary.chmod(0o755)
    monkeypatch.setenv("FV2ES_FFMPEG", str(binary))
    config = Config(decode={"hardware": "cuda"}, engine={"gpus": 1})
    with pytest.raises(SettingsError, match="was built without it"):
        gpus.check_hardware(config, job.resources(config)[0])


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told_before_work_starts_or_by_the_worker() -> None:
    config = Config(decode={"hardware": "cuda"}, engine={"gpus": 1})
    with pytest.raises(SettingsError, match="can't get hold of a GPU here"):
        gpus.check_hardware(config, job.resources(config)[0])
    away = Config(decode={"hardware": "cuda"}, engine={"gpus": 1, "address": "10.0.0.1:6379"})
    gpus.check_hardware(away, ONE_GPU_FOR_ALL)
    with pytest.raises(JobError, match="can't get hold of a GPU here"):
        _decode(away, find_weights_or_skip(), device="cpu")


@given(st.integers(1, 200), st.integers(1, 16), st.none() | st.integers(1, 300), st.none() | st.integers(1, 8))
def test_all_that_share_gpus_take_the_same_and_find_room(
    cpus: int, count: int, workers: int | None, inferrers: int | None
) -> None:
    settings = EngineSettings(gpus=count, workers=workers, inferrers=inferrers)
    pools = pools_here(settings, cpus, decoders_on_gpu=True)
    sharing = (pools.decode, pools.transcribe, pools.infer)
    (share,) = {pool.gpus for pool in sharing}
    assert all(1 <= pool.size == pool.most for pool in sharing)
    on_one = int(1 / share + 1e-6)
    assert sum(pool.size for pool in sharing) <= on_one * count
    assert on_one <= max(MOST_WITH_DECODERS, -(-(1 + 1 + (inferrers or 1)) // count))
    assert pools.decode.size <= (workers or cpus)


@given(st.integers(1, 64), st.integers(0, 4))
def test_without_a_use_for_it_decoders_leave_the_gpu_alone(cpus: int, count: int) -> None:
    nodes = [Node({"CPU": float(cpus), "GPU": float(count)}, {"CPU": float(cpus), "GPU": float(count)})]
    without, with_it = (pools_of_cluster(EngineSettings(), nodes, on_gpu) for on_gpu in (False, True))
    assert without.decode.gpus == 0
    assume(count == 0)
    assert with_it == without


def find_weights_or_skip() -> Weights:
    try:
        return find_weights(Config())
    except SettingsError as error:
        pytest.skip(str(error))


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    path = tmp_path / "weights"
    path.write_bytes(b"weights")
    return Weights(path, path, path, path, path)


def test_what_can_change_a_label_is_in_the_recipe_and_nothing_else(weights: Weights) -> None:
    def made(pools: Pools = CPU, **settings: Any) -> dict[str, Any]:
        return recipe(gpus.settled(Config(**settings), pools, FAST, None), weights)

    on_cpu = made()
    assert "precision" not in on_cpu["settings"]["infer"]  # outputs of before it was a setting keep their recipe
    assert on_cpu["settings"]["speech"]["compute_type"] == "int8"
    for settings in ({"engine": {"faces_on": "gpu"}}, {"infer": {"graphs": False}}):
        assert recipe_id(made(**settings)) == recipe_id(on_cpu)
    filtered = made(decode={"loop_filter": True})
    assert recipe_id(filtered) != recipe_id(on_cpu)
    assert made(decode={"hardware": "cuda"}) == filtered
    on_gpu = made(ONE_GPU)
    assert on_gpu["settings"]["infer"] == {"precision": "bfloat16"}
    assert on_gpu["settings"]["speech"]["compute_type"] == "float16"
    assert made(ONE_GPU, infer={"precision": "float32"}, speech={"compute_type": "int8"}) == on_cpu


def test_the_settings_of_the_last_run_are_found(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert job.stored_settings(store) is None
    state = runs.RunState("20260101T000000000-abcdef", "recipe=1", runs.now())
    store.put(f"_runs/{state.run_id}/config.json", json.dumps({"infer": {"precision": "bfloat16"}}).encode())
    runs.write_state(store, state)
    assert job.stored_settings(store) == {"infer": {"precision": "bfloat16"}}
    store.put(f"_runs/{state.run_id}/config.json", b"{")
    assert job.stored_settings(store) is None


@pytest.mark.parametrize(
    ("asked", "kind", "given"),
    [
        ("auto", "cpu", "int8"),
        ("auto", "cuda", "float16"),
        ("float16", "cpu", "float32"),  # of an output that was begun on GPUs
        ("float16", "cuda", "float16"),
        ("int8", "cuda", "int8"),
    ],
)
def test_speech_is_computed_in_what_the_device_can(asked: str, kind: str, given: str) -> None:
    assert compute_type(SpeechSettings(compute_type=asked), kind) == given


def test_the_model_is_run_as_the_settings_say() -> None:
    assert execution(InferSettings(), "cpu").precision == "float32"
    assert execution(InferSettings(precision="bfloat16"), "cpu").precision == "bfloat16"
    assert execution(InferSettings(precision="float32"), "cuda").graphs
    assert not execution(InferSettings(precision="float32", graphs=False), "cuda").graphs


def gpu_share(build: Any) -> float | None:
    """The share that an operator is built with, inside all that is around it; None for one that uses no GPU."""
    inner = [argument for argument in build.args if isinstance(argument, partial)]
    if inner and build.args[-1:] and isinstance(build.args[-1], float):
        return build.args[-1]
    return gpu_share(inner[0]) if inner else None


@pytest.mark.parametrize(("engine", "whole"), [("ray", False), ("local", True), ("beam", True)])
def test_each_worker_knows_its_share_of_the_gpu(engine: str, whole: bool, weights: Weights, tmp_path: Path) -> None:
    """In Ray each has a process to itself; elsewhere one process does all there is to do."""
    config = Config(engine={"engine": engine, "gpus": 1, "faces_on": "gpu"})
    pools, _ = job.resources(config)
    stages = labelling_graph(config, weights, Target(str(tmp_path), "recipe=1", "run", "{}"), pools)
    share = 1.0 if whole else pools.decode.gpus
    assert [gpu_share(stage.build) for stage in stages] == [share, share, share, None]


def test_without_a_gpu_no_worker_prepares_for_one(weights: Weights, tmp_path: Path) -> None:
    stages = labelling_graph(Config(), weights, Target(str(tmp_path), "recipe=1", "run", "{}"), CPU)
    assert [gpu_share(stage.build) for stage in stages] == [None] * 4


def test_faces_are_found_on_a_gpu_with_the_published_weights_and_the_same_recipe() -> None:
    on_cpu = find_weights_or_skip()
    on_gpu = find_weights(Config(engine={"gpus": 1, "faces_on": "gpu"}))
    assert on_cpu.gpu_detector is None
    assert on_gpu.gpu_detector == locate("retinaface-mobilenet0.25")
    assert recipe(Config(), on_gpu) == recipe(Config(), on_cpu)
    staged = StagedWeights(on_gpu)
    assert staged.gpu_detector == on_gpu.gpu_detector  # this node has it
    assert StagedWeights(on_cpu).gpu_detector is None
