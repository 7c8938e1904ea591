"""Images at several sizes, while a detector learns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from cocopipe.detect.network.detector import Detector
from cocopipe.errors import UserError


def check_sizes(detector: Detector, sizes: Sequence[int] | None) -> None:
    """Refuse sizes for a detector that has one alone.

    Raises:
        UserError: it has.
    """
    if sizes and detector.config.architecture.startswith("ssd"):
        raise UserError(
            f"train.augment.multi_scale is {list(sizes)}, but model"
            f" {detector.config.architecture!r} has a fixed input size: leave it empty"
        )


@contextmanager
def at_sizes(module: nn.Module, sizes: Sequence[int] | None) -> Iterator[None]:
    """Bring each image to a size of its own for a while, in training mode.

    Args:
        module: torchvision's detector; it draws from torch's generator.
        sizes: Shorter sides to choose from, pixels; the limit of the longer grows with the largest.
            None or empty: the module's own size.
    """
    if not sizes:
        yield
        return
    transform: Any = module.transform
    own, limit = transform.min_size, transform.max_size
    transform.min_size = tuple(sizes)
    transform.max_size = max(limit, limit * max(sizes) // own[-1])
    try:
        yield
    finally:
        transform.min_size, transform.max_size = own, limit
