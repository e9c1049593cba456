"""Kernels alone, and two steps with features between: on some seconds of the demo's sample, with the real operators."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.flat_out import KERNELS, STAGES, Call, Operators, answering, measure, noted
from benchmarks.footage import Format, prepare_clips, write_loop
from benchmarks.two_step import extract, read_features
from pipelines.config import load

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def operators(tmp_path_factory: pytest.TempPathFactory) -> Operators:
    folder = tmp_path_factory.mktemp("flat-out")
    write_loop(prepare_clips(None, folder / "work", Format("small", 320, 180, 300)), folder / "video.mp4", 6)
    return Operators([folder / "video.mp4"], load(None, {"engine": {"engine": "local"}}))


def test_every_stage_takes_time_alone(operators: Operators) -> None:
    spent = measure(operators)
    assert list(spent) == list(STAGES)
    assert all(seconds > 0 for seconds in spent.values())
    assert operators.media_s == pytest.approx(6, abs=0.2)


def test_the_operators_do_what_they_do_while_they_are_watched(operators: Operators) -> None:
    shard = operators.shards[0]
    plain = operators.decode(shard).drop_columns(["decode_s", "faces_s"])
    calls: dict[str, list[Call]] = {stage: [] for stage in KERNELS}
    with noted(calls):
        assert operators.decode(shard).drop_columns(["decode_s", "faces_s"]).equals(plain)
    with answering([call.answer for call in calls["detect"]]):
        assert operators.decode(shard).drop_columns(["decode_s", "faces_s"]).equals(plain)


def test_features_that_were_stored_give_the_same_labels(operators: Operators, tmp_path: Path) -> None:
    extract(operators, tmp_path)
    stored = read_features(tmp_path)
    labelled = operators.infer(operators.transcribe(operators.decode(operators.shards[0])))
    labels = [label for row in labelled["labels"].to_pylist() for label in row]
    found = operators.infer.model.predict(stored).probabilities
    expected = [[label[f"p_{emotion}"] for emotion in emotions(label)] for label in labels]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert list(tmp_path.rglob("*.jpg"))


def emotions(label: dict[str, object]) -> list[str]:
    return [name.removeprefix("p_") for name in label if name.startswith("p_")]
