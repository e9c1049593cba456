"""A cost model of MTCNN: the published cascade of three networks over a pyramid of the frame, with random weights.

Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks" (2016), in the sizes
that facenet-pytorch has, and with its settings: the smallest face is 20 px, each level of the pyramid 0.709 of the one
before. What random weights find is not worth looking at; what it costs to find it, is. Instead of thresholds, which
mean nothing here, each network passes on as many of its best boxes as one sees it pass on with its own weights.
"""

import itertools

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms

SMALLEST_FACE_PX = 20
PYRAMID_FACTOR = 0.709
CELL_PX, STRIDE_PX = 12, 2  # what an output of P-Net sees, and the step between two
PASSED = (300, 30, 1)  # boxes that P-, R- and O-Net leave of a frame
NMS_IOU = 0.7


def convolutions(*layers: tuple[int, int, int, nn.Module]) -> list[nn.Module]:
    """(channels in, out, kernel, pooling) -> convolution, PReLU, pooling, for each."""
    return [
        part
        for channels_in, channels_out, kernel, pool in layers
        for part in (nn.Conv2d(channels_in, channels_out, kernel), nn.PReLU(channels_out), pool)
    ]


def pool(kernel: int) -> nn.Module:
    """Max pooling by two."""
    return nn.MaxPool2d(kernel, 2, ceil_mode=True)


class ProposalNet(nn.Module):
    """P-Net: [n, 3, H, W] -> face probability [n, h, w] and box offsets [n, 4, h, w], for every other pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *convolutions((3, 10, 3, pool(2)), (10, 16, 3, nn.Identity()), (16, 32, 3, nn.Identity()))
        )
        self.face, self.box = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities and offsets."""
        features = self.body(images)
        return self.face(features).softmax(dim=1)[:, 1], self.box(features)


class CandidateNet(nn.Module):
    """R-Net and O-Net: crops [n, 3, side, side] -> face probability [n] and box offsets [n, 4]."""

    def __init__(self, layers: list[nn.Module], flat: int, width: int, landmarks: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, width), nn.PReLU(width))
        self.face, self.box = nn.Linear(width, 2), nn.Linear(width, 4)
        self.landmarks = nn.Linear(width, landmarks) if landmarks else None

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities and offsets; landmarks are computed where there are any, and not used."""
        features = self.body(crops)
        if self.landmarks is not None:
            self.landmarks(features)
        return self.face(features).softmax(dim=1)[:, 1], self.box(features)


def refinement_net() -> CandidateNet:
    """R-Net, which looks at 24 x 24 pixels."""
    layers = convolutions((3, 28, 3, pool(3)), (28, 48, 3, pool(3)), (48, 64, 2, nn.Identity()))
    return CandidateNet(layers, flat=576, width=128, landmarks=0)


def output_net() -> CandidateNet:
    """O-Net, which looks at 48 x 48 pixels."""
    layers = convolutions((3, 32, 3, pool(3)), (32, 64, 3, pool(3)), (64, 64, 3, pool(2)), (64, 128, 2, nn.Identity()))
    return CandidateNet(layers, flat=1152, width=256, landmarks=10)


class MtcnnLike(nn.Module):
    """The cascade: a frame uint8 RGB [H, W, 3] -> one box (x0, y0, x1, y1) in pixels, which means nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.proposal, self.refinement, self.output = ProposalNet(), refinement_net(), output_net()

    @torch.inference_mode()
    def forward(self, frame: Tensor) -> Tensor:
        """Look at one frame, as the reference does."""
        image = frame.permute(2, 0, 1)[None].float()
        boxes = self._propose(image)
        for network, side, count in ((self.refinement, 24, PASSED[1]), (self.output, 48, PASSED[2])):
            scores, offsets = network(cut_out(image, boxes, side))
            boxes = best(moved(boxes, offsets), scores, torch.zeros(len(boxes), dtype=torch.int64), count)
        return boxes[0]

    def _propose(self, image: Tensor) -> Tensor:
        boxes, scores, levels = [], [], []
        for level, scale in enumerate(pyramid(*image.shape[2:])):
            height, width = (int(side * scale + 1) for side in image.shape[2:])
            smaller = nn.functional.interpolate(image, (height, width), mode="area")
            probability, offsets = self.proposal(normalised(smaller))
            corners = STRIDE_PX * torch.nonzero(probability[0]).flip(dims=(1,)) / scale
            cells = torch.cat([corners, corners + CELL_PX / scale], dim=1)
            kept = probability[0].flatten().topk(min(PASSED[0], probability.numel())).indices
            boxes.append(moved(cells, offsets[0].flatten(1).T)[kept])
            scores.append(probability[0].flatten()[kept])
            levels.append(torch.full((len(kept),), level))
        return best(torch.cat(boxes), torch.cat(scores), torch.cat(levels), PASSED[0])


def pyramid(height: int, width: int) -> list[float]:
    """The scales at which P-Net sees a frame: the smallest face first, to the scale at which the frame is one cell."""
    first = CELL_PX / SMALLEST_FACE_PX
    scales = (first * PYRAMID_FACTOR**level for level in itertools.count())
    return list(itertools.takewhile(lambda scale: min(height, width) * scale >= CELL_PX, scales))


def normalised(pixels: Tensor) -> Tensor:
    """0..255 -> about -1..1."""
    return (pixels - 127.5) / 128


def moved(boxes: Tensor, offsets: Tensor) -> Tensor:
    """Boxes [n, 4] moved by offsets [n, 4], which are parts of their sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + offsets * torch.cat([sides, sides], dim=1)


def best(boxes: Tensor, scores: Tensor, levels: Tensor, count: int) -> Tensor:
    """The best so many boxes, without those that lie upon a better one of the same level; one at least."""
    return boxes[batched_nms(boxes, scores, levels, NMS_IOU)[:count]]


def cut_out(image: Tensor, boxes: Tensor, side: int) -> Tensor:
    """The boxes of an image [1, 3, H, W], each scaled to side x side, as the next network wants them."""
    height, width = image.shape[2:]
    crops = []
    for x0, y0, x1, y1 in boxes.round().int().tolist():
        left, top = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
        right, bottom = max(min(x1, width), left + 1), max(min(y1, height), top + 1)
        crops.append(nn.functional.interpolate(image[:, :, top:bottom, left:right], (side, side), mode="area"))
    return normalised(torch.cat(crops))
