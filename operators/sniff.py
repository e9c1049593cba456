"""Say what a file that is no media holds, from its first bytes, for the reason in a report."""

from typing import BinaryIO

MAGIC = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"\x1f\x8b": "gzip-compressed data",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"\x7fELF": "a program",
    b"MZ": "a program",
}

PLAYLISTS = {
    "#EXTM3U": "a playlist, which points at other files",
    "ffconcat": "a list of other files (ffconcat)",
    "<MPD": "a DASH manifest, which points at other files",
    "v=0": "a session description (SDP)",
    "<html": "a web page",
    "<!doctype html": "a web page",
}

MP4_BOXES = frozenset((b"ftyp", b"styp", b"mdat", b"moov", b"moof", b"free", b"skip", b"wide", b"pnot", b"uuid"))


def describe_content(head: bytes) -> str | None:
    """Return "text", "a PNG image" and so on for the first few kilobytes of a file; None where they say nothing."""
    for magic, name in MAGIC.items():
        if head.startswith(magic):
            return name
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "a WebP image"
    if head and not any(head):
        return "zeros"
    if not _is_text(head):
        return None
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n").lower()
    for beginning, name in PLAYLISTS.items():
        if text.startswith(beginning.lower()) or (beginning == "<MPD" and "<mpd" in text):
            return name
    return "text"


def _is_text(head: bytes) -> bool:
    """Whether bytes are UTF-8 without control characters; the last character may be cut."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    text = text.removeprefix("\ufeff")
    return bool(text) and all(char.isprintable() or char in "\t\r\n\f" for char in text)


def mp4_lacks_index(file: BinaryIO, size: int) -> bool:
    """Whether a file of the MP4 family ends before its index (the `moov` box) does.

    Walks the top level of boxes: four bytes of size (0: to the end; 1: eight more bytes of size follow), four of type.
    """
    position = 0
    while position + 8 <= size:
        file.seek(position)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if kind not in MP4_BOXES:
            return position > 0
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        end = size if length == 0 else position + max(length, 8)
        if kind == b"moov":
            return end > size
        position = end
    return position > 0
