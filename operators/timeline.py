"""Which sound and which frames a segment needs: arithmetic on the presentation time line, in milliseconds."""

import itertools
from dataclasses import dataclass

from operators.settings import DecodeSettings, WindowSettings

SEEK_MARGIN_MS = 1_000
"""Decoding starts this much before the first sample needed: decoders must settle after a seek (AAC, MP3 and Opus need
up to 80 ms), and the frame on show at the first grid time has begun earlier."""


@dataclass(frozen=True)
class Reach:
    """What is decoded for a segment: sound in [sound_start_ms, sound_end_ms), frames at the grid indices `frames`.

    Frame k is the one on show at k * frame_step_ms. `seek_ms` is where reading frames starts: 0 means without a seek.
    """

    sound_start_ms: int
    sound_end_ms: int
    frames: range
    seek_ms: int


def reach_of(start_ms: int, end_ms: int, duration_ms: int, decode: DecodeSettings, windows: WindowSettings) -> Reach:
    """Compute what the segment [start_ms, end_ms) of a video of `duration_ms` needs.

    Sound reaches `context_ms` beyond the segment and frames `anchor_search_ms`, as far as there is media: utterances
    end at a pause near the segment's nominal ends, and both neighbours of an end must find the same one.
    """
    step_ms = decode.frame_step_ms
    sound_start_ms = max(0, start_ms - windows.context_ms)
    sound_end_ms = min(duration_ms, end_ms + windows.context_ms)
    frames_start_ms = max(0, start_ms - windows.anchor_search_ms)
    frames_end_ms = min(duration_ms - 1, end_ms + windows.anchor_search_ms)
    return Reach(
        sound_start_ms=sound_start_ms,
        sound_end_ms=sound_end_ms,
        frames=range(-(-frames_start_ms // step_ms), frames_end_ms // step_ms + 1),
        seek_ms=seek_before(frames_start_ms),
    )


def sound_blocks(start_ms: int, end_ms: int, windows: WindowSettings) -> list[tuple[int, int]]:
    """Divide the sound [start_ms, end_ms) that a segment needs into the blocks that are decoded each by itself.

    Their borders are `context_ms` before and after each anchor of the video, whatever the segment. Decoders carry state
    (AAC's noise, rounded time stamps, phases of resamplers), so sound depends a little on where decoding began; decoded
    in these blocks it is the same to the bit in every segment that reaches it, and so are cuts, words and utterances.
    """
    anchor, context = windows.anchor_ms, windows.context_ms
    near = [k * anchor + side for k in range(end_ms // anchor + 2) for side in (-context, context)]
    borders = sorted({start_ms, end_ms, *(border for border in near if start_ms < border < end_ms)})
    return list(itertools.pairwise(borders))


def seek_before(start_ms: int) -> int:
    """Where to seek in order to decode cleanly from `start_ms`."""
    return max(0, start_ms - SEEK_MARGIN_MS)


def scaled_size(width: int, height: int, max_side_px: int) -> tuple[int, int]:
    """Size of a frame whose long side is at most `max_side_px`, never enlarged, at least one pixel."""
    scale = min(1.0, max_side_px / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
