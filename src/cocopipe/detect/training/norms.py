"""Batch norms, where a batch has no statistics or must leave none."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


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
