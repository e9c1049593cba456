"""The arithmetic of what a segment reads."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from operators.settings import DecodeSettings, WindowSettings
from operators.timeline import reach_of, scaled_size, sound_blocks

WINDOWS = WindowSettings()


@given(
    step_ms=st.integers(40, 5000),
    duration_ms=st.integers(1, 40_000_000),
    segment_ms=st.integers(1, 180).map(lambda count: count * WINDOWS.anchor_ms),
    data=st.data(),
)
def test_segments_cover_the_media_and_neighbours_overlap(
    step_ms: int, duration_ms: int, segment_ms: int, data: st.DataObject
) -> None:
    decode = DecodeSettings(frame_step_ms=step_ms)
    edges = [*range(0, duration_ms, segment_ms), duration_ms]
    index = data.draw(st.integers(0, len(edges) - 2))
    start_ms, end_ms = edges[index : index + 2]
    reach = reach_of(start_ms, end_ms, duration_ms, decode, WINDOWS)

    assert reach.sound_start_ms <= start_ms < end_ms <= reach.sound_end_ms
    assert reach.sound_start_ms >= 0
    assert reach.sound_end_ms <= duration_ms
    inside = range(-(-start_ms // step_ms), -(-end_ms // step_ms))
    assert set(inside) <= set(reach.frames)
    assert all(0 <= frame * step_ms < duration_ms for frame in (*reach.frames[:1], *reach.frames[-1:]))
    assert 0 <= reach.seek_ms <= max(0, start_ms - WINDOWS.anchor_search_ms)

    blocks = sound_blocks(reach.sound_start_ms, reach.sound_end_ms, WINDOWS)
    assert blocks[0][0] == reach.sound_start_ms
    assert blocks[-1][1] == reach.sound_end_ms
    assert all(before[1] == after[0] for before, after in itertools.pairwise(blocks))
    # A segment reads each block just as the whole video, read in one segment, would.
    assert set(blocks) <= set(sound_blocks(0, duration_ms, WINDOWS))


@given(width=st.integers(1, 8192), height=st.integers(1, 8192), limit=st.integers(64, 4096))
def test_frames_are_scaled_down_never_up(width: int, height: int, limit: int) -> None:
    scaled = scaled_size(width, height, limit)
    assert min(scaled) >= 1
    if max(width, height) <= limit:
        assert scaled == (width, height)
    else:
        assert max(scaled) == limit
        factor = limit / max(width, height)
        assert abs(scaled[0] - width * factor) <= 1
        assert abs(scaled[1] - height * factor) <= 1
