"""The reference's way, as a cost model: its networks have the published sizes, and it does its steps."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.mtcnn_like import MtcnnLike, pyramid
from benchmarks.reference_way import find_face, label, read_all, utterances
from models.v2em.config import AudioSizes, EncoderSizes, TextSizes, V2emConfig, VisionSizes
from models.v2em.model import V2EM
from operators.ffmpeg import find_ffmpeg

SMALL = V2emConfig(
    legacy=True,
    text=TextSizes(vocabulary=50, embedding=8, hidden=16, layers=1, heads=2, feed_forward=16),
    vision=VisionSizes(stem=4, blocks=(4, 4, 8, 8, 8), flatten=8),
    audio=AudioSizes(dims=(4, 8, 8), heads=(1, 1, 1), depths=(1, 1, 1), flatten=8),
    encoder=EncoderSizes(dim=8, layers=1, heads=2, feed_forward=16),
)


def test_the_cascade_has_as_many_weights_as_the_published_one() -> None:
    sizes = {name: sum(p.numel() for p in net.parameters()) for name, net in MtcnnLike().named_children()}
    assert sizes == {"proposal": 6_632, "refinement": 100_178, "output": 389_040}


def test_the_pyramid_goes_from_the_smallest_face_to_a_frame_of_one_cell() -> None:
    scales = pyramid(720, 1280)
    assert scales[0] == pytest.approx(0.6)
    assert len(scales) == 11
    assert 720 * scales[-1] >= 12 > 720 * scales[-1] * 0.709


@pytest.mark.parametrize("shape", [(90, 160, 3), (64, 48, 3), (21, 300, 3)])
def test_the_cascade_finds_one_box_in_any_frame(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    box = MtcnnLike().eval()(torch.randint(0, 256, shape, dtype=torch.uint8))
    assert box.shape == (4,)
    assert bool(box.isfinite().all())


def test_an_utterance_is_labelled_from_its_frames_and_its_sound() -> None:
    torch.manual_seed(0)
    frames = np.random.default_rng(0).integers(0, 256, (3, 90, 160, 3), dtype=np.uint8)
    crops = [find_face(MtcnnLike().eval(), frame) for frame in frames]
    assert {crop.shape for crop in crops} == {(3, 48, 48)}
    probabilities = label(V2EM(SMALL).fused(), crops, np.zeros(16_000, np.float32))
    assert probabilities.shape == (6,)
    assert bool(((probabilities > 0) & (probabilities < 1)).all())


def test_utterances_are_stretches_of_five_seconds() -> None:
    found = utterances(np.zeros(16_000 * 12, np.float32), 12.0)
    assert [(start, len(sound) / 16_000) for start, sound in found] == [(0.0, 5.0), (5.0, 5.0), (10.0, 2.0)]


@pytest.mark.media
def test_all_frames_and_all_sound_are_in_memory(tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=size=64x36:rate=10:duration=2", "-f", "lavfi", "-i", "sine=duration=2"]
    subprocess.run([find_ffmpeg(), "-v", "error", *source, str(video)], check=True)
    frames, rate, pcm = read_all(video)
    assert (len(frames), frames[0].shape, rate) == (20, (36, 64, 3), 10.0)
    assert len(pcm) / 16_000 == pytest.approx(2, abs=0.1)
