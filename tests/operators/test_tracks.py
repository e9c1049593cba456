"""Faces linked into tracks."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from operators.tracks import Box, intersection_over_union, largest_track, link_tracks


def box(time_ms: int, x: float, y: float = 0.3, side: float = 0.2) -> Box:
    return Box(time_ms, x, y, x + side, y + side)


boxes = st.lists(
    st.builds(
        box,
        st.integers(0, 12).map(lambda k: 500 * k),
        st.floats(0, 0.7),
        st.floats(0, 0.7),
        st.floats(0.05, 0.3),
    ),
    max_size=24,
)


def test_two_people_who_sway_stay_two_tracks() -> None:
    left = [box(500 * k, 0.1 + 0.02 * (k % 3)) for k in range(6)]
    right = [box(500 * k, 0.6 - 0.02 * (k % 3)) for k in range(6)]
    together = [face for pair in zip(right, left, strict=True) for face in pair]
    tracks = link_tracks(together)
    assert sorted(sorted(together[i].x0 < 0.4 for i in track) for track in tracks) == [[False] * 6, [True] * 6]


def test_a_face_missed_in_one_frame_stays_one_track_and_one_gone_for_long_does_not() -> None:
    assert len(link_tracks([box(0, 0.4), box(1000, 0.42)])) == 1
    assert len(link_tracks([box(0, 0.4), box(5000, 0.4)])) == 2


def test_the_track_with_the_most_area_wins_even_against_one_larger_face() -> None:
    speaker = [box(500 * k, 0.1, side=0.2) for k in range(8)]
    passer_by = [box(1000, 0.6, side=0.35)]
    assert [([*passer_by, *speaker])[i].x0 for i in largest_track([*passer_by, *speaker])] == [0.1] * 8


def test_no_face_gives_no_track() -> None:
    assert link_tracks([]) == []
    assert largest_track([]) == []


@given(boxes)
def test_every_face_is_in_one_track_and_no_track_has_two_faces_of_a_frame(faces: list[Box]) -> None:
    tracks = link_tracks(faces)
    assert sorted(i for track in tracks for i in track) == list(range(len(faces)))
    for track in tracks:
        times = [faces[i].time_ms for i in track]
        assert times == sorted(set(times))


@given(boxes, st.randoms(use_true_random=False))
def test_the_order_in_which_faces_are_listed_changes_nothing(faces: list[Box], random) -> None:  # type: ignore[no-untyped-def]
    distinct = list(dict.fromkeys(faces))
    shuffled = random.sample(distinct, len(distinct))

    def as_sets(listed: list[Box]) -> set[frozenset[Box]]:
        return {frozenset(listed[i] for i in track) for track in link_tracks(listed)}

    assert as_sets(distinct) == as_sets(shuffled)


@given(boxes)
def test_intersection_over_union_is_symmetric_and_at_most_one(faces: list[Box]) -> None:
    for a, b in itertools.pairwise(faces):
        assert 0 <= intersection_over_union(a, b) <= 1 + 1e-9
        assert abs(intersection_over_union(a, b) - intersection_over_union(b, a)) < 1e-12
