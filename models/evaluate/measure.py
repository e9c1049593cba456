"""From scored items to their report: every measure with its intervals, and trivial labellers beside it."""

from collections.abc import Callable, Mapping

import numpy as np

from models import metrics
from models.evaluate.baselines import Baselines, decision_baselines, majority_emotion, naming_baselines
from models.evaluate.report import Bin, DecidedEmotion, Decisions, Measure, NamedEmotion, SetReport, Speaker
from models.evaluate.scored import Scored
from models.evaluate.sums import Sums, most_probable
from models.evaluate.thresholds import Thresholds

DIGITS = 4
NAMING: dict[str, Callable[[Sums], np.ndarray]] = {
    "accuracy": lambda sums: metrics.accuracy_of(sums.named),
    "uar": lambda sums: metrics.unweighted_recall_of(sums.named),
    "uar_shared": lambda sums: metrics.unweighted_recall_of(sums.named_shared),
    "macro_f1": lambda sums: metrics.macro_f1_of(sums.named),
    "weighted_f1": lambda sums: metrics.weighted_f1_of(sums.named),
    "ece": lambda sums: sums.ece(),
}
"""Measures of the most probable emotion, each [R] (see Sums)."""
DECIDING: dict[str, Callable[[Sums], np.ndarray]] = {
    "weighted_accuracy": lambda sums: metrics.weighted_accuracy_of(sums.decided),
    "binary_accuracy": lambda sums: metrics.accuracy_of(sums.decided),
    "f1": lambda sums: metrics.f1s_of(sums.decided)[..., 1],
    "auc": lambda sums: sums.areas,
}
"""Measures of yes or no, for each emotion [R, C]."""


def measure_set(items: Scored, thresholds: Thresholds) -> SetReport:
    """All measures of a set. ValueError when no item has a label; LeakError when the thresholds have seen the items."""
    if not items.hot().any():
        raise ValueError(f"{items.name}: no item has a label, so there is nothing to measure")
    decided = thresholds.decide(items)
    speakers = items.known_speakers()
    over_items = Sums(items, decided, None)
    over_speakers = Sums(items, decided, np.array(items.speakers)) if len(speakers) > 1 else None

    def measure(of: Callable[[Sums], np.ndarray], baselines: Mapping[str, float]) -> Measure:
        return _measure(of(over_items), of(over_speakers) if over_speakers else None, baselines)

    trivial = naming_baselines(items)
    occurring = np.flatnonzero(items.hot().any(axis=0))
    predicted, _ = most_probable(items)
    truth = items.truth_beside(predicted)
    labelled = truth >= 0
    bins = metrics.reliability(items.probabilities.max(axis=1)[labelled], (predicted == truth)[labelled])
    return SetReport(
        corpus=items.corpus,
        part=items.part,
        items=len(items),
        left_out=items.left_out,
        speakers=len(speakers) or None,
        classes=[items.emotions[c] for c in occurring],
        **{name: measure(of, trivial.get(name, {})) for name, of in NAMING.items()},
        by_emotion=_named_emotions(items.emotions, over_items.named[0]),
        confusion=over_items.named[0].astype(int).tolist(),
        reliability=[
            Bin(
                low=_rounded(b.low),
                high=_rounded(b.high),
                items=b.items,
                confidence=_rounded(b.confidence),
                accuracy=_rounded(b.accuracy),
            )
            for b in bins
        ],
        decisions=_decisions(items, thresholds, measure),
        by_speaker={name: _speaker(predicted, truth, np.array(items.speakers) == name) for name in speakers},
    )


def _measure(values: np.ndarray, values_of_speakers: np.ndarray | None, baselines: Mapping[str, float]) -> Measure:
    if not np.isfinite(values[0]):
        return Measure(value=None)
    return Measure(
        value=_rounded(values[0]),
        interval_95=_interval(values[1:]),
        interval_95_speakers=None if values_of_speakers is None else _interval(values_of_speakers[1:]),
        baselines={name: _rounded(score) for name, score in baselines.items()},
    )


def _interval(values: np.ndarray) -> tuple[float, float] | None:
    if not np.isfinite(values).any():
        return None
    low, high = metrics.percentile_interval(values)
    return _rounded(low), _rounded(high)


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)


def _rounded_if_known(value: float) -> float | None:
    return _rounded(value) if np.isfinite(value) else None


def _named_emotions(emotions: tuple[str, ...], matrix: np.ndarray) -> dict[str, NamedEmotion]:
    recalls, precisions, f1s = metrics.recalls_of(matrix), metrics.precisions_of(matrix), metrics.f1s_of(matrix)
    return {
        name: NamedEmotion(
            items=int(matrix[c].sum()),
            named=int(matrix[:, c].sum()),
            recall=_rounded_if_known(recalls[c]),
            precision=_rounded_if_known(precisions[c]),
            f1=_rounded_if_known(f1s[c]),
        )
        for c, name in enumerate(emotions)
    }


def _decisions(
    items: Scored,
    thresholds: Thresholds,
    measure: Callable[[Callable[[Sums], np.ndarray], Mapping[str, float]], Measure],
) -> Decisions:
    hot = items.hot()
    shares = hot.mean(axis=0)
    judged = np.flatnonzero((shares > 0) & (shares < 1))  # an emotion that all items have, or none, can't be told apart
    commonest = majority_emotion(items)
    trivial: dict[int, Baselines] = {c: decision_baselines(float(shares[c]), c == commonest) for c in judged.tolist()}

    def averaged(name: str, weights: np.ndarray) -> Measure:
        share = weights[judged] / weights[judged].sum() if len(judged) else weights[judged]
        labellers = {labeller for baselines in trivial.values() for labeller in baselines[name]}
        baselines = {
            labeller: sum(float(w) * trivial[c][name][labeller] for c, w in zip(judged.tolist(), share, strict=True))
            for labeller in sorted(labellers)
        }
        return measure(lambda sums: _weighted_mean(DECIDING[name](sums)[:, judged], share), baselines)

    evenly = np.ones(len(items.emotions))
    return Decisions(
        thresholds_from=thresholds.fitted_on,
        **{name: averaged(name, evenly) for name in DECIDING},
        weighted_f1=averaged("f1", shares),
        by_emotion={
            items.emotions[c]: DecidedEmotion(
                positives=int(hot[:, c].sum()),
                threshold=thresholds.values[c],
                **{
                    name: measure(lambda sums, of=of, c=c: of(sums)[:, c], trivial[c][name])  # type: ignore[misc]
                    for name, of in DECIDING.items()
                },
            )
            for c in judged.tolist()
        },
    )


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[R, E] and weights [E] -> [R], over what is not NaN in a draw."""
    known = np.isfinite(values) * weights
    total = known.sum(axis=1)
    return np.divide(np.nansum(values * weights, axis=1), total, out=np.full(len(values), np.nan), where=total > 0)


def _speaker(predicted: np.ndarray, truth: np.ndarray, theirs: np.ndarray) -> Speaker:
    theirs = theirs & (truth >= 0)
    if not theirs.any():
        return Speaker(items=0, accuracy=0.0, uar=0.0)
    told, named = truth[theirs], predicted[theirs]
    return Speaker(
        items=int(theirs.sum()),
        accuracy=_rounded(metrics.accuracy(told, named)),
        uar=_rounded(metrics.unweighted_recall(told, named)),
    )
