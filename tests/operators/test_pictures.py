"""What the face detector is shown: the same pictures wherever reading began, and however many at once."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from operators.decode import Decode
from operators.faces import Face
from operators.schema import PLANNED
from operators.settings import DecodeSettings, WindowSettings
from tests.media import H264, ffmpeg
from tests.operators.decoding import Brightness, decode_rows, planned_rows


def test_pictures_are_the_same_before_and_behind_a_change_of_the_colours(tmp_path: Path) -> None:
    """Joined videos may tell their range of brightness each: what is seen doesn't depend on where reading began."""
    parts = []
    colours = [f"-color{name}" for name in ("space", "_primaries", "_trc")]
    for number, (range_, seconds) in enumerate((("tv", 5), ("pc", 5), ("tv", 40))):
        parts.append(tmp_path / f"{number}.mp4")
        source = ("-f", "lavfi", "-i", f"testsrc2=s=200x120:r=25:d={seconds}", "-vf", f"scale=out_range={range_}")
        tags = [word for colour in colours for word in (colour, "bt709")]
        ffmpeg(*source, *H264, *tags, "-color_range", range_, parts[-1])
    joined = tmp_path / "joined.mp4"
    (tmp_path / "parts.txt").write_text("".join(f"file '{part}'\n" for part in parts))
    ffmpeg("-f", "concat", "-safe", "0", "-i", tmp_path / "parts.txt", "-c", "copy", joined)
    (whole,) = pictures_of(planned_rows(joined))
    for segment in pictures_of(planned_rows(joined, [40_000])):
        assert len(segment) > 20
        assert [time_ms for time_ms in segment if not np.array_equal(segment[time_ms], whole[time_ms])] == []


def test_a_detector_on_a_gpu_is_given_more_frames_at_once_and_the_same_ones(tmp_path: Path) -> None:
    moving = tmp_path / "moving.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=3", *H264, moving)
    batches: dict[int, list[int]] = {4: [], 16: []}

    class Counting(Brightness):
        def detect(self, frames: np.ndarray) -> list[list[Face]]:
            batches[at_once].append(len(frames))
            return super().detect(frames)

    table = pa.Table.from_pylist(planned_rows(moving), schema=PLANNED)
    found = []
    for at_once in batches:
        decode = Decode(DecodeSettings(frame_step_ms=40), WindowSettings(), Counting(), frames_at_once=at_once)
        found.append(decode(table).select(["frame_times_ms", "faces"]))
    assert found[0].equals(found[1])
    assert max(batches[4]) == 4
    assert 4 < max(batches[16]) <= 16


def pictures_of(rows: list[dict]) -> list[dict[int, np.ndarray]]:
    """By segment, what the detector is shown, by time in ms."""

    class Keep:
        def __init__(self) -> None:
            self.seen: list[np.ndarray] = []

        def detect(self, frames: np.ndarray) -> list:
            self.seen += list(frames.copy())
            return [[] for _ in frames]

    found = []
    for row in rows:
        detector = Keep()
        (decoded,) = decode_rows([row], DecodeSettings(max_side_px=100), detector)
        found.append(dict(zip(decoded["frame_times_ms"], detector.seen, strict=True)))
    return found
