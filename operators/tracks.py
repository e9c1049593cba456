"""Faces of one window linked into tracks: who is who from frame to frame, from boxes alone.

Only the window's own faces are looked at, so a track does not depend on where a segment starts or ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MIN_IOU = 0.3
MAX_CENTRE_DISTANCE = 0.75  # in widths and heights of the earlier box
MAX_GAP_MS = 1_500  # a face may be missed for so long and still be the same one


@dataclass(frozen=True)
class Box:
    """A face at a time; edges as fractions of the frame's width and height."""

    time_ms: int
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def area(self) -> float:
        """Share of the frame that the box covers."""
        return max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)


def intersection_over_union(a: Box, b: Box) -> float:
    """Shared area over joint area, 0 to 1."""
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a.area + b.area - shared)


def centre_distance(earlier: Box, later: Box) -> float:
    """How far the centre moved, in widths (across) or heights (down) of the earlier box, whichever is more."""
    width, height = earlier.x1 - earlier.x0, earlier.y1 - earlier.y0
    if width <= 0 or height <= 0:
        return float("inf")
    across = abs(earlier.x0 + earlier.x1 - later.x0 - later.x1) / 2 / width
    down = abs(earlier.y0 + earlier.y1 - later.y0 - later.y1) / 2 / height
    return max(across, down)


def _likeness(earlier: Box, later: Box) -> float:
    """Above 0 where `later` may be the same face; overlapping boxes before boxes that are only near."""
    iou = intersection_over_union(earlier, later)
    if iou >= MIN_IOU:
        return 1 + iou
    distance = centre_distance(earlier, later)
    ratio = later.area / earlier.area if earlier.area > 0 else 0.0
    if distance <= MAX_CENTRE_DISTANCE and 0.4 <= ratio <= 2.5:
        return 1 - distance
    return 0.0


def link_tracks(boxes: Sequence[Box]) -> list[list[int]]:
    """Indices of `boxes` by track, each in order of time, the tracks in order of their first face.

    From one frame to the next the likeliest pairs are joined first; a face joins one track, and a track takes one face
    of a frame.
    """
    order = sorted(range(len(boxes)), key=lambda i: (boxes[i].time_ms, boxes[i].x0, boxes[i].y0, i))
    tracks: list[list[int]] = []
    first = 0
    while first < len(order):
        now_ms = boxes[order[first]].time_ms
        frame = [i for i in order[first:] if boxes[i].time_ms == now_ms]
        first += len(frame)
        open_tracks = [t for t, track in enumerate(tracks) if now_ms - boxes[track[-1]].time_ms <= MAX_GAP_MS]
        pairs = [(_likeness(boxes[tracks[t][-1]], boxes[i]), t, i) for t in open_tracks for i in frame]
        pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
        taken_tracks: set[int] = set()
        taken_faces: set[int] = set()
        for likeness, t, i in pairs:
            if likeness > 0 and t not in taken_tracks and i not in taken_faces:
                tracks[t].append(i)
                taken_tracks.add(t)
                taken_faces.add(i)
        tracks += [[i] for i in frame if i not in taken_faces]
    return tracks


def largest_track(boxes: Sequence[Box]) -> list[int]:
    """Indices of the track with the largest sum of areas, in order of time; empty where there is no face."""
    tracks = link_tracks(boxes)
    return max(tracks, key=lambda track: sum(boxes[i].area for i in track), default=[])
