"""Video decoded by a GPU's own decoder (NVDEC), through ffmpeg, without a change of a pixel.

Only codecs are decoded there whose standards say to the bit what comes out, so that it is the same whoever decodes.
Frames come back to ffmpeg as software's would, and all filters stay as they are. To scale them on the GPU as well
(-hwaccel_output_format cuda, scale_cuda) was left: its scaler knows no average over areas, so that labels would differ
by where they were made; and frames that stay on the GPU are not turned upright, and stop ffmpeg where it goes back to
software in mid-file, as it does by itself for what NVDEC can't do (10 bit H.264, 4:2:2). The price is the copying of
frames that nobody looks at: some 0.01 CPU-seconds for a second of 720p30, by calculation.
"""

import subprocess

from operators.ffmpeg import BINARY_VARIABLE
from operators.process import environment_without_secrets
from operators.settings import DecodeSettings

CODECS = frozenset({"av1", "h264", "hevc", "vp8", "vp9"})
"""By ffmpeg's names. MPEG-2 and MPEG-4 Part 2 leave the last bit of their transform to the decoder."""

CHECK_TIME_LIMIT_S = 60


class HardwareError(RuntimeError):
    """Decoding on a GPU was asked for, and can't be had; the message says why."""


def decodes(settings: DecodeSettings, codec: str | None) -> bool:
    """Whether video of that codec is to be decoded on the GPU."""
    return settings.hardware == "cuda" and codec in CODECS


def check_binary(binary: str) -> None:
    """Raises HardwareError unless that ffmpeg was built with CUDA. No GPU is needed to tell."""
    if "cuda" not in _run([binary, "-hide_banner", "-hwaccels"]).stdout.split():
        raise HardwareError(
            f"decode.hardware is cuda, but {binary} was built without it (`ffmpeg -hwaccels` does not list it). Unset "
            f"{BINARY_VARIABLE} to use the one that comes with FV2ES, or set decode.hardware to none."
        )


def check_device(binary: str) -> None:
    """Raises HardwareError unless ffmpeg gets hold of a GPU in this process's environment.

    ffmpeg itself would decode in software and only mention it: right, but not what was paid for.
    """
    device = ["-init_hw_device", "cuda=gpu", "-f", "lavfi", "-i", "nullsrc=s=64x64:d=0.1", "-f", "null", "-"]
    done = _run([binary, "-hide_banner", "-nostdin", "-loglevel", "error", *device])
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing"])[0]
        raise HardwareError(
            f"decode.hardware is cuda, but ffmpeg can't get hold of a GPU here; it says: {said}. Decoding wants "
            "NVIDIA's driver with its video part (NVIDIA_DRIVER_CAPABILITIES=compute,utility,video in containers), or "
            "decode.hardware=none."
        )


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=CHECK_TIME_LIMIT_S,
        env=environment_without_secrets(),
    )
