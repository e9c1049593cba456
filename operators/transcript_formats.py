"""Read .srt, .vtt, whisperx's .json and IEMOCAP's .txt: text in, cues out. Nothing is raised but TranscriptError.

Every pattern is anchored and bounded, so time is linear in the size of the file.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from operators.cues import Cue, Script, TranscriptError, collect, make_cue

MAX_JSON_DEPTH = 20

_CLOCK = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,6}))?"
_ARROW = re.compile(rf"\s{{0,8}}{_CLOCK}\s{{0,8}}-{{1,2}}>\s{{0,8}}{_CLOCK}(?:\s|$)")
_IEMOCAP = re.compile(r"(\S{1,100}) \[(\d{1,6}\.\d{1,6})\s?-\s?(\d{1,6}\.\d{1,6})\]:(.{0,5000})")
_MARKS = re.compile(r'\\.|["\[\]{}]', re.DOTALL)
_TAG = re.compile(r"[A-Za-z]{2,3}")


def read_subtitles(text: str) -> Script:
    """SubRip and WebVTT: a line with two times and an arrow, then lines of text up to an empty one.

    What YouTube writes shows each line twice, as it rolls up: a first line that repeats the last of the cue before is
    left out.
    """
    return Script(collect(_subtitle_cues(text)))


def _subtitle_cues(text: str) -> Iterator[Cue | None]:
    times: tuple[float, float] | None = None
    lines: list[str] = []
    last_line, last_end_s = "", -1.0
    for line in [*text.splitlines(), ""]:
        arrow = _ARROW.match(line)
        if arrow is None and line.strip():
            lines.append(line)
            continue
        if times is not None:
            shown = [item.strip() for item in lines if item.strip()]
            if arrow and shown and shown[-1].isdecimal():  # the number of the next cue, without an empty line before
                shown.pop()
            if len(shown) > 1 and shown[0] == last_line and times[0] - last_end_s < 0.1:
                shown = shown[1:]
            yield make_cue(*times, "\n".join(shown))
            last_line, last_end_s = (shown[-1], times[1]) if shown else (last_line, last_end_s)
        times = (_seconds(arrow.groups()[:4]), _seconds(arrow.groups()[4:])) if arrow else None
        lines = []


def _seconds(clock: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = clock
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(f"0.{fraction or 0}")


def read_json(text: str) -> Script:
    """What whisperx and Whisper write: {"segments": [{"start": s, "end": s, "text": ...}], "language": "en"}."""
    if _depth(text) > MAX_JSON_DEPTH:
        raise TranscriptError(f"its JSON is nested deeper than {MAX_JSON_DEPTH}")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TranscriptError(f"not valid JSON: {error}") from error
    segments = content.get("segments") if isinstance(content, dict) else content
    if not isinstance(segments, list) or not any(isinstance(item, dict) and "text" in item for item in segments):
        raise TranscriptError('this JSON is no transcript of whisperx: it has no "segments" with "text"')
    language = content.get("language") if isinstance(content, dict) else None
    known = isinstance(language, str) and _TAG.fullmatch(language)
    return Script(collect(_json_cue(item) for item in segments), str(language).lower() if known else None)


def _depth(text: str) -> int:
    """How deep brackets are nested, those inside strings left out."""
    deepest = depth = 0
    in_string = False
    for match in _MARKS.finditer(text):
        mark = match[0]
        if mark == '"':
            in_string = not in_string
        elif not in_string and mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif not in_string and mark in "]}":
            depth -= 1
    return deepest


def _json_cue(item: Any) -> Cue | None:
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        return None
    return make_cue(_number(item.get("start")), _number(item.get("end")), item["text"])


def _number(value: object) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def read_iemocap(text: str) -> Script:
    """IEMOCAP's transcriptions: `Ses01F_impro01_F000 [6.2901-8.2357]: Excuse me.`, a line each.

    Lines without times (its "M: ..." of unfinished turns) are left out, and so are its utterances named XX, which it
    has not cut.
    """
    matches = (_IEMOCAP.match(line.strip()) for line in text.splitlines())
    cues = [make_cue(float(m[2]), float(m[3]), m[4]) for m in matches if m and "XX" not in m[1]]
    if not cues:
        raise TranscriptError("no line of it reads like `name [1.00-2.00]: words`")
    return Script(collect(cues))
