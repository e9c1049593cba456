"""Operator: sound -> utterances with their words and times, and windows where nobody speaks."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from operators.align import load_aligners
from operators.asr import Recogniser
from operators.attribute import Spoken, attribute
from operators.schema import DECODED, FAILED, TRANSCRIBED, UTTERANCE
from operators.scripted import Scripted
from operators.scripts import Reading, Scripts
from operators.settings import SpeechSettings, WindowSettings
from operators.sources import StorageOptions
from operators.timing import time_words
from operators.vad import Sound, SpeechCurve, hear, load_detector, near_ms
from operators.windows import Chunk, chunks, gaps, in_windows, neighbours, speech_in

SEGMENT_COLUMNS = (
    "start_ms end_ms duration_ms status reason retryable "
    "transcript_uri transcript_size transcript_etag_or_mtime transcript"
).split()


@dataclass
class _Heard:
    """A chunk of one segment on its way: what was heard in it, and what was made of it."""

    row: int  # of the segment in the shard's table
    chunk: Chunk
    sound: Sound
    curve: SpeechCurve | None
    speech: list[tuple[int, int]] = field(default_factory=list)
    spoken: list[Spoken] = field(default_factory=list)
    scripted: bool | None = None  # whether a transcript fits; None where none is, or nobody speaks


class Transcribe:
    """The operator: a table of `schema.DECODED` -> the same rows as `schema.TRANSCRIBED`.

    Speech detection, cuts and windows are made segment by segment, speech recognition in batches over the whole shard.
    Where a transcript beside the video fits the sound, its words are taken and nothing is recognised. A failed segment
    passes untouched; one without sound gets windows without speech all over.

    Args:
        speech: models of speech.
        windows: how the time line is cut.
        asr: a folder with a CTranslate2 Whisper model, or the hub name of one.
        device: "cpu" or "cuda".
        cpu_threads: for the arithmetic on a CPU.
        storage_options: fsspec's, for transcripts that are not local paths.

    Raises:
        AsrError: A model can't be had.
    """

    def __init__(
        self,
        speech: SpeechSettings,
        windows: WindowSettings,
        asr: Path | str,
        device: str = "cpu",
        cpu_threads: int = 1,
        storage_options: StorageOptions | None = None,
    ) -> None:
        self._speech = speech
        self._windows = windows
        self._recogniser = Recogniser(speech, asr, device, cpu_threads)
        self._aligners = load_aligners(speech, self._recogniser, device)
        self._scripts = Scripts(speech, storage_options)
        self._scripted = Scripted(self._recogniser, self._aligners, windows)
        self._detector = load_detector(speech, device)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Transcribe one shard."""
        started = time.monotonic()
        segments = table.select(SEGMENT_COLUMNS).to_pylist()
        readings = [self._reading(segment) for segment in segments]
        for segment, reading in zip(segments, readings, strict=True):
            if reading.changed:
                reason = f"its transcript {reading.name} has changed since the run was planned"
                segment |= {"status": "changed_during_run", "retryable": True}
                segment |= {"reason": f"{reason}; the next run will plan it anew"}
        all_heard = [
            heard
            for row, segment in enumerate(segments)
            if segment["status"] not in FAILED
            for heard in self._listen(row, segment, read_sound(table, row), readings[row])
        ]
        self._recognise([heard for heard in all_heard if heard.speech and not heard.scripted])
        rows: list[list[dict[str, Any]]] = [[] for _ in segments]
        speech_ms = [0] * len(segments)
        for heard in all_heard:
            found = [item.window for item in heard.spoken]
            without = gaps(found, heard.curve, heard.chunk, self._speech.vad_threshold, self._windows)
            both = [*heard.spoken, *(Spoken(window) for window in without)]
            rows[heard.row] += [to_row(item) for item in sorted(both, key=lambda item: item.window.start_ms)]
            speech_ms[heard.row] += sum(window.length_ms for window in found)
        for row, segment in enumerate(segments):
            of_row = [heard for heard in all_heard if heard.row == row]
            fitting, amiss = (sum(heard.scripted is fits for heard in of_row) for fits in (True, False))
            segment["transcript"] = readings[row].noted(fitting, amiss)
        # Nearly all the time goes into speech; what little the rest takes is shared alike.
        share = (np.array(speech_ms) + 1.0) / (sum(speech_ms) + max(1, table.num_rows))
        elapsed_s = share * (time.monotonic() - started)
        failed = np.array([segment["status"] in FAILED for segment in segments], bool)
        for name in ("status", "reason", "retryable", "transcript"):
            column = pa.array([segment[name] for segment in segments], DECODED.field(name).type)
            table = table.set_column(table.schema.get_field_index(name), DECODED.field(name), column)
        columns = [
            pa.array([None if bad else made for bad, made in zip(failed, rows, strict=True)], pa.list_(UTTERANCE)),
            pa.array(speech_ms, pa.int64(), mask=failed),
            pa.array(elapsed_s, pa.float64(), mask=failed),
        ]
        return pa.table([*table.columns, *columns], schema=TRANSCRIBED)

    def _reading(self, segment: dict[str, Any]) -> Reading:
        """The transcript of a segment's video, if there is one and a use for it."""
        if segment["status"] in FAILED:
            return Reading(note=segment["transcript"])
        return self._scripts.of(segment, self._recogniser.language)

    def _listen(self, row: int, segment: dict[str, Any], sound: Sound, reading: Reading) -> list[_Heard]:
        """The chunks that a segment owns, with their speech, and with its words where a transcript has them."""
        start_ms, end_ms, duration_ms = segment["start_ms"], segment["end_ms"], segment["duration_ms"]
        curve = None
        if sound.samples.size:
            near = near_ms(self._windows)
            known = max(0, start_ms - near), min(end_ms + near, duration_ms)
            curve = hear(sound, known, duration_ms, self._detector, self._windows)
        cues = [(cue.start_ms, cue.end_ms) for cue in reading.cues]
        found = []
        for chunk in chunks(curve, start_ms, end_ms, duration_ms, self._windows, cues):
            heard = _Heard(row, chunk, sound, curve)
            if curve is not None:
                heard.speech = speech_in(curve, chunk, self._speech.vad_threshold, self._windows)
            if curve is not None and heard.speech and reading.cues:
                spoken = self._scripted(reading, sound, curve, chunk, heard.speech)
                heard.scripted, heard.spoken = spoken is not None, spoken or []
            found.append(heard)
        return found

    def _recognise(self, all_heard: list[_Heard]) -> None:
        """Recognise and align the speech of all chunks of the shard that no transcript has; fills in `spoken`."""
        pieces = []
        for heard in all_heard:
            assert heard.curve is not None  # noqa: S101  # there is speech in it
            found = in_windows(heard.curve, heard.speech, heard.chunk, self._windows)
            pieces += [(heard, group) for group in neighbours(found, self._windows)]
        sounds = [heard.sound.between_ms(group[0].start_ms, group[-1].end_ms) for heard, group in pieces]
        for (heard, group), transcript in zip(pieces, self._recogniser(sounds), strict=True):
            timed = time_words(self._aligners, heard.sound, group, transcript)
            heard.spoken += attribute(timed, group, transcript.language, self._windows)


def read_sound(table: pa.Table, row: int) -> Sound:
    """A segment's sound, not copied; empty without any."""
    pcm, start_ms = table["pcm"][row], table["pcm_start_ms"][row].as_py()
    buffer = pcm.as_buffer() if pcm.is_valid else b""
    return Sound(np.frombuffer(buffer, "<i2", count=len(buffer) // 2), start_ms or 0)


def to_row(spoken: Spoken) -> dict[str, Any]:
    """A struct of `schema.UTTERANCE`."""
    window = spoken.window
    return {
        "start_ms": window.start_ms,
        "end_ms": window.end_ms,
        "speech": window.speech,
        "text": spoken.text,
        "language": spoken.language,
        "words": [vars(word) for word in spoken.words],
    }
