"""How a time line is cut: anchors, cuts, chunks, utterances and the gaps between them. Pure arithmetic.

Near every multiple of `anchor_ms` the time line is cut at the best pause. The chunks between two cuts are the atoms:
what becomes of a chunk depends on the sound in and just around it, never on the segment it is read with. A segment
owns the chunks between the cuts at its two nominal borders, so segments of any length give the same utterances.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from operators.settings import WindowSettings
from operators.vad import FRAME_MS, Floats, SpeechCurve, near_ms

PAD_MS = 96  # detectors hear the soft start and end of a word late: what is added to either side of speech
MIN_SPEECH_MS = 96  # anything shorter is a click
HYSTERESIS = 0.15  # speech that has begun goes on until its probability falls this far below the threshold
MERGE_MS = 700  # an utterance that is too short joins its neighbour over a pause of up to this length
MIN_WINDOW_MS = 1_000  # windows without speech that would be shorter are dropped
NARROW_MS, WIDE_MS = 96, 480  # how far around a moment it should be quiet for a cut there
DYNAMICS_DB = 40  # between the vowels of speech and its softest sounds
NEARNESS = 0.02  # what a cut at the end of the search costs more than one in its middle, in units of activity
IN_A_CUE = 0.3  # what a cut costs inside a cue of a transcript; speech from end to end costs about 1


@dataclass(frozen=True)
class Chunk:
    """[start_ms, end_ms) between two cuts; [heard_from_ms, heard_to_ms) is what may be known when it is windowed."""

    start_ms: int
    end_ms: int
    heard_from_ms: int
    heard_to_ms: int


@dataclass(frozen=True)
class Window:
    """One row to be: an utterance, or a stretch without speech."""

    start_ms: int
    end_ms: int
    speech: bool

    @property
    def length_ms(self) -> int:
        """How long it is."""
        return self.end_ms - self.start_ms


def cut_ms(
    curve: SpeechCurve | None,
    anchor_ms: int,
    duration_ms: int,
    settings: WindowSettings,
    cues: Sequence[tuple[int, int]] = (),
) -> int:
    """Where the time line is cut near this anchor: at the best pause within `anchor_search_ms` of it.

    Without a curve (no sound) at the anchor itself. An anchor too near the end of the video has no pause of its own:
    its cut is the end, so that the last chunk isn't a splinter.
    """
    search = settings.anchor_search_ms
    if anchor_ms <= 0:
        return 0
    if anchor_ms > duration_ms - search:
        return duration_ms
    if curve is None:
        return anchor_ms
    near = near_ms(settings)
    around = curve.between((anchor_ms - near) // FRAME_MS, -(-min(anchor_ms + near, duration_ms) // FRAME_MS))
    last = min(anchor_ms + search, duration_ms - MIN_WINDOW_MS)
    return quietest_ms(around, anchor_ms - search, last, anchor_ms, cues)


def chunks(
    curve: SpeechCurve | None,
    start_ms: int,
    end_ms: int,
    duration_ms: int,
    settings: WindowSettings,
    cues: Sequence[tuple[int, int]] = (),
) -> list[Chunk]:
    """The chunks that the segment [start_ms, end_ms) owns, in order; they cover it from cut to cut.

    Args:
        curve: The sound, known from `near_ms(settings)` before start_ms to as much after end_ms; None without sound.
        start_ms: A multiple of `anchor_ms`.
        end_ms: A multiple of `anchor_ms`, or the end of the video.
        duration_ms: Of the whole video.
        settings: Where and how to cut.
        cues: Stretches of a transcript, which are rather not cut.

    Raises:
        ValueError: The segment doesn't start and end at anchors.
    """
    for border in (start_ms, end_ms):
        if border % settings.anchor_ms and border < duration_ms:
            raise ValueError(f"a segment may be cut at multiples of {settings.anchor_ms} ms only, not at {border} ms")
    anchors = [*range(start_ms, end_ms, settings.anchor_ms), min(end_ms, duration_ms)]
    cuts = [cut_ms(curve, anchor, duration_ms, settings, cues) for anchor in anchors[:-1]]
    cuts.append(duration_ms if end_ms >= duration_ms else cut_ms(curve, end_ms, duration_ms, settings, cues))
    near = near_ms(settings)
    found = []
    for anchor, start, end in zip(anchors, cuts, cuts[1:], strict=False):
        heard_to = duration_ms if end == duration_ms else anchor + settings.anchor_ms + near
        if end > start:
            found.append(Chunk(start, end, max(0, anchor - near), min(heard_to, duration_ms)))
    return found


def utterances(curve: SpeechCurve, chunk: Chunk, threshold: float, settings: WindowSettings) -> list[Window]:
    """The utterances of a chunk, in order, disjoint, inside it. From the probability `threshold` on it is speech."""
    return in_windows(curve, speech_in(curve, chunk, threshold, settings), chunk, settings)


def speech_in(curve: SpeechCurve, chunk: Chunk, threshold: float, settings: WindowSettings) -> list[tuple[int, int]]:
    """The stretches of speech in a chunk, disjoint and in order."""
    pad = min(PAD_MS, settings.min_pause_ms // 2)
    found = []
    for start, end in speech_regions(heard(curve, chunk), threshold, settings):
        start, end = max(start, chunk.start_ms), min(end, chunk.end_ms)
        if end - start >= MIN_SPEECH_MS:
            found.append((max(start - pad, chunk.start_ms), min(end + pad, chunk.end_ms)))
    return found


def in_windows(
    curve: SpeechCurve, stretches: list[tuple[int, int]], chunk: Chunk, settings: WindowSettings
) -> list[Window]:
    """Utterances of the lengths wanted, from stretches of speech in a chunk: long ones are cut, short ones joined."""
    curve = heard(curve, chunk)
    pieces = [piece for start, end in stretches for piece in split(curve, start, end, settings)]
    return [Window(start, end, True) for start, end in lengthen(merge(pieces, settings), chunk, settings)]


def gaps(
    found: list[Window], curve: SpeechCurve | None, chunk: Chunk, threshold: float, settings: WindowSettings
) -> list[Window]:
    """The windows without speech between the utterances found in a chunk; over all of it where there is no sound."""
    speech = speech_regions(heard(curve, chunk), threshold, settings) if curve is not None else []
    return [window for start, end in silences(found, speech, chunk, settings) for window in pave(start, end, settings)]


def heard(curve: SpeechCurve, chunk: Chunk) -> SpeechCurve:
    """What may be known of the sound when this chunk is windowed, whatever the segment."""
    return curve.between(chunk.heard_from_ms // FRAME_MS, -(-chunk.heard_to_ms // FRAME_MS))


def speech_regions(curve: SpeechCurve, threshold: float, settings: WindowSettings) -> list[tuple[int, int]]:
    """Stretches of speech, [start, end) in ms, clicks left out and pauses below `min_pause_ms` closed."""
    regions: list[tuple[int, int]] = []
    began: int | None = None
    for frame, p in enumerate([*curve.probability.tolist(), 0.0], start=curve.first_frame):
        if began is None and p >= threshold:
            began = frame
        elif began is not None and p < max(threshold - HYSTERESIS, 0.01):
            regions.append((began * FRAME_MS, frame * FRAME_MS))
            began = None
    merged: list[tuple[int, int]] = []
    for start, end in regions:
        if end - start < MIN_SPEECH_MS:
            continue
        if merged and start - merged[-1][1] < settings.min_pause_ms:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def split(curve: SpeechCurve, start_ms: int, end_ms: int, settings: WindowSettings) -> list[tuple[int, int]]:
    """[start_ms, end_ms) in pieces of at most `max_utterance_ms`, cut where it is quietest, again and again."""
    if end_ms - start_ms <= settings.max_utterance_ms:
        return [(start_ms, end_ms)]
    first, last = start_ms + settings.min_utterance_ms, end_ms - settings.min_utterance_ms
    middle = quietest_ms(curve, first, last, (start_ms + end_ms) // 2)
    return [*split(curve, start_ms, middle, settings), *split(curve, middle, end_ms, settings)]


def quietest_ms(
    curve: SpeechCurve, first_ms: int, last_ms: int, wanted_ms: int, cues: Sequence[tuple[int, int]] = ()
) -> int:
    """The moment in [first_ms, last_ms] around which least is said: the middle of a pause, or of a dip in loudness.

    Among moments equally quiet, as in a long silence, the one nearest to `wanted_ms`; rather not one inside a cue.
    """
    activity = curve.probability * (0.5 + 0.5 * loudness(curve.level_db))
    # A moment lies between two frames, so the kernels have an even number of taps.
    narrow, wide = (np.ones(2 * round(reach / FRAME_MS)) for reach in (NARROW_MS, WIDE_MS))
    wide[:] = 1 - np.abs(np.arange(len(wide)) - (len(wide) - 1) / 2) / (len(wide) / 2)
    moments = np.arange(curve.first_frame, curve.end_frame + 1)
    around = 0.5 * smooth(activity, narrow) + 0.5 * smooth(activity, wide)
    reach = max(1, wanted_ms - first_ms, last_ms - wanted_ms)
    cost = around + NEARNESS * np.abs(moments * FRAME_MS - wanted_ms) / reach
    for start, end in cues:
        if start < last_ms and end > first_ms:
            cost[(moments * FRAME_MS > start) & (moments * FRAME_MS < end)] += IN_A_CUE
    allowed = np.flatnonzero((moments * FRAME_MS >= first_ms) & (moments * FRAME_MS <= last_ms))
    if not len(allowed):
        return min(max(wanted_ms, first_ms), last_ms)
    return int(moments[allowed[np.argmin(cost[allowed])]]) * FRAME_MS


def loudness(level_db: Floats) -> Floats:
    """Levels on a scale of 0 to 1: from `DYNAMICS_DB` below the loudest of the stretch to there."""
    loudest = np.percentile(level_db, 95) if len(level_db) else 0.0
    scaled: Floats = np.clip(1 + (level_db - loudest) / DYNAMICS_DB, 0, 1)
    return scaled


def smooth(values: npt.NDArray[np.floating], kernel: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The mean of the values around each of the len + 1 moments between them, weighted by an even kernel."""
    half = len(kernel) // 2
    total = np.convolve(np.pad(values, half), kernel, mode="valid")
    weight = np.convolve(np.pad(np.ones(len(values)), half), kernel, mode="valid")
    return total / weight


