"""From an item of a corpus to what the model reads: its words, its sound, its faces."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np

from models.corpora.item import Item
from models.face_crop import CROP_SIDE_PX, crop_face
from models.train.sounds import trim_silence
from models.v2em.crops import FaceDetector
from models.v2em_s import UtteranceInput
from models.whisper_states import PCM_RATE_HZ

PICTURE_STEP_S = 0.5
"""Corpora give pictures in order, without times; labelling looks at two frames a second."""
LONG_SIDE_PX = 640
"""Of a frame in which faces are looked for; larger ones are shrunk, as labelling does."""


class UnreadableError(ValueError):
    """A file of a corpus that is there but cannot be read; the message names it."""


def read_input(item: Item, trim: bool, detector: Callable[[], FaceDetector]) -> UtteranceInput:
    """Everything that the item offers; `trim` cuts silence off both ends of its sound, as a speech detector would.

    detector: gives what finds the face in whole frames; the largest is taken, and frames without one are left out.
    """
    pcm = None
    if item.sound is not None:
        pcm = sound_of(item)
        pcm = trim_silence(pcm) if trim and len(pcm) > PCM_RATE_HZ // 100 else pcm
    if item.image is not None:
        found = {0: as_crop(item.image)}
    elif item.pictures_show == "face":
        found = {place: as_crop(read_picture(path)) for place, path in enumerate(item.pictures)}
    else:
        found = {
            place: face
            for place, path in enumerate(item.pictures)
            if (face := largest_crop(path, detector())) is not None
        }
    faces = np.stack(list(found.values())) if found else None
    return UtteranceInput(item.text, pcm, faces, PICTURE_STEP_S * np.array(list(found), dtype=np.float32))


def sound_of(item: Item) -> np.ndarray:
    """Mono samples float32 [N] at 16 kHz of the item alone, none where it has no sound."""
    if item.sound is None:
        return np.zeros(0, np.float32)
    first, end = (None if at_s is None else round(at_s * PCM_RATE_HZ) for at_s in (item.start_s, item.end_s))
    return read_sound(item.sound, item.sound_channel)[first:end]


@lru_cache(maxsize=2)  # the utterances of a dialogue follow each other, and share one file
def read_sound(path: Path, channel: int | None = None) -> np.ndarray:
    """float32 samples [N] at 16 kHz of a media file: one channel of it, or all mixed."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            resampler = av.AudioResampler("fltp", "mono" if channel is None else stream.layout.name, PCM_RATE_HZ)
            frames = [out for frame in container.decode(stream) for out in resampler.resample(frame)]
            frames += resampler.resample(None)
        planes = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
        return planes[channel or 0].astype(np.float32)
    except (av.FFmpegError, IndexError, ValueError, OSError) as error:
        of_channel = "" if channel is None else f" in channel {channel}"
        raise UnreadableError(f"{path}: no sound can be read{of_channel} ({error})") from error


def read_picture(path: Path) -> np.ndarray:
    """Grey uint8 [H, W]."""
    return _read(path, cv2.IMREAD_GRAYSCALE)


def read_frame(path: Path) -> np.ndarray:
    """RGB uint8 [H, W, 3]."""
    return np.ascontiguousarray(_read(path, cv2.IMREAD_COLOR)[..., ::-1])


def _read(path: Path, colours: int) -> np.ndarray:
    picture = cv2.imread(str(path), colours)
    if picture is None:
        raise UnreadableError(f"{path} is not a picture that OpenCV can read")
    return picture


def largest_crop(path: Path, detect: FaceDetector) -> np.ndarray | None:
    """The largest face in a frame, uint8 RGB [48, 48, 3], cut as labelling cuts it; None where there is none."""
    whole = read_frame(path)
    height, width = whole.shape[:2]
    scale = min(1.0, LONG_SIDE_PX / max(height, width))
    frame = cv2.resize(whole, (round(scale * width), round(scale * height)), interpolation=cv2.INTER_AREA)
    box = detect(frame[None])[0]
    if box is None:
        return None
    within = np.clip(box, 0, [frame.shape[1], frame.shape[0]] * 2)
    return crop_face(frame, within)


def as_crop(picture: np.ndarray) -> np.ndarray:
    """Grey [H, W] or RGB [H, W, 3] of a face -> uint8 RGB [48, 48, 3]."""
    small = cv2.resize(picture, (CROP_SIDE_PX, CROP_SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.repeat(small[..., None], 3, axis=2) if small.ndim == 2 else small
