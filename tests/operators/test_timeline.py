"""The arithmetic of what a segment reads."""

from hypothesis import given
from hypothesis import strategies as st

from operators.settings import DecodeSettings, WindowSettings
from operators.timeline import reach_of, scaled_size, seam_of, seek_before

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
    assert 0 <= reach.seek_ms <= reach.sound_start_ms

    seam = seam_of(end_ms, duration_ms, WINDOWS)
    assert (seam is None) == (end_ms == duration_ms)
    if seam is not None:
        after = reach_of(end_ms, edges[index + 2], duration_ms, decode, WINDOWS)
        # The next segment starts to read just as this one reads its seam, and both hold all of it.
        assert (after.sound_start_ms, after.seek_ms) == (seam[0], seek_before(seam[0]))
        assert reach.sound_start_ms <= seam[0] <= seam[1] <= min(reach.sound_end_ms, after.sound_end_ms)


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
