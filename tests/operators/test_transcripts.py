"""Reading transcripts: each format as its programs write it, and what is refused with which reason."""

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given

from operators import cues
from operators.cues import Cue, Script, TranscriptError, clean
from operators.script_fit import check
from operators.transcripts import READERS, choose, parse
from tests.fuzzing import SUFFIXES, TRANSCRIPTS

SRT = """1
00:00:01,120 --> 00:00:04,736
It was the <i>best</i> of times.
- It was the worst of times.

2
00:00:04,928 --> 00:00:06,336 X1:1 Y1:2
[door slams] {\\an8}JOHN: It was the age of wisdom.
3
00:00:06,600 --> 00:00:08,000
(sighs) ♪ ♪

"""
EXPECTED = (
    Cue(1120, 4736, "It was the best of times. It was the worst of times."),
    Cue(4928, 6336, "It was the age of wisdom."),
)


def test_subrip() -> None:
    assert parse(".srt", SRT.encode()).cues == EXPECTED
    assert parse(".SRT", SRT.replace("\n", "\r\n").encode()).cues == EXPECTED


def test_webvtt() -> None:
    text = (
        "WEBVTT - with a title\n\nNOTE nothing\n\nSTYLE\n::cue { color: red }\n\n"
        "intro\n00:01.120 --> 00:04.736 align:left\nIt was the <c.loud>best</c> of times.\n"
        "It was the worst of times.\n\n00:00:04.928 --> 00:00:06.336\n<v John>It was the age of&nbsp;wisdom.</v>\n"
    )
    assert parse(".vtt", text.encode()).cues == EXPECTED


def test_rolling_captions_are_said_once() -> None:
    text = (
        "WEBVTT\n\n00:01.000 --> 00:03.000\n \nwe had<00:01.500><c> everything</c>\n\n"
        "00:03.000 --> 00:03.010\nwe had everything\n \n\n"
        "00:03.010 --> 00:05.000\nwe had everything\nbefore<00:04.000><c> us</c>\n"
    )
    said = [cue.text for cue in parse(".vtt", text.encode()).cues]
    assert said[0] == "we had everything"
    assert said[-1] == "before us"


def test_whisperx_json() -> None:
    segments = [
        {"start": 1.12, "end": 4.736, "text": " It was the best of times. It was the worst of times.", "words": []},
        {"start": 4.928, "end": 6.336, "text": "It was the age of wisdom.", "speaker": "A"},
        {"start": None, "end": 9, "text": "no time"},
        {"start": True, "end": 9, "text": "no time"},
        {"start": 9, "end": 7, "text": "backwards"},
        {"start": float("nan"), "end": 8, "text": "nowhere"},
        "text",
    ]
    assert parse(".json", json.dumps({"segments": segments, "language": "en"}).encode()) == Script(EXPECTED, "en")


LONG_TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0 
xmax = 7.5 
tiers? <exists> 
size = 3 
item []: 
    item [1]:
        class = "IntervalTier" 
        name = "phones" 
        xmin = 0 
        xmax = 7.5 
        intervals: size = 1 
        intervals [1]:
            xmin = 0 
            xmax = 7.5 
            text = "IH1" 
    item [2]:
        class = "TextTier" 
        name = "marks" 
        xmin = 0 
        xmax = 7.5 
        points: size = 1 
        points [1]:
            number = 3.1 
            mark = "click" 
    item [3]:
        class = "IntervalTier" 
        name = "Mary ""the"" speaker" 
        xmin = 0 
        xmax = 7.5 
        intervals: size = 3 
        intervals [1]:
            xmin = 0 
            xmax = 1.12 
            text = "" 
        intervals [2]:
            xmin = 1.12 
            xmax = 4.736 
            text = "It was the best of times. It was the worst of times." 
        intervals [3]:
            xmin = 4.928 
            xmax = 6.336 
            text = "It was the age of wisdom." 
