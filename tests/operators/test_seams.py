"""A long video cut into segments: no utterance lost, doubled or cut at a seam, and the same words."""

import itertools
from pathlib import Path

import pytest

from models.catalogue import CatalogueError, locate
from operators.settings import DecodeSettings
from tests.media import ffmpeg
from tests.operators.decoding import decode_rows, planned_rows
from tests.operators.transcribing import transcribe_rows

pytestmark = pytest.mark.media

SECONDS = 48
FORMATS = {
    "AAC in MP4": ("a.mp4", ("-c:a", "aac", "-b:a", "96k", "-ar", "44100")),
    "Opus in Matroska": ("a.mkv", ("-c:a", "libopus", "-b:a", "48k")),
}


@pytest.mark.parametrize("name", FORMATS)
def test_segments_of_any_length_give_the_same_utterances(name: str, tmp_path: Path) -> None:
    try:
        speech = locate("sample-speech")
    except CatalogueError as error:
        pytest.skip(f"the sample of speech was not pulled: {error}")
    file, codec = FORMATS[name]
    ffmpeg(
        *(
            "-i",
            speech,
            "-filter_complex",
            "[0]asplit[a][b];[a]apad=pad_dur=3[c];[b]atempo=1.1[d];[c][d]concat=v=0:a=1",
        ),
        *("-t", str(SECONDS), *codec, tmp_path / file),
    )
    (whole,) = transcribed(tmp_path / file, [])
    assert sum(len(utterance["words"]) for utterance in whole["utterances"]) > 60
    segments = transcribed(tmp_path / file, [20_000, 40_000])
    found = [utterance for segment in segments for utterance in segment["utterances"]]
    assert found == whole["utterances"]
    assert all(segment["utterances"] for segment in segments)
    assert all(a["end_ms"] <= b["start_ms"] for a, b in itertools.pairwise(found))


def transcribed(path: Path, cuts_ms: list[int]) -> list[dict]:
    """The segments of a file, decoded and transcribed."""
    return transcribe_rows(decode_rows(planned_rows(path, cuts_ms), DecodeSettings()))
