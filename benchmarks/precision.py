"""What bfloat16 changes: probabilities of V2EM-S on real clips, beside those of float32, on a CPU or a GPU.

    python -m benchmarks.precision --clips FOLDER [--device cuda]

Each clip's first 8 s are one utterance: its sound, faces twice a second, and words for some. Prints one JSON object.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import cv2
import imageio_ffmpeg
import numpy as np
import typer

from models.catalogue import locate
from models.device import Execution
from models.face_crop import crop_face
from models.retinaface import load_mobilenet
from models.v2em_s import EmotionModel, UtteranceInput
from operators.faces import Detector

TEXTS = ("That is wonderful, thank you so much!", "No.", "I can't believe he is gone, I miss him every day.", None)
FRAMES, FRAME_MS = 16, 500


def main(
    clips: Annotated[Path, typer.Option(help="Folder of videos with faces.")],
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Compare the two."""
    utterances = filmed(sorted(clips.rglob("*.mp4")))
    weights = [locate(name) for name in ("v2em-s", "whisper-tiny.en", "minilm-l6")]
    exact, rough = (
        EmotionModel.load(*weights, execution).predict(utterances)
        for execution in (Execution("cpu"), Execution.on(device, "bfloat16"))
    )
    off = np.abs(exact.probabilities - rough.probabilities)
    changed = exact.probabilities.argmax(axis=1) != rough.probabilities.argmax(axis=1)
    figures = {"device": device, "clips": len(utterances), "labels_changed": int(changed.sum())}
    json.dump(figures | {"most": float(off.max()), "mean": float(off.mean())}, sys.stdout)
    sys.stdout.write("\n")


def filmed(paths: list[Path]) -> list[UtteranceInput]:
    """An utterance of each clip that has a sound or a face."""
    detector = load_mobilenet(locate("retinaface-mobilenet0.25"))
    made = [filmed_utterance(path, detector, TEXTS[k % len(TEXTS)]) for k, path in enumerate(paths)]
    return [utterance for utterance in made if any(utterance.present())]


def filmed_utterance(path: Path, detector: Detector, text: str | None) -> UtteranceInput:
    """The first 8 s of a clip, faces sought at half its size."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", "-t", "8", "-i", str(path), "-map", "a:0?", "-ac", "1"]
    sound = subprocess.run([*command, "-ar", "16000", "-f", "s16le", "-"], capture_output=True, check=False).stdout
    capture, crops, times_s = cv2.VideoCapture(str(path)), [], []
    for place in range(FRAMES):
        capture.set(cv2.CAP_PROP_POS_MSEC, FRAME_MS * place)
        done, frame = capture.read()
        if not done:
            break
        rgb = cv2.cvtColor(cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
        boxes = detector.detect(rgb[None], 0.6)[0].boxes
        height, width, _ = rgb.shape
        if len(boxes):
            crops.append(crop_face(rgb, np.clip(boxes[0], 0, [width, height, width, height])))
            times_s.append(FRAME_MS / 1000 * place)
    pcm = np.frombuffer(sound, np.int16) if sound else None
    return UtteranceInput(text, pcm, np.stack(crops) if crops else None, np.array(times_s, np.float32))


if __name__ == "__main__":
    typer.run(main)