"""  # noqa: W291 - Praat writes it so

SHORT_TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
7.5
<exists>
1
"IntervalTier"
"Mary"
0
7.5
2
1.12
4.736
"It was the best of times. It was the worst of times."
4.928
6.336
"It was the age of wisdom."
"""


@pytest.mark.parametrize("text", [LONG_TEXTGRID, SHORT_TEXTGRID])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_textgrid(text: str, encoding: str) -> None:
    assert parse(".TextGrid", text.encode(encoding)).cues == EXPECTED


def test_a_tier_of_words_becomes_phrases() -> None:
    words = ["it", "was", "late", "", "so", "what"]
    rows = "".join(f'{i / 2}\n{i / 2 + 0.5}\n"{word}"\n' for i, word in enumerate(words))
    text = f'File type = "ooTextFile"\n"TextGrid"\n\n0\n3\n<exists>\n1\n"IntervalTier"\n"A - words"\n0\n3\n6\n{rows}'
    assert parse(".textgrid", text.encode()).cues == (Cue(0, 1500, "it was late"), Cue(2000, 3000, "so what"))


def test_iemocap() -> None:
    text = (
        "Ses01F_impro01_F000 [001.1200-004.7360]: It was the best of times. It was the worst of times.\n"
        "M: unfinished\nSes01F_impro01_M000 [4.9280-6.3360]: It was the age of wisdom. [LAUGHTER] ++GARBAGE++\n"
        "Ses01F_impro01_MXX1 [6.5-7.0]: never cut\n"
    )
    assert parse(".txt", text.encode()).cues == EXPECTED


@pytest.mark.parametrize(
    ("suffix", "content", "reason"),
    [
        (".srt", b"", "empty"),
        (".srt", b"\xef\xbb\xbf", "it has no cues"),
        (".srt", b"\0" * 100, "empty"),
        (".srt", b"just words\n", "it has no cues"),
        (".srt", b"1\n00:00:05,000 --> 00:00:02,000\nbackwards\n", "no words with possible times"),
        (".srt", b"1\n00:00:01,000 --> 00:00:02,000\n[music]\n", "no words with possible times"),
        (".srt", b"RIFF\0\0\0\0WAVE", "zero bytes"),
        (".vtt", b"\xff\xfeW\0E\0B\0V\0T\0T\0X", "not valid UTF-16"),
        (".json", b"{", "not valid JSON"),
        (".json", b"[" * 100_000, "nested deeper than 20"),
        (".json", b'{"a":' * 30 + b"1" + b"}" * 30, "nested deeper than 20"),
        (".json", b'{"segments": 3}', 'no "segments" with "text"'),
        (".json", b'{"title": "a holiday"}', 'no "segments" with "text"'),
        (".json", b'{"segments": [{"text": "x", "start": 1' + b"0" * 5000 + b"}]}", "not valid JSON"),
        (".textgrid", b"nothing", "no TextGrid"),
        (".textgrid", SHORT_TEXTGRID[:-60].encode(), "ends before its last tier"),
        (".textgrid", SHORT_TEXTGRID.replace("7.5\n2\n", "7.5\n2.5\n").encode(), "a count is no whole number"),
        (".textgrid", SHORT_TEXTGRID.replace("7.5\n2\n", "7.5\n999999999\n").encode(), "ends before its last tier"),
        (".textgrid", SHORT_TEXTGRID.replace("4.736", '"x"').encode(), "a text stands where a time should"),
        (".txt", b"Dear diary\n", "no line of it reads like"),
    ],
)
def test_what_is_no_transcript_says_why(suffix: str, content: bytes, reason: str) -> None:
    with pytest.raises(TranscriptError, match="") as caught:
        parse(suffix, content)
    assert reason in caught.value.reason


def test_other_encodings_are_guessed_and_noted() -> None:
    script = parse(".srt", "1\n00:00:01,000 --> 00:00:02,000\nça été\n".encode("latin-1"))
    assert script.cues[0].text == "ça été"
    assert script.remark == "read as Latin-1, as it is not UTF-8"


