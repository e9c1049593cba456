"""All faults, many times over, at random moments, on a real Ray; after each a resume must give the undisturbed table.

    python -m tests.chaos.rounds --rounds 20 --seed 1

Prints a line for every fault and the count of differences; exits with 1 when there is one.
"""

import os
import random
import shutil
import signal
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
        arguments = ("label", corpus or self.corpus, "--out", self.out, *more)
        return faults.start(*arguments, env=self.environment(pace_s), log=self.folder / "log")

    def resume(self) -> bool:
        """Go on to the end, on Ray or in the plain loop; whether the table is the undisturbed one, and valid."""
        engine = self.rng.choice(["ray", "local", "local"])
        env, log = self.environment(), self.folder / "log"
        code = faults.finish("label", self.corpus, "--out", self.out, "--engine", engine, env=env, log=log)
        valid = faults.finish("validate", self.out, env=env, log=log) == 0
        return code == 3 and valid and faults.same_tables(self.out, self.undisturbed)


def kill_decode(here: Round) -> bool:
    """A decode worker is killed once or twice while it works, and Ray goes on by itself."""
    return _kill_workers(here, "decode")


def kill_infer(here: Round) -> bool:
    """The same with the worker that infers."""
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


FAULTS: dict[str, Callable[[Round], bool]] = {
    function.__name__: function for function in (kill_decode, kill_infer, kill_driver, terminate, kill_raylet, poison)
}


def main(
    rounds: Annotated[int, typer.Option(help="How often every fault is made.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the first round; the others count on from it.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="Only these faults.")] = None,
) -> None:
    """Make every fault `rounds` times and count the differences."""
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
            except (TimeoutError, AssertionError, OSError) as error:
                typer.echo(f"  {error!r}")
                same = False
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
