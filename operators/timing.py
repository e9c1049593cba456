"""When the words of neighbouring utterances are said: the aligners one after the other, until one has an answer."""

from collections.abc import Sequence

from operators.align import Aligner, TimedWord, in_order
from operators.asr import Transcript
from operators.attribute import place
from operators.vad import Sound
from operators.windows import Window


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
