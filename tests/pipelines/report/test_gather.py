"""A report's figures, against the same computed from the rows by other means."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest
from sklearn.metrics import cohen_kappa_score, confusion_matrix

from benchmarks.synthetic import Size, make
from models.emotions import EMOTIONS, MODALITIES
from operators.schema import FAILED
from pipelines.report.examples import CONFIDENT_EACH, DOUBTFUL
from pipelines.report.facts import Report
from pipelines.report.gather import gather
from pipelines.tables import open_tables


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "out"
    for _ in make(root, Size(videos=300, rows=4_000, nights=3)):
        pass
    return root


@pytest.fixture(scope="module")
def report(out: Path) -> Report:
    with open_tables(str(out)) as tables:
        return gather(tables, "out")


@pytest.fixture(scope="module")
def labels(out: Path) -> pd.DataFrame:
    frame = ds.dataset(str(out / "labels"), partitioning="hive").to_table().to_pandas()
    frame["ms"] = frame["end_ms"] - frame["start_ms"]
    for name in MODALITIES:
        frame[name] = [None if p is None else EMOTIONS[int(np.argmax(p))] for p in frame[f"{name}_p"]]
    return frame


@pytest.fixture(scope="module")
def segments(out: Path) -> pd.DataFrame:
    return ds.dataset(str(out / "segments"), partitioning="hive").to_table().to_pandas()


def test_totals_and_failures(report: Report, labels: pd.DataFrame, segments: pd.DataFrame) -> None:
    failed = segments[segments["status"].isin(FAILED)]
    assert report.totals.files == segments["video_id"].nunique()
    assert report.totals.files_failed == failed["video_id"].nunique() > 0
    assert report.totals.utterances == len(labels)
    assert report.totals.labelled_s == pytest.approx(labels["ms"].sum() / 1000)
    assert report.totals.media_s == pytest.approx(segments.groupby("video_id")["duration_ms"].max().sum() / 1000)
    assert {f.reason: (f.files, f.retryable) for f in report.failures} == {
        reason: (rows["video_id"].nunique(), bool(rows["retryable"].any())) for reason, rows in failed.groupby("reason")
    }
    assert {uri for f in report.failures for uri in f.examples} <= set(failed["uri"])
    assert {s.status: s.segments for s in report.statuses} == segments["status"].value_counts().to_dict()
    assert report.scope.folder == "/corpus/"


def test_emotions(report: Report, labels: pd.DataFrame) -> None:
    mass = np.array([(labels[f"p_{name}"] * labels["ms"]).sum() for name in EMOTIONS])
    for at, found in enumerate(report.emotions):
        of_it = labels[labels["emotion"] == found.emotion]
        assert found.utterances == len(of_it)
        assert found.share == pytest.approx(of_it["ms"].sum() / labels["ms"].sum())
        assert found.expected_share == pytest.approx(mass[at] / mass.sum(), rel=1e-4)
        assert found.mean_confidence == pytest.approx(of_it["confidence"].mean(), rel=1e-4)
    assert sum(report.confidence_bins) == len(labels)
    assert sum(report.confidence_bins[10:]) == (labels["confidence"] >= 0.5).sum()


def test_coverage(report: Report, labels: pd.DataFrame) -> None:
    for found in report.coverage:
        has = labels[f"has_{found.modality}"]
        assert found.share_of_time == pytest.approx(labels["ms"][has].sum() / labels["ms"].sum())
        assert dict(found.missing) == labels[f"{found.modality}_missing"].value_counts().to_dict()
    assert sum(item.utterances for item in report.together) == len(labels)


def test_agreement(report: Report, labels: pd.DataFrame) -> None:
    assert [(a.one, a.other) for a in report.agreement] == list(itertools.combinations(MODALITIES, 2))
    for found in (*report.agreement, *report.fused):
        one = "emotion" if found.one == "fused" else found.one
        both = labels.dropna(subset=[one, found.other])
        assert found.utterances == len(both)
        assert found.counts == tuple(map(tuple, confusion_matrix(both[one], both[found.other], labels=EMOTIONS)))
        assert found.agreed == pytest.approx((both[one] == both[found.other]).mean())
        assert found.kappa == pytest.approx(cohen_kappa_score(both[one], both[found.other]))


def test_the_surest_and_the_most_doubtful(report: Report, labels: pd.DataFrame) -> None:
    for name, shown in itertools.groupby(report.confident, key=lambda item: item.emotion):
        best = labels[labels["emotion"] == name]["confidence"].nlargest(CONFIDENT_EACH)
        assert [item.confidence for item in shown] == pytest.approx(best.tolist())
    two = np.sort(labels[[f"p_{name}" for name in EMOTIONS]].to_numpy(), axis=1)[:, -2:]
    margins = np.sort(two[:, 1] - two[:, 0])[:DOUBTFUL]
    shown_margins = [item.confidence - item.second_confidence for item in report.doubtful]
    assert shown_margins == pytest.approx(margins.tolist(), abs=1e-6)
    assert any(not item.text for item in report.doubtful + report.confident)


def test_drift_and_runs(report: Report, labels: pd.DataFrame) -> None:
    assert [run.run_id for run in report.drift] == sorted(labels["run_id"].unique()) == [r.run_id for r in report.runs]
    for run in report.drift:
        of_it = labels[labels["run_id"] == run.run_id]
        shares = of_it.groupby("emotion")["ms"].sum().reindex(EMOTIONS, fill_value=0) / of_it["ms"].sum()
        assert run.shares == pytest.approx(shares.tolist())
        assert run.files == of_it["video_id"].nunique()
    assert report.drift[0].stability is None
    assert all(run.stability is not None for run in report.drift[1:])


def test_speed(report: Report, segments: pd.DataFrame) -> None:
    done = segments[~segments["status"].isin(FAILED)]
    minutes = (done["end_ms"] - done["start_ms"]).sum() / 60_000
    for stage in report.stages:
        assert stage.per_minute_s == pytest.approx(done[f"{stage.stage}_s"].sum() / minutes, rel=1e-3)
    assert sum(stage.share for stage in report.stages) == pytest.approx(1)
