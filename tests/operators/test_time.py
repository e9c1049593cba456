"""Times, for the traps of containers: a flash is seen and a beep is heard when a player would show and play them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from operators.settings import DecodeSettings
from tests.media import (
    AAC,
    H264,
    FlashBeep,
    beep_onsets_ms,
    beep_source,
    ffmpeg,
    flash_source,
    heard_beeps_ms,
    make_flash_beep,
    rising_edges,
    shown_at,
    shown_frames,
)
from tests.operators.decoding import brightness_of, decode_rows, pcm_of, planned_rows

pytestmark = pytest.mark.media

SECONDS = 46.0
STEP_MS = 40
SOUND_ERROR_MS = 20
CONTEXT_MS, SEARCH_MS = 10_000, 3_000
LONG_GOP = (*H264, "-g", "600", "-keyint_min", "600", "-sc_threshold", "0")
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "200")
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:bframes=3", "-g", "200")
MPEG2 = ("-c:v", "mpeg2video", "-bf", "2", "-q:v", "4")


def make(name: str, **options: object) -> Callable[[Path], FlashBeep]:
    return lambda folder: make_flash_beep(folder / name, SECONDS, **options)  # type: ignore[arg-type]


def with_edit_list(folder: Path) -> FlashBeep:
    """A copy from 3.3 s on: the file begins at a key frame before, and an edit list hides what is before 3.3 s."""
    whole = make_flash_beep(folder / "whole.mp4", SECONDS)
    path = folder / "edited.mp4"
    ffmpeg("-ss", "3.3", "-i", whole.path, "-c", "copy", path)
    events = tuple(time_ms - 3300 for time_ms in whole.flashes_ms if time_ms > 3300)
    return FlashBeep(path, whole.duration_ms - 3300, events, events)


def with_variable_rate(folder: Path) -> FlashBeep:
    """Two frames in three are left out, except about events: gaps of up to 100 ms."""
    path = folder / "vfr.mp4"
    picked = f"{flash_source(SECONDS)},select='not(mod(n*7,3))+between(mod(t,2.3),0,0.21)'"
    sources = ("-f", "lavfi", "-i", picked, "-f", "lavfi", "-i", beep_source(SECONDS))
    ffmpeg(*sources, "-fps_mode", "passthrough", *H264, *AAC, path)
    whole = make_flash_beep(folder / "whole.mp4", SECONDS)
    return FlashBeep(path, whole.duration_ms, whole.flashes_ms, whole.beeps_ms)


CASES = {
    "B-frames": make("a.mp4"),
    "25 fps, 44.1 kHz": make("a.mp4", fps="25", rate_hz=44_100),
    "29.97 fps": make("a.mp4", fps="30000/1001"),
    "23.976 fps, 44.1 kHz": make("a.mp4", fps="24000/1001", rate_hz=44_100),
    "sound starts late": make("a.mp4", audio_delay_s=0.7),
    "video starts late": make("a.mp4", video_delay_s=0.7),
    "video ends early": make("a.mp4", video_seconds=25.0),
    "edit list": with_edit_list,
    "variable frame rate": with_variable_rate,
    "HEVC": make("a.mp4", video=HEVC),
    "Matroska": make("a.mkv", fps="30000/1001", rate_hz=44_100),
    "WebM": make("a.webm", video=VP8, audio=("-c:a", "libopus")),
    "transport stream": make("a.ts"),
    "transport stream that starts at 5000 s": make("a.ts", muxer=("-output_ts_offset", "5000")),
    "transport stream, key frames 20 s apart": make("a.ts", video=LONG_GOP),
    "Matroska, key frames 20 s apart": make("a.mkv", video=LONG_GOP),
    "program stream": make("a.mpg", video=MPEG2, audio=("-c:a", "mp2")),
    "Flash video": make("a.flv", rate_hz=44_100),
    "AVI": make("a.avi", video=("-c:v", "mpeg4", "-q:v", "5"), audio=("-c:a", "libmp3lame")),
}
SOUND_ALONE = {
    "MP3": make("a.mp3", video=(), audio=("-c:a", "libmp3lame", "-q:a", "4"), rate_hz=44_100),
    "AAC": make("a.aac", video=()),
    "FLAC": make("a.flac", video=(), audio=("-c:a", "flac")),
    "WAV, 8 kHz": make("a.wav", video=(), audio=("-c:a", "pcm_s16le"), rate_hz=8_000),
}


@pytest.mark.parametrize("case", [*CASES, *SOUND_ALONE])
def test_flashes_and_beeps_are_where_a_player_shows_and_plays_them(case: str, tmp_path: Path) -> None:
    truth = (CASES | SOUND_ALONE)[case](tmp_path)
    rows = planned_rows(truth.path)
    # The whole file at once, and cut in three.
    segments = decode_rows(rows + planned_rows(truth.path, [20_000, 40_000]), DecodeSettings(frame_step_ms=STEP_MS))
    assert abs(rows[0]["duration_ms"] - truth.duration_ms) < 100
    frames = shown_frames(truth.path) if truth.flashes_ms else []
    heard = heard_beeps_ms(truth.path)
    assert len(heard) == len(truth.beeps_ms)
    for segment in segments:
        assert segment["reason"] is None
        if frames:
            check_frames(segment, frames)
        check_sound(segment, heard)
    check_sync(segments[0], truth)
    check_same_sound(segments)


def check_frames(segment: dict, frames: list) -> None:
    """Every grid time at which a player shows a frame is there, with the frame that it shows."""
    start_ms = max(0, segment["start_ms"] - SEARCH_MS)
    end_ms = min(segment["duration_ms"] - 1, segment["end_ms"] + SEARCH_MS)
    last_ms = float(frames[-1][0]) * 1000  # how long the last frame is shown, players differ about
    grid = range(-(-start_ms // STEP_MS) * STEP_MS, end_ms + 1, STEP_MS)
    expected = {time_ms: shown_at(frames, time_ms) for time_ms in grid if time_ms <= last_ms}
    expected = {time_ms: bright for time_ms, bright in expected.items() if bright is not None}
    seen = dict(brightness_of(segment))
    assert list(seen) == segment["frame_times_ms"] == sorted(seen)
    assert {time_ms for time_ms in seen if time_ms <= last_ms} == set(expected)
    assert all(last_ms < time_ms <= last_ms + 100 for time_ms in set(seen) - set(expected))
    wrong = [time_ms for time_ms, bright in expected.items() if (bright > 0.5) != (seen[time_ms] > 0.5)]
    assert wrong == []


def check_sound(segment: dict, heard: list[float]) -> None:
    """Every beep within the segment's reach is heard within 20 ms of when a player plays it, and no other."""
    start_ms = max(0, segment["start_ms"] - CONTEXT_MS)
    end_ms = min(segment["duration_ms"], segment["end_ms"] + CONTEXT_MS)
    assert segment["pcm_start_ms"] == start_ms
    # A beep on the edge is heard from the edge on, if at all.
    inside = [onset for onset in heard if start_ms + 300 < onset < end_ms - 300]
    found = [onset for onset in beep_onsets_ms(pcm_of(segment), start_ms) if start_ms + 300 < onset < end_ms - 300]
    assert len(found) == len(inside)
    assert max(abs(a - b) for a, b in zip(found, inside, strict=True)) <= SOUND_ERROR_MS


