"""An ONNX file as a module that finds what the file finds."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from cocopipe.detect.onnx_file.writing import IMAGE, OUTPUTS
from cocopipe.detect.prediction.predict import MOST_PER_IMAGE


class OnnxModule(nn.Module):
    """Takes and gives what a torchvision detector does; onnxruntime computes it, on the CPU.

    Attributes:
        score_thresh: The file's limits are its own; these are what others may ask for.
        detections_per_img: Likewise.
    """

    def __init__(self, path: Path, *, score_threshold: float) -> None:
        import onnxruntime

        super().__init__()
        self.score_thresh = score_threshold
        self.detections_per_img = MOST_PER_IMAGE
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def forward(self, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Find objects on images [3, H, W], one by one."""
        return [self._found(image) for image in images]

    def _found(self, image: Tensor) -> dict[str, Tensor]:
        values = self._session.run(list(OUTPUTS), {IMAGE: image.cpu().numpy()})
        return {name: torch.from_numpy(each) for name, each in zip(OUTPUTS, values, strict=True)}
