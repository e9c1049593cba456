"""Transcripts that lie beside a video: which one counts, and what it says. The files are hostile until read.

Bounded in size, cues, nesting and time; whatever is in one, nothing but `TranscriptError` comes of it.
"""

import codecs
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import fsspec

from operators.cues import Script, TranscriptError
from operators.sources import StorageOptions, as_os_errors, is_local
from operators.textgrid import read_textgrid
from operators.transcript_formats import read_iemocap, read_json, read_subtitles

READERS: dict[str, Callable[[str], Script]] = {
    ".textgrid": read_textgrid,
    ".srt": read_subtitles,
    ".vtt": read_subtitles,
    ".json": read_json,
    ".txt": read_iemocap,
}
"""By suffix, in order of precedence: first those that are nothing but transcripts."""

BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def is_transcript_name(name: str) -> bool:
    """Whether a file may be a transcript, by its name."""
    return PurePosixPath(name).suffix.lower() in READERS


def choose(video: str, names: Iterable[str], language: str | None) -> str | None:
    """The transcript of a video among the names in its folder; None where there is none.

    `clip.mp4` goes with `clip.srt`, or else with `clip.en.srt` where "en" (or "en-GB", "en_US") is the language asked
    for; any language will do where None is. Among several the order is that of `READERS`, then the names'.
    """
    stem = PurePosixPath(video).stem
    found = []
    for name in names:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix not in READERS or not name.startswith(f"{stem}."):
            continue
        tag = name[len(stem) + 1 : -len(suffix)].rstrip(".").lower()
        if not tag or _is_language(tag, language):
            found.append((bool(tag), list(READERS).index(suffix), name))
    return min(found)[2] if found else None


def _is_language(tag: str, language: str | None) -> bool:
    base, _, region = tag.replace("_", "-").partition("-")
    if not (base.isalpha() and 2 <= len(base) <= 3 and (not region or region.isalnum())):
        return False
    return language is None or base == language.lower()


def read_script(uri: str, max_bytes: int, storage_options: StorageOptions | None = None) -> Script:
    """Read a transcript; no more than `max_bytes` of it ever get into memory.

    Raises:
        TranscriptError: it can't be used, and why.
        OSError: the storage doesn't give it out.
    """
    if is_local(uri):
        if not Path(uri).is_file():  # a pipe or a device would never end
            raise TranscriptError("no regular file")
        with Path(uri).open("rb") as file:
            content = file.read(max_bytes + 1)
    else:
        with as_os_errors():
            filesystem, path = fsspec.core.url_to_fs(uri, **(storage_options or {}))
            content = filesystem.cat_file(path, start=0, end=max_bytes + 1)
    if len(content) > max_bytes:
        raise TranscriptError(f"larger than {max_bytes:,} bytes (speech.max_transcript_bytes)")
    return parse(PurePosixPath(uri).suffix, content)


def parse(suffix: str, content: bytes) -> Script:
    """The cues in the bytes of a transcript.

    Raises:
        TranscriptError: it can't be used, and why.
    """
    if not content.strip(b"\0 \t\r\n"):
        raise TranscriptError("empty")
    text, remark = decode(content)
    script = READERS[suffix.lower()](text)
    return replace(script, remark=remark)


def decode(content: bytes) -> tuple[str, str | None]:
    """The text of a file, and a remark where its encoding had to be guessed.

    UTF-8, or UTF-16 that says so by its byte order mark; else Latin-1, which fits any bytes.

    Raises:
        TranscriptError: it is no text.
    """
    encoding = next((name for bom, name in BOMS.items() if content.startswith(bom)), "utf-8")
    try:
        text, remark = content.decode(encoding), None
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise TranscriptError(f"its text is not valid {encoding.upper()}, though it says it is") from error
        text, remark = content.decode("latin-1"), "read as Latin-1, as it is not UTF-8"
    if "\0" in text:
        raise TranscriptError("it is no text: it holds zero bytes")
    return text, remark
