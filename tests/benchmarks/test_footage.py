"""The benchmarks' footage: 720p30, with sound, as long as was asked for."""

import subprocess
from pathlib import Path

import av
import pytest

from benchmarks.footage import prepare_clips, write_loop
from operators.ffmpeg import find_ffmpeg

pytestmark = pytest.mark.media


def test_clips_of_any_shape_become_one_long_720p_video(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for name, size, rate in (("small.mp4", "64x48", 10), ("it's tall.mkv", "90x160", 25)):
        picture, tone = f"testsrc=size={size}:rate={rate}:duration=1.5", "sine=duration=1.5"
        command = [find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone, clips / name]
        subprocess.run(command, check=True)
    prepared = prepare_clips(clips, tmp_path / "work")
    made = [path.stat().st_mtime_ns for path in prepared]
    assert [path.stat().st_mtime_ns for path in prepare_clips(clips, tmp_path / "work")] == made, "used again"

    write_loop(prepared, tmp_path / "long.mp4", seconds=5, first=1)
    with av.open(str(tmp_path / "long.mp4")) as media:
        video, audio = media.streams.video[0], media.streams.audio[0]
        assert (video.width, video.height, round(float(video.average_rate))) == (1280, 720, 30)
        assert audio.rate == 48_000
        assert media.duration / av.time_base == pytest.approx(5, abs=0.2)
    assert not list(tmp_path.glob("*.txt"))


def test_a_folder_without_videos_ends_the_benchmark(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no videos"):
        prepare_clips(tmp_path, tmp_path / "work")
