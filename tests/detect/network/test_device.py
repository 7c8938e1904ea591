import pytest
import torch
from torch import Tensor, nn

from cocopipe.detect.network.device import choose, mixed_precision, training_dtype
from cocopipe.detect.network.parts import Part
from cocopipe.errors import UserError
from tests.detect.small import CPU, new_detector, tiny

needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@needs_no_gpu
def test_auto_is_the_cpu_without_a_gpu() -> None:
    assert choose("auto") == CPU


@needs_no_gpu
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_an_absent_gpu_is_refused(device: str) -> None:
    with pytest.raises(
        UserError, match=f"device '{device}' was asked for, but torch .* sees 0 CUDA"
    ):
        choose(device)


@pytest.mark.parametrize("device", ["gpu", "mps", "cuda:", "cuda:x", "cpu:0", ""])
def test_an_unknown_device_is_refused(device: str) -> None:
    with pytest.raises(UserError, match="is unknown: use auto, cpu, cuda or cuda:N"):
        choose(device)


def test_the_cpu_trains_in_float32() -> None:
    assert training_dtype(CPU) == torch.float32


def anchor_dtypes(module: nn.Module, precision: torch.dtype | None) -> set[torch.dtype]:
    seen: set[torch.dtype] = set()

    def look(_module: nn.Module, _inputs: object, anchors: list[Tensor]) -> None:
        seen.update(part.dtype for part in anchors)

    hook = module.get_submodule("anchor_generator").register_forward_hook(look)
    images = [torch.rand(3, 64, 64)]
    targets = [{"boxes": torch.tensor([[8.0, 8, 40, 40]]), "labels": torch.tensor([1])}]
    if precision is None:
        with torch.autocast("cpu", torch.bfloat16):
            module(images, targets)
    else:
        with mixed_precision(module, CPU, precision):
            losses = module(images, targets)
            assert all(loss.dtype == torch.float32 for loss in losses.values())
    hook.remove()
    return seen


def test_geometry_stays_float32_where_plain_autocast_would_round_it() -> None:
    module = new_detector(image_size=64).module.train()
    assert anchor_dtypes(module, None) == {torch.bfloat16}
    assert anchor_dtypes(module, torch.bfloat16) == {torch.float32}
    assert anchor_dtypes(module, torch.float32) == {torch.float32}
    assert not any(part._forward_hooks for part in module.modules())


@pytest.mark.parametrize(
    "architecture",
    [
        "fasterrcnn_mobilenet_v3_large_320_fpn",
        "maskrcnn_resnet50_fpn",
        "retinanet_resnet50_fpn",
        "ssdlite320_mobilenet_v3_large",
    ],
)
def test_every_family_trains_in_mixed_precision(architecture: str) -> None:
    fixed = architecture.startswith("ssd")
    detector = new_detector(architecture, image_size=None if fixed else 64)
    target = {"boxes": torch.tensor([[8.0, 8, 40, 40]]), "labels": torch.tensor([1])}
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    if detector.config.needs_masks:
        target["masks"] = torch.ones(1, 64, 64, dtype=torch.uint8)
        empty["masks"] = torch.zeros(0, 64, 64, dtype=torch.uint8)
    module = detector.module.train()
    with torch.no_grad(), mixed_precision(module, CPU, torch.bfloat16):
        losses = module([torch.rand(3, 64, 64)] * 2, [target, empty])
    assert all(loss.isfinite() and loss.dtype == torch.float32 for loss in losses.values())


def test_a_detector_of_keypoints_trains_in_mixed_precision() -> None:
    module = tiny(Part.KEYPOINTS).module.train()
    points = torch.tensor([[[8.0, 8, 2], [24, 24, 1], [0, 0, 0]]])
    target = {"boxes": torch.tensor([[8.0, 8, 40, 40]]), "labels": torch.tensor([1])}
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    targets = [{**target, "keypoints": points}, {**empty, "keypoints": torch.zeros(0, 3, 3)}]
    heads = {module.roi_heads.keypoint_head: 16, module.roi_heads.keypoint_predictor: 8}
    with torch.no_grad(), mixed_precision(module, CPU, torch.bfloat16):
        losses = module([torch.rand(3, 64, 64)] * 2, targets)
        for head, channels in heads.items():
            assert head(torch.rand(1, channels, 14, 14)).dtype == torch.float32
    assert "loss_keypoint" in losses
    assert all(loss.isfinite() and loss.dtype == torch.float32 for loss in losses.values())
