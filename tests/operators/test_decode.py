"""Decoding real files, good and bad: what a segment holds, and what its status and reason say."""

import gc
import os
import resource
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from operators import ffmpeg as our_ffmpeg
from operators.process import Process
from operators.settings import DecodeSettings
from tests.media import AAC, H264, beep_source, ffmpeg, flash_source, make_flash_beep
from tests.operators.decoding import Brightness, brightness_of, decode_rows, pcm_of, planned_rows

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds with video and sound; its index comes first."""
    return make_flash_beep(tmp_path_factory.mktemp("clip") / "clip.mp4", 5.0, muxer=("-movflags", "+faststart")).path


def decode_one(path: Path, **changes: object) -> dict:
    (row,) = decode_rows(planned_rows(path, **changes))
    return row


def test_a_clip_becomes_sound_and_frames(clip: Path) -> None:
    row = decode_one(clip)
    assert (row["status"], row["reason"], row["stderr_tail"]) == ("ok", None, None)
    assert row["frame_times_ms"] == list(range(0, 5000, 500))
    assert (row["pcm_start_ms"], len(pcm_of(row))) == (0, 5 * 16_000)
    assert row["decode_s"] > 0
    assert row["faces_s"] >= 0


def test_a_failed_segment_passes_untouched(clip: Path) -> None:
    row = decode_one(clip, status="unreadable", reason="why", retryable=True)
    assert (row["status"], row["reason"], row["retryable"]) == ("unreadable", "why", True)
    assert [row[name] for name in ("pcm", "pcm_start_ms", "frame_times_ms", "faces", "decode_s", "faces_s")] == [
        None
    ] * 6


def test_a_file_that_is_gone_or_not_the_planned_one(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip.read_bytes())
    (planned,) = planned_rows(path)
    path.write_bytes(clip.read_bytes() + b"more")
    assert decode_rows([planned])[0]["status"] == "changed_during_run"
    path.write_bytes(clip.read_bytes())
    os.utime(path, ns=(1, 1))
    changed, missing = decode_rows([planned, planned | {"uri": str(tmp_path / "gone.mp4")}])
    assert (changed["status"], changed["retryable"]) == ("changed_during_run", True)
    assert (missing["status"], missing["retryable"]) == ("missing", True)
    assert "gone" in missing["reason"]


def test_a_file_that_grows_while_it_is_decoded(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip.read_bytes())

    class Growing(Brightness):
        def detect(self, frames: np.ndarray) -> list:
            with path.open("ab") as file:
                file.write(b"more")
            return super().detect(frames)

    (row,) = decode_rows(planned_rows(path), detector=Growing())
    assert (row["status"], row["pcm"], row["faces"]) == ("changed_during_run", None, None)
    assert "while it was decoded" in row["reason"]


def test_one_track_alone(tmp_path: Path) -> None:
    silent = decode_one(make_flash_beep(tmp_path / "silent.mp4", 5.0, audio=()).path)
    assert (silent["status"], silent["pcm"], len(silent["frame_times_ms"])) == ("no_audio", None, 10)
    blind = decode_one(make_flash_beep(tmp_path / "blind.m4a", 5.0, video=()).path)
    assert (blind["status"], blind["frame_times_ms"], blind["faces"]) == ("no_video", [], [])
    assert abs(len(pcm_of(blind)) - 5 * 16_000) < 800


def test_a_video_that_ends_before_its_sound(tmp_path: Path) -> None:
    path = make_flash_beep(tmp_path / "a.mp4", 60.0, video_seconds=30.0).path
    first, second, third = decode_rows(planned_rows(path, [20_000, 40_000]))
    assert [row["status"] for row in (first, second, third)] == ["ok", "ok", "no_video"]
    assert second["frame_times_ms"] == list(range(17_000, 30_000, 500))
    assert third["reason"] is None


def test_a_truncated_file_is_decoded_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = make_flash_beep(tmp_path / "whole.mp4", 60.0, muxer=("-movflags", "+faststart")).path
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    rows = decode_rows(planned_rows(cut, [20_000, 40_000]))
    assert [row["status"] for row in rows] == ["ok", "ok", "unreadable"]
    assert rows[1]["reason"].startswith("decoded in part: the media end at ")
    assert rows[2]["reason"].startswith("nothing could be decoded from 40 s on: ")
    assert not rows[2]["retryable"]


def test_damage_in_the_middle_is_noted(tmp_path: Path) -> None:
    path = make_flash_beep(tmp_path / "a.ts", 20.0).path
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = np.random.default_rng(0).bytes(20_000)
    path.write_bytes(content)
    row = decode_one(path)
    assert row["status"] == "ok"
    assert row["reason"].startswith("damaged in places: ")
    assert row["stderr_tail"]
    assert " @ 0x" not in row["stderr_tail"]
    assert abs(len(pcm_of(row)) / 16 - 20_000) < 100  # the gap is silence


def test_text_that_got_into_the_plan_is_unreadable(clip: Path, tmp_path: Path) -> None:
    (planned,) = planned_rows(clip)
    for name, content in (("a.mp4", "text"), ("b.mp4", "#EXTM3U\n#EXTINF:5,\nclip.ts\n"), ("c.mp4", "")):
        path = tmp_path / name
        path.write_text(content)
        row = decode_one_as(path, planned)
        assert row["status"] == "unreadable"
        assert row["reason"].startswith("nothing could be decoded from 0 s on: ")
        # The row says where the file is; the URL of an object holds a signature.
        assert str(tmp_path) not in row["reason"] + row["stderr_tail"]


def decode_one_as(path: Path, planned: dict) -> dict:
    """Decode a file with what another one was planned as."""
    stat = path.stat()
    version = {"size": stat.st_size, "etag_or_mtime": str(stat.st_mtime_ns)}
    return decode_rows([planned | {"uri": str(path)} | version])[0]


def test_a_list_of_other_files_is_not_followed(clip: Path, tmp_path: Path) -> None:
    (planned,) = planned_rows(clip)
    (tmp_path / "clip.ts").write_bytes(clip.read_bytes())
    lists = {
        "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:5,\nclip.ts\n#EXT-X-ENDLIST\n",
        "list.ffconcat": "ffconcat version 1.0\nfile clip.ts\n",
    }
    for name, content in lists.items():
        (tmp_path / name).write_text(content)
        row = decode_one_as(tmp_path / name, planned)
        assert (row["status"], row["pcm"], row["faces"]) == ("unreadable", None, None)


@pytest.mark.parametrize("name", ["-i.mp4", "a:b|c.mp4", "100%d 'quoted\" back\\.mp4", "new\nline.mp4", "žluť 馬.mp4"])
def test_any_name_is_decoded(name: str, clip: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(clip.read_bytes())
    row = decode_one(tmp_path / name)
    assert (row["status"], row["reason"], len(row["frame_times_ms"])) == ("ok", None, 10)


def test_a_broken_sound_track_does_not_cost_the_video(tmp_path: Path) -> None:
    path = make_flash_beep(tmp_path / "a.mkv", 5.0, audio=("-c:a", "libvorbis")).path
    # Vorbis' codebooks lie in the header: without them the decoder can't even be set up.
    content = path.read_bytes()
    start = content.index(b"\x05vorbis")
    path.write_bytes(content[: start + 7] + bytes(600) + content[start + 607 :])
    (planned,) = planned_rows(path)
    row = decode_rows([planned | {"audio_codec": "vorbis"}])[0]
    assert row["status"] == "no_audio"
    assert len(row["frame_times_ms"]) == 10
    assert row["reason"]


def test_frames_are_upright_in_square_pixels_and_small(tmp_path: Path) -> None:
    """The left half of the stored picture is white; turned by a quarter to the left, it is the lower half."""
    path = tmp_path / "stored.mp4"
    picture = "color=c=black:s=1000x300:r=10:d=1,drawbox=w=500:c=white:t=fill,setsar=2"
    ffmpeg("-f", "lavfi", "-i", picture, *H264, path)
    ffmpeg("-display_rotation", "90", "-i", path, "-c", "copy", tmp_path / "turned.mp4")
    seen = Brightness()
    decode_rows(planned_rows(tmp_path / "turned.mp4"), DecodeSettings(max_side_px=400), seen)
    height, width, _ = seen.frames[0].shape
    assert (height, width) == (400, 60)
    assert seen.frames[0][210:].mean() > 250
    assert seen.frames[0][:190].mean() < 5


@pytest.mark.parametrize(
    ("name", "video", "audio"),
    [
        ("hdr.mkv", ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=error"), AAC),
        ("7.1.mkv", H264, ("-c:a", "flac", "-ac", "8")),
        ("8khz.mkv", H264, ("-c:a", "pcm_alaw", "-ar", "8000")),
    ],
)
def test_unusual_formats(name: str, video: tuple[str, ...], audio: tuple[str, ...], tmp_path: Path) -> None:
    row = decode_one(make_flash_beep(tmp_path / name, 5.0, video=video, audio=audio).path)
    assert (row["status"], len(row["frame_times_ms"])) == ("ok", 10)
    assert abs(len(pcm_of(row)) - 5 * 16_000) < 800
    assert np.abs(pcm_of(row)).max() > 2_000


def test_block_edges_are_smoothed_on_request(tmp_path: Path) -> None:
    """Noise at a low rate falls into blocks: with the filter their edges are softer, and times stay as they are."""
    noisy = tmp_path / "noisy.mp4"
    source = "testsrc2=size=320x240:rate=25:duration=2,noise=alls=60:allf=t"
    ffmpeg("-f", "lavfi", "-i", source, *H264, "-crf", "45", noisy)

    def times_and_edges(**settings: bool) -> tuple[list[int], float]:
        detector = Brightness()
        (row,) = decode_rows(planned_rows(noisy), DecodeSettings(**settings), detector)
        frames = np.stack(detector.frames).astype(int)
        return row["frame_times_ms"], float(np.abs(frames[:, :, 16::16] - frames[:, :, 15:-1:16]).mean())

    (times, smooth), (same_times, rough) = times_and_edges(loop_filter=True), times_and_edges()
    assert times == same_times == [0, 500, 1000, 1500]
    assert smooth < 0.9 * rough


def test_odd_sizes_and_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "one.mkv"
    ffmpeg("-f", "lavfi", "-i", "color=c=white:s=97x33:r=25:d=0.04", "-c:v", "ffv1", path)
    row = decode_one(path)
    assert (row["status"], row["frame_times_ms"]) == ("no_audio", [0])
    assert brightness_of(row)[0][1] > 0.98


def test_sound_with_nan_stays_finite(tmp_path: Path) -> None:
    sound = (0.3 * np.sin(np.arange(16_000 * 3) / 10)).astype("<f4")
    sound[16_000:16_010] = np.nan
    (tmp_path / "raw.f32").write_bytes(sound.tobytes())
    ffmpeg("-f", "f32le", "-ar", "16000", "-ac", "1", "-i", tmp_path / "raw.f32", "-c", "copy", tmp_path / "nan.wav")
    pcm = pcm_of(decode_one(tmp_path / "nan.wav")).astype(int)
    assert len(pcm) == 48_000
    # The damage stays where it is.
    assert np.abs(pcm[:15_900] - sound[:15_900] * 32_767).max() < 3
    assert np.abs(pcm[16_200:] - sound[16_200:] * 32_767).max() < 3


def test_a_change_of_the_picture_in_mid_stream(tmp_path: Path) -> None:
    for name, size in (("a.ts", (96, 64)), ("b.ts", (160, 90))):
        source = ("-f", "lavfi", "-i", flash_source(4.0, size=size), "-f", "lavfi", "-i", beep_source(4.0))
        ffmpeg(*source, *H264, *AAC, "-output_ts_offset", "0" if name == "a.ts" else "4", tmp_path / name)
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    row = decode_one(joined)
    assert row["status"] == "ok"
    times_ms = row["frame_times_ms"]
    assert times_ms == sorted(set(times_ms))
    assert set(range(0, 8000, 500)) - set(times_ms) <= {0, 4000}  # sound comes first, by 21 ms of AAC's priming


def test_decoding_is_stopped_at_its_time_limit(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in ffmpeg that writes a little and then hangs, with a child that must die too."""
    script = tmp_path / "ffmpeg"
    script.write_text('#!/bin/sh\necho ffmpeg version 9.0\n[ "$1" = -version ] && exit\nsleep 1000 & sleep 1000\n')
    script.chmod(0o755)
    monkeypatch.setenv("FV2ES_FFMPEG", str(script))
    settings = DecodeSettings(time_limit_base_s=0.5, time_limit_factor=0.01)
    started = time.monotonic()
    (row,) = decode_rows(planned_rows(clip), settings)
    assert time.monotonic() - started < 20
    assert (row["status"], row["pcm"], row["faces"]) == ("too_long_to_decode", None, None)
    assert "time limit" in row["reason"]
    assert not [child for child in psutil.Process().children(recursive=True) if child.name() == "sleep"]


