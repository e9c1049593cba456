"""The media that the zoo is bred from: a few seconds of a face, of speech, and of both."""

from pathlib import Path

from models.catalogue import locate
from tests.media import AAC, H264, ffmpeg

SECONDS = "3.7"  # of the sample of speech: "It was the best of times. It was the worst of times."


def make_sources(folder: Path) -> Path:
    """Write talk.mkv (H.264 and PCM, losslessly good to copy or encode again), talk.mp4, face.mkv and speech.wav."""
    face, speech = str(locate("sample-face")), str(locate("sample-speech"))
    ffmpeg("-ss", "1", "-t", SECONDS, "-i", speech, "-ac", "1", "-ar", "16000", folder / "speech.wav")
    scaled = ("-vf", "scale=352:288,setsar=1", "-r", "10")
    ffmpeg("-stream_loop", "-1", "-i", face, "-t", SECONDS, "-an", *scaled, *H264, folder / "face.mkv")
    both = ("-i", folder / "face.mkv", "-i", folder / "speech.wav")
    ffmpeg(*both, "-c", "copy", folder / "talk.mkv")
    ffmpeg(*both, "-c:v", "copy", *AAC, "-movflags", "+faststart", folder / "talk.mp4")
    ffmpeg(*both, "-c:v", "copy", *AAC, folder / "late.mp4")  # its index comes last
    ffmpeg(*both, "-c:v", "copy", *AAC, folder / "talk.ts")
    return folder
