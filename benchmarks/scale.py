"""A million videos in a hundred thousand shards: what planner, committer and ledger take of time and memory.

    python -m benchmarks.scale                                  # 10,000, 100,000 and 1,000,000 videos
    python -m benchmarks.scale --videos 10000 --folder /dev/shm

Listing, headers and labels are made up (see `benchmarks.made_up`); everything else is what a user's run does, with the
plain loop for an engine. Each step is a process of its own, so that its peak memory is its own. The first run is killed
(SIGKILL) after half of its shards. Prints a table on stderr and one JSON object on stdout, and exits with 1 when a
video is missing from the tables or stands in them twice.
"""

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import duckdb
import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.made_up import SOURCE, made_up
from operators.commit import Store
from pipelines import job, progress, runs
from pipelines import run as running
from pipelines.config import Config, load
from pipelines.nightly import Night
from pipelines.planner import JobPlan
from pipelines.run import Watcher

CHANGED_FRACTION = 0.001
REQUESTS = ("read", "put", "remove", "details", "exists", "clear")


@dataclass
class Measured:
    """What a step took. `phases` are seconds; `requests` are those to the output's store, by kind."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    requests: dict[str, int] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)


class Phases:
    """Notes when a run has planned and committed; kills its process after a share of the commits."""

    def __init__(self, measured: Measured, kill_after: float, on_kill: Callable[[], None]) -> None:
        self._last = time.monotonic()
        self._measured = measured
        self._kill_after = kill_after
        self._on_kill = on_kill
        self._shards = self._commits = 0
        self.watcher = Watcher(planned=self._planned, committed=self._committed)

    def _planned(self, plan: JobPlan) -> None:
        self._shards = len(plan.shards)
        self._measured.found |= {"shards": self._shards, "kept": plan.kept, "videos": plan.videos}
        self.ends("plan")

    def _committed(self, summary: pa.Table) -> None:
        self._commits += 1
        if self._commits == 1:
            self.ends("store the plan")
        if self._commits == self._shards:
            self.ends("commit")
        if self._commits >= self._kill_after * self._shards:
            self.ends("commit")
            self._on_kill()
            os.kill(os.getpid(), signal.SIGKILL)

    def ends(self, phase: str) -> None:
        """A phase has come to its end."""
        now = time.monotonic()
        self._measured.phases[phase] = round(now - self._last, 2)
        self._last = now


Tell = Callable[[], None]
Settings = dict[str, dict[str, Any]]


def list_objects(out: str, config: Config, measured: Measured, tell: Tell) -> None:
    """List the corpus, and look for transcripts."""
    measured.found["files"] = len(job.corpus_of([SOURCE], config).files)


def plan(out: str, config: Config, measured: Measured, tell: Tell) -> None:
    """`fv2es plan`."""
    measured.found["shards"] = len(job.preview([SOURCE], out, config).shards)


def label(out: str, config: Config, measured: Measured, tell: Tell, kill_after: float = 2.0) -> None:
    """`fv2es label`."""
    prepared = job.prepare([SOURCE], out, config)
    measured.phases["list"] = round(time.monotonic() - measured.wall_s, 2)
    phases = Phases(measured, kill_after, tell)
    result = running.label(prepared, phases.watcher)
    phases.ends("account")
    measured.found |= {"labelled_videos": result.videos, "segments": sum(result.segments_by_status.values())}


def label_and_be_killed(out: str, config: Config, measured: Measured, tell: Tell) -> None:
    """`fv2es label`, killed after half of the shards."""
    label(out, config, measured, tell, kill_after=0.5)


def status(out: str, config: Config, measured: Measured, tell: Tell) -> None:
    """`fv2es status`."""
    store = Store(out)
    last = runs.latest(store)
    assert last is not None
    found = progress.RunReader(store, last.run_id).read()
    measured.found |= {"shards": found.shards, "done": found.shards_done}


def validate(out: str, config: Config, measured: Measured, tell: Tell) -> None:
    """`fv2es validate`."""
    from pipelines import validate as validating  # here: it brings in torch, whose memory the other steps don't have

    report = validating.validate(Store(out))
    measured.found |= {"shards": report.shards, "segments": report.segments, "problems": len(report.problems)}


def night(out: str, config: Config, measured: Measured, tell: Tell) -> None:
    """`fv2es nightly`, where one video in a thousand has changed."""
    phases = Phases(measured, 2.0, tell)
    report, error = Night([SOURCE], out, config, allow_mass_removal=False, watcher=phases.watcher).run()
    if error is not None:
        raise error
    phases.ends("account")
    measured.found |= {"files": report.files, "changed": report.changed, "left": report.left.files}


def query(out: str, config: Config, measured: Measured, tell: Tell) -> None:
    """Count the labels of each emotion by DuckDB, over the shards' files and over one file of the same rows."""
    count = "SELECT emotion, count(*), count(DISTINCT video_id) FROM read_parquet(?) GROUP BY ALL"
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")  # it would stand in the JSON
    every, one = f"{out}/labels/**/*.parquet", f"{out}/one.parquet"
    began = time.monotonic()
    ((_, labels, videos),) = connection.execute(count, [every]).fetchall()
    measured.phases["shards' files"] = round(time.monotonic() - began, 2)
    connection.execute(f"COPY (FROM read_parquet('{every}')) TO '{one}' (COMPRESSION zstd)")
    began = time.monotonic()
    connection.execute(count, [one]).fetchall()
    measured.phases["one file"] = round(time.monotonic() - began, 2)
    sizes = [path.stat().st_size for path in Path(out, "labels").rglob("*.parquet")]
    measured.found |= {"labels": labels, "videos": videos, "files": len(sizes), "bytes": sum(sizes)}
    measured.found["bytes_of_one_file"] = Path(one).stat().st_size
    Path(one).unlink()


