"""Each stage's kernel alone, flat out: in one process, each of one thread, on the data that the operators give it.

    python -m benchmarks.flat_out VIDEO ...

The operators label the videos once, and what they hand to their kernels (the face detector, the voice activity
detector, the recogniser, the aligner, the model) is noted. Then each kernel is given all of it again, one after the
other, with nothing between: that is the least its stage can cost as the kernels are. Decoding is the operator with the
answers of the face detector given at once: frames are read and thrown away. Prints one JSON object: CPU-seconds.
"""

import json
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import typer

from models.v2em_s import EmotionModel
from operators.align import PocketSphinx, WhisperAttention, WhisperxAlign
from operators.asr import Recogniser
from operators.decode import Decode
from operators.faces import FaceDetector
from operators.infer import Infer
from operators.transcribe import Transcribe
from operators.vad import Pyannote, Silero
from pipelines import job
from pipelines.config import Config, load
from pipelines.plan import to_table
from pipelines.recipe import find_weights

KERNELS: dict[str, tuple[tuple[type, str], ...]] = {
    "detect": ((FaceDetector, "detect"),),
    "vad": ((Silero, "__call__"), (Pyannote, "__call__")),
    "asr": ((Recogniser, "__call__"),),
    "align": ((PocketSphinx, "__call__"), (WhisperAttention, "__call__"), (WhisperxAlign, "__call__")),
    "infer": ((EmotionModel, "predict"),),
}
"""By stage, the methods in which its arithmetic is done. Those that the settings don't use are never called."""
STAGES = ("decode", *KERNELS)


@dataclass(frozen=True)
class Call:
    """A call of a kernel, and its answer."""

    kernel: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    answer: Any

    def again(self) -> None:
        """Make it once more."""
        self.kernel(*self.arguments, **self.named)


class Operators:
    """The operators as a worker builds them, and the shards of the videos."""

    def __init__(self, videos: list[Path], config: Config) -> None:
        weights = find_weights(config)
        faces = FaceDetector.load(config.faces, weights.detector)
        self.decode = Decode(config.decode, config.windows, faces, limits=config.limits)
        self.transcribe = Transcribe(config.speech, config.windows, weights.asr)
        self.infer = Infer(config.infer, weights.voice_encoder, weights.text_encoder, weights.emotion)
        shards = job.preview(list(map(str, videos)), None, config).shards
        self.shards: list[pa.Table] = [to_table([shard]) for shard in shards]
        self.media_s = sum(shard.media_ms for shard in shards) / 1000


def cpu_s() -> float:
    """CPU time of this process and of the children that it has waited for, user and system."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(item.ru_utime + item.ru_stime for item in used)


def measure(operators: Operators) -> dict[str, float]:
    """CPU-seconds of each stage's kernel alone, over all shards."""
    spent = dict.fromkeys(STAGES, 0.0)
    for shard in operators.shards:
        calls: dict[str, list[Call]] = {stage: [] for stage in KERNELS}
        with noted(calls):
            operators.infer(operators.transcribe(operators.decode(shard)))
        for stage, of_stage in calls.items():
            began = cpu_s()
            for call in of_stage:
                call.again()
            spent[stage] += cpu_s() - began
        with answering([call.answer for call in calls["detect"]]):
            began = cpu_s()
            operators.decode(shard)
            spent["decode"] += cpu_s() - began
    return spent


@contextmanager
def noted(calls: dict[str, list[Call]]) -> Iterator[None]:
    """Within the block, calls of the kernels are noted by stage."""
    with ExitStack() as stack:
        for stage, kernels in KERNELS.items():
            for owner, name in kernels:
                stack.enter_context(patch.object(owner, name, _noting(getattr(owner, name), calls[stage])))
        yield


def _noting(kernel: Callable[..., Any], calls: list[Call]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        # Copies: the operators use their buffers again.
        kept = tuple(item.copy() if isinstance(item, np.ndarray) else item for item in arguments)
        answer = kernel(*arguments, **named)
        calls.append(Call(kernel, kept, named, answer))
        return answer

    return call


@contextmanager
def answering(answers: list[Any]) -> Iterator[None]:
    """Within the block the face detector doesn't look: it gives these answers, one after the other."""
    left = iter(answers)
    with patch.object(FaceDetector, "detect", lambda *_: next(left)):
        yield


def main(videos: Annotated[list[Path], typer.Argument(help="Videos with sound.")]) -> None:
    """Measure the kernels."""
    operators = Operators(videos, load(None, {}))
    spent = measure(operators)
    json.dump({"media_s": operators.media_s, "cpu_s": spent}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    typer.run(main)
