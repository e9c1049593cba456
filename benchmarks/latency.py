"""How long does the model take for an utterance of 5 s? One thread, batched; from words, sound and crops to labels.

    python -m benchmarks.latency [--utterances 16] [--runs 9] > latency.json

Everything that the model does is in it: tokenizer, MiniLM, log-mel, Whisper's encoder, RepVGG, temporal encoders and
fusion. Decoding, face detection and transcription are not: they are no part of the model. cpu is CPU time, which says
more than the clock where the machine has other work. Prints a table on stderr and one JSON object on stdout; exits with
1 when the median by the clock is above --limit-ms.
"""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

os.environ["OMP_NUM_THREADS"] = "1"  # before any library that reads it

import ctranslate2
import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.machine import cpu_model
from models.catalogue import locate
from models.cost import cost_per_second
from models.face import FaceConfig
from models.v2em_s import EmotionModel, UtteranceInput
from models.voice import VoiceConfig
from models.weights_file import load_weights
from models.whisper_states import PCM_RATE_HZ

UTTERANCE_S = 5.0
FACES_PER_S = 2.0
WORDS = "well i really did not expect to see you here again after all that happened"  # 15 words: 3 a second
BRANCHES = {"text": ("text",), "voice": ("pcm",), "face": ("faces", "face_times_s")}


def main(
    utterances: Annotated[int, typer.Option(min=1, help="Utterances in a batch.")] = 16,
    runs: Annotated[int, typer.Option(min=1)] = 9,
    limit_ms: Annotated[float, typer.Option(help="The most that an utterance may take, whole model.")] = 60.0,
    weights: Annotated[Path | None, typer.Option(help="Weights of V2EM-S; by default those that ship.")] = None,
) -> None:
    """Measure the latency of V2EM-S."""
    torch.set_num_threads(1)
    path = weights or locate("v2em-s")
    model = EmotionModel.load(path, locate("whisper-tiny.en"), locate("minilm-l6"))
    batch = speech(utterances)
    taken = {name: median_ms(model, only(batch, name), runs) for name in BRANCHES}
    taken["whole model"] = median_ms(model, batch, runs)
    _, config, _ = load_weights(path)
    cost = cost_per_second(FaceConfig(**config["face"]), VoiceConfig(**config["audio"]), FACES_PER_S, UTTERANCE_S)
    report = {
        "machine": {"cpu": cpu_model(), "threads": 1, "python": platform.python_version()},
        "versions": {"torch": torch.__version__, "ctranslate2": ctranslate2.__version__},
        "model_id": model.model_id,
        "batch": {"utterances": utterances, "utterance_s": UTTERANCE_S, "faces_per_s": FACES_PER_S, "runs": runs},
        "ms_per_utterance": taken,
        "gmac_per_s": {
            "face": cost.face / 1e9,
            "whisper_encoder": cost.whisper_encoder / 1e9,
            "voice": cost.voice / 1e9,
            "face_and_voice": cost.total / 1e9,
        },
        "weights_mb": path.stat().st_size / 1e6,
    }
    show(report)
    json.dump(report, sys.stdout, indent=2)
    sys.stdout.write("\n")
    raise typer.Exit(taken["whole model"]["median"] > limit_ms)


def speech(utterances: int) -> list[UtteranceInput]:
    """Utterances with words, 5 s of noise as loud as speech, and two faces a second; all alike in size."""
    rng = np.random.default_rng(0)
    faces = round(FACES_PER_S * UTTERANCE_S)
    return [
        UtteranceInput(
            text=WORDS,
            pcm=rng.normal(0, 0.05, round(UTTERANCE_S * PCM_RATE_HZ)).astype(np.float32),
            faces=rng.integers(0, 256, (faces, 48, 48, 3), dtype=np.uint8),
            face_times_s=np.arange(faces, dtype=np.float32) / FACES_PER_S,
        )
        for _ in range(utterances)
    ]


def only(batch: Sequence[UtteranceInput], branch: str) -> list[UtteranceInput]:
    """The same utterances with what that branch reads, and nothing else."""
    return [replace(UtteranceInput(), **{name: getattr(u, name) for name in BRANCHES[branch]}) for u in batch]


def median_ms(model: EmotionModel, batch: Sequence[UtteranceInput], runs: int) -> dict[str, float]:
    """Milliseconds an utterance: median, least and most of the runs, after one that is not counted; median of CPU."""
    clock_ms, cpu_ms = [], []
    for _ in range(runs + 1):
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        model.predict(batch, batch_size=len(batch))
        clock_ms.append(1000 * (time.perf_counter() - started_s) / len(batch))
        cpu_ms.append(1000 * (time.process_time() - started_cpu_s) / len(batch))
    counted = clock_ms[1:]
    return {
        "median": statistics.median(counted),
        "least": min(counted),
        "most": max(counted),
        "cpu": statistics.median(cpu_ms[1:]),
    }


def show(report: dict[str, Any]) -> None:
    """Print milliseconds and multiply-adds for people."""
    table = Table("ms an utterance of 5 s", "median", "least", "most", "cpu", box=None)
    for name, taken in report["ms_per_utterance"].items():
        table.add_row(name, *(f"{taken[key]:.1f}" for key in ("median", "least", "most", "cpu")))
    console = Console(stderr=True)
    console.print(table)
    console.print(
        f"{report['gmac_per_s']['face_and_voice']:.2f} GMAC for a second of video, face and voice; "
        f"weights {report['weights_mb']:.1f} MB; {report['machine']['cpu']}, one thread"
    )


if __name__ == "__main__":
    typer.run(main)
