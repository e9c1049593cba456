"""Export an output: a file a video, or one folder of all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipelines import questions
from pipelines.errors import JobError, SettingsError
from pipelines.export import elan, hub, praat, subtitles
from pipelines.export.names import file_names
from pipelines.export.tiers import tiers
from pipelines.tables import Tables

Form = Literal["srt", "vtt", "eaf", "textgrid", "hf"]
SUFFIXES = {"srt": ".srt", "vtt": ".vtt", "eaf": ".eaf", "textgrid": ".TextGrid"}


@dataclass(frozen=True)
class Exported:
    """What was written: files, with the video that each is of, or rows of a folder."""

    files: dict[str, str]
    rows: int


def export(tables: Tables, form: Form, to: Path, video: str | None = None) -> Exported:
    """Write into the folder `to`, which is made.

    Raises:
        SettingsError: there is no such video.
        JobError: it can't be written.
    """
    uris = [_uri(tables, video)] if video else _uris(tables)
    try:
        to.mkdir(parents=True, exist_ok=True)
        if form == "hf":
            return _folder(tables, to, uris if video else None)
        files, rows = {}, 0
        for uri, name in file_names(uris).items():
            about, _, labels = questions.video(tables, uri)
            path = to / f"{name}{SUFFIXES[form]}"
            path.write_bytes(_content(form, about, labels))
            files[path.name], rows = uri, rows + len(labels)
    except OSError as error:
        raise JobError(f"Can't write into {to}: {error.strerror or error}.") from error
    return Exported(files, rows)


def _content(form: Form, about: dict[str, Any], labels: list[dict[str, Any]]) -> bytes:
    if form == "eaf":
        return elan.eaf(tiers(labels), about["uri"])
    if form == "textgrid":
        return praat.textgrid(tiers(labels), about["duration_ms"]).encode("utf-8", "replace")
    return (subtitles.srt if form == "srt" else subtitles.vtt)(labels).encode("utf-8", "replace")


def _uri(tables: Tables, video: str) -> str:
    return str(questions.video(tables, video)[0]["uri"])


def _uris(tables: Tables) -> list[str]:
    """The videos that have labels."""
    found = tables.arrow("SELECT uri FROM videos WHERE utterances > 0 ORDER BY uri")["uri"].to_pylist()
    if not found:
        raise SettingsError(f"{tables.store.root}: nothing is labelled there yet.")
    return [str(uri) for uri in found]


def _folder(tables: Tables, to: Path, uris: list[str] | None) -> Exported:
    one = "" if uris is None else f"WHERE uri = '{uris[0].replace(chr(39), chr(39) * 2)}'"
    models = tables.arrow(f"SELECT DISTINCT model_id FROM labels {one} LIMIT 5")["model_id"].to_pylist()  # noqa: S608
    said = f"SELECT count(*) AS videos, coalesce(sum(duration_s), 0) / 3600 AS hours FROM videos {one}"  # noqa: S608
    about = tables.arrow(said).to_pylist()[0]
    about |= {"recipe": tables.partition.removeprefix("recipe="), "models": ", ".join(f"`{name}`" for name in models)}
    rows = tables.query(f"SELECT * EXCLUDE (start_s, end_s, duration_s) FROM labels {one}")  # noqa: S608
    return Exported({}, hub.write_folder(rows, to, about))