STEPS: tuple[tuple[str, Callable[[str, Config, Measured, Tell], None]], ...] = (
    ("list", list_objects),
    ("plan", plan),
    ("label, killed at half", label_and_be_killed),
    ("status, half done", status),
    ("label, the other half", label),
    ("label, nothing to do", label),
    ("status, all done", status),
    ("validate", validate),
    ("night, 0.1% changed", night),
    ("night, nothing changed", night),
    ("query", query),
)


def run_step(number: int, videos: int, out: str, settings: Settings, answers: Connection) -> None:
    """Take one step in this process and send what it took."""
    name, step = STEPS[number]
    measured, requests = Measured(), Counter[str]()
    began, cpu_began = time.monotonic(), time.process_time()
    measured.wall_s = began

    def tell() -> None:
        measured.wall_s = round(time.monotonic() - began, 2)
        measured.cpu_s = round(time.process_time() - cpu_began, 2)
        measured.peak_mb = peak_mb()
        measured.requests = dict(requests)
        answers.send(measured)

    config = load(None, settings)
    changed = max(1, round(videos * CHANGED_FRACTION)) if name.startswith("night") else 0
    with made_up(videos, changed), counted(requests):
        step(out, config, measured, tell)
    tell()


@contextmanager
def counted(requests: Counter[str]) -> Iterator[None]:
    """Count the requests to every store for the time of the block."""

    def watched(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            requests[name] += 1
            return method(*arguments, **named)

        return call

    with patch.multiple(Store, **{name: watched(name, getattr(Store, name)) for name in REQUESTS}):
        yield


def peak_mb() -> float:
    """The most memory that this process has had, in MiB."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return round(int(line.split()[1]) / 1024, 1)


def in_process(number: int, videos: int, out: str, settings: Settings) -> Measured:
    """A step in a process of its own; one that was killed has told before what it took."""
    context = multiprocessing.get_context("spawn")
    answers, theirs = context.Pipe(duplex=False)
    process = context.Process(target=run_step, args=(number, videos, out, settings, theirs))
    process.start()
    theirs.close()
    measured = None
    with suppress(EOFError):
        measured = answers.recv()
    process.join()
    if measured is None:
        raise SystemExit(f"The step {STEPS[number][0]!r} has failed.")
    return measured


def measure(videos: int, folder: Path, settings: Settings, console: Console) -> dict[str, Measured]:
    """All steps over a corpus of so many videos, in their order."""
    results: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory(prefix="fv2es-scale-", dir=folder) as temporary:
        for number, (name, _) in enumerate(STEPS):
            results[name] = step = in_process(number, videos, f"{temporary}/out", settings)
            console.print(f"{videos:,} videos, {name}: {spent(step)} {step.phases} {step.requests} {step.found}")
    return results


def spent(step: Measured) -> str:
    """Time and memory of a step in words."""
    return f"{step.wall_s:,.1f} s, {step.cpu_s:,.1f} CPU-s, {step.peak_mb:,.0f} MiB"


def is_right(videos: int, results: dict[str, Measured]) -> bool:
    """Whether every video is in the tables once."""
    found = {name: measured.found for name, measured in results.items()}
    return (
        found["label, the other half"]["labelled_videos"] == videos
        and found["label, nothing to do"]["shards"] == 0
        and found["validate"]["problems"] == 0
        and found["validate"]["segments"] == videos
        and found["night, 0.1% changed"]["changed"] == max(1, round(videos * CHANGED_FRACTION))
        and found["night, nothing changed"]["shards"] == 0
        and found["query"]["videos"] == videos
    )


def show(everything: dict[int, dict[str, Measured]]) -> None:
    """Time and peak memory of each step, by the size of the corpus."""
    table = Table("step", *(f"{videos:,} videos" for videos in everything), box=None)
    for name, _ in STEPS:
        table.add_row(name, *(spent(results[name]) for results in everything.values()))
    Console(stderr=True).print(table)


def main(
    videos: Annotated[list[int] | None, typer.Option(help="Repeat it; by default 10,000, 100,000, 1,000,000.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the output goes: 4 GB for a million videos.")] = Path("/tmp"),  # noqa: S108
    shard_minutes: Annotated[float, typer.Option(help="Of video, a shard: 30 make 10 videos a shard.")] = 30,
    engine: Annotated[str, typer.Option(help="Of the run: local or ray.")] = "local",
) -> None:
    """Measure each step at each size."""
    settings = {"engine": {"engine": engine}, "plan": {"shard_minutes": shard_minutes}}
    everything = {}
    for count in videos or [10_000, 100_000, 1_000_000]:
        everything[count] = measure(count, folder, settings, Console(stderr=True, highlight=False, soft_wrap=True))
    show(everything)
    steps = {count: {name: asdict(step) for name, step in results.items()} for count, results in everything.items()}
    right = all(is_right(count, results) for count, results in everything.items())
    json.dump({"right": right, "videos": steps}, sys.stdout, indent=2)
    sys.stdout.write("\n")
    raise typer.Exit(not right)


if __name__ == "__main__":
    typer.run(main)
