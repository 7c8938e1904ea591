"""Batch norms, where a batch has no statistics or must leave none."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cocopipe.errors import UserError


@contextmanager
def lone_values_normed(module: nn.Module) -> Iterator[None]:
    """Let norms that get one value a channel use their statistics, for it has none itself.

    So it is where a small map meets a batch of one image, the last of an epoch for instance.
    """

    def choose(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        (values,) = inputs
        norm.train(values.numel() > values.shape[1])

    hooks = [
        part.register_forward_pre_hook(choose)
        for part in module.modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def statistics_kept(module: nn.Module) -> Iterator[None]:
    """Training mode, in which norms use their statistics unchanged and nothing is dropped."""
    training = module.training
    module.train()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd):
            part.eval()
    try:
        yield
    finally:
        module.train(training)


def synchronised(module: nn.Module, device: torch.device) -> nn.Module:
    """Return a module whose batch norms have the statistics of all processes together.

    Raises:
        UserError: on the CPU, where torch has no such norms.
    """
    if device.type != "cuda":
        raise UserError(
            "train.sync_norms is true, which torch can do on GPUs alone: set it to false"
        )
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
    return converted
