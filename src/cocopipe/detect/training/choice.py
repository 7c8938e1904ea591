"""Which epoch's weights a training ends with, and when there is no use in going on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor, nn

from cocopipe.detect.training.average_precision import AP


@dataclass(frozen=True)
class Scored:
    """An epoch, and what it scored; nothing where AP is not defined."""

    epoch: int
    scores: Mapping[str, float]


class Choice:
    """Keeps the weights of the epoch with the highest AP, of equal ones the earliest.

    Attributes:
        best: That epoch; None before the first AP.
        last: The last that was taken; None before the first.
        without_gain: APs since the best one.
    """

    def __init__(self, select: Literal["best", "last"], patience: int | None) -> None:
        """Have seen nothing.

        Args:
            select: Whether weights are to be kept at all.
            patience: APs since the best one that are too many; None: none are.
        """
        self._select, self._patience = select, patience
        self._weights: dict[str, Tensor] | None = None
        self.best: Scored | None = None
        self.last: Scored | None = None
        self.without_gain = 0

    @property
    def is_over(self) -> bool:
        """Whether patience is at its end."""
        return self._patience is not None and self.without_gain >= self._patience

    def take(self, end: Scored, module: nn.Module) -> None:
        """See what an epoch came to, with the module that was scored."""
        self.last = end
        if AP not in end.scores:
            return
        if self.best and end.scores[AP] <= self.best.scores[AP]:
            self.without_gain += 1
            return
        self.best, self.without_gain = end, 0
        if self._select == "best":
            self._weights = {
                name: part.detach().to("cpu", copy=True)
                for name, part in module.state_dict().items()
            }

    def put_into(self, module: nn.Module) -> bool:
        """Give a module the weights that were kept; False where none were."""
        if self._weights is None:
            return False
        module.load_state_dict(self._weights)
        return True

    def state(self) -> dict[str, Any]:
        """All that it has seen, in plain containers."""
        return {
            "best": self.best and asdict(self.best),
            "last": self.last and asdict(self.last),
            "without_gain": self.without_gain,
            "weights": self._weights,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.best, self.last = (each and Scored(**each) for each in (state["best"], state["last"]))
        self.without_gain, self._weights = state["without_gain"], state["weights"]
