"""Sets of scored items with known truth."""

from collections.abc import Sequence

import numpy as np

from models.corpora.item import Part
from models.emotions import EMOTIONS
from models.evaluate.scored import Scored


def single_label(
    labels: Sequence[int], probabilities: np.ndarray, part: Part = "report", speakers: Sequence[str] | None = None
) -> Scored:
    """Items of one label each."""
    return multi_label([(label,) for label in labels], probabilities, part, speakers)


def multi_label(
    labels: Sequence[tuple[int, ...]],
    probabilities: np.ndarray,
    part: Part = "report",
    speakers: Sequence[str] | None = None,
) -> Scored:
    """Items of any number of labels."""
    return Scored(
        name=f"voice, Corpus, {part}",
        corpus="Corpus",
        part=part,
        emotions=EMOTIONS[: probabilities.shape[1]],
        ids=tuple(f"{part} {row}" for row in range(len(labels))),
        speakers=tuple(speakers) if speakers is not None else ("",) * len(labels),
        labels=tuple(labels),
        probabilities=probabilities,
    )


def likely(items: int, seed: int, part: Part = "report", speakers: int = 4) -> Scored:
    """Random items of a model that is right more often than not."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(7, items, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05])
    odds = rng.normal(size=(items, 7))
    odds[np.arange(items), labels] += 1.5
    probabilities = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    return single_label(labels.tolist(), probabilities, part, [f"speaker {row % speakers}" for row in range(items)])
