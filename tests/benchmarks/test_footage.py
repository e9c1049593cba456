"""The benchmarks' footage: in the formats that are asked for, with sound, as long as was asked for."""

import subprocess
from pathlib import Path

import av
import pytest

from benchmarks.footage import FULL_HD, HD, Format, find_clips, prepare_clips, write_corpus, write_loop
from operators.ffmpeg import find_ffmpeg

pytestmark = pytest.mark.media

SMALL = Format("small", 64, 36, 100)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, size, rate in (("small.mp4", "64x48", 10), ("it's tall.mkv", "90x160", 25)):
        make(folder / name, ["-f", "lavfi", "-i", f"testsrc=size={size}:rate={rate}:duration=1.5", *TONE])
    return folder


TONE = ["-f", "lavfi", "-i", "sine=duration=1.5"]


def make(target: Path, arguments: list[str]) -> None:
    subprocess.run([find_ffmpeg(), "-v", "error", *arguments, str(target)], check=True)


def test_clips_of_any_shape_become_one_long_720p_video(tmp_path: Path, clips: Path) -> None:
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


@pytest.mark.parametrize(("form", "size"), [(HD, (1280, 720)), (FULL_HD, (1920, 1080))])
def test_a_format_has_its_size_and_its_bit_rate(tmp_path: Path, form: Format, size: tuple[int, int]) -> None:
    noise = ["-f", "lavfi", "-i", "nullsrc=size=320x180:rate=30:duration=3,geq=random(1)*255:128:128"]
    (tmp_path / "clips").mkdir()
    make(tmp_path / "clips" / "noise.mp4", [*noise, "-f", "lavfi", "-i", "sine=duration=3"])
    (prepared,) = prepare_clips(tmp_path / "clips", tmp_path / "work", form)
    with av.open(str(prepared)) as media:
        assert (media.streams.video[0].width, media.streams.video[0].height) == size
        assert media.streams.video[0].bit_rate == pytest.approx(form.kbit_s * 1000, rel=0.35)


def test_each_video_of_a_corpus_begins_elsewhere_and_is_as_long_as_the_others(tmp_path: Path, clips: Path) -> None:
    corpus = write_corpus(clips, tmp_path / "work", tmp_path / "out", SMALL, minutes=0.1, videos=2)
    assert (corpus.video_s, corpus.media_s) == (3, 6)
    assert sorted(corpus.folder.iterdir()) == list(corpus.videos)
    first, second = (video.read_bytes() for video in corpus.videos)
    assert first != second


def test_no_more_clips_are_encoded_than_are_needed(tmp_path: Path, clips: Path) -> None:
    assert len(prepare_clips(clips, tmp_path / "work", SMALL, enough_s=1)) == 1


def test_what_has_no_sound_is_left_out(tmp_path: Path, clips: Path) -> None:
    make(clips / "silent.mp4", ["-f", "lavfi", "-i", "testsrc=size=64x48:duration=1"])
    (clips / "text.mp4").write_text("no media", "utf-8")
    assert {path.name for path in find_clips(clips)} == {"small.mp4", "it's tall.mkv"}


def test_without_clips_the_demos_sample_is_taken(tmp_path: Path) -> None:
    (prepared,) = prepare_clips(None, tmp_path / "work", SMALL)
    with av.open(str(prepared)) as media:
        assert media.streams.audio
        assert media.duration / av.time_base == pytest.approx(15, abs=0.2)


def test_a_folder_without_videos_ends_the_benchmark(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no videos"):
        prepare_clips(tmp_path, tmp_path / "work")
