"""The Beam engine: any runner of Apache Beam schedules, we commit.

The plan passes through one Reshuffle, and then each shard goes through all operators in one worker: sound and crops
never reach a runner's shuffle, which would store them. What is done stands in the ledger, and only there; a bundle that
a runner brings again finds it there, so that retries cost little and double nothing.
"""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.utils.shared import Shared

from pipelines.arrivals import Arrivals
from pipelines.beam_args import runs_here
from pipelines.environment import process_environment
from pipelines.errors import JobError, with_account
from pipelines.graph import Operator, Stage
from pipelines.heap import MemoryGivenBack
from pipelines.logs import last_lines

SHORTEST_WAIT_S = 1.0
WAITS_PER_LOOK = 10
"""Between two looks into the ledger passes so many times what a look takes: large ledgers are looked at less often."""
DEATHS_IN_A_ROW = 12
"""A shard may kill its worker more than once before the guilty segments are found; this often without any commit is
another trouble, such as too little memory for the models."""
CANCEL_LIMIT_S = 30.0
ALONE = ("--direct_num_workers=1", "--direct_running_mode=in_memory")
"""After a death here one worker goes on alone: others must not be found dying beside the one that a file kills."""

_KNOWN_ERROR = re.compile(
    r"^(?:operators\.commit\.OutputError|pipelines\.errors\.JobError): (.+?)(?: \[while running .*)?$", re.MULTILINE
)


class LabelVideos(beam.PTransform):
    """Shards of a plan in (`operators.schema.PLANNED`, one table each); out comes what was committed of each.

    Videos that can't be labelled are no exceptions and no output of their own: each is a row of the ledger, with its
    reason, that the last stage commits with its shard. An exception is an error of ours, or of the output.

    Args:
        stages: of the labelling graph.
        environment: variables for the processes of the operators.
        is_done: whether a shard is committed already; it is then passed over.
    """

    def __init__(
        self, stages: Sequence[Stage], environment: dict[str, str], is_done: Callable[[pa.Table], bool]
    ) -> None:
        super().__init__()
        self._stages = stages
        self._environment = environment
        self._is_done = is_done

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        """Bind the stages, one after the other, to be fused by the runner."""
        is_done = self._is_done
        passing = shards | beam.Reshuffle() | "to do" >> beam.Filter(lambda shard: not is_done(shard))
        for stage in self._stages:
            passing = passing | stage.name >> beam.ParDo(_Operate(stage.build, self._environment))
        return passing | "committed" >> beam.Filter(lambda summary: summary.num_rows > 0)


class _Operate(beam.DoFn):
    """An operator, one in a process: threads of a worker share it and take turns."""

    def __init__(self, build: Callable[[], Operator], environment: dict[str, str]) -> None:
        self._build = build
        self._environment = environment
        self._shared = Shared()

    def setup(self) -> None:
        os.environ.update(self._environment)
        self._operator = self._shared.acquire(lambda: InTurn(self._build()))

    def process(self, shard: pa.Table) -> Iterator[pa.Table]:
        yield self._operator(shard)


class InTurn:
    """An operator that one thread uses at a time."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._lock = threading.Lock()
        self._memory = MemoryGivenBack()

    def __call__(self, shard: pa.Table) -> pa.Table:
        """What the operator says of it."""
        with self._lock:
            made = self._operator(shard)
            self._memory.after(shard)
        return made


@dataclass(frozen=True)
class LabelPipeline:
    """All that the process which runs the pipeline needs; picklable.

    `parts` each give some of the shards, on whichever worker they are called: a plan of many shards is too large for
    the description of a pipeline.
    """

    parts: Sequence[Callable[[], list[pa.Table]]]
    stages: Sequence[Stage]
    is_done: Callable[[pa.Table], bool]
    flags: Sequence[str]
    environment: dict[str, str]

    @property
    def here(self) -> bool:
        """Whether the work is done on this machine."""
        return runs_here(self.flags)

    def build(self) -> beam.Pipeline:
        """The pipeline, ready to run."""
        pipeline = beam.Pipeline(argv=list(self.flags))
        shards = pipeline | "plan" >> beam.Create(list(self.parts)) | "read plan" >> beam.FlatMap(lambda part: part())
        _ = shards | LabelVideos(self.stages, self.environment, self.is_done)
        return pipeline


def run(pipeline: LabelPipeline, arrivals: Arrivals, temporary: Path) -> Generator[pa.Table]:
    """Run a pipeline in a process of its own; yields what comes into the ledger, in order of completion.

    In a process of its own it can be ended whatever its runner does, and a worker that dies here takes only it along:
    the pipeline is then started again for what is left.

    Raises:
        JobError: the pipeline has failed.
    """
    environment = process_environment(temporary if pipeline.here else None)
    pipeline = replace(pipeline, environment=environment | pipeline.environment)
    deaths = 0
    while True:
        process = _Process(pipeline, temporary)
        try:
            while True:
                ended, looked_at = process.ended(), time.monotonic()
                for summary in arrivals.new():
                    deaths = 0
                    yield summary
                if ended:
                    break
                process.wait(max(SHORTEST_WAIT_S, WAITS_PER_LOOK * (time.monotonic() - looked_at)))
        finally:
            process.end()
        outcome = process.outcome()
        if outcome is None:
            return
        deaths += 1
        if not pipeline.here or deaths == DEATHS_IN_A_ROW:
            raise JobError(
                f"The process that runs the Beam pipeline has died. The last that was said there:\n{outcome}"
            )
        pipeline = replace(pipeline, flags=[*pipeline.flags, *ALONE])


class _Process:
    """The process of `pipelines.beam_process`, and those that it starts: one session, which ends together."""

    def __init__(self, pipeline: LabelPipeline, temporary: Path) -> None:
        self._here = pipeline.here
        self._report = temporary / "beam-report.json"
        self._log = temporary / "beam.log"
        self._report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pipelines.beam_process", str(self._report)]
        # A session of its own: Ctrl-C is for the job, which lets what is in flight end.
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | pipeline.environment,
            )
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        with suppress(BrokenPipeError):  # it has died, which is seen soon
            pickle.dump(pipeline, self._process.stdin)
            self._process.stdin.flush()

    def ended(self) -> bool:
        """Whether it is over."""
        return self._process.poll() is not None

    def wait(self, seconds: float) -> None:
        """Wait for its end, so long at most."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def end(self) -> None:
        """End it, and what it has started; a pipeline elsewhere is cancelled."""
        try:
            if not self._here and not self.ended():
                self._process.terminate()
                self.wait(CANCEL_LIMIT_S)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def outcome(self) -> str | None:
        """None if all went well; if it has died, the last that it said.

        Raises:
            JobError: the pipeline has failed.
        """
        try:
            report: dict[str, Any] = json.loads(self._report.read_text("utf-8"))
        except FileNotFoundError:
            return last_lines(self._log.read_bytes())
        if (error := report["error"]) is None:
            return None
        if known := _KNOWN_ERROR.search(error):
            raise JobError(known[1])
        # The last line of Beam's account is the error itself; what comes before tells a developer where.
        raise JobError(with_account(error))
