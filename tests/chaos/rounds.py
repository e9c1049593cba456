"""All faults, many times over, at random moments; after each a resume must give the undisturbed table.

Jobs run on worker processes and on a real Ray, as it falls.

    python -m tests.chaos.rounds --rounds 20 --seed 1

Prints a line for every fault and the count of differences; exits with 1 when there is one.
"""

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from tests.chaos import faults
from tests.labelling import labels, segments


class Round(NamedTuple):
    """What a fault has to work with: folders of its own, a source of random moments, the undisturbed output."""

    folder: Path
    corpus: Path
    undisturbed: Path
    rng: random.Random

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def watch(self) -> Path:
        return self.folder / "watch"

    def environment(self, pace_s: float = 0.0, **more: str) -> dict[str, str]:
        return faults.environment(self.watch, pace_s, **more)

    def label(self, *more: object, pace_s: float = 0.5, corpus: Path | None = None):
        engine = () if "--address" in more else ("--engine", self.rng.choice(["processes", "ray"]))
        arguments = ("label", corpus or self.corpus, "--out", self.out, *engine, *more)
        return faults.start(*arguments, env=self.environment(pace_s), log=self.folder / "log")

    def resume(self) -> bool:
        """Go on to the end, on any engine; whether the table is the undisturbed one, and valid."""
        engine = self.rng.choice(["ray", "processes", "local"])
        env, log = self.environment(), self.folder / "log"
        code = faults.finish("label", self.corpus, "--out", self.out, "--engine", engine, env=env, log=log)
        valid = faults.finish("validate", self.out, env=env, log=log) == 0
        return code == 3 and valid and faults.same_tables(self.out, self.undisturbed)


def kill_decode(here: Round) -> bool:
    """A worker that decodes is killed once or twice, and the engine goes on by itself."""
    return _kill_workers(here, "decode")


def kill_infer(here: Round) -> bool:
    """The same with one that infers."""
    return _kill_workers(here, "infer")


def _kill_workers(here: Round, stage: str) -> bool:
    process = here.label("--workers", here.rng.choice([1, 2]))
    for _ in range(here.rng.choice([1, 2])):
        faults.kill_worker(here.watch, stage, here.rng)
    code = process.wait(faults.END_LIMIT_S)
    undisturbed = code == 3 and faults.same_tables(here.out, here.undisturbed)
    return undisturbed and here.resume()


def kill_driver(here: Round) -> bool:
    """The driver is killed at any moment, up to three times."""
    for _ in range(here.rng.choice([1, 2, 3])):
        process = here.label()
        if here.rng.random() < 0.5:
            faults.wait_for_commits(here.out, here.rng.randint(1, 4), process)
        time.sleep(here.rng.uniform(0, 15))
        process.kill()
        process.wait()
    return here.resume()


def terminate(here: Round) -> bool:
    """SIGTERM or SIGINT to the driver at a random moment of its work."""
    number = here.rng.choice([signal.SIGTERM, signal.SIGINT])
    process = here.label()
    faults.at_work(here.watch, here.rng.choice(["decode", "transcribe", "infer"]))
    time.sleep(here.rng.uniform(0, 2))
    process.send_signal(number)
    said = process.wait(faults.END_LIMIT_S) in (128 + number, 3)  # 3: it had done everything
    return said and not (here.out / "_runs/lock.json").exists() and here.resume()


def kill_raylet(here: Round) -> bool:
    """One of two nodes dies; the other goes on."""
    with faults.two_nodes(here.environment(0.5)) as (address, raylet):
        process = here.label("--address", address, "--workers", 2)
        faults.wait_for_commits(here.out, here.rng.randint(1, 3), process)
        time.sleep(here.rng.uniform(0, 3))
        raylet.kill()
        code = process.wait(faults.END_LIMIT_S)
    return code == 3 and faults.same_tables(here.out, here.undisturbed) and here.resume()


def poison(here: Round) -> bool:
    """A file that kills its worker is left out; all others are labelled as in the undisturbed run."""
    stage = here.rng.choice(["decode", "transcribe", "infer"])
    mixed = here.folder / "corpus"
    shutil.copytree(here.corpus, mixed)
    shutil.copy(here.corpus / "clip-0.mp4", mixed / f"poison-{stage}.mp4")
    env = here.environment(FV2ES_PLAN__SHARD_MINUTES="10")  # one shard holds them all
    log = here.folder / "log"
    if faults.finish("label", mixed, "--out", here.out, env=env, log=log) != 3:
        return False
    status = {Path(row["uri"]).name: row["status"] for row in segments(here.out).to_pylist()}
    quarantined = status.pop(f"poison-{stage}.mp4")
    others = {Path(row["uri"]).name: row["status"] for row in segments(here.undisturbed).to_pylist()}
    said = labels(here.out)["text"].to_pylist() == labels(here.undisturbed)["text"].to_pylist()
    return quarantined == "crashed_worker" and status == others and said


