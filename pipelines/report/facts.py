"""What a report says, as figures; times in seconds, shares from 0 to 1, None for what is not defined."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """What the report is about. `folder` is what all names of files begin with; times are ISO 8601 in UTC."""

    out: str
    recipe: str
    models: tuple[str, ...]
    folder: str
    first_at: str | None
    last_at: str | None


@dataclass(frozen=True)
class Totals:
    """The corpus as a whole. A file counts as failed if any part of it could not be labelled."""

    files: int
    files_failed: int
    media_s: float
    speech_s: float
    labelled_s: float
    utterances: int


@dataclass(frozen=True)
class Status:
    """Segments that ended alike; a file may count in several statuses."""

    status: str
    failed: bool
    files: int
    segments: int
    media_s: float


@dataclass(frozen=True)
class Failure:
    """What failed for the same reason; `examples` are a few of the files."""

    status: str
    reason: str | None
    retryable: bool
    files: int
    segments: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Language:
    """Utterances in one language; None: without words."""

    language: str | None
    utterances: int
    labelled_s: float


@dataclass(frozen=True)
class Stage:
    """What one stage took of the workers, over all segments that could be labelled.

    `per_minute_s` is seconds of work for a minute of media, over all; `median_s` and `p95_s` the same over segments.
    """

    stage: str
    seconds: float
    share: float
    per_minute_s: float
    median_s: float
    p95_s: float


@dataclass(frozen=True)
class Run:
    """A run as it went; `speed` is seconds of media for a second of wall time."""

    run_id: str
    started_at: str
    outcome: str | None
    media_s: float
    wall_s: float | None
    speed: float | None


@dataclass(frozen=True)
class Emotion:
    """How much of one emotion there is.

    `share` is of the labelled time, by the label; `expected_share` is by the probabilities of all utterances, scaled so
    that those of the seven emotions sum to 1: were they calibrated, it would be the better estimate of the two.
    """

    emotion: str
    utterances: int
    labelled_s: float
    share: float
    expected_share: float
    mean_confidence: float | None


@dataclass(frozen=True)
class Coverage:
    """How much of the labelled time one modality says something about, and of utterances without it, why not."""

    modality: str
    utterances: int
    share_of_time: float
    missing: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Together:
    """Utterances that were labelled from just these modalities."""

    modalities: tuple[str, ...]
    utterances: int
    share: float


@dataclass(frozen=True)
class Agreement:
    """What two modalities alone say of the same utterances.

    `counts[i][j]`: utterances of which `one` says emotion i and `other` emotion j. `kappa` (Cohen's) is 0 where they
    agree as often as chance has it, 1 where they always do.
    """

    one: str
    other: str
    counts: tuple[tuple[int, ...], ...]
    utterances: int
    agreed: float | None
    kappa: float | None


@dataclass(frozen=True)
class Example:
    """An utterance. `alone` is what each modality alone says, with its probability; `second` the runner-up."""

    uri: str
    start_ms: int
    end_ms: int
    text: str | None
    emotion: str
    confidence: float
    second: str
    second_confidence: float
    alone: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True)
class Drift:
    """The labels of one run, against those of all runs before it.

    `shares` are of time, by emotion, `margins` the half-widths of their 95% intervals (None for a single file);
    `shifted` are emotions whose share has changed by more than chance would have it. `stability` is the population
    stability index, None for the first run.
    """

    run_id: str
    first_at: str
    files: int
    utterances: int
    labelled_s: float
    mean_confidence: float
    coverage: tuple[float, ...]
    shares: tuple[float, ...]
    margins: tuple[float | None, ...]
    stability: float | None
    changes: tuple[float, ...] | None
    shifted: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """All of it. `confidence_bins` are utterances by confidence, in equal steps from 0 to 1."""

    scope: Scope
    totals: Totals
    statuses: tuple[Status, ...]
    failures: tuple[Failure, ...]
    failures_left_out: int
    languages: tuple[Language, ...]
    stages: tuple[Stage, ...]
    runs: tuple[Run, ...]
    runs_left_out: int
    emotions: tuple[Emotion, ...]
    confidence_bins: tuple[int, ...]
    coverage: tuple[Coverage, ...]
    together: tuple[Together, ...]
    agreement: tuple[Agreement, ...]
    fused: tuple[Agreement, ...]
    confident: tuple[Example, ...]
    doubtful: tuple[Example, ...]
    drift: tuple[Drift, ...]
    drift_left_out: int