def test_an_error_of_the_detector_is_raised_and_leaves_nothing_behind(clip: Path) -> None:
    class Broken:
        def detect(self, frames: np.ndarray) -> list:
            raise ZeroDivisionError("a fault of the code")

    open_before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    threads_before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError):
        decode_rows(planned_rows(clip), DecodeSettings(frame_step_ms=40), Broken())
    gc.collect()
    assert not [child for child in psutil.Process().children(recursive=True) if "ffmpeg" in child.name()]
    assert set(threading.enumerate()) <= threads_before
    assert len(os.listdir("/proc/self/fd")) <= open_before + 1  # noqa: PTH208


def test_time_spent_by_the_detector_does_not_count_as_ffmpegs(clip: Path) -> None:
    class Slow(Brightness):
        def detect(self, frames: np.ndarray) -> list:
            time.sleep(1.5)
            return super().detect(frames)

    settings = DecodeSettings(frame_step_ms=100, time_limit_base_s=2.0, time_limit_factor=0.1)
    (row,) = decode_rows(planned_rows(clip), settings, Slow())
    assert row["status"] == "ok"
    assert row["faces_s"] > 6


def test_a_frame_that_is_shown_for_hours_is_looked_at_once(tmp_path: Path) -> None:
    """Twelve hours in a few kilobytes: a frame every ten minutes, black, black ..., the last one white."""
    path = tmp_path / "long.mkv"
    ffmpeg("-f", "lavfi", "-i", "color=s=64x64:r=1/600:d=43200,drawbox=t=fill:c=white:enable=gte(n\\,71)", *H264, path)
    rows = planned_rows(path, [k * 300_000 for k in range(1, 144)])
    assert len(rows) == 144

    class Counting(Brightness):
        looked_at = 0

        def detect(self, frames: np.ndarray) -> list:
            self.looked_at += len(frames)
            return super().detect(frames)

    counting = Counting()
    first, last = decode_rows([rows[0], rows[-1]], detector=counting)
    assert [row["status"] for row in (first, last)] == ["no_audio", "no_audio"]
    assert len(first["frame_times_ms"]) == 607
    assert brightness_of(last)[-1] == (43_199_500, 1.0)
    assert counting.looked_at <= 4


