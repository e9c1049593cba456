"""Probing: what a file is, why one can't be read, and that none of them can stop the others."""

import os
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import psutil
import pytest

from operators import media
from operators.media import UnreadableMedia, probe, probe_many
from tests.media import AAC, H264, beep_source, ffmpeg, flash_source, make_flash_beep

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds with video and sound; its index comes first."""
    return make_flash_beep(tmp_path_factory.mktemp("clip") / "clip.mp4", 5.0, muxer=("-movflags", "+faststart")).path


def reason(path: Path) -> str:
    with pytest.raises(UnreadableMedia) as caught:
        probe(str(path))
    assert not caught.value.retryable
    assert caught.value.status == "unreadable"
    return caught.value.reason


def test_a_clip_is_described(clip: Path) -> None:
    info = probe(str(clip))
    assert (info.duration_ms, info.width, info.height, info.fps) == (5000, 96, 64, 30.0)
    assert (info.video_codec, info.audio_codec, info.rotation) == ("h264", "aac", 0)
    assert (info.video_start_ms, info.audio_start_ms) == (0, 0)
    assert info.has_video
    assert info.has_audio


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty file (0 bytes)"),
        (b"Dear diary, today nothing moved.\n" * 50, "not a media file: the content is text"),
        ("Ünïcödé text \N{SNOWMAN}".encode() * 400, "not a media file: the content is text"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not a media file: the content is a web page"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a media file: the content is a PNG image"),
        (bytes(5000), "not a media file: the content is zeros"),
        (bytes(range(256)) * 20, "not a media file, or its beginning is damaged"),
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mp3"])
def test_what_is_no_media_is_named(content: bytes, expected: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert reason(path) == expected


def test_a_file_cut_before_its_index_says_so(tmp_path: Path) -> None:
    whole = make_flash_beep(tmp_path / "whole.mp4", 5.0).path  # the index comes last
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[:-2000])
    assert reason(cut) == "truncated: the index (moov atom) is missing"


def test_a_file_cut_after_its_index_can_be_labelled_in_part(clip: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert probe(str(cut)).duration_ms == 5000


def test_subtitles_alone_are_no_media(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nHello\n")
    ffmpeg("-i", tmp_path / "a.srt", "-c", "copy", tmp_path / "a.mkv")
    assert reason(tmp_path / "a.mkv") == "no audio and no video track"


def test_missing_forbidden_and_odd_files(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia) as caught:
        probe(str(tmp_path / "nowhere.mp4"))
    assert (caught.value.status, caught.value.reason, caught.value.retryable) == ("missing", "no such file", True)
    os.mkfifo(tmp_path / "pipe.mp4")
    assert reason(tmp_path / "pipe.mp4") == "not a regular file"
    assert reason(tmp_path) == "not a regular file"


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:5,\nclip.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile 'clip.ts'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    ],
)
def test_a_file_that_points_at_others_is_not_followed(playlist: str, tmp_path: Path) -> None:
    make_flash_beep(tmp_path / "clip.ts", 3.0)
    for name in ("list.mp4", "list.m3u8", "list.ffconcat", "list.sdp"):
        (tmp_path / name).write_text(playlist)
        assert reason(tmp_path / name).startswith("not a media file: the content is a ")


@pytest.mark.parametrize(
    "name",
    [
        "-i.mp4",
        "a:b.mp4",
        "concat:a|b.mp4",
        "100%d 'quoted\" \\ back.mp4",
        "new\nline.mp4",
        "žluťoučký 馬.mp4",
        "[a]*?.mp4",
    ],
)
def test_any_name_is_a_file(name: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).write_bytes(clip.read_bytes())
    assert probe(str(tmp_path / name)).duration_ms == 5000
    monkeypatch.chdir(tmp_path)
    assert probe(name).duration_ms == 5000


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", flash_source(0.1), "-frames:v", "1", tmp_path / "cover.png")
    sound = ("-f", "lavfi", "-i", beep_source(4.0), "-i", tmp_path / "cover.png")
    ffmpeg(*sound, "-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic", tmp_path / "song.mp3")
    info = probe(str(tmp_path / "song.mp3"))
    assert not info.has_video
    assert (info.width, info.fps) == (None, None)
    assert abs(info.duration_ms - 4000) < 60


def test_the_size_is_upright_and_in_square_pixels(tmp_path: Path) -> None:
    wide = tmp_path / "wide.mp4"
    ffmpeg("-f", "lavfi", "-i", flash_source(1.0), "-vf", "setsar=2", *H264, wide)
    assert (probe(str(wide)).width, probe(str(wide)).height) == (192, 64)
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", "90", "-i", wide, "-c", "copy", turned)
    info = probe(str(turned))
    assert (info.width, info.height, info.rotation) == (64, 192, 90)


def test_a_stream_without_a_duration_is_measured(tmp_path: Path) -> None:
    sources = ("-f", "lavfi", "-i", flash_source(7.0), "-f", "lavfi", "-i", beep_source(7.0))
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *sources, *H264, *AAC, "-f", "matroska", "pipe:1"]
    (tmp_path / "live.mkv").write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    assert abs(probe(str(tmp_path / "live.mkv")).duration_ms - 7000) < 50
    for name, codec in (("a.mp3", ("-c:a", "libmp3lame", "-q:a", "9", "-write_xing", "0")), ("a.aac", AAC)):
        made = make_flash_beep(tmp_path / name, 7.0, video=(), audio=codec)
        assert abs(probe(str(made.path)).duration_ms - 7000) < 80


def test_time_stamps_that_jump_by_days_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "jump.mkv"
    jump = ("-vf", "setpts=PTS+gt(N\\,20)*1e6/TB", "-fps_mode", "passthrough")
    ffmpeg("-f", "lavfi", "-i", flash_source(1.0), *jump, *H264, path)
    assert reason(path).startswith("damaged, or too long: its time stamps span 278 hours; 48 at most")


def test_pictures_too_large_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.mkv"
    ffmpeg("-f", "lavfi", "-i", "color=s=16384x8192:r=1:d=1", "-c:v", "mjpeg", "-threads", "1", path)
    assert reason(path).startswith("its pictures of 16384x8192 pixels are more than")


def test_many_files_come_in_order_and_a_killed_child_is_replaced(clip: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("text")
    names = [str(clip) if index % 3 else str(bad) for index in range(150)]
    answers = probe_many(names, workers=1)
    results = [next(answers)]
    for child in psutil.Process().children(recursive=True):
        if "operators.container" in child.cmdline():
            child.kill()
    results += answers
    assert [name for name, _ in results] == names
    assert all(isinstance(found, UnreadableMedia) == (name == str(bad)) for name, found in results)
    assert not [c for c in psutil.Process().children(recursive=True) if "operators.container" in c.cmdline()]


def test_a_file_that_crashes_or_hangs_the_library_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = """
import json, os, sys, time
print("ready", flush=True)
for line in sys.stdin:
    uri = json.loads(line)["uri"]
    if uri == "crash": os.abort()
    if uri == "hang": time.sleep(60)
    print(json.dumps({"unreadable": {"reason": uri, "retryable": False}}), flush=True)
"""
    monkeypatch.setattr(media, "CHILD", [sys.executable, "-c", stand_in])
    found = dict(probe_many(["one", "crash", "two", "hang", "three"], workers=1, time_limit_s=1.0))
    assert [answer.reason for answer in found.values() if isinstance(answer, UnreadableMedia)] == [
        "one",
        "damaged: reading its header crashed the media library",
        "two",
        "reading its header took longer than 1 s",
        "three",
    ]
