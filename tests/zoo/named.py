"""Names that shells, ffmpeg and URLs read something into: each is the name of a file, and nothing else."""

from tests.zoo.animal import Animal
from tests.zoo.healthy import copied

NAMES = [
    "with spaces  and\ttab.wav",
    "quotes ' and \".wav",
    "new\nline.wav",
    "-i.wav",
    "-filter_complex.wav",
    "per%cent %d %03d %s.wav",
    "100%25.wav",
    "co:lon.wav",
    "http:.wav",
    "concat:a|b.wav",
    "pipe:0.wav",
    "data:audio,x.wav",
    "back\\slash.wav",
    "žluťoučký 馬 🎬.wav",
    "RTL \u202egpj.wav",
    "[live] {x} (y) *?.wav",
    "$(touch owned) `touch owned`;&.wav",
    "#hash ?query=1&x=2.wav",
    "~tilde.wav",
    "\x1b[2J\x1b]0;owned\x07.wav",
    "a::b.wav",
    "long " + "x" * 240 + ".wav",
]

NAMED = [Animal(name, copied("speech.wav"), "no_video", "ta") for name in NAMES]
