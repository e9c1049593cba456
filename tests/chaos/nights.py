"""Nights in a row over a corpus that grows, changes and shrinks, each compared with labelling from scratch."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.errors import EXIT_FAILED_SEGMENTS, EXIT_HELD_BACK, EXIT_OK, EXIT_WORK_LEFT
from tests.chaos.faults import ROOT
from tests.labelling import labels, segments

TIME_LIMIT_S = 600
SETTINGS = {"FV2ES_PLAN__SEGMENT_MINUTES": "1", "FV2ES_PLAN__SHARD_MINUTES": "2"}
EVENTS = ("undisturbed", "killed", "cut short", "undisturbed", "killed", "vanished", "undisturbed")
"""What befalls one night after another."""

DONE = (EXIT_OK, EXIT_FAILED_SEGMENTS)


@dataclass
class Night:
    """What became of one night. `requests` are those to the output's store; `same`: as from scratch."""

    number: int
    event: str
    files: int
    touched: int
    exit_code: int
    requests: int
    wall_s: float
    same: bool
    report: dict = field(default_factory=dict)


class Simulation:
    """A corpus of stub files (see `stub_night`), and the nights over it.

    Args:
        folder: an empty folder.
        seed: of everything that happens.
        files: to begin with.
    """

    def __init__(self, folder: Path, seed: int, files: int = 30) -> None:
        self._rng = random.Random(seed)
        self._folder = folder
        self.corpus, self.out, self._moods = folder / "corpus", folder / "out", folder / "moods"
        for needed in (self.corpus, self._moods):
            needed.mkdir()
        self._made = 0
        for _ in range(files):
            self._add()

    def nights(self, count: int) -> Iterator[Night]:
        """Let the days and nights pass."""
        for number in range(1, count + 1):
            touched = self._day() if number > 1 else self._made
            yield self._night(number, touched)

    def run(
        self, *options: str, command: str = "nightly", out: Path | None = None, expect: int = EXIT_OK, **env: object
    ) -> tuple[int, dict]:
        """One command over the corpus: its exit code (or `expect`), and the report if it came to one."""
        arguments = [command, self.corpus, "--out", out or self.out, "--engine", "local", "--json", *options]
        own = {"NIGHT_MOODS": self._moods, "NIGHT_REQUESTS": self._folder / "requests.json"} | env
        done = subprocess.run(
            [sys.executable, "-m", "tests.chaos.stub_night", *map(str, arguments)],
            env=os.environ | SETTINGS | {name: str(value) for name, value in own.items()},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
        if done.returncode not in (*DONE, EXIT_WORK_LEFT, EXIT_HELD_BACK, expect, -signal.SIGKILL):
            raise AssertionError(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.returncode, json.loads(done.stdout) if done.stdout else {}

    def requests(self) -> int:
        """What the last run asked of the store of its output."""
        return sum(json.loads((self._folder / "requests.json").read_text("utf-8")).values())

    def change(self, count: int) -> None:
        """Change some files."""
        for path in sorted(self.corpus.iterdir())[:count]:
            self._write(path)

    def _night(self, number: int, touched: int) -> Night:
        event = EVENTS[(number - 1) % len(EVENTS)]
        started = time.monotonic()
        code, report = getattr(self, f"_{event.replace(' ', '_')}")()
        wall_s = time.monotonic() - started
        files = len(list(self.corpus.iterdir()))
        same = self.as_from_scratch() if code in DONE else True
        return Night(number, event, files, touched, code, self.requests(), round(wall_s, 2), same, report)

    def _undisturbed(self) -> tuple[int, dict]:
        return self.run()

    def _killed(self) -> tuple[int, dict]:
        """Killed at any change of its output; at times begun again in the same night."""
        code, report = self.run(NIGHT_KILL_AT=self._rng.randint(1, 40))
        return self.run() if code == -signal.SIGKILL and self._rng.random() < 0.5 else (code, report)

    def _cut_short(self) -> tuple[int, dict]:
        """The time is up in the middle."""
        return self.run("--until", "1s", NIGHT_PACE_S=0.4)

    def _vanished(self) -> tuple[int, dict]:
        """The disk isn't there: nothing leaves. The next night it is."""
        before = labels(self.out) if (self.out / "labels").exists() else None
        aside = self._folder / "aside"
        self.corpus.rename(aside)
        self.corpus.mkdir()
        code, report = self.run()
        self.corpus.rmdir()
        aside.rename(self.corpus)
        assert code == EXIT_HELD_BACK, report
        assert before is None or labels(self.out).equals(before)
        return code, report

    def as_from_scratch(self) -> bool:
        """Whether the tables are those that labelling this corpus from scratch gives."""
        scratch = self._folder / "scratch"
        self.run(command="label", out=scratch, NIGHT_REQUESTS="")
        ledgers = [segments(out).drop_columns(["shard_id"]) for out in (self.out, scratch)]
        same = labels(self.out).equals(labels(scratch)) and ledgers[0].equals(ledgers[1])
        shutil.rmtree(scratch)
        return same

    def _day(self) -> int:
        """Files come, change, go, break, fall into moods and out of them; how many that were."""
        touched = 0
        for _ in range(self._rng.randint(0, 6)):
            self._add()
            touched += 1
        files = sorted(self.corpus.iterdir())
        for path in self._rng.sample(files, self._rng.randint(0, 5)):
            kind = self._rng.choice(["change", "change", "remove", "rename", "mood", "mend"])
            touched += 1
            if kind == "change":
                self._write(path)
            elif kind == "remove":
                path.unlink()
            elif kind == "rename":
                path.rename(path.with_name(f"renamed-{self._made:05}-{path.name}"))
            elif kind == "mood":
                (self._moods / path.name).touch()
                self._write(path)
            else:
                for mood in self._moods.iterdir():
                    mood.unlink()
        return touched

    def _add(self) -> None:
        self._made += 1
        self._write(self.corpus / f"video-{self._made:05}.mp4")

    def _write(self, path: Path) -> None:
        told = {
            "said": self._rng.random(),
            "seconds": self._rng.choice([7, 20, 45, 60, 130, 200]),
            "broken": self._rng.random() < 0.1,
        }
        path.write_text(json.dumps(told), "utf-8")