def neighbours(windows: list[Window], settings: WindowSettings) -> list[list[Window]]:
    """Utterances in groups with no silence longer than `min_gap_ms` inside: what is recognised in one piece."""
    groups: list[list[Window]] = []
    for window in windows:
        if groups and window.start_ms - groups[-1][-1].end_ms <= settings.min_gap_ms:
            groups[-1].append(window)
        else:
            groups.append([window])
    return groups


def merge(pieces: list[tuple[int, int]], settings: WindowSettings) -> list[tuple[int, int]]:
    """Pieces that are too short join the nearer neighbour where that is close and what comes of it not too long."""
    pieces, at = list(pieces), 0
    while at < len(pieces):
        start, end = pieces[at]
        joins = [
            (max(0, pieces[i + 1][0] - pieces[i][1]), i)
            for i in (at - 1, at)
            if 0 <= i < len(pieces) - 1 and pieces[i + 1][1] - pieces[i][0] <= settings.max_utterance_ms
        ]
        if end - start >= settings.min_utterance_ms or not joins or min(joins)[0] > MERGE_MS:
            at += 1
            continue
        left = min(joins)[1]
        pieces[left : left + 2] = [(pieces[left][0], pieces[left + 1][1])]
        at = max(0, left - 1)
    return pieces


def lengthen(pieces: list[tuple[int, int]], chunk: Chunk, settings: WindowSettings) -> list[tuple[int, int]]:
    """Pieces that are still too short grow into the silence around them, evenly, as far as the chunk allows."""
    grown: list[tuple[int, int]] = []
    for at, (start, end) in enumerate(pieces):
        missing = max(0, settings.min_utterance_ms - (end - start))
        room_before = start - (grown[-1][1] if grown else chunk.start_ms)
        room_after = (pieces[at + 1][0] if at + 1 < len(pieces) else chunk.end_ms) - end
        before = min(room_before, max(missing // 2, missing - room_after))
        grown.append((start - before, end + min(room_after, missing - before)))
    return grown


def silences(
    found: list[Window], speech: list[tuple[int, int]], chunk: Chunk, settings: WindowSettings
) -> list[tuple[int, int]]:
    """The stretches of a chunk between its utterances that belong to a silence longer than `min_gap_ms`.

    A silence that a cut divides counts as a whole, as far as it may be heard from here.
    """
    before = max([b for _, b in speech if b <= chunk.start_ms], default=chunk.heard_from_ms)
    after = min([a for a, _ in speech if a >= chunk.end_ms], default=chunk.heard_to_ms)
    starts = [chunk.start_ms, *(window.end_ms for window in found)]
    ends = [*(window.start_ms for window in found), chunk.end_ms]
    long = []
    for start, end in zip(starts, ends, strict=True):
        whole = (after if end == chunk.end_ms else end) - (before if start == chunk.start_ms else start)
        if end > start and whole > settings.min_gap_ms:
            long.append((start, end))
    return long


def pave(start_ms: int, end_ms: int, settings: WindowSettings) -> list[Window]:
    """[start_ms, end_ms) in windows without speech of equal length, none longer than `max_gap_window_ms`."""
    length = end_ms - start_ms
    if length < MIN_WINDOW_MS:
        return []
    count = -(-length // settings.max_gap_window_ms)
    borders = [start_ms + length * i // count for i in range(count + 1)]
    return [Window(a, b, False) for a, b in itertools.pairwise(borders)]
