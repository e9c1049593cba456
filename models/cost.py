"""What V2EM-S costs: multiply-adds (MAC) for a second of video, face and voice together."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.face import FaceBranch, FaceConfig
from models.log_mel import SLICE_S, log_mel_slices
from models.voice import VoiceConfig, build_voice
from models.whisper_states import PCM_RATE_HZ, STATE_RATE_HZ

WHISPER_TINY_DIM, WHISPER_TINY_LAYERS, MEL_BANDS = 384, 4, 80


@dataclass(frozen=True)
class CostPerSecond:
    """MAC for a second of video."""

    face: int
    whisper_encoder: int
    voice: int

    @property
    def total(self) -> int:
        """Face and voice together."""
        return self.face + self.whisper_encoder + self.voice


def count_macs(run: Callable[[], object]) -> int:
    """Multiply-adds of the convolutions, products and attentions in `run()`."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        run()
    return counter.get_total_flops() // 2


def whisper_tiny_macs_per_s(piece_s: float, layers: int = WHISPER_TINY_LAYERS) -> int:
    """Of Whisper tiny's encoder on pieces of that length: convolutions, its first layers, attention over the piece."""
    convolutions = 2 * STATE_RATE_HZ * 3 * MEL_BANDS * WHISPER_TINY_DIM + STATE_RATE_HZ * 3 * WHISPER_TINY_DIM**2
    layer = 12 * WHISPER_TINY_DIM**2 + 2 * piece_s * STATE_RATE_HZ * WHISPER_TINY_DIM
    return int(convolutions + STATE_RATE_HZ * layers * layer)


def cost_per_second(
    face: FaceConfig, voice: VoiceConfig, faces_per_s: float = 2.0, utterance_s: float = 10.0
) -> CostPerSecond:
    """Cost of utterances of `utterance_s` seconds with a face in each of `faces_per_s` frames a second."""
    face_branch = FaceBranch(face).eval()
    face_branch.fuse()
    voice_branch = build_voice(voice).eval()
    crops = torch.zeros(round(faces_per_s * utterance_s), 48, 48, 3, dtype=torch.uint8)
    times_s, mask = torch.zeros(1, len(crops)), torch.ones(1, len(crops), dtype=torch.bool)
    face_macs = count_macs(lambda: face_branch.classify(face_branch.embed(crops)[None], times_s, mask))
    if voice.front_end == "log-mel":
        items = log_mel_slices(torch.zeros(round(utterance_s * PCM_RATE_HZ)).numpy())[: round(utterance_s / SLICE_S)]
    else:
        items = torch.zeros(round(utterance_s * voice.items_per_s), max(len(voice.encoder_layers), 1) * voice.state_dim)
    voice_mask = torch.ones(1, len(items), dtype=torch.bool)
    voice_macs = count_macs(lambda: voice_branch(items[None], voice_mask))
    layers = max(voice.encoder_layers, default=WHISPER_TINY_LAYERS)
    encoder = 0 if voice.front_end == "log-mel" else whisper_tiny_macs_per_s(utterance_s, layers)
    return CostPerSecond(round(face_macs / utterance_s), encoder, round(voice_macs / utterance_s))
