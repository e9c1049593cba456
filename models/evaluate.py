"""Measure V2EM-S on the parts of the corpora that took no part in training: the numbers of the model card, as JSON.

python -m models.evaluate --data DIR --whisper DIR --minilm DIR [--weights FILE] --out FILE
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from models.emotions import EMOTIONS
from models.metrics import (
    accuracy,
    bootstrap_interval,
    expected_calibration_error,
    f1,
    f1_by_class,
    macro_f1,
    unweighted_recall,
    weighted_f1,
)
from models.train.pictures import load_pictures
from models.train.sentences import Sentence, load_sentences
from models.train.sounds import list_clips, read_clip, trim_silence
from models.v2em_s import EmotionModel, UtteranceInput
from models.whisper_states import PCM_RATE_HZ

DEFAULT_WEIGHTS = Path(__file__).parent / "weights" / "v2em-s.safetensors"
STRIP_FACE_PX = 224  # side of each face in a strip of an audio-visual take
RAVDESS_EMOTIONS = ("neutral", "neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")  # its codes 01 to 08
RAVDESS_TEXTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}

Report = dict[str, Any]


def describe(truth: np.ndarray, probabilities: np.ndarray) -> Report:
    """All measures of single-label items; beside them what naming the commonest class would score.

    Where a corpus lacks some of the seven classes, `uar_shared` lets the model choose among those it has.
    """
    predicted = probabilities.argmax(axis=1)
    classes = np.unique(truth)
    among_shared = classes[probabilities[:, classes].argmax(axis=1)]
    majority = np.full_like(truth, np.bincount(truth).argmax())

    def measured(measure: Callable[[np.ndarray, np.ndarray], float], guess: np.ndarray) -> Report:
        low, high = bootstrap_interval(measure, truth, guess)
        return {
            "value": round(measure(truth, guess), 4),
            "interval_95": [round(low, 4), round(high, 4)],
            "majority": round(measure(truth, majority), 4),
        }

    return {
        "items": len(truth),
        "classes": [EMOTIONS[c] for c in classes],
        "accuracy": measured(accuracy, predicted),
        "uar": measured(unweighted_recall, predicted),
        "uar_shared": measured(unweighted_recall, among_shared),
        "macro_f1": measured(macro_f1, predicted),
        "weighted_f1": measured(weighted_f1, predicted),
        "f1_by_emotion": {EMOTIONS[c]: round(score, 3) for c, score in f1_by_class(truth, predicted).items()},
        "ece": round(expected_calibration_error(probabilities.max(axis=1), predicted == truth), 4),
    }


def evaluate_faces(model: EmotionModel, data: Path) -> dict[str, Report]:
    """Single pictures, each as an utterance of one face."""
    pictures, labels, corpora = load_pictures(data, "report")
    crops = pictures.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()
    inputs = [UtteranceInput(faces=crop[None], face_times_s=np.zeros(1, np.float32)) for crop in crops]
    probabilities = model.predict(inputs, 256).probabilities
    rows = {corpus: np.array([c == corpus for c in corpora]) for corpus in sorted(set(corpora))}
    return {f"face, {corpus}": describe(labels.numpy()[row], probabilities[row]) for corpus, row in rows.items()}


def evaluate_voices(model: EmotionModel, data: Path) -> dict[str, Report]:
    """Whole clips as the corpora give them, and trimmed as a speech detector would cut them."""
    items = list_clips(data, "report")
    truth, reports = np.array([item.label for item in items]), {}
    clips = [read_clip(item.path) for item in items]
    for form, heard in (("whole", clips), ("trimmed", [trim_silence(clip) for clip in clips])):
        probabilities = model.predict([UtteranceInput(pcm=clip) for clip in heard]).probabilities
        for corpus in sorted({item.corpus for item in items}):
            row = np.array([item.corpus == corpus for item in items])
            reports[f"voice, {corpus}, {form} clips"] = describe(truth[row], probabilities[row])
    return reports


def evaluate_texts(model: EmotionModel, data: Path) -> dict[str, Report]:
    """Dev sets of MELD and GoEmotions. A sentence of several labels counts as right when one of them is named."""
    sentences = [s for s in load_sentences(data, "report") if s.text.strip()]
    probabilities = _text_probabilities(model, sentences)
    best = probabilities.argmax(axis=1)
    truth = np.array([int(b) if int(b) in s.labels else s.labels[0] for s, b in zip(sentences, best, strict=True)])
    reports = {}
    for corpus in sorted({s.corpus for s in sentences}):
        row = np.array([s.corpus == corpus for s in sentences])
        reports[f"text, {corpus}"] = describe(truth[row], probabilities[row])
    tuned = [s for s in load_sentences(data, "tune") if s.corpus == "GoEmotions" and s.text.strip()]
    thresholds = fit_thresholds(_text_probabilities(model, tuned), multi_hot(tuned))
    row = np.array([s.corpus == "GoEmotions" for s in sentences])
    hot = multi_hot([s for s in sentences if s.corpus == "GoEmotions"])
    named = probabilities[row] >= thresholds
    scores = [f1(hot[:, c], named[:, c]) for c in range(len(EMOTIONS))]
    everything = [f1(hot[:, c], np.ones(len(hot), bool)) for c in range(len(EMOTIONS))]
    reports["text, GoEmotions, multi-label"] = {
        "macro_f1": {"value": round(float(np.mean(scores)), 4), "all_positive": round(float(np.mean(everything)), 4)},
        "f1_by_emotion": dict(zip(EMOTIONS, (round(s, 3) for s in scores), strict=True)),
        "thresholds": dict(zip(EMOTIONS, thresholds.round(2).tolist(), strict=True)),
    }
    return reports


def _text_probabilities(model: EmotionModel, sentences: Sequence[Sentence]) -> np.ndarray:
    return model.predict([UtteranceInput(text=s.text) for s in sentences], 64).probabilities


def multi_hot(sentences: Sequence[Sentence]) -> np.ndarray:
    """bool [N, 7]."""
    return np.array([[c in s.labels for c in range(len(EMOTIONS))] for s in sentences])


def fit_thresholds(probabilities: np.ndarray, hot: np.ndarray) -> np.ndarray:
    """For each emotion the threshold of 0.05, 0.10 ... 0.95 with the best F1."""
    grid = np.arange(0.05, 0.96, 0.05)
    scores = [[f1(hot[:, c], probabilities[:, c] >= t) for t in grid] for c in range(hot.shape[1])]
    return grid[np.argmax(scores, axis=1)]


def evaluate_takes(model: EmotionModel, data: Path) -> dict[str, Report]:
    """Audio-visual takes of one RAVDESS actor who is in no training: each branch alone, and together."""
    takes = sorted((data / "av/ravdess_actor01_reconstructed").glob("*.mp4"))
    truth = np.array([EMOTIONS.index(RAVDESS_EMOTIONS[int(take.stem.split("-")[2]) - 1]) for take in takes])
    pcm = [trim_silence(read_sound(take)) for take in takes]
    faces = [read_strip(data / "av/ravdess_actor01_faces" / f"{take.stem}.jpg") for take in takes]
    texts = [RAVDESS_TEXTS[take.stem.split("-")[4]] for take in takes]
    reports = {}
    for name, has_text, has_pcm, has_faces in (
        ("text", True, False, False),
        ("voice", False, True, False),
        ("face", False, False, True),
        ("voice + face", False, True, True),
        ("text + voice + face", True, True, True),
    ):
        inputs = [
            UtteranceInput(
                text if has_text else None,
                sound if has_pcm else None,
                seen if has_faces else None,
                np.arange(len(seen)) * 0.2,
            )
            for text, sound, seen in zip(texts, pcm, faces, strict=True)
        ]
        reports[f"takes of RAVDESS actor 01, {name}"] = describe(truth, model.predict(inputs).probabilities)
    return reports


def read_sound(path: Path) -> np.ndarray:
    """Sound of a media file as float32 mono 16 kHz."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", PCM_RATE_HZ)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32)


