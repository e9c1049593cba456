"""What the labels add up to for each run and file, and what comes of it: emotions, drift.

Probabilities are added up as whole millionths: sums of fractions would depend on who of DuckDB's threads came first.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.emotions import EMOTIONS, MODALITIES
from pipelines.report.drift import Z_95, Floats, change, shares_of
from pipelines.report.facts import Drift, Emotion
from pipelines.tables import Tables

MAX_RUNS = 30
"""Runs that drift is shown of, the latest ones; the earlier ones still count as what was before."""

MILLIONTHS = 1e6
_LENGTH = "(end_ms - start_ms)"
_MILLIONTHS = "(confidence * 1000000)::BIGINT"

_OTHERS = ", ".join(f"if(emotion = '{e}', -1, p_{e})" for e in EMOTIONS)
MARGIN = f"(confidence - greatest({_OTHERS}))"
"""In SQL: how far the most probable emotion is ahead of the second."""

_SUMS = f"""
SELECT run_id, video_id, min(labelled_at) AS first_at, max(labelled_at) AS last_at,
       list(DISTINCT model_id) AS models, count(*) AS utterances, min({MARGIN}) AS least_margin,
       {", ".join(f"max(confidence) FILTER (emotion = '{e}') AS best_{e}" for e in EMOTIONS)},
       sum({_MILLIONTHS})::BIGINT AS confidence,
       {", ".join(f"(sum({_LENGTH}) FILTER (has_{m}))::BIGINT AS ms_{m}" for m in MODALITIES)},
       {", ".join(f"(sum({_LENGTH}) FILTER (emotion = '{e}'))::BIGINT AS ms_{e}" for e in EMOTIONS)},
       {", ".join(f"count(*) FILTER (emotion = '{e}') AS rows_{e}" for e in EMOTIONS)},
       {", ".join(f"(sum({_MILLIONTHS}) FILTER (emotion = '{e}'))::BIGINT AS sure_{e}" for e in EMOTIONS)},
       {", ".join(f"sum((p_{e} * {_LENGTH} * 1000)::BIGINT)::BIGINT AS p_{e}" for e in EMOTIONS)}
FROM labels GROUP BY run_id, video_id ORDER BY run_id, video_id
"""  # noqa: S608 - our own words


@dataclass(frozen=True)
class Sums:
    """A row for each run and file that has labels, in order of runs."""

    rows: pa.Table

    def columns(self, kind: str, names: tuple[str, ...] = EMOTIONS) -> Floats:
        """`kind`_`name` of all rows, [rows, names]; what there is none of is 0."""
        return np.stack([self.column(f"{kind}_{name}") for name in names], axis=1)

    def column(self, name: str) -> Floats:
        """One column [rows]."""
        return self.rows[name].fill_null(0).to_numpy().astype(np.float64)


def read(tables: Tables) -> Sums:
    """Add up all labels: one scan."""
    return Sums(tables.arrow(_SUMS))


def emotions(sums: Sums) -> tuple[Emotion, ...]:
    """How much of each emotion there is; nothing where there are no labels."""
    ms, rows, sure, mass = (sums.columns(kind).sum(axis=0) for kind in ("ms", "rows", "sure", "p"))
    if not rows.sum():
        return ()
    return tuple(
        Emotion(
            emotion=name,
            utterances=int(rows[at]),
            labelled_s=ms[at] / 1000,
            share=float(ms[at] / ms.sum()),
            expected_share=float(mass[at] / mass.sum()),
            mean_confidence=float(sure[at] / rows[at] / MILLIONTHS) if rows[at] else None,
        )
        for at, name in enumerate(EMOTIONS)
    )


def drift(sums: Sums) -> tuple[tuple[Drift, ...], int]:
    """Each run with labels against all before it, the latest runs in order of time; and how many are left out."""
    run_ids = sums.rows["run_id"].to_numpy(zero_copy_only=False)
    ms = sums.columns("ms")
    heard = sums.columns("ms", MODALITIES)
    utterances, confidence = sums.column("utterances"), sums.column("confidence")
    firsts = [at for at in range(len(run_ids)) if at == 0 or run_ids[at] != run_ids[at - 1]]
    found = []
    for first in firsts[-MAX_RUNS:]:
        own = run_ids == run_ids[first]
        now = shares_of(ms[own])
        changed = change(shares_of(ms[:first]), now) if first else None
        margins = [None] * len(EMOTIONS) if now.errors is None else (Z_95 * now.errors).tolist()
        found.append(
            Drift(
                run_id=str(run_ids[first]),
                first_at=min(sums.rows["first_at"].filter(pa.array(own)).to_pylist()).isoformat(timespec="minutes"),
                files=int(own.sum()),
                utterances=int(utterances[own].sum()),
                labelled_s=float(ms[own].sum() / 1000),
                mean_confidence=float(confidence[own].sum() / utterances[own].sum() / MILLIONTHS),
                coverage=tuple((heard[own].sum(axis=0) / ms[own].sum()).tolist()),
                shares=tuple(now.shares.tolist()),
                margins=tuple(margins),
                stability=changed.stability if changed else None,
                changes=tuple(changed.differences.tolist()) if changed else None,
                shifted=changed.shifted if changed else (),
            )
        )
    return tuple(found), max(len(firsts) - MAX_RUNS, 0)
