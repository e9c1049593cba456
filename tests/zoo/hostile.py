"""Files that reach for others: playlists, lists, references inside containers. None of them may get there.

`{canary}` stands for the path of a good video outside the corpus, `{url}` for an address that must not be asked.
"""

import struct
from collections.abc import Callable
from pathlib import Path

from tests.media import ffmpeg
from tests.zoo.animal import Animal

CANARY, URL = "canary.mp4", "url.txt"
"""In the folder of sources: the video to be reached for, and the address."""

PLAYLIST = "a playlist, which points at other files"
FFCONCAT = "a list of other files (ffconcat)"
DASH = "a DASH manifest, which points at other files"

TEXTS = {
    "playlist to a file.mp4": ("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:5,\n{canary}\n#EXT-X-ENDLIST\n", PLAYLIST),
    "playlist to an address.ts": (
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:5,\n{url}/a.ts\n#EXT-X-ENDLIST\n",
        PLAYLIST,
    ),
    "playlist with a key.ts": ('#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{url}/key"\n#EXTINF:5,\n{canary}\n', PLAYLIST),
    "playlist with a map.mp4": ('#EXTM3U\n#EXT-X-MAP:URI="file:{canary}"\n#EXTINF:5,\n{url}/b.ts\n', PLAYLIST),
    "playlist with byte order mark.mp4": ("\ufeff#EXTM3U\n#EXTINF:5,\nfile:{canary}\n", PLAYLIST),
    "list.mp4": ("ffconcat version 1.0\nfile '{canary}'\n", FFCONCAT),
    "list of addresses.mkv": ("ffconcat version 1.0\nfile {url}/c.mp4\n", FFCONCAT),
    "manifest.mp4": (
        '<?xml version="1.0"?><MPD type="static"><Period><BaseURL>{url}/</BaseURL><AdaptationSet><Representation>'
        "<BaseURL>{canary}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        DASH,
    ),
    "session.mp4": ("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n", "(SDP)"),
    "smil.mp4": ('<smil><body><video src="{url}/d.mp4"/></body></smil>', "text"),
    "asx.wmv": ('<asx version="3.0"><entry><ref href="{url}/e.wmv"/></entry></asx>', "text"),
    "reference.wmv": ("[Reference]\nRef1={url}/f.asf\n", "text"),
    "avisynth.avi": ('DirectShowSource("{canary}")\n', "text"),
    "subtitles.mkv": ("1\n00:00:00,000 --> 00:00:09,000\n<img src='{url}/g.png'>{canary}\n", "text"),
    "images.mkv": ("{canary}%03d.png\n", "text"),
}


def text(template: str) -> Callable[[Path, Path], object]:
    """A text with the canary's path and the address put in."""

    def make(path: Path, sources: Path) -> None:
        address = (sources / URL).read_text()
        path.write_text(template.replace("{canary}", str(sources / CANARY)).replace("{url}", address), "utf-8")

    return make


def external_data(kind: bytes) -> Callable[[Path, Path], object]:
    """A QuickTime movie whose samples lie in another file (`alis`) or at an address (`url `)."""

    def make(path: Path, sources: Path) -> None:
        data = bytearray((sources / "late.mp4").read_bytes())
        target = (str(sources / CANARY) if kind == b"alis" else (sources / URL).read_text()).encode() + b"\0"
        # A `dref` whose one entry says "in this file" (flag 1) becomes one that names a target, flag 0.
        while (at := data.find(b"\0\0\0\x1cdref")) >= 0:
            entry = struct.pack(">I4sI", 12 + len(target), kind, 0) + target
            _replace(data, at, 28, struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry)
        # Nothing of the samples is left here.
        mdat = data.index(b"mdat") - 4
        (size,) = struct.unpack(">I", data[mdat : mdat + 4])
        path.write_bytes(data[:mdat] + data[mdat + size :])

    return make


def _replace(data: bytearray, at: int, length: int, new: bytes) -> None:
    """Put other bytes in place of `length`, and lengthen the boxes around them."""
    data[at : at + length] = new
    growth = len(new) - length
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        box = data.rfind(name, 0, at) - 4
        (size,) = struct.unpack(">I", data[box : box + 4])
        data[box : box + 4] = struct.pack(">I", size + growth)


def linked_segments(path: Path, sources: Path) -> None:
    """A Matroska file that says it goes on in the canary, by name and by unique id."""
    ffmpeg("-i", sources / "talk.mkv", "-c", "copy", "-metadata", f"title={sources / CANARY}", path)
    data = path.read_bytes()
    name = str(sources / CANARY).encode()
    # NextUID and NextFilename, put where the muxer has left a Void of enough room, or at the end of the file.
    links = (
        b"\x3e\xb9\x23\x90"
        + bytes(range(16))
        + b"\x3e\x83\xbb"
        + bytes([0x40 | len(name) >> 8, len(name) & 255])
        + name
    )
    path.write_bytes(data + links)


HOSTILE = [
    *(Animal(name, text(template), "unreadable", reason=reason) for name, (template, reason) in TEXTS.items()),
    Animal("data elsewhere.mov", external_data(b"alis"), "unreadable", reason="nothing could be decoded"),
    Animal("data at an address.mov", external_data(b"url "), "unreadable", reason="nothing could be decoded"),
    Animal("goes on elsewhere.mkv", linked_segments, "ok", "taf"),
]
