"""Files that are whole, in every container and form: all are labelled with what they have."""

from collections.abc import Callable
from pathlib import Path

from tests.media import AAC, H264, ffmpeg
from tests.zoo.animal import Animal

Maker = Callable[[Path, Path], object]


def encoded(*options: str, source: str = "talk.mkv") -> Maker:
    """Encode one of the sources."""
    return lambda path, sources: ffmpeg("-i", sources / source, "-threads", "1", *options, f"file:{path}")


def copied(source: str) -> Maker:
    """Copy one of the sources."""
    return lambda path, sources: path.write_bytes((sources / source).read_bytes())


def turned(degrees: int) -> Maker:
    """The picture is stored so that a player must turn it."""

    def make(path: Path, sources: Path) -> None:
        back = {90: "transpose=1", 180: "hflip,vflip", 270: "transpose=2"}[degrees]
        stored = path.with_suffix(".stored.mkv")
        ffmpeg("-i", sources / "talk.mkv", "-vf", back, *H264, "-c:a", "copy", stored)
        ffmpeg("-display_rotation", str(degrees), "-i", stored, "-c:v", "copy", *AAC, f"file:{path}")
        stored.unlink()

    return make


def picture(size: str, *options: str) -> Maker:
    """Pictures alone of the test pattern."""
    source = f"testsrc2=s={size}:r=2:d=1"
    return lambda path, sources: ffmpeg("-f", "lavfi", "-i", source, "-threads", "1", *options, path)


def many_tracks(count: int) -> Maker:
    """The talking head with so many sound tracks."""

    def make(path: Path, sources: Path) -> None:
        sounds = [option for _ in range(count) for option in ("-map", "0:a")]
        ffmpeg("-i", sources / "talk.mkv", "-map", "0:v", *sounds, "-c:v", "copy", "-c:a", "pcm_u8", "-t", "1", path)

    return make


def with_cover(path: Path, sources: Path) -> None:
    """Speech with a picture on its cover."""
    cover = path.with_name(f"{path.name}.jpg")
    ffmpeg("-i", sources / "face.mkv", "-frames:v", "1", cover)
    maps = ("-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic")
    ffmpeg("-i", sources / "speech.wav", "-i", cover, *maps, path)
    cover.unlink()


def with_negative_times(path: Path, sources: Path) -> None:
    """Everything begins at -2 s, as cutting tools leave it."""
    ffmpeg("-itsoffset", "-2", "-i", sources / "talk.mkv", "-c", "copy", "-avoid_negative_ts", "disabled", path)


def changing_size(path: Path, sources: Path) -> None:
    """The picture becomes larger in mid-stream."""
    larger = path.with_suffix(".larger.ts")
    ffmpeg("-i", sources / "talk.mkv", "-vf", "scale=704:576", *H264, *AAC, "-output_ts_offset", "3.7", larger)
    path.write_bytes((sources / "talk.ts").read_bytes() + larger.read_bytes())
    larger.unlink()


TALK = [
    ("talk.mp4", copied("talk.mp4")),
    ("index last.mp4", copied("late.mp4")),
    ("talk.mkv", copied("talk.mkv")),
    ("talk.ts", copied("talk.ts")),
    ("talk.mov", encoded("-c:v", "prores", "-c:a", "pcm_s16be")),
    ("talk.webm", encoded("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus")),
    ("talk.avi", encoded("-c:v", "mpeg4", "-q:v", "3", "-c:a", "libmp3lame")),
    ("talk.flv", encoded("-c:v", "flv", "-q:v", "3", "-c:a", "libmp3lame", "-ar", "44100")),
    ("talk.mpg", encoded("-c:v", "mpeg2video", "-r", "25", "-q:v", "3", "-c:a", "mp2")),
    ("talk.wmv", encoded("-c:v", "wmv2", "-q:v", "3", "-c:a", "wmav2")),
    ("talk.ogv", encoded("-c:v", "libtheora", "-q:v", "8", "-c:a", "libvorbis")),
    ("talk.3gp", encoded("-c:v", "h263", "-q:v", "3", "-c:a", "aac")),
    ("talk.mxf", encoded("-c:v", "mpeg2video", "-r", "25", "-q:v", "3", "-c:a", "pcm_s16le", "-ar", "48000")),
    ("fragmented.mp4", encoded("-c:v", "copy", *AAC, "-movflags", "frag_keyframe+empty_moov")),
    ("hdr 10 bit.mkv", encoded("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-preset", "ultrafast", "-r", "5",
                               "-c:a", "copy", "-x265-params", "log-level=error:colorprim=bt2020:transfer=smpte2084")),
    ("turned 90.mp4", turned(90)),
    ("turned 180.mp4", turned(180)),
    ("turned 270.mp4", turned(270)),
    ("7.1.mkv", encoded("-c:v", "copy", "-c:a", "flac", "-ac", "8")),
    ("variable rate.mkv", encoded("-vf", "select='not(mod(n,3))+lt(n,9)'", "-fps_mode", "vfr", *H264, "-c:a", "copy")),
    ("starts at 20 min.ts", encoded("-c:v", "copy", *AAC, "-output_ts_offset", "1200")),
    ("negative times.mkv", with_negative_times),
    ("100 sound tracks.mkv", many_tracks(100)),
    ("changing size.ts", changing_size),
]  # fmt: skip

SPEECH = [
    ("speech.wav", copied("speech.wav")),
    ("speech.flac", encoded("-c:a", "flac", source="speech.wav")),
    ("speech.mp3", encoded("-c:a", "libmp3lame", source="speech.wav")),
    ("speech.m4a", encoded(*AAC, source="speech.wav")),
    ("speech.opus", encoded("-c:a", "libopus", source="speech.wav")),
    ("speech.ogg", encoded("-c:a", "libvorbis", source="speech.wav")),
    ("speech.aac", encoded(*AAC, source="speech.wav")),
    ("speech.aiff", encoded("-c:a", "pcm_s16be", source="speech.wav")),
    ("speech.wma", encoded("-c:a", "wmav2", source="speech.wav")),
    ("8 kHz.wav", encoded("-ar", "8000", "-c:a", "pcm_alaw", source="speech.wav")),
    ("96 kHz.flac", encoded("-ar", "96000", source="speech.wav")),
    ("cover.mp3", with_cover),
    ("cover.m4a", with_cover),
]

SIGHT = [
    ("silent.mp4", encoded("-an", "-c:v", "copy")),
    ("face.gif", encoded("-an", "-vf", "scale=176:-1", "-r", "2")),
]

HEALTHY = [
    *(Animal(name, make, "ok", "taf") for name, make in TALK),
    *(Animal(name, make, "no_video", "ta") for name, make in SPEECH),
    Animal("silent.mp4", encoded("-an", "-c:v", "copy"), "no_audio", "f"),
    Animal("hush.mp4", encoded("-af", "volume=0", "-c:v", "copy", *AAC), "no_speech", "f"),
    Animal("odd size.mkv", picture("97x33", "-c:v", "ffv1"), "no_audio"),
    Animal("2x2.mkv", picture("2x2", "-c:v", "ffv1"), "no_audio"),
    Animal("4K.mkv", picture("3840x2160", "-c:v", "mjpeg", "-q:v", "20"), "no_audio"),
    Animal("one frame.mp4", encoded("-an", "-frames:v", "1", "-c:v", "copy"), "no_audio"),
    Animal("no face.mp4", encoded("-filter_complex", "[0:v]drawbox=t=fill:c=black", *H264, *AAC), "no_face", "ta"),
]
