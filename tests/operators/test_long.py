"""A video of twelve hours: any part of it is decoded on its own, at its right time, without reading the rest."""

import time
from pathlib import Path

import pytest

from operators.media import UnreadableMedia, probe
from operators.settings import LimitSettings
from tests.media import H264, ffmpeg
from tests.operators.decoding import brightness_of, decode_rows, planned_rows

pytestmark = pytest.mark.media

HOURS = 12
END_S = HOURS * 3600


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture every 5 s: black, and white in the last 10 s."""
    path = tmp_path_factory.mktemp("long") / "film.mkv"
    white = f"drawbox=t=fill:c=white:enable='gte(t,{END_S - 10})'"
    ffmpeg("-f", "lavfi", "-i", f"color=black:s=64x48:r=1/5:d={END_S},{white}", *H264, path)
    return path


def test_twelve_hours_are_planned_and_each_end_is_decoded_alone(film: Path) -> None:
    assert probe(str(film)).duration_ms == END_S * 1000
    first, *_, last = planned_rows(film, [20_000, (END_S - 20) * 1000])
    started = time.process_time()
    rows = decode_rows([first, last])
    assert time.process_time() - started < 20
    assert [row["status"] for row in rows] == ["no_audio"] * 2
    light = dict(brightness_of(rows[1]))
    border_ms = (END_S - 10) * 1000
    assert all((value > 0.5) == (at_ms >= border_ms) for at_ms, value in light.items())
    assert max(light) >= border_ms + 9_000


def test_what_is_too_long_says_so_and_which_setting_it_is(film: Path) -> None:
    with pytest.raises(UnreadableMedia, match="12 hours; 11 at most are labelled"):
        probe(str(film), limits=LimitSettings(max_hours=11))
