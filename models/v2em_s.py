"""V2EM-S: text, voice and face of utterances -> a probability for each of seven emotions.

Three branches, each calibrated, and masked late fusion; what an utterance lacks is left out, never faked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.batches import in_batches
from models.calibration import Calibration, log_odds
from models.emotions import EMOTIONS, MODALITIES
from models.face import FaceBranch, FaceConfig
from models.fusion import fuse_logits
from models.text import MiniLM, TextBranch, TextConfig
from models.voice import VoiceBranch, VoiceConfig, VoiceEnsemble, build_voice, pad_ragged
from models.weights_file import WeightsError, load_strictly, load_weights
from models.whisper_states import WhisperStates

FACES_PER_PASS = 256  # of the face network; bounds memory, whatever the batch
MIN_PCM_SAMPLES = 1_600  # 0.1 s: less says nothing


def _no_times() -> np.ndarray:
    return np.zeros(0, np.float32)


@dataclass(frozen=True)
class UtteranceInput:
    """One utterance; what is None or empty is missing.

    pcm: mono 16 kHz, int16 or float32 in -1..1, [N]; less than 0.1 s counts as missing. faces: uint8 RGB
    [n, 48, 48, 3], one person's, at face_times_s [n] seconds from the utterance's start.
    """

    text: str | None = None
    pcm: np.ndarray | None = None
    faces: np.ndarray | None = None
    face_times_s: np.ndarray = field(default_factory=_no_times)

    def present(self) -> tuple[bool, bool, bool]:
        """Which of text, audio and face there are."""
        has_text = self.text is not None and bool(self.text.strip())
        has_audio = self.pcm is not None and len(self.pcm) >= MIN_PCM_SAMPLES
        return has_text, has_audio, self.faces is not None and len(self.faces) > 0


@dataclass(frozen=True)
class Predictions:
    """For B utterances, in their order: float32 [B, 7] each, columns as EMOTIONS.

    probabilities are fused. text_p, audio_p, face_p are what each branch says alone, NaN where it is missing;
    present bool [B, 3], columns as MODALITIES.
    """

    probabilities: np.ndarray
    text_p: np.ndarray
    audio_p: np.ndarray
    face_p: np.ndarray
    present: np.ndarray


class EmotionModel:
    """V2EM-S ready for inference: branches in eval mode, the face network fused."""

    def __init__(
        self,
        model_id: str,
        branches: tuple[TextBranch, VoiceBranch | VoiceEnsemble, FaceBranch],
        calibrations: Sequence[Calibration],
        evidence: Sequence[Calibration],
        fusion_weights: Sequence[float],
        encoders: tuple[MiniLM, WhisperStates],
        device: str = "cpu",
    ) -> None:
        self.model_id = model_id
        self.device = device
        for branch in branches:
            branch.eval().requires_grad_(False).to(device)
        self.text, self.voice, self.face = branches
        self.calibrations, self.evidence = tuple(calibrations), tuple(evidence)
        self.fusion_weights = torch.tensor(fusion_weights)
        self.minilm, self.whisper = encoders

    @classmethod
    def load(cls, weights: Path, whisper_dir: Path, minilm_dir: Path, device: str = "cpu") -> "EmotionModel":
        """Weights of V2EM-S, and the folders of the Whisper (CTranslate2) and MiniLM models it stands on.

        device: "cpu", "cuda", or "auto" for a GPU where there is one. Raises WeightsError when the file is of another
        format, label order or shape, or was trained on encoders of other sizes.
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        model_id, config, state = load_weights(weights)
        foreign = [name for name in state if name.split(".")[0] not in MODALITIES]
        if foreign:
            raise WeightsError(f"{weights} has tensors of no branch: {', '.join(sorted(foreign)[:5])}")
        text_config, voice_config = TextConfig(**config["text"]), VoiceConfig(**config["audio"])
        minilm = MiniLM(minilm_dir, text_config.tuned_layers, device)
        whisper = WhisperStates(whisper_dir, device, tuple(voice_config.encoder_layers))
        if whisper.state_dim != voice_config.state_dim:
            raise WeightsError(
                f"the voice branch reads Whisper states of {voice_config.state_dim} numbers (tiny.en); the model in "
                f"{whisper_dir} gives {whisper.state_dim}"
            )
        branches = (
            TextBranch(text_config, minilm.upper),
            build_voice(voice_config),
            FaceBranch(FaceConfig(**config["face"])),
        )
        for modality, branch in zip(MODALITIES, branches, strict=True):
            load_strictly(branch, state, modality, weights)
        branches[2].fuse()
        calibrations = [Calibration(**config["calibration"][modality]) for modality in MODALITIES]
        held = config.get("evidence", config["calibration"])  # the first weights had one calibration for both
        evidence = [Calibration(**held[modality]) for modality in MODALITIES]
        fusion_weights = [config["fusion"][modality] for modality in MODALITIES]
        return cls(model_id, branches, calibrations, evidence, fusion_weights, (minilm, whisper), device)

    @torch.inference_mode()
    def predict(self, utterances: Sequence[UtteranceInput], batch_size: int = 32) -> Predictions:
        """Label any number of utterances; the batch size decides speed and memory, never a label.

        A branch alone gives what it is calibrated to, common emotions being likelier. Several are joined as evidence,
        all emotions being as likely beforehand: what is common in each branch's corpora is not counted again and again.

        Raises ValueError when an utterance has neither text, nor sound, nor a face, or an array of a wrong shape.
        """
        for index, utterance in enumerate(utterances):
            check_utterance(index, utterance)
        count = len(utterances)
        present = torch.tensor([u.present() for u in utterances], dtype=torch.bool).view(count, len(MODALITIES))
        odds = torch.full((count, len(MODALITIES), len(EMOTIONS)), float("nan"))
        evidence = odds.clone()
        label: tuple[Callable[[Sequence[UtteranceInput], int], Tensor], ...]
        label = (self._text_logits, self._voice_logits, self._face_logits)
        for m in range(len(MODALITIES)):
            rows = torch.nonzero(present[:, m])[:, 0].tolist()
            if rows:
                logits = label[m]([utterances[row] for row in rows], batch_size).cpu()
                odds[rows, m] = log_odds(logits, self.calibrations[m])
                evidence[rows, m] = log_odds(logits, self.evidence[m])
        joined = torch.where((present.sum(dim=1) > 1)[:, None, None], evidence, odds)
        fused = fuse_logits(joined, present, self.fusion_weights) if count else torch.zeros(0, len(EMOTIONS))
        text_p, audio_p, face_p = odds.sigmoid().unbind(dim=1)
        return Predictions(fused.sigmoid().numpy(), text_p.numpy(), audio_p.numpy(), face_p.numpy(), present.numpy())

    def _text_logits(self, utterances: Sequence[UtteranceInput], batch_size: int) -> Tensor:
        token_ids = self.minilm.tokenize([u.text or "" for u in utterances])

        def classify(chosen: list[int]) -> Tensor:
            return self.text(*self.minilm.encode([token_ids[i] for i in chosen]))

        return in_batches([len(ids) for ids in token_ids], batch_size, classify)

    def _voice_logits(self, utterances: Sequence[UtteranceInput], batch_size: int) -> Tensor:
        states = self.whisper.encode([u.pcm for u in utterances if u.pcm is not None], batch_size)

        def classify(chosen: list[int]) -> Tensor:
            padded, mask = pad_ragged([states[i] for i in chosen])
            return self.voice(padded.to(self.device), mask.to(self.device))

        return in_batches([len(state) for state in states], batch_size, classify)

    def _face_logits(self, utterances: Sequence[UtteranceInput], batch_size: int) -> Tensor:
        crops = [np.ascontiguousarray(u.faces) for u in utterances if u.faces is not None]
        packed = torch.from_numpy(np.concatenate(crops))
        embedded = torch.cat([self.face.embed(part.to(self.device)) for part in packed.split(FACES_PER_PASS)])
        per_utterance = embedded.split([len(crop) for crop in crops])
        times_s = [torch.as_tensor(u.face_times_s, dtype=torch.float32) for u in utterances]

        def classify(chosen: list[int]) -> Tensor:
            padded, mask = pad_ragged([per_utterance[i] for i in chosen])
            times, _ = pad_ragged([times_s[i] for i in chosen])
            return self.face.classify(padded, times.to(self.device), mask.to(self.device))

        return in_batches([len(crop) for crop in crops], batch_size, classify)


def check_utterance(index: int, utterance: UtteranceInput) -> None:
    """Raise ValueError, naming the utterance, when there is nothing to label or an array has a wrong shape."""
    if not any(utterance.present()):
        raise ValueError(
            f"utterance {index} has neither text, nor sound, nor a face: there is nothing to label it from"
        )
    if utterance.pcm is not None and utterance.pcm.ndim != 1:
        raise ValueError(f"utterance {index}: pcm must be mono, [N]; it has shape {utterance.pcm.shape}")
    if utterance.faces is not None and len(utterance.faces):
        shape, dtype = utterance.faces.shape, utterance.faces.dtype
        if shape[1:] != (48, 48, 3) or dtype != np.uint8:
            raise ValueError(f"utterance {index}: faces must be uint8 [n, 48, 48, 3]; they are {dtype} {list(shape)}")
        if len(utterance.face_times_s) != shape[0]:
            raise ValueError(f"utterance {index} has {shape[0]} faces but {len(utterance.face_times_s)} times")
