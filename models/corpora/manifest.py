"""The folder that trainings read: manifest.csv lists faces and speech of several corpora; text/ holds sentences.

It says who trains and who reports, so figures on its `report` part are of what no training has seen.
"""

from pathlib import Path

from models.corpora.item import Corpus, Item, Part
from models.corpora.layout import Layout
from models.emotions import EMOTIONS
from models.train import manifest, pictures, sounds
from models.train.sentences import Sentence, load_sentences

TEXTS = (
    *("text/meld/train_sent_emo.csv", "text/meld/dev_sent_emo.csv"),
    *("text/goemotions_ekman/labels.txt", "text/goemotions_ekman/train.tsv", "text/goemotions_ekman/dev.tsv"),
    "text/isear/isear.csv",
)
LAYOUT = Layout(
    "The corpora of the trainings",
    "RAVDESS, EMO-DB, URDU, FER2013, CK+48 and muxspace's faces as listed in one table, MELD, GoEmotions (in Ekman's "
    "classes) and ISEAR as text: it is put together from those corpora, each on its own terms.",
    """
    manifest.csv    columns path, dataset, modality, speaker, emotion, split
    faces/ speech/    the files that it lists
    text/meld/train_sent_emo.csv  dev_sent_emo.csv              optional: with text/, all three
    text/goemotions_ekman/labels.txt  train.tsv  dev.tsv
    text/isear/isear.csv
    """,
)


def read(folder: Path, part: Part) -> Corpus:
    """The parts of the trainings: fit, tune, report. There is no test part, and the split `test_av` is never read."""
    LAYOUT.require(folder, "manifest.csv")
    faces = manifest.list_manifest(folder, pictures.CORPORA, "face")
    voices = manifest.list_manifest(folder, sounds.CORPORA, "audio")
    lost = [_id(folder, file.path) for file in (*faces, *voices) if not file.path.is_file()]
    LAYOUT.require_none(folder, lost, len(faces) + len(voices), "files of manifest.csv are not there")
    if part == "test":
        return Corpus((), EMOTIONS)
    items = [_face(folder, part, file) for file in faces if pictures.part_of(file) == part]
    items += [_voice(folder, part, file) for file in voices if sounds.part_of(file) == part]
    if (folder / "text").is_dir():
        LAYOUT.require(folder, *TEXTS)
        items += [_words(part, sentence) for sentence in load_sentences(folder, part)]
    return Corpus(tuple(items), EMOTIONS)


def _id(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _face(folder: Path, part: Part, file: manifest.Item) -> Item:
    return Item(file.corpus, _id(folder, file.path), file.speaker, part, (file.label,), pictures=(file.path,))


def _voice(folder: Path, part: Part, file: manifest.Item) -> Item:
    return Item(file.corpus, _id(folder, file.path), file.speaker, part, (file.label,), sound=file.path)


def _words(part: Part, sentence: Sentence) -> Item:
    return Item(sentence.corpus, sentence.id, sentence.speaker, part, sentence.labels, text=sentence.text)
