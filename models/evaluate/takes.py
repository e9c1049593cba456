"""Audio-visual takes of RAVDESS that were rebuilt from face pictures and sound: each branch alone, and together.

A folder holds NAME.mp4 in a folder `*_reconstructed` (their sound is read) and NAME.jpg in one called `*_faces` (the
faces of a take, square, grey, one below the other). NAME is RAVDESS's own: modality, channel, emotion, intensity,
statement, repetition, actor.

The actor is in no training, so nothing is tuned on the takes: they have no fit and no tune part, and are read both for
`report` and for `test`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.corpora.item import Part
from models.corpora.layout import Layout
from models.corpora.ravdess import LABELS, Take, parse_name
from models.emotions import EMOTIONS
from models.evaluate.inputs import as_crop, read_picture, read_sound
from models.evaluate.score import BRANCHES, OURS, Combination, combinations, only
from models.evaluate.scored import Scored
from models.train.sounds import trim_silence
from models.v2em_s import EmotionModel, UtteranceInput

NAME = "takes"
"""What `--data` calls them."""
PART: Part = "test"
READ_FOR: tuple[Part, ...] = ("report", "test")
FACE_STEP_S = 0.2
LAYOUT = Layout(
    "RAVDESS takes",
    "They are rebuilt from RAVDESS, which is public for research (CC BY-NC-SA) on Zenodo.",
    """
    ravdess_actor01_reconstructed/01-01-01-01-01-01-01.mp4 ...    with sound
    ravdess_actor01_faces/01-01-01-01-01-01-01.jpg ...            square grey faces, one below the other
    """,
)


def score_takes(model: EmotionModel, folder: Path, asked: Sequence[Combination] | None = None) -> list[Scored]:
    """A set for each combination of branches. CorpusError when there are no takes, or one lacks its faces."""
    files = sorted(folder.glob("*_reconstructed/*.mp4"))
    if not files:
        raise LAYOUT.error(folder, f"there is no *_reconstructed/*.mp4 in {folder}")
    LAYOUT.require_none(folder, [f.name for f in files if not _faces(f).is_file()], len(files), "takes have no faces")
    takes = [parse_name(file.stem) for file in files]
    inputs = [_read_take(file, take) for file, take in zip(files, takes, strict=True)]
    return [
        Scored(
            name=f"{' + '.join(combination)}, RAVDESS takes",
            corpus="RAVDESS takes",
            part=PART,
            emotions=EMOTIONS,
            ids=tuple(file.stem for file in files),
            speakers=tuple(take.speaker for take in takes),
            labels=tuple((OURS[LABELS[take.emotion]],) for take in takes),
            probabilities=model.predict([only(take, combination) for take in inputs]).probabilities.astype(float),
        )
        for combination in (asked or combinations(BRANCHES))
    ]


def _faces(file: Path) -> Path:
    return file.parent.with_name(file.parent.name.replace("_reconstructed", "_faces")) / f"{file.stem}.jpg"


def _read_take(file: Path, take: Take) -> UtteranceInput:
    """Its statement, its sound without the silence at both ends, its faces."""
    strip = read_picture(_faces(file))
    side = strip.shape[1]
    faces = np.stack([as_crop(strip[top : top + side]) for top in range(0, len(strip) - side + 1, side)])
    times_s = FACE_STEP_S * np.arange(len(faces), dtype=np.float32)
    return UtteranceInput(take.statement, trim_silence(read_sound(file)), faces, times_s)