def test_too_many_cues_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cues, "MAX_CUES", 100)
    lines = "".join(f"00:00:01,000 --> 00:00:02,000\n{i} words\n\n" for i in range(101))
    with pytest.raises(TranscriptError, match="more than 100 cues"):
        parse(".srt", lines.encode())


def test_what_is_not_spoken_is_left_out() -> None:
    assert clean("<font color='red'>Hi &amp; bye</font> [MUSIC] (laughs)\n- JOHN: no\x07w \ufeff...") == "Hi bye now"
    assert clean("<" * 3000 + "(" * 500 + "[" * 400) == ""


@pytest.mark.parametrize(
    "unit", ["<", "(", "[", '"', "{\\", '"\\', "&#", "1\n", "00:", "00:00:01,000 --> ", "- ", '""']
)
@pytest.mark.parametrize("suffix", READERS)
def test_reading_takes_time_in_proportion_to_the_size(suffix: str, unit: str) -> None:
    heads = {
        ".textgrid": 'File type = "ooTextFile"\n"TextGrid"\n0\n1\n',
        ".json": '{"segments": [',
        ".txt": "a [1.0-2.0]: ",
    }
    content = (heads.get(suffix, "00:00:01,000 --> 00:00:02,000\n") + unit * (1_000_000 // len(unit))).encode()
    started = time.process_time()
    with suppress(TranscriptError):
        parse(suffix, content)
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("names", "language", "chosen"),
    [
        (["clip.mp4", "clip.srt"], "en", "clip.srt"),
        (["clip.vtt", "clip.SRT", "clip.json"], "en", "clip.SRT"),
        (["clip.TextGrid", "clip.srt"], "en", "clip.TextGrid"),
        (["clip.en.srt", "clip.de.srt"], "de", "clip.de.srt"),
        (["clip.en-GB.vtt", "clip.eng.srt"], "en", "clip.en-GB.vtt"),
        (["clip.en.srt", "clip.srt"], "en", "clip.srt"),
        (["clip.fr.srt"], "en", None),
        (["clip.fr.srt", "clip.de.srt"], None, "clip.de.srt"),
        (["clip.info.json", "clip.mp4.json", "clip2.srt", "clip.part.srt", "clip.12.srt", "clip"], "en", None),
        ([], "en", None),
    ],
)
def test_which_transcript_counts(names: list[str], language: str | None, chosen: str | None) -> None:
    assert choose("clip.mp4", names, language) == chosen


def test_times_and_language_must_be_those_of_the_video() -> None:
    script = Script(EXPECTED, "en")
    assert check(script, 10_000, "en") == EXPECTED
    assert check(script, 4_000, None) == EXPECTED[:1]  # the credits run on a little
    with pytest.raises(TranscriptError, match="go to 5 s, but the video ends at 1 s"):
        check(script, 1_000, "en")
    with pytest.raises(TranscriptError, match="its language is 'en'"):
        check(script, 10_000, "de")
    russian = Script((Cue(0, 9000, "Это было лучшее изо всех времён, это было худшее изо всех времён"),))
    with pytest.raises(TranscriptError, match="written in Cyrillic letters"):
        check(russian, 10_000, "en")
    assert check(russian, 10_000, "ru") == russian.cues
    assert check(russian, 10_000, "xx") == russian.cues
    japanese = Script(
        (
            Cue(
                0,
                9000,
                "それは最良の時代であり、最悪の時代でもあった。知恵の時代" * 2,
            ),
        )
    )
    assert check(japanese, 10_000, "ja") == japanese.cues


@given(SUFFIXES, TRANSCRIPTS)
def test_whatever_the_bytes_are_there_are_cues_or_one_kind_of_error(suffix: str, content: bytes) -> None:
    try:
        script = parse(suffix, content)
    except TranscriptError:
        return
    assert script.cues == tuple(sorted(script.cues))
    assert all(0 <= cue.start_ms < cue.end_ms <= cues.LATEST_MS and cue.text for cue in script.cues)
    assert all(cue.text.encode() for cue in script.cues)