def test_memory_does_not_grow_with_the_segment(tmp_path: Path) -> None:
    """Five minutes of video are decoded: their frames would be 0.8 GB."""
    path = tmp_path / "long.mp4"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=640x360:r=4:d=300", "-f", "lavfi", "-i", beep_source(300.0), *H264, *AAC, path
    )
    rows = planned_rows(path)
    decode_rows(planned_rows(path, [40_000])[:1])
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (row,) = decode_rows(rows, DecodeSettings(frame_step_ms=250))
    assert len(row["frame_times_ms"]) == 1200
    sound_kb = 300 * 32
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 5 * sound_kb


def test_a_crash_of_the_decoder_costs_one_segment(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "ffmpeg"
    script.write_text('#!/bin/sh\necho ffmpeg version 9.0\n[ "$1" = -version ] || kill -SEGV $$\n')
    script.chmod(0o755)
    monkeypatch.setenv("FV2ES_FFMPEG", str(script))
    (planned,) = planned_rows(clip, audio_codec=None)
    (row,) = decode_rows([planned])
    assert row["status"] == "unreadable"
    assert row["reason"] == "nothing could be decoded from 0 s on: the decoder crashed (SIGSEGV)"


def test_a_missing_ffmpeg_is_not_filed_as_a_missing_file(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "ffmpeg"
    monkeypatch.setattr("operators.decode.find_ffmpeg", lambda: str(gone))
    with pytest.raises(FileNotFoundError, match="ffmpeg"):
        decode_rows(planned_rows(clip))


def test_a_child_cannot_take_all_memory() -> None:
    process = Process(
        ["python3", "-c", "bytearray(6 << 30)"], time_limit_s=60.0, max_stdout_bytes=0, max_memory_mb=4096
    )
    with process:
        pass
    assert b"MemoryError" in process.stderr_tail


@pytest.mark.parametrize("has_descriptors", [True, False])
def test_a_child_is_waited_for_and_stopped_on_any_system(
    has_descriptors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_descriptors:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    for command, is_stopped in ((["sleep", "0.2"], False), (["sleep", "1000"], True)):
        process = Process(command, time_limit_s=2.0, max_stdout_bytes=0, max_memory_mb=4096)
        with process:
            pass
        assert process.timed_out is is_stopped


def test_the_pinned_ffmpeg_is_used_unless_another_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FV2ES_FFMPEG", raising=False)
    assert "imageio_ffmpeg" in our_ffmpeg.find_ffmpeg()
    monkeypatch.setenv("FV2ES_FFMPEG", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="there is no such program"):
        our_ffmpeg.find_ffmpeg()
    old = tmp_path / "ffmpeg"
    old.write_text("#!/bin/sh\necho ffmpeg version 4.4.2-0ubuntu0\n")
    old.chmod(0o755)
    monkeypatch.setenv("FV2ES_FFMPEG", str(old))
    with pytest.raises(ValueError, match="is ffmpeg 4, but 6 or newer is needed"):
        our_ffmpeg.find_ffmpeg()
