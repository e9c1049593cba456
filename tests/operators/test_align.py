"""Word times: how words are said, where aligners put them, and whose utterance they are in."""

import itertools
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.align import PocketSphinx, TimedWord, WhisperxAlign, in_order
from operators.asr import AsrError
from operators.attribute import attribute
from operators.ffmpeg import find_ffmpeg
from operators.pronounce import cardinal, letters_to_sounds, spoken
from operators.settings import SpeechSettings, WindowSettings
from operators.transcribe import time_words
from operators.vad import Sound
from operators.windows import Window

SETTINGS = WindowSettings()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("now.", "now"),
        ("don’t", "don't"),
        ("G2", "g. two"),
        ("1984", "nineteen eighty four"),
        ("2009.", "two thousand nine"),
        ("1905", "nineteen oh five"),
        ("20th,", "twentieth"),
        ("1,234", "one thousand two hundred thirty four"),
        ("$3.50", "three point five zero dollars"),
        ("90s", "nineties"),
        ("007", "zero zero seven"),
        ("BBC", "b. b. c."),
        ("U.S.", "u. s."),
        ("NASA", "nasa"),
        ("well-known", "well known"),
        ("café", "cafe"),
        ("100%", "one hundred percent"),
        ("—", ""),
        ("馬", ""),
    ],
)
def test_what_is_written_is_said(written: str, said: str) -> None:
    assert " ".join(spoken(written)) == said


@given(st.text(max_size=30))
def test_anything_written_can_be_said(written: str) -> None:
    assert all(word and set(word) <= set("abcdefghijklmnopqrstuvwxyz'.") for word in spoken(written))


@given(st.integers(0, 10**15 - 1))
def test_cardinals_are_words(value: int) -> None:
    assert cardinal(value)


def test_unknown_words_get_sounds() -> None:
    assert letters_to_sounds("hate") == "HH EY T"
    assert letters_to_sounds("gritty") == "G R IH T IY"
    assert letters_to_sounds("'") == "AH"


windows_drawn = st.lists(st.tuples(st.integers(0, 800), st.integers(200, 4000)), min_size=1, max_size=6).map(
    lambda parts: [
        Window(end - length, end, True)
        for (_, length), end in zip(parts, itertools.accumulate(gap + length for gap, length in parts), strict=True)
    ]
)


@given(windows_drawn, st.data())
def test_every_word_is_in_one_utterance_that_covers_it(windows: list[Window], data: st.DataObject) -> None:
    end_ms = windows[-1].end_ms
    marks = sorted(data.draw(st.lists(st.integers(windows[0].start_ms, end_ms), min_size=2, max_size=40)))
    words = [
        TimedWord(str(i), a, b) if a < b and data.draw(st.booleans()) else TimedWord(str(i))
        for i, (a, b) in enumerate(itertools.pairwise(marks))
    ]
    shared = attribute(words, windows, "en", SETTINGS)
    assert [word.word for item in shared for word in item.words] == [word.word for word in words]
    assert all(a.window.end_ms <= b.window.start_ms for a, b in itertools.pairwise(shared))
    assert shared[0].window.start_ms >= windows[0].start_ms
    assert shared[-1].window.end_ms <= end_ms
    last = 0
    for item, window in zip(shared, windows, strict=True):
        assert item.window.start_ms <= window.start_ms <= window.end_ms <= item.window.end_ms
        assert item.text == (" ".join(word.word for word in item.words) or None)
        for word in item.words:
            if word.start_ms is not None and word.end_ms is not None:
                assert last <= word.start_ms
                assert item.window.start_ms <= word.start_ms < word.end_ms <= item.window.end_ms
                last = word.end_ms


def test_words_without_times_are_shared_by_length() -> None:
    windows = [Window(0, 1000, True), Window(2000, 5000, True)]
    shared = attribute([TimedWord(word) for word in ("one", "two", "six", "ten")], windows, "en", SETTINGS)
    assert [item.text for item in shared] == ["one", "two six ten"]


def test_times_that_run_backwards_or_out_of_the_sound_are_dropped() -> None:
    words = [TimedWord("a", 0, 400), TimedWord("b", 100, 300), TimedWord("c", 350, 900), TimedWord("d", 1000, 1100)]
    assert in_order(words, 800) == [
        TimedWord("a", 0, 400),
        TimedWord("b"),
        TimedWord("c", 400, 800),
        TimedWord("d"),
    ]


class Scripted:
    """An aligner that gives up on more words than it can bear, and else spreads them evenly."""

    def __init__(self, bears: int, score: float) -> None:
        self.bears, self.score = bears, score

    def __call__(self, samples: np.ndarray, words: list[str], language: str) -> list[TimedWord] | None:
        if len(words) > self.bears:
            return None
        step = len(samples) // 16 // max(1, len(words))
        return [TimedWord(word, i * step, (i + 1) * step, self.score) for i, word in enumerate(words)]


