"""The utterances that the model is most and least sure of."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.emotions import EMOTIONS, MODALITIES
from pipelines.report.facts import Example
from pipelines.report.sums import MARGIN, Sums
from pipelines.tables import Tables

CONFIDENT_EACH = 3
"""Utterances shown of each emotion."""
DOUBTFUL = 12

_COLUMNS = ", ".join(
    ["uri", "start_ms", "end_ms", "text", "emotion", "confidence"]
    + [f"p_{name}" for name in EMOTIONS]
    + [f"{name}_p" for name in MODALITIES]
)
_ORDER = "uri, start_ms, video_id, segment_index, utterance_index"

_FIRST = f"""
SELECT {_COLUMNS} FROM {{rows}}
WHERE {{where}} AND video_id IN (SELECT unnest($videos))
ORDER BY {{by}}, {_ORDER} LIMIT {{limit}}
"""  # noqa: S608 - our own words


def confident(tables: Tables, summed: Sums) -> tuple[Example, ...]:
    """The few of each emotion that have the highest probability, by emotion in its usual order."""
    found: list[Example] = []
    for emotion in EMOTIONS:
        best = pc.negate(summed.rows[f"best_{emotion}"])
        found += _first(tables, summed, best, f"emotion = '{emotion}'", "-confidence", CONFIDENT_EACH)
    return tuple(found)


def doubtful(tables: Tables, summed: Sums) -> tuple[Example, ...]:
    """Those whose two most probable emotions are closest to each other."""
    return tuple(_first(tables, summed, summed.rows["least_margin"], "true", MARGIN, DOUBTFUL))


def _first(tables: Tables, summed: Sums, least: pa.ChunkedArray, where: str, by: str, limit: int) -> list[Example]:
    """The first rows in order of `by`, from the videos alone that may hold them: `least` is the least `by` of each."""
    in_order = pc.sort_indices(least.drop_null())
    if not len(in_order):
        return []
    # The rows that are wanted are no further back than the first ones of as many videos.
    last = least.drop_null().take(in_order[:limit])[-1]
    videos = summed.rows["video_id"].filter(pc.less_equal(least, last)).unique().to_pylist()
    rows = tables.rows_in(tables.files_of(videos))
    query = _FIRST.format(rows=rows, where=where, by=by, limit=limit)
    return [_example(row) for row in tables.arrow(query, {"videos": videos}).to_pylist()]


def _example(row: dict[str, Any]) -> Example:
    second = max((name for name in EMOTIONS if name != row["emotion"]), key=lambda name: row[f"p_{name}"])
    alone = []
    for name in MODALITIES:
        if probabilities := row[f"{name}_p"]:
            best = max(range(len(EMOTIONS)), key=probabilities.__getitem__)
            alone.append((name, EMOTIONS[best], probabilities[best]))
    return Example(
        **{name: row[name] for name in ("uri", "start_ms", "end_ms", "text", "emotion", "confidence")},
        second=second,
        second_confidence=row[f"p_{second}"],
        alone=tuple(alone),
    )
