"""One labelled item of a corpus, whatever its layout on disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

Part = Literal["fit", "tune", "report", "test"]
"""fit: gradients. tune: early stopping, temperatures, thresholds. report: development figures. test: measured once."""


class CorpusError(Exception):
    """A corpus that isn't there, or is half there; the message says what to get and where it goes."""


@dataclass(frozen=True)
class Item:
    """An utterance, a clip or a picture with its labels.

    labels index the corpus' own `label_space`; several, or none, where the corpus has it so. speaker is "" where
    unknown. sound may be any media file: all channels mixed, or `sound_channel` of it; of it start_s to end_s, or all.
    pictures are files in order, of one face that was cut out, or of whole frames in which it has yet to be found; image
    is a face that is in memory, grey [H, W] or RGB [H, W, 3], uint8.
    """

    corpus: str
    id: str
    speaker: str
    part: Part
    labels: tuple[int, ...]
    text: str | None = None
    sound: Path | None = None
    sound_channel: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    pictures: tuple[Path, ...] = ()
    pictures_show: Literal["face", "frame"] = "face"
    image: np.ndarray | None = None
    video: Path | None = None


@dataclass(frozen=True)
class Corpus:
    """Items of a corpus, and the names that their labels index."""

    items: tuple[Item, ...]
    label_space: tuple[str, ...]
