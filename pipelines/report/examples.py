"""The utterances that the model is most and least sure of."""

from typing import Any

from models.emotions import EMOTIONS, MODALITIES
from pipelines.report.facts import Example
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

# How far the most probable emotion is ahead of the second.
_OTHERS = ", ".join(f"if(emotion = '{e}', -1, p_{e})" for e in EMOTIONS)
_MARGIN = f"(confidence - greatest({_OTHERS}))"

# A first scan finds where to cut, a second one reads whole rows, and only those.
_LEAST = f"SELECT emotion, list_min(max(confidence, {CONFIDENT_EACH})) AS least FROM labels GROUP BY emotion"  # noqa: S608
_CONFIDENT = f"""
SELECT {_COLUMNS} FROM labels
WHERE {{where}}
QUALIFY row_number() OVER (PARTITION BY emotion ORDER BY confidence DESC, {_ORDER}) <= {CONFIDENT_EACH}
ORDER BY confidence DESC, {_ORDER}
"""  # noqa: S608 - our own words
_MOST = f"SELECT list_max(min({_MARGIN}, {DOUBTFUL})) AS most FROM labels"  # noqa: S608
_DOUBTFUL = f"""
SELECT {_COLUMNS} FROM labels WHERE {_MARGIN} <= $most::FLOAT ORDER BY {_MARGIN}, {_ORDER} LIMIT {DOUBTFUL}
"""  # noqa: S608 - our own words


def confident(tables: Tables) -> tuple[Example, ...]:
    """The few of each emotion that have the highest probability, by emotion in its usual order."""
    least = {row["emotion"]: row["least"] for row in tables.arrow(_LEAST).to_pylist()}
    if not least:
        return ()
    where = " OR ".join(f"(emotion = '{e}' AND confidence >= ${e}::FLOAT)" for e in EMOTIONS if e in least)
    rows = tables.arrow(_CONFIDENT.format(where=where), least).to_pylist()
    return tuple(_example(row) for row in sorted(rows, key=lambda row: EMOTIONS.index(row["emotion"])))


def doubtful(tables: Tables) -> tuple[Example, ...]:
    """Those whose two most probable emotions are closest to each other."""
    (cut,) = tables.arrow(_MOST).to_pylist()
    if cut["most"] is None:
        return ()
    return tuple(_example(row) for row in tables.arrow(_DOUBTFUL, cut).to_pylist())


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