def check_sync(segment: dict, truth: FlashBeep) -> None:
    """A flash is on the grid no earlier than half a frame before its beep, nor later than a frame and a grid step."""
    flashes = list(rising_edges(brightness_of(segment)))
    beeps = beep_onsets_ms(pcm_of(segment), segment["pcm_start_ms"])
    shift_ms = truth.beeps_ms[0] - truth.flashes_ms[0] if truth.flashes_ms else 0
    for flash_ms in flashes:
        late_ms = min((flash_ms + shift_ms - beep_ms for beep_ms in beeps), key=abs)
        assert (
            -SOUND_ERROR_MS - 1000 / segment["fps"] / 2 <= late_ms <= STEP_MS + 1000 / segment["fps"] + SOUND_ERROR_MS
        )


def check_same_sound(segments: list[dict]) -> None:
    """The sound at a time is the same in every segment that reaches it, to the bit: the first is the whole file."""
    whole = segments[0]
    for segment in segments[1:]:
        offset = (segment["pcm_start_ms"] - whole["pcm_start_ms"]) * 16
        first, second = pcm_of(whole)[offset:], pcm_of(segment)
        shared = min(len(first), len(second))
        assert shared >= 16 * 12_000
        np.testing.assert_array_equal(first[:shared], second[:shared])
