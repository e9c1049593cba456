"""Files that are no media, or media no more: what can be saved of them is labelled, the rest has a reason."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.media import H264, ffmpeg
from tests.zoo.animal import Animal
from tests.zoo.healthy import many_tracks, picture

Maker = Callable[[Path, Path], object]

INDEX_IS_MISSING = "truncated: the index (moov atom) is missing"
FTYP = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2"
NOT_DECODABLE = "its tracks are damaged, or of a kind that can't be decoded"
DAMAGED = "not a media file, or its beginning is damaged"


def content(data: bytes) -> Maker:
    """These bytes."""
    return lambda path, sources: path.write_bytes(data)


def cut(source: str, share: float) -> Maker:
    """The first part of one of the sources."""

    def make(path: Path, sources: Path) -> None:
        whole = (sources / source).read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])

    return make


def cut_in_index(path: Path, sources: Path) -> None:
    """The last part of the index is missing."""
    whole = (sources / "late.mp4").read_bytes()
    path.write_bytes(whole[: whole.index(b"moov") + 500])


def overwritten(source: str, start: float, end: float) -> Maker:
    """One of the sources with noise in this stretch of it."""

    def make(path: Path, sources: Path) -> None:
        data = bytearray((sources / source).read_bytes())
        first, last = int(len(data) * start), int(len(data) * end)
        data[first:last] = noise(last - first)
        path.write_bytes(data)

    return make


def changed(source: str, find: bytes, put: bytes, offset: int = 0) -> Maker:
    """One of the sources with bytes changed, `offset` after where they are found."""

    def make(path: Path, sources: Path) -> None:
        data = bytearray((sources / source).read_bytes())
        at = data.index(find) + offset
        data[at : at + len(put)] = put
        path.write_bytes(data)

    return make


def noise(size: int) -> bytes:
    """What encrypted data look like."""
    return np.random.default_rng(0).bytes(size)


def a_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("clip.mp4", b"0" * 100)
    return file.getvalue()


def image(suffix: str, frames: int = 1) -> Maker:
    """A picture, or a moving one, under another name."""

    def make(path: Path, sources: Path) -> None:
        real = path.with_suffix(suffix)
        ffmpeg("-i", sources / "face.mkv", "-an", "-frames:v", str(frames), real)
        real.replace(path)

    return make


def floats(bad: float) -> Maker:
    """Speech in floating point with a value in it that is no number."""

    def make(path: Path, sources: Path) -> None:
        ffmpeg("-i", sources / "speech.wav", "-c:a", "pcm_f32le", path)
        data = bytearray(path.read_bytes())
        middle = len(data) // 8 * 4
        data[middle : middle + 400] = np.full(100, bad, "<f4").tobytes()
        path.write_bytes(data)

    return make


def subtitles_only(path: Path, sources: Path) -> None:
    text = path.with_suffix(".text.srt")
    text.write_text("1\n00:00:00,000 --> 00:00:02,000\nHello\n")
    ffmpeg("-i", text, "-c", "copy", path)
    text.unlink()


def without_frames(*sound: str) -> Maker:
    """A video track that is announced and holds nothing."""
    return lambda path, sources: ffmpeg(
        "-i", sources / "talk.mkv", "-c:v", "copy", "-bsf:v", "noise=drop=1", *sound, path
    )


def huge_pictures(path: Path, sources: Path) -> None:
    """A few bytes of pictures that say they are of 3.6 gigapixels."""
    picture("96x64", "-c:v", "rawvideo")(path, sources)
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 12
    data[at : at + 8] = struct.pack("<ii", 60_000, 60_000)
    path.write_bytes(data)


def compressed_index(path: Path, sources: Path) -> None:
    """A QuickTime index of a few kilobytes that says it unpacks to four gigabytes."""
    packed = zlib.compress(bytes(1 << 24))
    inner = box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", (1 << 32) - 16) + packed)
    path.write_bytes(FTYP + box(b"moov", box(b"cmov", inner)))


def box(kind: bytes, content: bytes) -> bytes:
    """A box of the MP4 family."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def grows_huge(path: Path, sources: Path) -> None:
    """In mid-stream the pictures come to be of 12 megapixels, of which the header knows nothing."""
    huge = path.with_suffix(".huge.ts")
    frames = ("-f", "lavfi", "-i", "color=s=4000x3000", "-frames:v", "1", *H264, "-output_ts_offset", "3.7")
    ffmpeg(*frames, huge)
    path.write_bytes((sources / "talk.ts").read_bytes() + huge.read_bytes())
    huge.unlink()


def days_apart(path: Path, sources: Path) -> None:
    ffmpeg("-i", sources / "face.mkv", "-vf", "setpts=PTS+gt(N\\,20)*1e6/TB", "-fps_mode", "passthrough", path)


