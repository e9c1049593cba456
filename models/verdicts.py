"""What several verdicts on the same stretches of a video come to: which of them stand, and what most annotators say."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol, TypeVar


class Verdict(Protocol):
    """What an annotator says of a stretch; or, where `undoes` names another verdict, that this one is taken back."""

    @property
    def annotation_id(self) -> str: ...  # noqa: D102
    @property
    def annotator(self) -> str: ...  # noqa: D102
    @property
    def annotated_at(self) -> datetime: ...  # noqa: D102
    @property
    def undoes(self) -> str | None: ...  # noqa: D102
    @property
    def to_emotion(self) -> str | None: ...  # noqa: D102


V = TypeVar("V", bound=Verdict)
Span = tuple[int, int]
"""start_ms and end_ms, half-open."""


def standing(rows: Iterable[V]) -> list[V]:
    """The verdicts that nobody has taken back, in order of time."""
    rows = list(rows)
    gone = {row.undoes for row in rows}
    return sorted(
        (row for row in rows if row.undoes is None and row.annotation_id not in gone), key=lambda row: row.annotated_at
    )


def agreed(verdicts: Iterable[Verdict]) -> str | None:
    """The emotion that most annotators name, each by the newest verdict (they come in order of time).

    None where no emotion has more of them than any other.
    """
    newest = {verdict.annotator: verdict.to_emotion for verdict in verdicts}
    ranked = Counter(newest.values()).most_common(2)
    if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


def overlap(one: Span, other: Span) -> float:
    """The time that two stretches share, as a part of the time that they cover together."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return max(0, shared) / (max(one[1], other[1]) - min(one[0], other[0]))
