"""Utterances counted by what was said of them, by modalities, by language, by confidence: all in one scan."""

from dataclasses import dataclass
from typing import Any

from models.emotions import EMOTIONS, MODALITIES
from pipelines.tables import Tables

CONFIDENCE_BINS = 20

_PRESENCE = [column for name in MODALITIES for column in (f"has_{name}", f"{name}_missing")]
_SAID = ["fused", *MODALITIES]
_BEST = [f"coalesce(list_position({name}_p, list_max({name}_p)), 0) AS {name}" for name in MODALITIES]

_COUNTS = f"""
SELECT grouping(fused) = 0 AS is_said, grouping(has_text) = 0 AS is_presence, grouping(language) = 0 AS is_language,
       {", ".join(_SAID)}, {", ".join(_PRESENCE)}, language, bin, count(*) AS utterances, sum(ms)::BIGINT AS ms
FROM (SELECT list_position({list(EMOTIONS)}, emotion) AS fused, {", ".join(_BEST)}, {", ".join(_PRESENCE)}, language,
             least(floor(confidence * {CONFIDENCE_BINS})::INT, {CONFIDENCE_BINS - 1}) AS bin, end_ms - start_ms AS ms
      FROM labels)
GROUP BY GROUPING SETS (({", ".join(_SAID)}), ({", ".join(_PRESENCE)}), (language), (bin))
ORDER BY ALL
"""  # noqa: S608 - our own words

Row = dict[str, Any]


@dataclass(frozen=True)
class Counts:
    """All labels, counted in four ways; each row has `utterances` and `ms`.

    Attributes:
        said: by `fused`, `text`, `audio` and `face`: places in EMOTIONS from 1, 0 for a modality that isn't there.
        presence: by `has_<modality>` and `<modality>_missing`.
        languages: by `language`.
        bins: by `bin`, of the confidence, from 0.
    """

    said: list[Row]
    presence: list[Row]
    languages: list[Row]
    bins: list[Row]


def read(tables: Tables) -> Counts:
    """Count all labels."""
    kinds: tuple[list[Row], ...] = ([], [], [], [])
    for row in tables.arrow(_COUNTS).to_pylist():
        is_of = (row["is_said"], row["is_presence"], row["is_language"], True)
        kinds[is_of.index(True)].append(row)
    return Counts(*kinds)
