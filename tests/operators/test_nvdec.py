"""Decoding by the GPU: which files, by which command, and what is said where there is none."""

import shutil
from pathlib import Path

import pytest

from operators import ffmpeg as our_ffmpeg
from operators import nvdec
from operators.decode import Decode
from operators.process import Process
from operators.settings import DecodeSettings, WindowSettings
from tests.media import AAC, H264, ffmpeg
from tests.operators.decoding import Brightness, brightness_of, decode_rows, planned_rows

ON_GPU = DecodeSettings(hardware="cuda")


def command(on_gpu: bool, seek_ms: int = 0) -> list[str]:
    media = our_ffmpeg.open_input("file:a.mp4", seek_ms, 1000, loop_filter=True, on_gpu=on_gpu)
    return our_ffmpeg.command("ffmpeg", [our_ffmpeg.frames_output(media, range(2, 5), 500, (640, 360), 7, 9)])


def test_one_option_of_the_input_is_all_that_differs() -> None:
    software, hardware = command(on_gpu=False, seek_ms=1500), command(on_gpu=True, seek_ms=1500)
    at = hardware.index("-hwaccel")
    assert hardware[at : at + 2] == ["-hwaccel", "cuda"]
    assert at < hardware.index("-i")
    assert hardware[:at] + hardware[at + 2 :] == software
    filters = hardware[hardware.index("-vf") + 1]
    assert filters == "fps=fps=1000/500:round=up,trim=start_pts=2:end_pts=5,scale=640:360:flags=area,format=rgb24"
    assert "-hwaccel_output_format" not in hardware  # frames come back, and are turned upright as ever


@pytest.mark.parametrize(
    ("codec", "on_gpu"),
    [("h264", True), ("hevc", True), ("av1", True), ("mpeg2video", False), ("mpeg4", False), (None, False)],
)
def test_only_codecs_that_all_decode_alike_go_to_the_gpu(codec: str | None, on_gpu: bool) -> None:
    assert nvdec.decodes(ON_GPU, codec) is on_gpu
    assert not nvdec.decodes(DecodeSettings(), codec)


def test_the_ffmpeg_that_comes_with_us_was_built_with_cuda() -> None:
    nvdec.check_binary(our_ffmpeg.find_ffmpeg())


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_an_ffmpeg_without_cuda_is_refused_in_words(tmp_path: Path) -> None:
    binary = script(tmp_path / "ffmpeg", "echo 'Hardware acceleration methods:'; echo vaapi")
    with pytest.raises(nvdec.HardwareError, match=r"built without it .* Unset FV2ES_FFMPEG"):
        nvdec.check_binary(binary)


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU")
def test_a_machine_without_a_gpu_is_told_before_work_starts() -> None:
    with pytest.raises(nvdec.HardwareError, match=r"can't get hold of a GPU here; it says: .*cuda"):
        Decode(ON_GPU, WindowSettings(), Brightness())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nvdec") / "clip.mp4"
    sources = ("-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=4", "-f", "lavfi", "-i", "sine=d=4")
    ffmpeg(*sources, *H264, *AAC, path)
    return path


@pytest.mark.media
def test_the_operator_asks_for_the_gpu_where_it_may(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for an ffmpeg with a GPU notes what it is asked for and decodes in software: the rows are the same."""
    notes = tmp_path / "asked"
    real = our_ffmpeg.find_ffmpeg()
    lines = [
        f'printf "%s\\n" "$*" >> {notes}',
        'case "$*" in *-init_hw_device*) exit 0;; esac',
        'for word; do shift; case $word in -hwaccel) skip=1;; cuda) [ $skip ] || set -- "$@" cuda;;'
        ' *) set -- "$@" "$word";; esac; done',
        f'exec {real} "$@"',
    ]
    (expected,) = decode_rows(planned_rows(clip), DecodeSettings(loop_filter=True))
    monkeypatch.setenv("FV2ES_FFMPEG", script(tmp_path / "ffmpeg", "\n".join(lines)))
    (row,) = decode_rows(planned_rows(clip), ON_GPU)
    assert len(brightness_of(row)) == 8
    assert (brightness_of(row), row["pcm"]) == (brightness_of(expected), expected["pcm"])
    passes = [line for line in notes.read_text().splitlines() if "rawvideo" in line]
    assert passes
    assert all("-hwaccel cuda" in line for line in passes)
    notes.unlink()
    decode_rows(planned_rows(clip, video_codec="mpeg2video"), ON_GPU)
    assert "-hwaccel" not in notes.read_text().replace("-hwaccels", "")


@pytest.mark.parametrize("reserves_freely", [False, True])
def test_a_child_that_may_reserve_freely_may_still_not_take_all_memory(reserves_freely: bool) -> None:
    reserve = "import mmap, sys; mmap.mmap(-1, 8 << 30, prot=mmap.PROT_READ); sys.stderr.write('reserved\\n'); "
    process = Process(
        ["python3", "-c", reserve + "bytearray(6 << 30)"],
        time_limit_s=60.0,
        max_stdout_bytes=0,
        max_memory_mb=4096,
        reserves_freely=reserves_freely,
    )
    with process:
        pass
    assert b"MemoryError" in process.stderr_tail or b"Cannot allocate memory" in process.stderr_tail
    assert (b"reserved" in process.stderr_tail) is reserves_freely


@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no GPU here")
@pytest.mark.media
def test_a_gpu_decodes_to_the_same_pixels(clip: Path) -> None:
    (expected,) = decode_rows(planned_rows(clip), DecodeSettings(loop_filter=True))
    (row,) = decode_rows(planned_rows(clip), ON_GPU)
    assert brightness_of(row) == brightness_of(expected)
