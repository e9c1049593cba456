"""What a report says, as a schema: `report.json` is this, and the page shows nothing else."""

from pydantic import BaseModel, ConfigDict

Interval = tuple[float, float]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Measure(_Record):
    """A figure, its 95% bootstrap intervals, and what trivial labellers score on the same items.

    interval_95 draws items again; interval_95_speakers draws speakers, where they are known and more than one. value is
    None where a measure is not defined (AUC without a negative item).
    """

    value: float | None
    interval_95: Interval | None = None
    interval_95_speakers: Interval | None = None
    baselines: dict[str, float] = {}


class Bin(_Record):
    """Items of like confidence."""

    low: float
    high: float
    items: int
    confidence: float
    accuracy: float


class NamedEmotion(_Record):
    """One emotion, when each item is named the most probable one. None: it was never named, or does not occur."""

    items: int
    named: int
    recall: float | None
    precision: float | None
    f1: float | None


class DecidedEmotion(_Record):
    """One emotion as a yes-or-no decision."""

    positives: int
    threshold: float
    weighted_accuracy: Measure
    binary_accuracy: Measure
    f1: Measure
    auc: Measure


class Decisions(_Record):
    """Yes or no for each emotion: the measures of the paper, averages over the emotions that occur.

    thresholds_from names the set that they were fitted on; None: 0.5 for all, for want of one.
    """

    thresholds_from: str | None
    weighted_accuracy: Measure
    binary_accuracy: Measure
    f1: Measure
    weighted_f1: Measure
    auc: Measure
    by_emotion: dict[str, DecidedEmotion]


class Speaker(_Record):
    """One speaker's items; uar is over the emotions that this speaker shows."""

    items: int
    accuracy: float
    uar: float


class SetReport(_Record):
    """All measures of one set.

    accuracy ... ece are of the most probable emotion of each item. uar_shared lets the model choose among the emotions
    that the corpus has. confusion: rows are the truth, columns what was named, both in the order of the model's labels.
    """

    corpus: str
    part: str
    items: int
    left_out: int
    speakers: int | None
    classes: list[str]
    accuracy: Measure
    uar: Measure
    uar_shared: Measure
    macro_f1: Measure
    weighted_f1: Measure
    ece: Measure
    by_emotion: dict[str, NamedEmotion]
    confusion: list[list[int]]
    reliability: list[Bin]
    decisions: Decisions
    by_speaker: dict[str, Speaker]


class Report(_Record):
    """The whole: the model, and each set by name."""

    model_id: str
    sha256: str
    labels: list[str]
    reports: dict[str, SetReport]
