"""What `fv2es label` takes as a whole: from the start of its process to its last commit, and to its end."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from benchmarks import FV2ES
from benchmarks.footage import write_part
from benchmarks.watch import Traffic, Watched, environment_as_installed, run_watched

STAGES = ("decode", "faces", "transcribe", "infer")
MEMORY_PERIOD_S = 3.0  # a look takes milliseconds of a core that the command could use
START_CLIP_S = 1.0


@dataclass(frozen=True)
class Run:
    """One run of the command from nothing. Seconds are of the clock unless they are CPU's."""

    media_s: float
    first_commit_s: float
    last_commit_s: float
    wall_s: float
    cpu_s: float
    stages_s: dict[str, float]  # by the ledger, all segments together; stages overlap
    peak_bytes: int
    peak_object_store_bytes: int
    spilled_bytes: int
    traffic: Traffic
    utterances: int
    labels_bytes: int

    @property
    def speed(self) -> float:
        """Seconds of media a second, from the start of the process to the last commit."""
        return self.media_s / self.last_commit_s

    @property
    def cpu_s_per_media_s(self) -> float:
        """CPU-seconds of the whole command, start and end included, for a second of media."""
        return self.cpu_s / self.media_s

    def as_json(self) -> dict[str, object]:
        """All figures, those that follow from others included."""
        return asdict(self) | {"speed": self.speed, "cpu_s_per_media_s": self.cpu_s_per_media_s}


def measure(
    sources: Sequence[Path], out: Path, workers: int, shard_minutes: float | None = None, engine: str | None = None
) -> Run:
    """Label these videos or folders once, into an output that isn't there yet; by the default engine, or another."""
    command = [FV2ES, "label", *map(str, sources), "--out", str(out), "--workers", str(workers), "--json"]
    if engine is not None:
        command += ["--engine", engine]
    env = environment_as_installed()
    if shard_minutes is not None:
        env["FV2ES_PLAN__SHARD_MINUTES"] = f"{shard_minutes:g}"
    return to_run(run_watched(command, MEMORY_PERIOD_S, env).check(), out)


def to_run(done: Watched, out: Path) -> Run:
    """The figures of a run that has ended, and of the output that it left."""
    result = json.loads(done.stdout)
    sums = ", ".join(f"sum({stage}_s)" for stage in STAGES)
    query = f"SELECT {sums} FROM read_parquet(?)"  # noqa: S608 - our own words
    spent = duckdb.connect().execute(query, [f"{out}/segments/**/*.parquet"]).fetchone() or ()
    commits_s = [path.stat().st_mtime - done.began_at for path in out.glob("segments/**/*.parquet")]
    return Run(
        media_s=result["media_ms"] / 1000,
        first_commit_s=min(commits_s),
        last_commit_s=max(commits_s),
        wall_s=done.wall_s,
        cpu_s=done.cpu_s,
        stages_s=dict(zip(STAGES, (seconds or 0.0 for seconds in spent), strict=True)),
        peak_bytes=done.peak_bytes,
        peak_object_store_bytes=done.peak_shared_bytes,
        spilled_bytes=result["spilled_bytes"],
        traffic=done.traffic,
        utterances=result["utterances"],
        labels_bytes=sum(path.stat().st_size for path in out.glob("labels/**/*.parquet")),
    )


def measure_start(video: Path, workers: int) -> Run:
    """What is spent before and after the work: as many clips of a second as there are workers, each a shard.

    So all workers start, as they do for a long video.
    """
    with tempfile.TemporaryDirectory(prefix="fv2es-start-") as temporary:
        clips = Path(temporary, "clips")
        clips.mkdir()
        for number in range(workers):
            write_part(video, clips / f"{number}.mp4", START_CLIP_S)
        return measure([clips], Path(temporary, "out"), workers, shard_minutes=START_CLIP_S / 120)
