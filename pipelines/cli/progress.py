"""Progress in media time, with speed and time left, on a terminal or as now and then a line in a log."""

import time

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from pipelines.cli.console import duration

LOG_EVERY_S = 30.0


class MediaProgress:
    """A progress bar over `total_ms` milliseconds of media."""

    def __init__(self, console: Console, total_ms: int) -> None:
        self._console = console
        self._total_ms = total_ms
        self._done_ms = 0
        self._failed = 0
        self._started = self._logged = time.monotonic()
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal or not total_ms,
        )
        self._task = self._progress.add_task(self._line(), total=total_ms)

    def start(self) -> None:
        """Show it."""
        self._progress.start()

    def stop(self) -> None:
        """Take it off the terminal."""
        self._progress.stop()

    def committed(self, summary: pa.Table) -> None:
        """A shard (`operators.write.SUMMARY`) is in the output."""
        self._done_ms += pc.sum(summary["media_ms"]).as_py()
        self._failed += pc.sum(summary["failed_segments"]).as_py()
        self._progress.update(self._task, completed=self._done_ms, description=self._line())
        if not self._console.is_terminal and time.monotonic() - self._logged > LOG_EVERY_S:
            self._logged = time.monotonic()
            self._console.print(self._line(), soft_wrap=True)

    def _line(self) -> str:
        line = f"{duration(self._done_ms)} of {duration(self._total_ms)}"
        if self._done_ms:
            elapsed_ms = (time.monotonic() - self._started) * 1000
            left_ms = elapsed_ms * (self._total_ms - self._done_ms) / self._done_ms
            line += f", {self._done_ms / elapsed_ms:.1f} x real time, {duration(left_ms)} left"
        else:
            line += ", starting"
        return line + (f", {self._failed} failed" if self._failed else "")
