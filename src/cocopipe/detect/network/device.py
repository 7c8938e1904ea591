"""Which device computes, and how precisely."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cocopipe.errors import UserError


def choose(device: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    ``auto`` is CUDA where there is one, else the CPU. Apple's MPS is never chosen:
    torchvision's ``nms`` and ``roi_align`` are incomplete there.

    Raises:
        UserError: the name is none of these, or that GPU does not exist.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    known = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if known is None:
        raise UserError(f"device {device!r} is unknown: use auto, cpu, cuda or cuda:N")
    gpus = torch.cuda.device_count()
    if device != "cpu" and int(known[1] or 0) >= gpus:
        raise UserError(
            f"device {device!r} was asked for, but torch {torch.__version__} sees {gpus} CUDA "
            "devices here: use auto or cpu, or check the driver with nvidia-smi"
        )
    return torch.device(device)


def training_dtype(device: torch.device) -> torch.dtype:
    """Return what the networks compute in: bfloat16 or float16 on CUDA, float32 elsewhere."""
    if device.type != "cuda":
        return torch.float32
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


@contextmanager
def mixed_precision(module: nn.Module, device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Run the networks of a torchvision detector in ``dtype``, its geometry in float32.

    Plain autocast is not enough: torchvision makes anchors and decodes boxes in the dtype
    of the feature maps, and bfloat16 has 8 significant bits, so that a coordinate near
    1000 px is off by up to 4 px. Therefore every network hands on float32.
    """
    if dtype == torch.float32:
        yield
        return
    networks = {"backbone", "rpn.head", "roi_heads.box_head", "roi_heads.box_predictor"}
    networks |= {"roi_heads.mask_head", "roi_heads.mask_predictor", "head"}
    networks |= {"roi_heads.keypoint_head", "roi_heads.keypoint_predictor"}
    hooks = [
        part.register_forward_hook(lambda _module, _inputs, output: _float32(output))
        for name, part in module.named_modules()
        if name in networks
    ]
    try:
        with torch.autocast(device.type, dtype):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _float32(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float()
    if isinstance(value, dict):
        return type(value)((key, _float32(item)) for key, item in value.items())
    return type(value)(_float32(item) for item in value)
