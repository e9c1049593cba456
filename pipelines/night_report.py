"""The account of a night: OUT/_runs/<run id>/report.json, and what alarms are given."""

import json
from dataclasses import asdict, dataclass

from pipelines.gone import HeldBack

MAX_LISTED = 1_000
"""Files named one by one in the stored report; the numbers beside them count all."""


@dataclass(frozen=True)
class Failure:
    """A segment that could not be labelled tonight; `before`: nor on another night."""

    uri: str
    start_ms: int
    status: str
    reason: str | None
    before: bool


@dataclass(frozen=True)
class Left:
    """What is left for another night; files whose headers were not read yet count as files alone."""

    files: int
    media_s: float
    shards: int


@dataclass(frozen=True)
class NightReport:
    """A night. Files are counted as planned; `media_s` was committed; `elsewhere` are files of others."""

    run_id: str
    partition: str | None
    sources: tuple[str, ...]
    started_at: str
    finished_at: str
    outcome: str  # complete, too_many_failed, time_is_up, interrupted, in_use, failed
    exit_code: int
    error: str | None
    files: int
    new: int
    changed: int
    left_over: int
    retried: int
    gone: tuple[str, ...]
    held_back: tuple[HeldBack, ...]
    elsewhere: int
    media_s: float
    wall_s: float
    failed: tuple[Failure, ...]
    failed_in_all: int
    left: Left

    @property
    def speed(self) -> float:
        """Seconds of media labelled in a second of the night."""
        return round(self.media_s / self.wall_s, 2) if self.wall_s else 0.0

    def to_json(self) -> bytes:
        """As it is stored and sent."""
        values = asdict(self) | {
            "gone": len(self.gone),
            "gone_files": self.gone[:MAX_LISTED],
            "failed": len({failure.uri for failure in self.failed}),
            "failures": [asdict(failure) for failure in self.failed[:MAX_LISTED]],
            "speed": self.speed,
        }
        return json.dumps(values, indent=2).encode()
