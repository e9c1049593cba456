"""Operator: sound -> utterances with their words and times, and windows where nobody speaks."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from operators.align import Aligner, TimedWord, in_order, load_aligners
from operators.asr import Recogniser, Transcript
from operators.attribute import Spoken, attribute, place
from operators.schema import FAILED, TRANSCRIBED, UTTERANCE
from operators.settings import SpeechSettings, WindowSettings
from operators.vad import Sound, SpeechCurve, hear, load_detector, near_ms
from operators.windows import Chunk, Window, chunks, gaps, utterances


@dataclass
class _Heard:
    """A chunk of one segment on its way: what was heard in it, and what was made of it."""

    row: int  # of the segment in the shard's table
    chunk: Chunk
    sound: Sound
    curve: SpeechCurve | None
    utterances: list[Window] = field(default_factory=list)
    spoken: list[Spoken] = field(default_factory=list)


class Transcribe:
    """The operator: a table of `schema.DECODED` -> the same rows as `schema.TRANSCRIBED`.

    Speech detection, cuts and windows are made segment by segment, speech recognition in batches over the whole shard.
    A failed segment passes untouched; one without sound gets windows without speech all over.

    Args:
        speech: models of speech.
        windows: how the time line is cut.
        asr: a folder with a CTranslate2 Whisper model, or the hub name of one.
        device: "cpu" or "cuda".
        cpu_threads: for the arithmetic on a CPU.

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
    ) -> None:
        self._speech = speech
        self._windows = windows
        self._recogniser = Recogniser(speech, asr, device, cpu_threads)
        self._aligners = load_aligners(speech, self._recogniser, device)
        self._detector = load_detector(speech, device)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Transcribe one shard."""
        started = time.monotonic()
        all_heard = [chunk for row in range(table.num_rows) for chunk in self._listen(table, row)]
        self._write_down([chunk for chunk in all_heard if chunk.utterances])
        rows: list[list[dict[str, Any]]] = [[] for _ in range(table.num_rows)]
        speech_ms = [0] * table.num_rows
        for heard in all_heard:
            found = [item.window for item in heard.spoken]
            without = gaps(found, heard.curve, heard.chunk, self._speech.vad_threshold, self._windows)
            both = [*heard.spoken, *(Spoken(window) for window in without)]
            rows[heard.row] += [to_row(item) for item in sorted(both, key=lambda item: item.window.start_ms)]
            speech_ms[heard.row] += sum(window.length_ms for window in found)
        # Nearly all the time goes into speech; what little the rest takes is shared alike.
        share = (np.array(speech_ms) + 1.0) / (sum(speech_ms) + max(1, table.num_rows))
        elapsed_s = share * (time.monotonic() - started)
        failed = np.array([status in FAILED for status in table["status"].to_pylist()], bool)
        columns = [
            pa.array([None if bad else made for bad, made in zip(failed, rows, strict=True)], pa.list_(UTTERANCE)),
            pa.array(speech_ms, pa.int64(), mask=failed),
            pa.array(elapsed_s, pa.float64(), mask=failed),
        ]
        return pa.table([*table.columns, *columns], schema=TRANSCRIBED)

    def _listen(self, table: pa.Table, row: int) -> list[_Heard]:
        """The chunks that a segment owns, and their utterances, without words yet."""
        segment = {name: table[name][row].as_py() for name in ("status", "start_ms", "end_ms", "duration_ms")}
        if segment["status"] in FAILED:
            return []
        start_ms, end_ms, duration_ms = segment["start_ms"], segment["end_ms"], segment["duration_ms"]
        sound = read_sound(table, row)
        curve = None
        if sound.samples.size:
            near = near_ms(self._windows)
            known = max(0, start_ms - near), min(end_ms + near, duration_ms)
            curve = hear(sound, *known, self._detector, self._windows)
        found = []
        for chunk in chunks(curve, start_ms, end_ms, duration_ms, self._windows):
            heard = _Heard(row, chunk, sound, curve)
            if curve is not None:
                heard.utterances = utterances(curve, chunk, self._speech.vad_threshold, self._windows)
            found.append(heard)
        return found

    def _write_down(self, chunks_with_speech: list[_Heard]) -> None:
        """Recognise and align the speech of all chunks of the shard; fills in `spoken`."""
        pieces = [
            (heard, group) for heard in chunks_with_speech for group in neighbours(heard.utterances, self._windows)
        ]
        sounds = [heard.sound.between_ms(group[0].start_ms, group[-1].end_ms) for heard, group in pieces]
        for (heard, group), transcript in zip(pieces, self._recogniser(sounds), strict=True):
            timed = time_words(self._aligners, heard.sound, group, transcript)
            heard.spoken += attribute(timed, group, transcript.language, self._windows)


def time_words(
    aligners: Sequence[Aligner], sound: Sound, group: Sequence[Window], transcript: Transcript
) -> list[TimedWord]:
    """The words of a transcript of neighbouring utterances with their times in the video.

    The first aligner is asked for all of it. Where it gets lost, the next places the words roughly, and the first is
    asked again for each utterance. Words stay without times where no aligner has an answer.
    """

    def ask(aligner: Aligner, windows: Sequence[Window], words: Sequence[str]) -> list[TimedWord] | None:
        start_ms, end_ms = windows[0].start_ms, windows[-1].end_ms
        found = aligner(sound.between_ms(start_ms, end_ms), words, transcript.language)
        return None if found is None else [word.shifted(start_ms) for word in in_order(found, end_ms - start_ms)]

    for aligner in aligners:
        timed = ask(aligner, group, transcript.words)
        if timed is None:
            continue
        if aligner is aligners[0] or len(group) == 1:
            return timed
        places, finer = place(timed, group), []
        for index, window in enumerate(group):
            mine = [word for word, at in zip(timed, places, strict=True) if at == index]
            finer += ask(aligners[0], [window], [word.word for word in mine]) or mine
        return finer
    return [TimedWord(word) for word in transcript.words]


def read_sound(table: pa.Table, row: int) -> Sound:
    """A segment's sound, not copied; empty without any."""
    pcm, start_ms = table["pcm"][row], table["pcm_start_ms"][row].as_py()
    buffer = pcm.as_buffer() if pcm.is_valid else b""
    return Sound(np.frombuffer(buffer, "<i2", count=len(buffer) // 2), start_ms or 0)


def neighbours(windows: list[Window], settings: WindowSettings) -> list[list[Window]]:
    """Utterances in groups with no silence longer than `min_gap_ms` inside: what is recognised in one piece."""
    groups: list[list[Window]] = []
    for window in windows:
        if groups and window.start_ms - groups[-1][-1].end_ms <= settings.min_gap_ms:
            groups[-1].append(window)
        else:
            groups.append([window])
    return groups


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
