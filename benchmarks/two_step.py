"""Labelling in two steps, with features stored between them, as most systems do: the same operators, and a folder.

    python -m benchmarks.two_step VIDEO ...

The first step decodes, finds faces and transcribes, and writes what came of it: each sampled frame as JPEG, the sound
as WAV, the crops of each utterance as NPZ, its words as JSON. The second reads the folder and labels. Prints one JSON
object: CPU-seconds after the models are loaded, and bytes written.
"""

import json
import sys
import tempfile
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import cv2
import numpy as np
import pyarrow as pa
import typer

from benchmarks.flat_out import Operators, cpu_s
from models.v2em_s import UtteranceInput
from operators.faces import FaceDetector
from operators.infer import segment_windows
from operators.schema import PCM_RATE_HZ
from pipelines.config import load

JPEG_QUALITY = 95


def main(videos: Annotated[list[Path], typer.Argument(help="Videos with sound.")]) -> None:
    """Take both steps and tell what they took."""
    operators = Operators(videos, load(None, {}))
    began = cpu_s()
    with tempfile.TemporaryDirectory(prefix="fv2es-two-step-") as temporary:
        folder = Path(temporary)
        extract(operators, folder)
        extracted_s = cpu_s() - began
        batch = read_features(folder)
        operators.infer.model.predict(batch, operators.infer.batch_size)
        labelled_s = cpu_s() - began - extracted_s
        files = [path for path in folder.rglob("*") if path.is_file()]
        answer = {
            "media_s": operators.media_s,
            "cpu_s": {"extract and store": extracted_s, "read and label": labelled_s},
            "files": len(files),
            "written_bytes": sum(path.stat().st_size for path in files),
            "utterances": len(batch),
        }
    json.dump(answer, sys.stdout)
    sys.stdout.write("\n")


def extract(operators: Operators, folder: Path) -> None:
    """The first step, shard by shard."""
    for number, shard in enumerate(operators.shards):
        of_shard = folder / f"{number:06}"
        of_shard.mkdir()
        with storing_frames(of_shard):
            decoded = operators.decode(shard)
        write_features(operators.transcribe(decoded), of_shard)


@contextmanager
def storing_frames(folder: Path) -> Iterator[None]:
    """Within the block, the frames that faces are looked for in are written first."""
    detect = FaceDetector.detect
    written = 0

    def store_and_detect(self: FaceDetector, frames: np.ndarray) -> Any:
        nonlocal written
        for frame in frames:
            bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(folder / f"{written:06}.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            written += 1
        return detect(self, frames)

    with patch.object(FaceDetector, "detect", store_and_detect):
        yield


def write_features(transcribed: pa.Table, folder: Path) -> None:
    """Sound of each segment, crops and words of each utterance."""
    for row, segment in enumerate(transcribed.to_pylist()):
        segment["pcm"] = np.frombuffer(segment["pcm"] or b"", "<i2")
        with wave.open(str(folder / f"{row:06}.wav"), "wb") as file:
            file.setparams((1, 2, PCM_RATE_HZ, 0, "NONE", ""))
            file.writeframes(segment["pcm"].tobytes())
        for number, window in enumerate(segment_windows(row, segment)):
            inputs, name = window.inputs, f"{row:06}-{number:06}"
            faces = np.zeros((0, 48, 48, 3), np.uint8) if inputs.faces is None else inputs.faces
            np.savez(folder / f"{name}.npz", faces=faces, face_times_s=inputs.face_times_s)
            where = {"row": row, "text": inputs.text, "has_sound": inputs.pcm is not None}
            span = {key: window.label[key] - segment["pcm_start_ms"] for key in ("start_ms", "end_ms")}
            (folder / f"{name}.json").write_text(json.dumps(where | span), "utf-8")


def read_features(folder: Path) -> list[UtteranceInput]:
    """The second step's reading: all utterances that were stored."""
    found = []
    for of_shard in sorted(folder.iterdir()):
        sounds = {int(path.stem): read_wav(path) for path in of_shard.glob("*.wav")}
        for path in sorted(of_shard.glob("*.json")):
            said = json.loads(path.read_text("utf-8"))
            first, last = (max(0, said[key] * PCM_RATE_HZ // 1000) for key in ("start_ms", "end_ms"))
            pcm = sounds[said["row"]][first:last] if said["has_sound"] else None
            with np.load(path.with_suffix(".npz")) as stored:
                found.append(UtteranceInput(said["text"], pcm, stored["faces"], stored["face_times_s"]))
    return found


def read_wav(path: Path) -> np.ndarray:
    """Samples, int16 mono."""
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


if __name__ == "__main__":
    typer.run(main)
