"""Front end of the voice branch: states inside the encoder of the Whisper model that transcription uses anyway.

Clips are not padded to Whisper's 30 s, which costs ten times as much, but to the next half second, with silence: what a
clip is encoded to depends on the clip alone, and clips of the same padded length are encoded together.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import ctranslate2
import numpy as np
import torch
from faster_whisper.feature_extractor import FeatureExtractor

from models.batches import Shapes, rows_of
from models.device import Execution, as_execution, device_and_index
from models.runner import Recorder, Runner
from models.whisper_encoder import read_encoder

PCM_RATE_HZ = 16_000
HOP_SAMPLES = 160  # of the log-mel spectrum
STATE_SAMPLES = 2 * HOP_SAMPLES  # the encoder's first convolution halves the rate: 50 states a second
STATE_RATE_HZ = PCM_RATE_HZ // STATE_SAMPLES
PAIR_RATE_HZ = STATE_RATE_HZ // 2
PIECE_SAMPLES = 10 * PCM_RATE_HZ  # longer clips are encoded in pieces
QUANTUM_SAMPLES = PCM_RATE_HZ // 2
TARGET_RMS = 0.05  # -26 dB of full scale: how loud a corpus was recorded says nothing of emotions
MAX_GAIN = 100.0  # room noise is not made into speech


def to_float_pcm(pcm: np.ndarray) -> np.ndarray:
    """int16 or float samples [N] -> float32 in -1..1, NaN and infinity made silence. ValueError on other shapes."""
    if pcm.ndim != 1:
        raise ValueError(f"PCM must be mono, a vector of samples; this has shape {pcm.shape}")
    if pcm.dtype == np.int16:
        return pcm.astype(np.float32) / 32768
    return np.clip(np.nan_to_num(pcm.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0), -1, 1)


def normalise_loudness(pcm: np.ndarray) -> np.ndarray:
    """The clip at a root mean square of 0.05, or amplified 100 times where that is less."""
    rms = float(np.sqrt(np.mean(np.square(pcm, dtype=np.float64)))) if len(pcm) else 0.0
    return (pcm * min(TARGET_RMS / max(rms, 1e-9), MAX_GAIN)).astype(np.float32)


def state_count(samples: int) -> int:
    """States of a clip of that many samples: one for each 20 ms begun."""
    return -(-samples // STATE_SAMPLES)


def average_pairs(states: torch.Tensor) -> torch.Tensor:
    """[T, D] -> [ceil(T / 2), D]: the mean of each two; the last of an odd number stays as it is."""
    return torch.nn.functional.avg_pool1d(states.T[None], 2, ceil_mode=True)[0].T.contiguous()


class WhisperStates:
    """Encoder of a CTranslate2 Whisper model in a local folder.

    layers: whose states to give, side by side, 0 being the convolutions; these states of 20 ms are averaged in pairs,
    and layers behind the last that is wanted are not computed. Empty: what the whole encoder gives, every 20 ms, by
    CTranslate2 (int8 on CPU, float16 on GPU), as the first weights of V2EM-S read it.

    Raises EncoderFileError when the model is stored in a way that cannot be read, or has fewer layers.
    """

    def __init__(
        self,
        folder: Path,
        device: str | Execution = "cpu",
        layers: tuple[int, ...] = (),
        recorder: Recorder | None = None,
    ) -> None:
        self.layers, self.execution = tuple(layers), as_execution(device)
        if self.layers:
            self.encoder = read_encoder(folder / "model.bin", max(self.layers)).to(self.execution.device)
            bands, self.state_dim = self.encoder.conv1.in_channels, self.encoder.conv1.out_channels
            self._states = Runner(self._chosen_layers, self.execution, recorder)
        else:
            kind, index = device_and_index(self.execution.device)
            self.model = ctranslate2.models.Whisper(
                str(folder),
                device=kind,
                device_index=index,
                compute_type="float16" if kind == "cuda" else "int8",
                intra_threads=torch.get_num_threads(),
            )
            bands = self.model.n_mels
        self.features = FeatureExtractor(feature_size=bands)
        if not self.layers:
            self.state_dim = self._encode_same_length([np.zeros(QUANTUM_SAMPLES, np.float32)], QUANTUM_SAMPLES).shape[
                -1
            ]

    def encode(self, clips: Sequence[np.ndarray], batch_size: int = 16) -> list[torch.Tensor]:
        """Mono 16 kHz clips, int16 or float -> float32 states of each. Clips may not be empty.

        [ceil(N / 640), layers * D] on the device, or [ceil(N / 320), D] on the CPU where no layers were chosen. With
        fixed shapes, batches are filled up with silence that nobody asked for; lengths are fixed anyway.
        """
        pieces: list[tuple[int, int, np.ndarray]] = []  # clip, place in the clip, samples
        for index, clip in enumerate(clips):
            if not len(clip):
                raise ValueError(f"clip {index} has no samples")
            pcm = normalise_loudness(to_float_pcm(clip))
            pieces += [
                (index, start, pcm[start : start + PIECE_SAMPLES]) for start in range(0, len(pcm), PIECE_SAMPLES)
            ]
        buckets: dict[int, list[tuple[int, int, np.ndarray]]] = defaultdict(list)
        for piece in pieces:
            buckets[-(-len(piece[2]) // QUANTUM_SAMPLES)].append(piece)
        encoded: dict[tuple[int, int], torch.Tensor] = {}
        for quanta, bucket in buckets.items():
            for first in range(0, len(bucket), batch_size):
                batch = bucket[first : first + batch_size]
                count = len(batch)
                if self.layers and self.execution.fixed_shapes:
                    count = Shapes(rows_of(batch_size), ()).count(count)
                states = self._encode_same_length([samples for _, _, samples in batch], quanta * QUANTUM_SAMPLES, count)
                for (index, start, samples), state in zip(batch, states, strict=False):
                    real = state[: state_count(len(samples))]
                    encoded[index, start] = average_pairs(real) if self.layers else real.clone()
        return [
            torch.cat([encoded[index, start] for start in range(0, len(clip), PIECE_SAMPLES)])
            for index, clip in enumerate(clips)
        ]

    @torch.inference_mode()
    def _encode_same_length(self, pieces: list[np.ndarray], samples: int, count: int = 1) -> torch.Tensor:
        """States of at least `count` pieces; those behind the pieces given are of nothing."""
        mel = [self.features(np.pad(piece, (0, samples - len(piece))), padding=False) for piece in pieces]
        mel += [np.zeros_like(mel[0])] * (count - len(mel))
        stacked = np.ascontiguousarray(np.stack(mel)[:, :, : samples // HOP_SAMPLES], dtype=np.float32)
        if self.layers:
            return self._states(torch.from_numpy(stacked))
        last = self.model.encode(ctranslate2.StorageView.from_array(stacked), to_cpu=True)
        return torch.from_numpy(np.asarray(last.to(ctranslate2.DataType.float32)))

    def _chosen_layers(self, mel: torch.Tensor) -> torch.Tensor:
        states = self.encoder(mel)
        return torch.cat([states[layer] for layer in self.layers], dim=-1)
