"""The moving average of a detector's weights, which is often better than the last ones."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def moving_average(module: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of ``module`` whose ``update_parameters`` takes a step's weights in.

    The first weights are taken as they are. Those after n others count 1 - min(``decay``,
    (1 + n) / (10 + n)), so that the random ones of the start are soon forgotten; n is
    ``n_averaged`` in its state.

    Statistics of norms are averaged like weights: those of the last step belong to the last
    weights, and not to the average. Counters are taken as they are.
    """

    def mix(averages: Sequence[Tensor], weights: Sequence[Tensor], _number: object) -> None:
        if not averages[0].is_floating_point():
            for average, weight in zip(averages, weights, strict=True):
                average.copy_(weight)
            return
        before = int(model.n_averaged)  # on the CPU; what is given is on the GPU
        step = get_ema_multi_avg_fn(decay_after(before, decay))  # type: ignore[no-untyped-call]
        step(averages, weights, before)

    model = AveragedModel(module, multi_avg_fn=mix, use_buffers=True)
    return model


def decay_after(before: int, decay: float) -> float:
    """Return what an average of so many weights counts beside the next ones."""
    return min(decay, (1 + before) / (10 + before))