def test_an_aligner_that_gets_lost_is_asked_again_for_each_utterance() -> None:
    sound = Sound(np.zeros(16 * 4000, np.int16), 0)
    group = [Window(0, 2000, True), Window(2000, 4000, True)]
    transcript = SimpleNamespace(words=["a", "b", "c", "d"], language="en")
    fine, rough = Scripted(bears=2, score=1.0), Scripted(bears=9, score=0.5)
    timed = time_words([fine, rough], sound, group, transcript)
    assert [(word.word, word.start_ms, word.score) for word in timed] == [
        ("a", 0, 1.0),
        ("b", 1000, 1.0),
        ("c", 2000, 1.0),
        ("d", 3000, 1.0),
    ]
    lost = time_words([Scripted(0, 1.0)], sound, group, transcript)
    assert lost == [TimedWord(word) for word in "abcd"]


def test_pocketsphinx_answers_for_english_only_and_not_for_noise() -> None:
    aligner = PocketSphinx()
    hiss = np.random.default_rng(0).normal(0, 0.01, 16_000).astype(np.float32)
    assert aligner(hiss, ["guten", "Tag"], "de") is None
    assert aligner(hiss, ["…"], "en") is None
    assert aligner(hiss[:320], "far too many words for twenty milliseconds".split(), "en") is None


def test_the_whisperx_aligner_says_what_to_do_without_its_model(no_network: None) -> None:
    settings = SpeechSettings(aligner="whisperx", align_model="/nowhere/wav2vec2")
    with pytest.raises(AsrError, match=r"no model for 'en' \(/nowhere/wav2vec2\).*choose the aligner pocketsphinx"):
        WhisperxAlign(settings, "cpu")


def test_the_whisperx_aligner_hands_back_whisperx_s_times(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    import whisperx
    import whisperx.alignment

    letters = "-|abcdefghijklmnopqrstuvwxyz"

    class Wav2Vec2(torch.nn.Module):
        """Hears "hi" in the second quarter of the sound and "you" in the last, a letter each 20 ms."""

        def forward(self, sound: torch.Tensor, lengths: object = None) -> tuple[torch.Tensor, None]:
            frames = sound.shape[-1] // 320
            heard = torch.full((1, frames, len(letters)), -9.0)
            heard[:, :, 0] = 0.0
            for at, letter in [(frames // 4, "h"), (frames // 4 + 1, "i"), (frames // 2, "|")] + [
                (frames * 3 // 4 + i, letter) for i, letter in enumerate("you")
            ]:
                heard[0, at, 0], heard[0, at, letters.index(letter)] = -9.0, 0.0
            return heard, None

    metadata = {"language": "en", "dictionary": {letter: i for i, letter in enumerate(letters)}, "type": "torchaudio"}
    monkeypatch.setattr(whisperx, "load_align_model", lambda *_: (Wav2Vec2(), metadata))
    splitter = SimpleNamespace(span_tokenize=lambda text: [(0, len(text))])
    monkeypatch.setattr(whisperx.alignment, "nltk_load", lambda _: splitter)
    aligner = WhisperxAlign(SpeechSettings(aligner="whisperx"), "cpu")
    timed = aligner(np.zeros(32_000, np.float32), ["Hi,", "you."], "en")
    assert timed is not None
    assert [word.word for word in timed] == ["Hi,", "you."]
    assert timed[0].start_ms == pytest.approx(500, abs=50)
    assert timed[1].start_ms == pytest.approx(1500, abs=50)
    assert all(word.score is not None and 0 < word.score <= 1 for word in timed)


SENTENCES = {  # of the demo's speech, by their times in ms
    (1120, 4740): "It was the best of times. It was the worst of times.",
    (4930, 6340): "It was the age of wisdom.",
    (6590, 8350): "It was the age of foolishness.",
    (8740, 10430): "It was the epoch of belief.",
    (10690, 12930): "It was the epoch of incredulity.",
    (13380, 14940): "It was the season of light.",
}


def test_what_was_aligned_before_does_not_tell_on_the_times(demo_corpus: Path) -> None:
    sound = read_sound(demo_corpus / "speech alone.flac")
    pieces = [(sound[a * 16 : b * 16], text.split()) for (a, b), text in SENTENCES.items()]
    alone = [PocketSphinx()(samples, words, "en") for samples, words in pieces]
    assert None not in alone
    aligner = PocketSphinx()
    assert [aligner(samples, words, "en") for samples, words in pieces] == alone
    assert [aligner(samples, words, "en") for samples, words in pieces[::-1]] == alone[::-1]


def read_sound(path: Path) -> np.ndarray:
    """The sound of a file as float32 samples at 16 kHz."""
    command = [find_ffmpeg(), "-v", "error", "-i", str(path), "-ac", "1", "-ar", "16000", "-f", "s16le", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, "<i2") / np.float32(32768)
