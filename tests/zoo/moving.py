"""Files that change, hang or crash their decoder while they are labelled: a stand-in ffmpeg makes it happen."""

from pathlib import Path

from operators.ffmpeg import find_ffmpeg
from tests.zoo.animal import Animal
from tests.zoo.healthy import copied

SLEEP_S = "98765.4321"
"""How long a child of a decoder that hangs would live on; nobody else sleeps just so."""

STAND_IN = """#!/bin/sh
# The first decode of all takes one file away and makes another one grow.
if [ "$1" = -version ]; then exec '{ffmpeg}' -version; fi
if mkdir '{folder}/begun' 2>/dev/null; then rm '{corpus}/zz vanishes.mp4'; echo more >> '{corpus}/zz grows.mp4'; fi
case "$*" in
  *"zz hangs.mp4"*) sleep {sleep} & sleep {sleep} ;;
  *"zz crashes.mp4"*) kill -SEGV $$ ;;
  *"zz fails.mp4"*) echo '[error] out of sorts' >&2; exit 69 ;;
  *) exec '{ffmpeg}' "$@" ;;
esac
"""

MOVING = [
    Animal("zz vanishes.mp4", copied("talk.mp4"), "missing", reason="is gone now", retryable=True),
    Animal("zz grows.mp4", copied("talk.mp4"), "changed_during_run", reason="plan it anew", retryable=True),
    Animal("zz hangs.mp4", copied("talk.mp4"), "too_long_to_decode", reason="stopped at its time limit"),
    Animal("zz crashes.mp4", copied("talk.mp4"), "unreadable", reason="the decoder crashed (SIGSEGV)"),
    Animal("zz fails.mp4", copied("talk.mp4"), "unreadable", reason="out of sorts"),
]  # fmt: skip


def make_stand_in(folder: Path, corpus: Path) -> Path:
    """Write the stand-in for ffmpeg."""
    path = folder / "ffmpeg"
    path.write_text(STAND_IN.format(ffmpeg=find_ffmpeg(), folder=folder, corpus=corpus, sleep=SLEEP_S))
    path.chmod(0o755)
    return path