BROKEN = [
    Animal("zero bytes.mp4", content(b""), "unreadable", reason="empty file (0 bytes)"),
    Animal("text.mp4", content(b"Dear diary, nothing moved today.\n"), "unreadable", reason="the content is text"),
    Animal("archive.mp4", content(a_zip()), "unreadable", reason="a ZIP archive"),
    Animal("paper.mp4", content(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), "unreadable", reason="a PDF document"),
    Animal("page.mp4", content(b"<!DOCTYPE html><html>404</html>"), "unreadable", reason="a web page"),
    Animal("program.mkv", content(b"\x7fELF" + bytes(200)), "unreadable", reason="a program"),
    Animal("zeros.mp4", content(bytes(100_000)), "unreadable", reason="the content is zeros"),
    Animal("noise.mp4", content(noise(100_000)), "unreadable", reason=DAMAGED),
    Animal("noise.mkv", content(noise(100_000)), "unreadable", reason=DAMAGED),
    Animal("encrypted.mp4", content(FTYP + noise(50_000)), "unreadable", reason="truncated"),
    Animal("still.mp4", image(".png"), "unreadable", reason="a PNG image"),
    Animal("photo.mp4", image(".jpg"), "unreadable", reason="a JPEG image"),
    Animal("moving.mp4", image(".gif", 10), "unreadable", reason="a GIF image"),
    Animal("moving web.mp4", image(".webp", 10), "unreadable", reason="a WebP image"),
    Animal("cut at 5%.mp4", cut("talk.mp4", 0.05), "unreadable", reason="nothing could be decoded"),
    Animal("cut at 60%.mp4", cut("talk.mp4", 0.6), "ok", "taf", reason="decoded in part: the media end at"),
    Animal("cut before its index.mp4", cut("late.mp4", 0.9), "unreadable", reason=INDEX_IS_MISSING),
    Animal("cut in its index.mp4", cut_in_index, "unreadable", reason=INDEX_IS_MISSING),
    Animal("cut in its header.mp4", cut("talk.mp4", 0.0005), "unreadable", reason=INDEX_IS_MISSING),
    Animal("cut at 60%.mkv", cut("talk.mkv", 0.6), "ok", "taf", reason="decoded in part: the media end at"),
    Animal("cut at 60%.ts", cut("talk.ts", 0.6), "ok", "taf"),
    Animal("cut in its header.wav", content(b"RIFF\x24\0\0\0WAVEfm"), "unreadable", reason=DAMAGED),
    Animal("no index.mp4", changed("late.mp4", b"moov", b"mo0v"), "unreadable", reason=INDEX_IS_MISSING),
    Animal("bad index.mp4", overwritten("talk.mp4", 0.001, 0.01), "unreadable", reason="no audio and no video track"),
    Animal("garbage in the middle.mp4", overwritten("talk.mp4", 0.4, 0.45), "ok", "taf", reason="damaged in places"),
    Animal("garbage in the middle.ts", overwritten("talk.ts", 0.4, 0.45), "ok", "taf", reason="damaged in places"),
    Animal("garbage in the middle.mkv", overwritten("talk.mkv", 0.4, 0.45), "ok", "taf", reason="decoded in part"),
    Animal("promises 1000 hours.mp4", changed("talk.mp4", b"mvhd", b"\xd6\x93\xa4\x00", 20), "ok", "taf"),
    Animal("days apart.mkv", days_apart, "unreadable", reason="damaged, or too long: its time stamps span 278 hours"),
    Animal("huge pictures.avi", huge_pictures, "unreadable", reason=NOT_DECODABLE),
    Animal("bomb of pictures.mkv", picture("4000x3000", "-frames:v", "1", "-c:v", "mjpeg"), "unreadable",
           reason="its pictures of 4000x3000 pixels are more than limits.max_pixels allows"),
    Animal("grows huge.ts", grows_huge, "ok", "taf", reason="its pictures become more than limits.max_pixels allows"),
    Animal("compressed index.mov", compressed_index, "unreadable", reason=DAMAGED),
    Animal("300 tracks.mkv", many_tracks(300), "unreadable", reason="it has 301 tracks; 256 are read at most"),
    Animal("subtitles only.mkv", subtitles_only, "unreadable", reason="no audio and no video track"),
    Animal("no frames.mkv", without_frames("-an"), "unreadable", reason=DAMAGED),
    Animal("speech without frames.mkv", without_frames("-c:a", "copy"), "no_video", "ta", reason="damaged in places"),
    Animal("not a number.wav", floats(float("nan")), "no_video", "ta"),
    Animal("infinite.wav", floats(float("inf")), "no_video", "ta"),
]  # fmt: skip
