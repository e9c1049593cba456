"""Log-mel slices: the paper's spectrum in logarithms (25 ms windows every 12.5 ms, 128 bands, folded 4 x 32 x 32)."""

import functools
import math

import numpy as np
import torch
from torch import Tensor

from models.whisper_states import PCM_RATE_HZ, normalise_loudness, to_float_pcm

WINDOW_SAMPLES = 400
HOP_SAMPLES = 200
FFT_SAMPLES = 1024  # the paper's 400 leaves four of the 128 filters without a single frequency
BANDS = 128
GROUPS = 4
SLICE_FRAMES = 32
SLICE_S = SLICE_FRAMES * HOP_SAMPLES / PCM_RATE_HZ  # 0.4 s


@functools.cache
def mel_filters() -> Tensor:
    """[128, 513] triangles, evenly spaced on HTK's mel scale from 0 to 8 kHz."""
    top_mel = 2595 * math.log10(1 + PCM_RATE_HZ / 2 / 700)
    edges_hz = 700 * (10 ** (torch.linspace(0, top_mel, BANDS + 2, dtype=torch.float64) / 2595) - 1)
    bins_hz = torch.linspace(0, PCM_RATE_HZ / 2, FFT_SAMPLES // 2 + 1, dtype=torch.float64)
    low, centre, high = (edges_hz[i : i + BANDS, None] for i in range(3))
    rising, falling = (bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre)
    return torch.minimum(rising, falling).clamp_min(0).float()


def log_mel_slices(pcm: np.ndarray) -> Tensor:
    """Mono 16 kHz samples [N] -> [S, 4, 32, 32], S = ceil((floor(N / 200) + 1) / 32); mean 0, deviation 1 overall."""
    samples = torch.from_numpy(normalise_loudness(to_float_pcm(pcm)))
    window = torch.hann_window(WINDOW_SAMPLES)
    pad = WINDOW_SAMPLES // 2
    frames = torch.nn.functional.pad(samples, (pad, pad)).unfold(0, WINDOW_SAMPLES, HOP_SAMPLES) * window
    power = torch.fft.rfft(frames, FFT_SAMPLES).abs().square()
    mel = torch.log10(mel_filters() @ power.T + 1e-6)
    mel = (mel - mel.mean()) / mel.std().clamp_min(1e-3)
    mel = torch.nn.functional.pad(mel, (0, -mel.shape[1] % SLICE_FRAMES))
    return mel.view(GROUPS, BANDS // GROUPS, -1, SLICE_FRAMES).permute(2, 0, 1, 3).contiguous()
