"""The transcripts of a shard's videos, read and checked once each; and what they come to in each chunk of sound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operators.cues import Cue, TranscriptError
from operators.script_fit import Part, check, middles_ms, words_of
from operators.settings import SpeechSettings
from operators.sources import SourceVersion, StorageOptions, source_version
from operators.transcripts import read_script
from operators.windows import Chunk

MAX_CUES_IN_A_CHUNK = 200
"""Of 26 s at most: more is no speech."""


@dataclass(frozen=True)
class Reading:
    """The transcript of one video: its cues, or a note why there are none to use.

    `changed` says that the file isn't the planned one any more.
    """

    cues: tuple[Cue, ...] = ()
    language: str | None = None
    note: str | None = None
    name: str | None = None
    remark: str | None = None
    changed: bool = False

    def noted(self, fitting: int, amiss: int) -> str | None:
        """What to say of it in a segment's row, given how many chunks with speech it fits and how many it doesn't."""
        if not self.cues:
            return self.note
        if fitting == 0 and amiss:
            return f"not used: {self.name}: its words and times don't fit the sound"
        if fitting == 0:
            return f"not used: {self.name}: nobody is heard to speak"
        remark = f" ({self.remark})" if self.remark else ""
        if amiss:
            remark += f", but for {amiss} of {fitting + amiss} stretches of about 20 s, whose sound it doesn't fit"
        return f"used: {self.name}{remark}"


class Scripts:
    """Reads the transcripts that planned rows name.

    Args:
        speech: language and limits.
        storage_options: fsspec's, for uris that are not local paths.
    """

    def __init__(self, speech: SpeechSettings, storage_options: StorageOptions | None = None) -> None:
        self._speech = speech
        self._storage_options = storage_options
        self._last: tuple[object, Reading] = (None, Reading())

    def of(self, row: Mapping[str, Any], language: str | None) -> Reading:
        """The transcript of the video that a row is of. Neighbouring segments share one reading."""
        uri = row["transcript_uri"]
        if uri is None or row["transcript"] is not None:  # there is none, or its listing has refused it already
            return Reading(note=row["transcript"])
        key = (uri, row["transcript_size"], row["transcript_etag_or_mtime"], row["duration_ms"], language)
        if self._last[0] != key:
            self._last = (key, self._read(row, language))
        return self._last[1]

    def _read(self, row: Mapping[str, Any], language: str | None) -> Reading:
        uri = row["transcript_uri"]
        name = uri.rpartition("/")[2]
        planned = SourceVersion(row["transcript_size"], row["transcript_etag_or_mtime"])
        try:
            if source_version(uri, self._storage_options) != planned:
                return Reading(name=name, changed=True)
            script = read_script(uri, self._speech.max_transcript_bytes, self._storage_options)
            if source_version(uri, self._storage_options) != planned:
                return Reading(name=name, changed=True)
            cues = check(script, row["duration_ms"], language)
        except FileNotFoundError:
            return Reading(name=name, changed=True)
        except OSError as error:
            return Reading(note=f"not used: {name}: can't be read: {error.strerror or error}")
        except TranscriptError as error:
            return Reading(note=f"not used: {name}: {error.reason}")
        if not cues:
            return Reading(note=f"not used: {name}: it has no words within the video")
        return Reading(cues, script.language, None, name, script.remark)


def cues_in(cues: Sequence[Cue], chunk: Chunk) -> list[Cue]:
    """The cues of which some part lies in a chunk."""
    return [cue for cue in cues if cue.start_ms < chunk.end_ms and cue.end_ms > chunk.start_ms]


def letters_in(cues: Sequence[Cue], chunk: Chunk) -> float:
    """About how many letters of these cues are said in the chunk."""
    return sum(
        len(cue.text)
        * (min(cue.end_ms, chunk.end_ms) - max(cue.start_ms, chunk.start_ms))
        / (cue.end_ms - cue.start_ms)
        for cue in cues
    )


def part_of(cue: Cue, chunk: Chunk, language: str, before: tuple[int | None, int | None]) -> Part:
    """What a chunk has of a cue. `before`: how many words are said before its start and its end; None: guess it."""
    words = words_of(cue, language)
    middles = middles_ms(cue, words)
    first, last = (
        sum(middle < border for middle in middles) if known is None else known
        for known, border in zip(before, (chunk.start_ms, chunk.end_ms), strict=True)
    )
    start, end = max(cue.start_ms, chunk.start_ms), min(cue.end_ms, chunk.end_ms)
    return Part(start, end, tuple(words[first : max(first, last)]))
