"""Sizes of V2EM. The defaults are the published ones; smaller ones are for tests."""

from dataclasses import dataclass, field

IEMOCAP_EMOTIONS = ("ang", "exc", "fru", "hap", "neu", "sad")
MOSEI_EMOTIONS = ("anger", "disgust", "fear", "happy", "sad", "surprise")
"""The order of the labels is part of the weights."""

ALL_MODALITIES = "tva"  # text, vision, audio: the order in which their logits are stacked


@dataclass(frozen=True)
class TextSizes:
    """Of ALBERT: albert-base-v2."""

    vocabulary: int = 30_000
    embedding: int = 128
    hidden: int = 768
    layers: int = 12
    heads: int = 12
    feed_forward: int = 3072


@dataclass(frozen=True)
class VisionSizes:
    """Channels of the stem and of the five RepVGG blocks, and width of the layer between the map and the encoder."""

    stem: int = 64
    blocks: tuple[int, ...] = (64, 64, 128, 256, 512)
    flatten: int = 1024


@dataclass(frozen=True)
class AudioSizes:
    """Of NesT: NesT-B; drop_path is the last layer's, it rises to that from 0."""

    dims: tuple[int, ...] = (128, 256, 512)
    heads: tuple[int, ...] = (4, 8, 16)
    depths: tuple[int, ...] = (2, 2, 20)
    drop_path: float = 0.5
    flatten: int = 1024


@dataclass(frozen=True)
class EncoderSizes:
    """Of the transformer over the faces, or the slices, of an utterance."""

    dim: int = 64
    layers: int = 4
    heads: int = 4
    feed_forward: int = 2048
    dropout: float = 0.1


@dataclass(frozen=True)
class V2emConfig:
    """What V2EM is built from.

    modalities: of "tva", in that order; a single one is not weighted.
    legacy: as published, even where that is a defect: patches without a face are looked at as if they were faces, and
    the encoders don't know when a face was seen.
    """

    emotions: int = 6
    modalities: str = ALL_MODALITIES
    legacy: bool = False
    text: TextSizes = field(default_factory=TextSizes)
    vision: VisionSizes = field(default_factory=VisionSizes)
    audio: AudioSizes = field(default_factory=AudioSizes)
    encoder: EncoderSizes = field(default_factory=EncoderSizes)

    def __post_init__(self) -> None:
        """ValueError when the modalities are none of V2EM's, or in another order."""
        if not self.modalities or self.modalities != "".join(m for m in ALL_MODALITIES if m in self.modalities):
            raise ValueError(
                f"modalities {self.modalities!r}: give some of {ALL_MODALITIES!r}, each once, in that order"
            )
