"""Words, voice and face: how much each covers, and how far they say the same."""

import itertools
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from models.emotions import EMOTIONS, MODALITIES
from pipelines.report.counts import Counts
from pipelines.report.facts import Agreement, Coverage, Together

MAX_REASONS = 8


def coverage(counts: Counts) -> tuple[tuple[Coverage, ...], tuple[Together, ...]]:
    """What each modality covers, and which of them go together, the commonest first."""
    rows = counts.presence
    total = sum(row["utterances"] for row in rows)
    total_ms = sum(row["ms"] for row in rows)
    if not total:
        return (), ()
    covered = []
    for name in MODALITIES:
        there = [row for row in rows if row[f"has_{name}"]]
        missing: Counter[str] = Counter()
        for row in rows:
            if not row[f"has_{name}"]:
                missing[row[f"{name}_missing"] or "not said"] += row["utterances"]
        covered.append(
            Coverage(
                modality=name,
                utterances=sum(row["utterances"] for row in there),
                share_of_time=sum(row["ms"] for row in there) / total_ms,
                missing=tuple(sorted(missing.items(), key=lambda item: (-item[1], item[0]))[:MAX_REASONS]),
            )
        )
    sets: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        sets[tuple(name for name in MODALITIES if row[f"has_{name}"])] += row["utterances"]
    together = [Together(names, number, number / total) for names, number in sets.items()]
    return tuple(covered), tuple(sorted(together, key=lambda item: (-item.utterances, item.modalities)))


def agreement(counts: Counts) -> tuple[tuple[Agreement, ...], tuple[Agreement, ...]]:
    """Each pair of modalities, and each modality with the label that all together give."""
    names = ("fused", *MODALITIES)
    # How often each combination of what the four say was met; 0 stands for a modality that isn't there.
    cube = np.zeros((len(EMOTIONS) + 1,) * len(names), np.int64)
    for row in counts.said:
        cube[tuple(row[name] for name in names)] += row["utterances"]

    def pair(one: str, other: str) -> Agreement:
        at = (names.index(one), names.index(other))
        of_both = cube.sum(axis=tuple(axis for axis in range(len(names)) if axis not in at))
        return compared(one, other, of_both[1:, 1:])

    return (
        tuple(pair(one, other) for one, other in itertools.combinations(MODALITIES, 2)),
        tuple(pair("fused", name) for name in MODALITIES),
    )


def compared(one: str, other: str, counts: NDArray[np.int64]) -> Agreement:
    """How far two agree; `counts` [7, 7] are utterances by what `one` says and what `other` says."""
    total = int(counts.sum())
    agreed = float(np.trace(counts) / total) if total else None
    by_chance = float((counts.sum(axis=0) / total) @ (counts.sum(axis=1) / total)) if total else 1.0
    kappa = (agreed - by_chance) / (1 - by_chance) if agreed is not None and by_chance < 1 else None
    return Agreement(one, other, tuple(tuple(row) for row in counts.tolist()), total, agreed, kappa)
