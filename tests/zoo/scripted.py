"""Speech with a transcript beside it, good and hostile: used and noted, or not used, noted why, and heard by ear."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from tests.zoo.animal import Animal
from tests.zoo.hostile import CANARY

GOOD = "1\n00:00:00,100 --> 00:00:03,600\nIt was the best of times. It was the worst of times.\n"
OTHER = "1\n00:00:00,100 --> 00:00:03,600\nThese are quite other words than those that are said.\n"
RUSSIAN = "1\n00:00:00,100 --> 00:00:03,600\nЭто было лучшее из времён, это было худшее из времён\n"
LATE = GOOD.replace("00:00:0", "00:20:0")
SEGMENT = {"start": 0.1, "end": 3.6, "text": "It was the best of times. It was the worst of times."}
FLOOD = "".join(f"00:00:01,000 --> 00:00:02,000\n{index} words\n\n" for index in range(50_001))
ENTITIES = GOOD.replace("best", "b&#101;st") + '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>&b;&#99999999;\n'

SCRIPTS: dict[str, tuple[str | bytes, str]] = {
    "good.srt": (GOOD, "used: good.srt"),
    "good.vtt": (f"WEBVTT\n\n{GOOD.replace(',', '.')}", "used: good.vtt"),
    "good.json": (json.dumps({"segments": [SEGMENT], "language": "en"}), "used: good.json"),
    "good.TextGrid": (
        f'File type = "ooTextFile"\n"TextGrid"\n\n0\n3.7\n<exists>\n1\n"IntervalTier"\n"A"\n0\n3.7\n1\n0.1\n3.6\n'
        f'"{SEGMENT["text"]}"\n',
        "used: good.TextGrid",
    ),
    "good.txt": (f"Ses01F_impro01_F000 [000.1000-003.6000]: {SEGMENT['text']}\n", "used: good.txt"),
    "entities.srt": (ENTITIES, "used: entities.srt"),
    "utf-16.srt": (GOOD.encode("utf-16"), "used: utf-16.srt"),
    "latin.srt": (GOOD.replace("best", "bést").encode("latin-1"), "read as Latin-1, as it is not UTF-8"),
    "empty.srt": ("", "not used: empty.srt: empty"),
    "late.srt": (LATE, "its times go to 1200 s, but the video ends at 4 s"),
    "other words.srt": (OTHER, "its words and times don't fit the sound"),
    "other letters.srt": (RUSSIAN, "it is written in Cyrillic letters, but speech.language is 'en'"),
    "other language.json": (json.dumps({"segments": [SEGMENT], "language": "de"}), "its language is 'de'"),
    "large.srt": (GOOD + " " * 4_000_000, "larger than 4,000,000 bytes (speech.max_transcript_bytes)"),
    "flood.srt": (FLOOD, "it has more than 50,000 cues"),
    "nested.json": ("[" * 1_000_000, "its JSON is nested deeper than 20"),
    "half.vtt": (b"\xff\xfeW\0E\0B\0V\0T\0T\0X", "its text is not valid UTF-16, though it says it is"),
    "program.srt": (b"\x7fELF" + bytes(200), "it is no text: it holds zero bytes"),
    "promises.TextGrid": (
        'File type = "ooTextFile"\n"TextGrid"\n0\n9\n<exists>\n999999999\n',
        "this TextGrid is damaged: it ends before its last tier",
    ),
}


def beside(name: str, make: Callable[[Path, Path], object]) -> Callable[[Path, Path], object]:
    """Speech, and beside it what `make` puts at the transcript's path."""

    def both(path: Path, sources: Path) -> None:
        path.write_bytes((sources / "speech.wav").read_bytes())
        make(path.with_name(name), sources)

    return both


def content(text: str | bytes) -> Callable[[Path, Path], object]:
    return lambda path, _: path.write_bytes(text.encode() if isinstance(text, str) else text)


def animal(name: str, make: Callable[[Path, Path], object], note: str) -> Animal:
    # Names of the media differ by the transcripts' suffixes: good.srt and good.vtt go with two videos.
    stem, _, suffix = name.rpartition(".")
    named = f"{stem} ({suffix}).{suffix}"
    return Animal(f"{stem} ({suffix}).wav", beside(named, make), "no_video", "ta", transcript=note.replace(name, named))


SCRIPTED = [
    *(animal(name, content(text), note) for name, (text, note) in SCRIPTS.items()),
    animal(
        "link.srt",
        lambda path, sources: path.symlink_to(sources / CANARY),
        "not used: link.srt: a link that leads out of the corpus",
    ),
    animal("pipe.srt", lambda path, _: os.mkfifo(path), "not used: pipe.srt: no regular file"),
    animal("device.srt", lambda path, _: path.symlink_to("/dev/zero"), "a link that leads out of the corpus"),
    animal("dangling.srt", lambda path, _: path.symlink_to("nowhere.srt"), "can't be read: No such file or directory"),
]
