"""Transcribing: what is said, when, and what becomes of segments in which nothing is."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from models.catalogue import locate
from operators.asr import AsrError, Recogniser, is_loop, regroup, split_words, window_samples, without_loops
from operators.schema import FAILED
from operators.settings import SpeechSettings, WindowSettings
from operators.transcribe import Transcribe
from tests.operators.transcribing import RATE, make, rows_of, sample_speech, silence, transcribe_rows

BEST_OF_TIMES = "it was the best of times it was the worst of times it was the age of wisdom"


def words_of(row: dict) -> list[dict]:
    return [word for utterance in row["utterances"] for word in utterance["words"]]


def plain(words: list[dict]) -> str:
    return " ".join(word["word"].strip(".,;:?!").lower() for word in words)


def check_times(row: dict) -> None:
    """Utterances and words are in order, disjoint, inside the video, and each covers what is in it."""
    utterances = row["utterances"]
    assert all(a["end_ms"] <= b["start_ms"] for a, b in itertools.pairwise(utterances))
    for utterance in utterances:
        assert 0 <= utterance["start_ms"] < utterance["end_ms"] <= row["duration_ms"]
        timed = [word for word in utterance["words"] if word["start_ms"] is not None]
        times = [utterance["start_ms"], *(t for word in timed for t in (word["start_ms"], word["end_ms"]))]
        assert times == sorted(times)
        assert times[-1] <= utterance["end_ms"]


def test_speech_becomes_utterances_with_words_and_times(no_network: None) -> None:
    (row,) = transcribe_rows(rows_of(sample_speech()[: 20 * RATE]))
    check_times(row)
    said = words_of(row)
    assert plain(said).startswith(BEST_OF_TIMES)
    assert all(utterance["speech"] and utterance["language"] == "en" for utterance in row["utterances"])
    assert all(u["text"] == " ".join(word["word"] for word in u["words"]) for u in row["utterances"])
    assert sum(word["start_ms"] is not None for word in said) >= 0.95 * len(said)
    assert row["speech_ms"] == sum(u["end_ms"] - u["start_ms"] for u in row["utterances"] if u["speech"])
    assert row["transcribe_s"] > 0


def test_words_move_with_the_sound() -> None:
    speech = sample_speech()[: 6 * RATE]
    early, late = transcribe_rows([*rows_of(speech), *rows_of(np.concatenate([silence(3.5), speech]))])
    assert plain(words_of(early)) == plain(words_of(late))
    moved = [b["start_ms"] - a["start_ms"] for a, b in zip(words_of(early), words_of(late), strict=True)]
    assert np.median(np.abs(np.array(moved) - 3_500)) <= 20


def test_silence_becomes_windows_without_speech() -> None:
    (row,) = transcribe_rows(rows_of(silence(9)))
    assert [(u["start_ms"], u["end_ms"]) for u in row["utterances"]] == [(0, 4500), (4500, 9000)]
    assert all(
        (u["speech"], u["text"], u["words"], u["language"]) == (False, None, [], None) for u in row["utterances"]
    )
    assert row["speech_ms"] == 0


@pytest.mark.parametrize("kind", ["hiss", "hum", "clicks", "chord"])
def test_no_words_are_heard_in_noise(kind: str) -> None:
    t = np.arange(8 * RATE) / RATE
    rng = np.random.default_rng(2)
    chord = sum(np.sin(2 * np.pi * f * t) * (0.6 + 0.4 * np.sin(3 * t)) for f in (220, 277, 330, 440))
    sound = {
        "hiss": rng.normal(0, 2000, len(t)),
        "hum": 8000 * np.sin(2 * np.pi * 50 * t),
        "clicks": 20_000.0 * (rng.random(len(t)) > 0.9995),
        "chord": 4000 * np.asarray(chord),
    }[kind]
    (row,) = transcribe_rows(rows_of(sound.astype(np.int16)))
    assert words_of(row) == []


def test_a_silence_in_speech_becomes_a_window_of_its_own() -> None:
    speech = sample_speech()[: 4 * RATE]
    (row,) = transcribe_rows(rows_of(np.concatenate([speech, silence(3), speech])))
    check_times(row)
    assert [u["speech"] for u in row["utterances"]].count(False) == 1
    assert {bool(u["words"]) for u in row["utterances"] if u["speech"]} == {True}


def test_a_segment_without_sound_is_covered_by_windows_without_speech() -> None:
    (row,) = transcribe_rows(rows_of(silence(7.3), pcm=None, pcm_start_ms=None, status="no_audio"))
    assert (row["utterances"][0]["start_ms"], row["utterances"][-1]["end_ms"]) == (0, 7300)
    assert not any(u["speech"] for u in row["utterances"])
    assert row["status"] == "no_audio"


@pytest.mark.parametrize("status", FAILED)
def test_a_failed_segment_passes_untouched(status: str) -> None:
    failed = rows_of(silence(3), status=status, reason="why", pcm=None, pcm_start_ms=None)
    good = rows_of(silence(3))
    before, after = transcribe_rows([*failed, *good])
    assert {name: before[name] for name in failed[0]} == failed[0]
    assert [before[name] for name in ("utterances", "speech_ms", "transcribe_s")] == [None] * 3
    assert after["utterances"]


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.3])
def test_next_to_nothing_is_no_error(seconds: float) -> None:
    rows = rows_of(silence(max(seconds, 0.002)))
    rows[0]["pcm"] = rows[0]["pcm"][: int(seconds * RATE) * 2]
    (row,) = transcribe_rows(rows)
    assert words_of(row) == []


def test_an_empty_shard_stays_empty() -> None:
    assert transcribe_rows([]) == []


def test_no_segment_depends_on_the_others_of_its_shard() -> None:
    speech = sample_speech()
    rows = [rows_of(speech[a * RATE : b * RATE])[0] for a, b in [(0, 3), (3, 9), (5, 7), (20, 24)]]
    together = transcribe_rows(rows)
    alone = [transcribe_rows([row])[0] for row in rows]
    assert [row["utterances"] for row in together] == [row["utterances"] for row in alone]


def test_without_an_aligner_words_have_no_times() -> None:
    (row,) = transcribe_rows(rows_of(sample_speech()[: 5 * RATE]), make(SpeechSettings(aligner="none")))
    assert plain(words_of(row)).startswith("it was the best of times")
    assert all(word["start_ms"] is None and word["end_ms"] is None for word in words_of(row))


def test_whisper_s_own_times_are_near_pocketsphinx_s() -> None:
    rows = rows_of(sample_speech()[: 6 * RATE])
    (row,), (exact,) = transcribe_rows(rows, make(SpeechSettings(aligner="whisper"))), transcribe_rows(rows)
    check_times(row)
    pairs = zip(words_of(row), words_of(exact), strict=True)
    apart = [abs(a["start_ms"] - b["start_ms"]) for a, b in pairs if None not in (a["start_ms"], b["start_ms"])]
    assert np.median(apart) <= 200
    assert all(0 <= word["score"] <= 1 for word in words_of(row))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match=r"is no speech model: a CTranslate2 Whisper folder"):
        Transcribe(SpeechSettings(), WindowSettings(), tmp_path)


def test_an_english_model_is_refused_for_other_languages() -> None:
    with pytest.raises(AsrError, match="knows English only, not 'de'"):
        make(SpeechSettings(language="de"))


def test_utterances_must_be_splittable() -> None:
    with pytest.raises(ValueError, match="long speech can't be split"):
        WindowSettings(min_utterance_ms=6_000)


def test_a_hub_model_that_cannot_be_had_is_named(no_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(AsrError, match="'no-such-model', which is looked for on the model hub"):
        Transcribe(SpeechSettings(), WindowSettings(), "no-such-model")


def test_loops_of_the_model_are_cut_and_repetition_by_people_is_not() -> None:
    looped = "so I said " + "and then we go " * 20
    assert is_loop(looped)
    assert without_loops(looped.split()) == "so I said and then we go".split()
    for said in ("No, no, no! It was the best of times, it was the worst of times.", "bye bye", "Bin blue by M0 now."):
        assert not is_loop(said)
        assert without_loops(said.split()) == said.split()


def test_windows_of_speech_recognition_depend_on_nothing_but_the_length() -> None:
    seconds = [window_samples(int(s * RATE)) / RATE for s in (0.5, 12, 12.1, 20, 26, 29.9)]
    assert seconds == [15, 15, 18, 24, 30, 30]


@pytest.mark.parametrize(("set_to", "at_once"), [(None, [2, 2, 1]), (1, [1] * 5), (8, [5])])
def test_so_many_pieces_are_recognised_at_once_with_the_same_words(
    set_to: int | None, at_once: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(SpeechSettings())  # or the test is skipped
    recogniser = Recogniser(SpeechSettings(batch_size=set_to), locate("whisper-tiny.en"), "cpu")
    model = recogniser._pipeline.model
    recognise = model.generate_segment_batched
    seen = []

    def noting(features: np.ndarray, *rest: object) -> object:
        seen.append(len(features))
        return recognise(features, *rest)

    monkeypatch.setattr(model, "generate_segment_batched", noting)
    speech = (sample_speech() / 32768).astype(np.float32)
    said = recogniser([speech[at * RATE : (at + 3) * RATE] for at in range(0, 15, 3)])
    assert seen == at_once
    assert plain([{"word": word} for piece in said for word in piece.words]).startswith("it was the best of times")
    alone = [recogniser([speech[at * RATE : (at + 3) * RATE]])[0] for at in range(0, 15, 3)]
    assert said == alone


def test_words_of_languages_without_spaces_are_characters() -> None:
    assert split_words("你好 吗", "zh") == ["你", "好", "吗"]
    assert split_words(" bin blue ", "en") == ["bin", "blue"]


def test_the_models_own_words_are_regrouped_into_ours() -> None:
    found = [(" well", 0.0, 0.2, 0.9), ("-", 0.2, 0.25, 0.5), ("known.", 0.25, 0.6, 0.7), (" U", 0.7, 0.9, 1.0)]
    timed = regroup(found, ["well-known.", "U"])
    assert [word[:2] for word in timed] == [(0, 600), (700, 900)]
    assert regroup(found, ["other"]) == []
