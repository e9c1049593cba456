"""Audio front end: mel spectrum of an utterance, cut into slices of 0.4 s and folded, as published or mended.

As published the power stays linear, over many orders of magnitude, and 4 of the 128 filters are empty, as the transform
is too short for them. The mended form takes logarithms, with mean 0 and deviation 1, of a longer transform.
"""

import functools

import numpy as np
import torch
from torch import Tensor
from torchaudio.transforms import MelSpectrogram

from models.log_mel import BANDS, GROUPS, HOP_SAMPLES, SLICE_FRAMES, WINDOW_SAMPLES, log_mel_slices
from models.whisper_states import PCM_RATE_HZ, to_float_pcm


def frame_count(samples: int) -> int:
    """Frames of the spectrum of so many samples at 16 kHz: one every 12.5 ms, the first at 0."""
    return samples // HOP_SAMPLES + 1


def slice_count(samples: int) -> int:
    """Slices of so many samples: S = ceil((floor(N / 200) + 1) / 32)."""
    return -(-frame_count(samples) // SLICE_FRAMES)


def mel_slices(pcm: np.ndarray, legacy: bool) -> tuple[Tensor, Tensor]:
    """Mono 16 kHz samples [N] -> slices float32 [S, 4, 32, 32] and uint8 [S], how many frames of each are real.

    Channel c of a slice holds the bands 32 c to 32 c + 31, its rows, over 32 frames of 12.5 ms, its columns. The last
    slice is filled up with zeros. No samples give no slice. Raises ValueError when `pcm` is no vector.
    """
    samples = to_float_pcm(pcm)
    if not len(samples):
        return torch.zeros(0, GROUPS, BANDS // GROUPS, SLICE_FRAMES), torch.zeros(0, dtype=torch.uint8)
    slices = power_slices(samples) if legacy else log_mel_slices(samples)
    valid = torch.full((len(slices),), SLICE_FRAMES, dtype=torch.uint8)
    valid[-1] = frame_count(len(samples)) - SLICE_FRAMES * (len(slices) - 1)
    return slices, valid


def power_slices(samples: np.ndarray) -> Tensor:
    """The published front end: float samples [N] -> linear mel power, [S, 4, 32, 32]."""
    shortest = WINDOW_SAMPLES // 2 + 1  # the window at 0 mirrors so many samples, and fails on fewer
    padded = np.pad(samples, (0, max(shortest - len(samples), 0)))
    power = _published_spectrum()(torch.from_numpy(padded))[:, : frame_count(len(samples))]
    power = torch.nn.functional.pad(power, (0, -power.shape[1] % SLICE_FRAMES))
    return power.view(GROUPS, BANDS // GROUPS, -1, SLICE_FRAMES).permute(2, 0, 1, 3).contiguous()


@functools.cache
def _published_spectrum() -> MelSpectrogram:
    """25 ms windows every 12.5 ms (torchaudio's own step is half a window), 128 bands on HTK's scale up to 8 kHz."""
    return MelSpectrogram(PCM_RATE_HZ, n_fft=WINDOW_SAMPLES, win_length=WINDOW_SAMPLES, n_mels=BANDS)
