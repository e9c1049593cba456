"""`fv2es` with light operators, of which those that decode and write raise an exception half the time.

    python -m tests.chaos.flaky label SRC --out OUT --engine beam --beam-args=--runner=BundleBasedDirectRunner

They raise before their work, or after it: what was written and is then said to have failed is written again. FLAKY_SEED
seeds the dice, and each exception leaves a file in the folder CHAOS_WATCH. Beam's runner, which gives a bundle up after
four attempts, is taught patience.
"""

import os
import random
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
from apache_beam.runners.direct.executor import TransformExecutor

from operators.write import Target
from pipelines import graph
from pipelines.cli.app import main
from tests.chaos import light

TransformExecutor._MAX_RETRY_PER_BUNDLE = 10_000
DICE = random.Random(os.environ.get("FLAKY_SEED"))


class FailedOnPurposeError(Exception):
    """No other exception is expected."""


def build_decode(*arguments: Any, **named: Any) -> graph.Operator:
    return flaky("decode", light.build_decode(*arguments, **named))


def build_write(target: Target) -> graph.Operator:
    return flaky("write", graph._write(target))  # where workers are, nothing stands in for it


def flaky(name: str, operator: graph.Operator) -> graph.Operator:
    def run(table: pa.Table) -> pa.Table:
        fails, works_first = DICE.random() < 0.5, DICE.random() < 0.5
        done = operator(table) if works_first or not fails else None
        if fails:
            Path(os.environ["CHAOS_WATCH"], f"failed-{name}-{works_first}-{uuid.uuid4().hex}").touch()
            raise FailedOnPurposeError(name)
        return done

    return run


if __name__ == "__main__":
    # By the modules' own names, so that workers can import what they are sent.
    from tests.chaos import flaky as this

    graph._decode, graph._transcribe, graph._infer = this.build_decode, light.build_transcribe, light.build_infer
    graph._write = this.build_write
    main()