def crash_ffmpeg(here: Round) -> bool:
    """ffmpeg crashes on a file; a retry with one that works gives the undisturbed table."""
    return _break_ffmpeg(here, faults.CRASH, "unreadable", {})


def hang_ffmpeg(here: Round) -> bool:
    """The same, where it hangs."""
    return _break_ffmpeg(here, faults.HANG, "too_long_to_decode", faults.SHORT_TIME)


def _break_ffmpeg(here: Round, what: str, status: str, limits: dict[str, str]) -> bool:
    name, engine = f"clip-{here.rng.randrange(6)}", ("--engine", here.rng.choice(["ray", "processes", "local"]))
    log, fake = here.folder / "log", faults.fake_ffmpeg(here.folder / "ffmpeg", name, what)
    env = here.environment(**fake, **limits)
    if faults.finish("label", here.corpus, "--out", here.out, *engine, env=env, log=log) != 3:
        return False
    expected = {Path(row["uri"]).stem: row["status"] for row in segments(here.undisturbed).to_pylist()}
    if {Path(row["uri"]).stem: row["status"] for row in segments(here.out).to_pylist()} != expected | {name: status}:
        return False
    env = here.environment()
    retried = faults.finish("retry", here.out, "--all", *engine, env=env, log=log) == 3
    valid = faults.finish("validate", here.out, env=env, log=log) == 0
    return retried and valid and faults.same_tables(here.out, here.undisturbed, retried=True)


def out_of_memory(here: Round) -> bool:
    """A video wants more memory than a decoder may have; it is said so, and all others are labelled."""
    mixed = here.folder / "corpus"
    shutil.copytree(here.corpus, mixed)
    faults.build_huge(mixed / "huge.mp4")
    env = here.environment(**faults.LITTLE_MEMORY, FV2ES_PLAN__SHARD_MINUTES=here.rng.choice(["0.05", "10"]))
    engine = ("--engine", here.rng.choice(["ray", "processes", "local"]))
    code = faults.finish("label", mixed, "--out", here.out, *engine, env=env, log=here.folder / "log")
    return code == 3 and faults.huge_and_others(here.out, here.undisturbed)


def full_disk(here: Round) -> bool:
    """The disk of the output is full at some moment; with more room the run goes on."""
    with faults.small_disk(here.out, f"{here.rng.randint(20, 160)}k"):
        code = here.label().wait(faults.END_LIMIT_S)
        faults.make_room(here.out)
        return code in (1, 3) and here.resume()


FAULTS: dict[str, Callable[[Round], bool]] = {
    function.__name__: function
    for function in (
        kill_decode,
        kill_infer,
        kill_driver,
        terminate,
        kill_raylet,
        poison,
        crash_ffmpeg,
        hang_ffmpeg,
        out_of_memory,
        full_disk,
    )
}


def main(
    rounds: Annotated[int, typer.Option(help="How often every fault is made.")] = 20,
    seed: Annotated[int | None, typer.Option(help="Of the first round; random by default.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only these faults.")] = None,
) -> None:
    """Make every fault `rounds` times and count the differences."""
    seed = random.randrange(1_000_000) if seed is None else seed
    typer.echo(f"{rounds} rounds from seed {seed} on; the same again: --rounds {rounds} --seed {seed}")
    base = Path(tempfile.mkdtemp(prefix="chaos-"))
    corpus = faults.build_corpus(base / "corpus")
    env = faults.environment(base / "watch")
    arguments = ("label", corpus, "--out", base / "undisturbed", "--engine", "local")
    assert faults.finish(*arguments, env=env, log=base / "log") == 3
    runs = differences = 0
    for number in range(seed, seed + rounds):
        for name in only or FAULTS:
            folder = base / f"{name}-{number}"
            folder.mkdir()
            here = Round(folder, corpus, base / "undisturbed", random.Random(f"{name} {number}"))
            started = time.monotonic()
            try:
                same = FAULTS[name](here)
            except PermissionError as error:
                typer.echo(f"{name} seed {number}: not made, {error}")
                continue
            except (TimeoutError, AssertionError, OSError, subprocess.SubprocessError) as error:
                typer.echo(f"  {error!r}")
                same = False
            finally:
                for left in faults.children_of(os.getpid()):
                    left.kill()
            runs, differences = runs + 1, differences + (not same)
            typer.echo(f"{name} seed {number}: {'same' if same else 'DIFFERENT'}, {time.monotonic() - started:.0f} s")
            if same:
                shutil.rmtree(folder)
    typer.echo(f"{runs} faults, {differences} differences" + (f"; what they left is in {base}" if differences else ""))
    if not differences:
        shutil.rmtree(base)
    raise typer.Exit(1 if differences else 0)


if __name__ == "__main__":
    os.nice(5)
    typer.run(main)
