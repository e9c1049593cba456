"""Batches of utterances: faces and slices of all of them one after the other, with the count of each utterance."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

MODALITIES = ("text", "vision", "audio")
"""The order of what is present, of logits, and of fusion weights."""


@dataclass(frozen=True)
class Utterance:
    """What V2EM reads of one utterance; each part may be empty.

    faces uint8 RGB [F, 3, 48, 48]; face_t [F] seconds from its start; face_ok bool [F], False where no face was found
    and the crop shows something else; mel float32 [S, 4, 32, 32]; mel_valid uint8 [S], real frames of each slice.
    """

    faces: Tensor
    face_t: Tensor
    face_ok: Tensor
    mel: Tensor
    mel_valid: Tensor
    text: str | None


@dataclass(frozen=True)
class V2emBatch:
    """B utterances, with sum F faces and sum S slices.

    faces uint8 [sum F, 3, 48, 48]; face_t float32 [sum F]; face_ok bool [sum F]; face_len int32 [B]; mel float32
    [sum S, 4, 32, 32]; mel_len int32 [B]; mel_valid uint8 [sum S]; input_ids int32 [B, L]; attn_mask bool [B, L];
    modality bool [B, 3]: which of text, vision and audio may be used.
    """

    faces: Tensor
    face_t: Tensor
    face_ok: Tensor
    face_len: Tensor
    mel: Tensor
    mel_len: Tensor
    mel_valid: Tensor
    input_ids: Tensor
    attn_mask: Tensor
    modality: Tensor

    def __len__(self) -> int:
        return len(self.modality)

    def has(self, modality: str) -> Tensor:
        """bool [B]: whether that modality may be used."""
        return self.modality[:, MODALITIES.index(modality)]

    def to(self, device: torch.device) -> "V2emBatch":
        """The batch on a device."""
        moved: dict[str, Any] = {f.name: getattr(self, f.name).to(device) for f in fields(self)}
        return V2emBatch(**moved)


def pack(utterances: Sequence[Utterance], input_ids: Tensor, attn_mask: Tensor) -> V2emBatch:
    """Join utterances and their tokens [B, L] to a batch. A modality is present where there is something of it."""
    face_len = [len(u.faces) for u in utterances]
    mel_len = [len(u.mel) for u in utterances]
    present = [(bool(u.text and u.text.strip()), len(u.faces) > 0, len(u.mel) > 0) for u in utterances]
    return V2emBatch(
        faces=torch.cat([u.faces for u in utterances]),
        face_t=torch.cat([u.face_t for u in utterances]),
        face_ok=torch.cat([u.face_ok for u in utterances]),
        face_len=torch.tensor(face_len, dtype=torch.int32),
        mel=torch.cat([u.mel for u in utterances]),
        mel_len=torch.tensor(mel_len, dtype=torch.int32),
        mel_valid=torch.cat([u.mel_valid for u in utterances]),
        input_ids=input_ids.int(),
        attn_mask=attn_mask,
        modality=torch.tensor(present, dtype=torch.bool),
    )
