"""V2EM-S: text, voice and face of utterances -> a probability for each of seven emotions.

Three branches, each calibrated, and masked late fusion; what an utterance lacks is left out, never faked.
"""

from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.batches import Shapes, in_batches, rows_of
from models.calibration import Calibration, log_odds
from models.device import Execution, as_execution
from models.emotions import EMOTIONS, MODALITIES
from models.face import FaceBranch, FaceConfig
from models.fusion import fuse_logits
from models.runner import CudaGraphs, Recorder, Runner
from models.text import MAX_TOKENS, MiniLM, TextBranch, TextConfig
from models.voice import VoiceBranch, VoiceConfig, VoiceEnsemble, build_voice, pad_ragged
from models.weights_file import WeightsError, load_strictly, load_weights
from models.whisper_states import WhisperStates

FACES_PER_PASS = {"cpu": 64, "cuda": 256}
"""Of the face network, by kind of device: bounds memory, whatever the batch. On a CPU more is no faster, and what its
layers give is so large that the system clears it anew each time."""

TEXT_LENGTHS = (16, 32, 64, MAX_TOKENS)
VOICE_LENGTHS_S = (2, 4, 6, 8, 10, 16, 26)  # utterances are 1 to 10 s; none is longer than 26 s
FACE_LENGTHS = (4, 8, 12, 20, 52)  # two faces a second
"""What utterances are padded to where shapes are fixed: each at most twice as long, most much less."""
MIN_PCM_SAMPLES = 1_600  # 0.1 s: less says nothing
MAX_PCM_SAMPLES = 600 * 16_000
"""Ten minutes of speech are looked at together: Whisper's states of a second take 0.1 MB, and are held twice."""


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
        device: str | Execution = "cpu",
        recorder: Recorder | None = None,
    ) -> None:
        self.model_id = model_id
        self.execution = as_execution(device)
        for branch in branches:
            branch.eval().requires_grad_(False).to(self.execution.device)
        self.text, self.voice, self.face = branches
        self._run_text = Runner(self._classify_text, self.execution, recorder)
        self._run_voice = Runner(self.voice, self.execution, recorder)
        self._run_crops = Runner(self.face.embed, self.execution, recorder)
        self._run_faces = Runner(self.face.classify, self.execution, recorder)
        self.calibrations, self.evidence = tuple(calibrations), tuple(evidence)
        self.fusion_weights = torch.tensor(fusion_weights)
        self.minilm, self.whisper = encoders

    @classmethod
    def load(
        cls,
        weights: Path,
        whisper_dir: Path,
        minilm_dir: Path,
        device: str | Execution = "cpu",
        recorder: Recorder | None = None,
    ) -> "EmotionModel":
        """Weights of V2EM-S, and the folders of the Whisper (CTranslate2) and MiniLM models it stands on.

        device: "cpu", "cuda", "auto" for a GPU where there is one, or how exactly. recorder: of graphs, where the
        execution has them; by default CUDA's. Raises WeightsError when the file is of another format, label order or
        shape, or was trained on encoders of other sizes.
        """
        execution = as_execution(device)
        if execution.graphs and recorder is None:
            recorder = CudaGraphs()
        model_id, config, state = load_weights(weights)
        foreign = [name for name in state if name.split(".")[0] not in MODALITIES]
        if foreign:
            raise WeightsError(f"{weights} has tensors of no branch: {', '.join(sorted(foreign)[:5])}")
        text_config, voice_config = TextConfig(**config["text"]), VoiceConfig(**config["audio"])
        minilm = MiniLM(minilm_dir, text_config.tuned_layers, execution.device)
        whisper = WhisperStates(whisper_dir, execution, tuple(voice_config.encoder_layers), recorder)
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
        encoders = (minilm, whisper)
        return cls(model_id, branches, calibrations, evidence, fusion_weights, encoders, execution, recorder)

    @torch.inference_mode()
    def predict(self, utterances: Sequence[UtteranceInput], batch_size: int = 32) -> Predictions:
        """Label any number of utterances; the batch size decides speed and memory, never a label.

        A branch alone gives what it is calibrated to, common emotions being likelier. Several are joined as evidence,
        all emotions being as likely beforehand: what is common in each branch's corpora is not counted again and again.

        Raises ValueError when an utterance has neither text, nor sound, nor a face, or an array of a wrong shape.
        """
        for index, utterance in enumerate(utterances):
            check_utterance(index, utterance)
        parts = [self._predict(utterances[part], batch_size) for part in within_memory(utterances)]
        names = [field.name for field in fields(Predictions)]
        return Predictions(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    def _predict(self, utterances: Sequence[UtteranceInput], batch_size: int) -> Predictions:
        count = len(utterances)
        present = torch.tensor([u.present() for u in utterances], dtype=torch.bool).view(count, len(MODALITIES))
        odds = torch.full((count, len(MODALITIES), len(EMOTIONS)), float("nan"))
        evidence = odds.clone()
        label: tuple[Callable[[Sequence[UtteranceInput], int], Tensor], ...]
        label = (self._text_logits, self._voice_logits, self._face_logits)
        for m in range(len(MODALITIES)):
            rows = torch.nonzero(present[:, m])[:, 0].tolist()
            if rows:
                logits = label[m]([utterances[row] for row in rows], batch_size)
                odds[rows, m] = log_odds(logits, self.calibrations[m])
                evidence[rows, m] = log_odds(logits, self.evidence[m])
        joined = torch.where((present.sum(dim=1) > 1)[:, None, None], evidence, odds)
        fused = fuse_logits(joined, present, self.fusion_weights) if count else torch.zeros(0, len(EMOTIONS))
        text_p, audio_p, face_p = odds.sigmoid().unbind(dim=1)
        return Predictions(fused.sigmoid().numpy(), text_p.numpy(), audio_p.numpy(), face_p.numpy(), present.numpy())

    def _text_logits(self, utterances: Sequence[UtteranceInput], batch_size: int) -> Tensor:
        token_ids = self.minilm.tokenize([u.text or "" for u in utterances])
        shapes = self._shapes(batch_size, TEXT_LENGTHS)

        def classify(chosen: list[int]) -> Tensor:
            ids = [token_ids[i] for i in chosen]
            return self._run_text(*self.minilm.pad(ids, *_shape(shapes, ids)))

        return in_batches([len(ids) for ids in token_ids], batch_size, classify, shapes)

    def _classify_text(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        return self.text(self.minilm.states(token_ids, mask), mask)

    def _voice_logits(self, utterances: Sequence[UtteranceInput], batch_size: int) -> Tensor:
        states = self.whisper.encode([u.pcm for u in utterances if u.pcm is not None], batch_size)
        per_s = self.voice.config.items_per_s
        shapes = self._shapes(batch_size, [round(per_s * seconds) for seconds in VOICE_LENGTHS_S])

        def classify(chosen: list[int]) -> Tensor:
            rows = [states[i] for i in chosen]
            return self._run_voice(*pad_ragged(rows, *_shape(shapes, rows)))

        return in_batches([len(state) for state in states], batch_size, classify, shapes)

    def _face_logits(self, utterances: Sequence[UtteranceInput], batch_size: int) -> Tensor:
        crops = [np.ascontiguousarray(u.faces) for u in utterances if u.faces is not None]
        counts = [len(crop) for crop in crops]
        embedded = self._embed(torch.from_numpy(np.concatenate(crops)))
        per_utterance = embedded.split(counts)
        times_s = [torch.as_tensor(u.face_times_s, dtype=torch.float32) for u in utterances]
        shapes = self._shapes(batch_size, FACE_LENGTHS)

        def classify(chosen: list[int]) -> Tensor:
            rows = [per_utterance[i] for i in chosen]
            padded, mask = pad_ragged(rows, *_shape(shapes, rows))
            times, _ = pad_ragged([times_s[i] for i in chosen], *_shape(shapes, rows))
            return self._run_faces(padded, times, mask)

        return in_batches(counts, batch_size, classify, shapes)

    def _embed(self, crops: Tensor) -> Tensor:
        """uint8 RGB [F, 48, 48, 3] -> [F, widths[-1]] on the device, in passes of at most FACES_PER_PASS."""
        per_pass = FACES_PER_PASS[torch.device(self.execution.device).type]
        shapes = self._shapes(per_pass, ())
        embedded = []
        for part in crops.split(per_pass):
            missing = shapes.count(len(part)) - len(part) if shapes else 0
            padded = torch.cat([part, part.new_zeros(missing, *part.shape[1:])]) if missing else part
            embedded.append(self._run_crops(padded)[: len(part)])
        return torch.cat(embedded)

    def _shapes(self, batch_size: int, lengths: Sequence[int]) -> Shapes | None:
        """The shapes of batches, where the execution wants them fixed."""
        return Shapes(rows_of(batch_size), tuple(lengths)) if self.execution.fixed_shapes else None


def _shape(shapes: Shapes | None, rows: Sequence[Sized]) -> tuple[int | None, int | None]:
    """Length and number of rows that a batch is padded to; None: no more than it takes."""
    if shapes is None:
        return None, None
    return shapes.length(max(len(row) for row in rows)), shapes.count(len(rows))


def within_memory(utterances: Sequence[UtteranceInput]) -> Iterator[slice]:
    """Parts of the utterances, in order, of at most `MAX_PCM_SAMPLES`, or of one; one part where there are none."""
    first, samples = 0, 0
    for index, utterance in enumerate(utterances):
        more = 0 if utterance.pcm is None else len(utterance.pcm)
        if index > first and samples + more > MAX_PCM_SAMPLES:
            yield slice(first, index)
            first, samples = index, 0
        samples += more
    yield slice(first, len(utterances))


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