def read_strip(path: Path) -> np.ndarray:
    """A vertical strip of grey square faces -> uint8 RGB [n, 48, 48, 3]."""
    strip = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if strip is None:
        raise ValueError(f"{path} is not a picture that OpenCV can read")
    faces = strip[: len(strip) // STRIP_FACE_PX * STRIP_FACE_PX, :STRIP_FACE_PX].reshape(
        -1, STRIP_FACE_PX, STRIP_FACE_PX
    )
    small = [cv2.resize(face, (48, 48), interpolation=cv2.INTER_AREA) for face in faces]
    return np.repeat(np.stack(small)[..., None], 3, axis=3)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the unpacked corpora")
    parser.add_argument("--whisper", type=Path, required=True, help="folder of the CTranslate2 Whisper model")
    parser.add_argument("--minilm", type=Path, required=True, help="folder of MiniLM-L6")
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    arguments = parser.parse_args()
    model = EmotionModel.load(arguments.weights, arguments.whisper, arguments.minilm)
    reports: dict[str, Report] = {}
    for evaluate in (evaluate_faces, evaluate_voices, evaluate_texts, evaluate_takes):
        reports |= evaluate(model, arguments.data)
    arguments.out.write_text(json.dumps({"model_id": model.model_id, "reports": reports}, indent=2) + "\n", "utf-8")
    for name, report in reports.items():
        print(name, {key: value for key, value in report.items() if key not in ("classes", "f1_by_emotion")})


if __name__ == "__main__":
    main()
