"""The reference's way of labelling, plainly: what FV2ES's own system does with a video, as a cost to compare with.

    python -m benchmarks.reference_way VIDEO

Published in Wei, Huang, Zhang, "FV2ES" (2022), and in its code: all frames of the video are decoded at full size into
memory, and all of its sound; of each utterance every 15th frame is looked at by MTCNN inside of the model, its crop by
RepVGG, mel slices of 0.4 s by NesT-B, 100 tokens by ALBERT; one utterance at a time, one frame at a time. There is no
speech recognition: utterances come with their times and words. Here these are stretches of 5 s and made-up tokens, all
weights are random, and MTCNN is `benchmarks.mtcnn_like`: labels mean nothing, costs are of the published sizes. Left
out in its favour: it loads its models anew for each request. Prints one JSON object: CPU-seconds after loading.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Annotated

import av
import numpy as np
import torch
import typer
from torch import Tensor

from benchmarks.flat_out import cpu_s
from benchmarks.mtcnn_like import MtcnnLike
from models.v2em.batch import Utterance, pack
from models.v2em.config import V2emConfig
from models.v2em.crops import face_crop
from models.v2em.mel import mel_slices
from models.v2em.model import V2EM
from models.v2em.text import MAX_TOKENS
from operators.schema import PCM_RATE_HZ

UTTERANCE_S = 5.0
FRAME_STEP_S = 0.5
WORD = 7
"""A token of ALBERT's; which one, costs nothing."""


def main(video: Annotated[Path, typer.Argument(help="A short one: every frame is held in memory.")]) -> None:
    """Label the video and tell what it took."""
    torch.manual_seed(0)
    detector, model = MtcnnLike().eval(), V2EM(V2emConfig(legacy=True)).fused()
    loaded_bytes = peak_bytes()
    began, cpu_began = time.monotonic(), cpu_s()
    frames, rate, pcm = read_all(video)
    spent = {"decode": cpu_s() - cpu_began, "detect": 0.0, "infer": 0.0}
    media_s = len(frames) / rate
    probabilities = []
    for start, sound in utterances(pcm, media_s):
        of_utterance = frames[int(start * rate) : int((start + UTTERANCE_S) * rate)]
        looked = cpu_s()
        crops = [find_face(detector, frame) for frame in of_utterance[:: int(FRAME_STEP_S * rate)]]
        spent["detect"] += cpu_s() - looked
        looked = cpu_s()
        probabilities.append(label(model, crops, sound))
        spent["infer"] += cpu_s() - looked
    answer = {
        "media_s": media_s,
        "cpu_s": spent,
        "wall_s": time.monotonic() - began,
        "frames_bytes": sum(frame.nbytes for frame in frames),
        "peak_bytes": peak_bytes(),
        "loaded_bytes": loaded_bytes,
        "probabilities": torch.stack(probabilities).mean(dim=0).tolist(),
    }
    json.dump(answer, sys.stdout)
    sys.stdout.write("\n")


def read_all(video: Path) -> tuple[list[np.ndarray], float, np.ndarray]:
    """All frames uint8 RGB [H, W, 3], their rate a second, and all sound, float32 mono at 16 kHz."""
    frames, sound = [], []
    resampler = av.AudioResampler("flt", "mono", PCM_RATE_HZ)
    with av.open(str(video)) as media:
        rate = float(media.streams.video[0].average_rate or 0)
        media.streams.video[0].thread_count = 1
        for frame in media.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24"))
    with av.open(str(video)) as media:
        for part in media.decode(audio=0):
            sound += [resampled.to_ndarray()[0] for resampled in resampler.resample(part)]
    return frames, rate, np.concatenate(sound)


def utterances(pcm: np.ndarray, media_s: float) -> list[tuple[float, np.ndarray]]:
    """The starts of stretches of 5 s, the last of which may be shorter, each with its sound."""
    starts = np.arange(0, max(media_s - FRAME_STEP_S, FRAME_STEP_S), UTTERANCE_S)
    return [(s, pcm[int(s * PCM_RATE_HZ) : int((s + UTTERANCE_S) * PCM_RATE_HZ)]) for s in starts.tolist()]


def find_face(detector: MtcnnLike, frame: np.ndarray) -> Tensor:
    """The crop uint8 RGB [3, 48, 48] of a frame."""
    x0, y0, x1, y1 = detector(torch.from_numpy(frame)).tolist()
    return torch.from_numpy(face_crop(frame, (x0, y0, x1, y1), legacy=True).pixels).permute(2, 0, 1)


@torch.inference_mode()
def label(model: V2EM, crops: list[Tensor], pcm: np.ndarray) -> Tensor:
    """Probabilities [6] of one utterance."""
    mel, valid = mel_slices(pcm, legacy=True)
    seen = torch.ones(len(crops), dtype=torch.bool)
    times_s = FRAME_STEP_S * torch.arange(len(crops))
    utterance = Utterance(torch.stack(crops), times_s, seen, mel, valid, text="words that were given")
    tokens = torch.full((1, MAX_TOKENS), WORD)
    return model(pack([utterance], tokens, torch.ones_like(tokens, dtype=torch.bool))).probabilities()[0]


def peak_bytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    typer.run(main)
