"""The order in which a split is read.

Images lie in row groups, and a reader of one reads its group. So an epoch takes the groups in a
random order, and draws each image from a window of them: well mixed, and no group read twice.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from cocopipe.detect.seeds import derive

WINDOW = 512
"""Images that the next one is drawn from, about."""

Key = tuple[int, int]
"""(epoch, index) of an image."""


@dataclass(frozen=True)
class Share:
    """One reader's part of every epoch: the ``number``-th of ``of`` equal ones."""

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of:
            raise ValueError(f"share {self.number} of {self.of}: numbers are 0 to {self.of - 1}")

    def of_each(self, number: int, of: int) -> "Share":
        """Divide this share further."""
        return Share(self.number * of + number, self.of * of)

    def cut(self, count: int) -> slice:
        """Return its part of ``count`` things in a row; shares differ by one at most."""
        return slice(count * self.number // self.of, count * (self.number + 1) // self.of)


def shuffled(
    groups: npt.NDArray[np.int64], *, seed: int, epoch: int, share: Share | None = None
) -> npt.NDArray[np.int64]:
    """Return one epoch's order, which depends on the arguments alone.

    Args:
        groups: The row group of every image, int64 [N].
        seed: For all epochs.
        epoch: Each has an order of its own.
        share: Gives the images of one share only; all shares together have each image once.
            A share reads a row group once; at a border, two shares read the same one.

    Returns:
        Indices of images, int64 [N] or a share of it.
    """
    rng = np.random.default_rng(derive(seed, "order", epoch))
    names, group = np.unique(groups, return_inverse=True)
    place = rng.permutation(len(names))[group]
    chosen = np.argsort(place, kind="stable")[(share or Share()).cut(len(groups))]
    # An image comes up to so many groups later than the first of its group may.
    time = place[chosen] + groups_in_window(groups) * rng.random(len(groups))[chosen]
    return chosen[np.argsort(time, kind="stable")]


def groups_in_window(groups: npt.NDArray[np.int64]) -> int:
    """Return how many row groups have `WINDOW` images, where every image has this one, [N]."""
    return max(1, round(WINDOW * len(np.unique(groups)) / max(1, len(groups))))


class Shuffled(Sampler[Key]):
    """Every key of one epoch, in an order of its own; set ``epoch`` before, and ``start``.

    The first ``start`` of them are left out: they were read before a training was stopped.
    """

    def __init__(self, groups: npt.NDArray[np.int64], seed: int) -> None:
        self.groups = groups
        self.seed = seed
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[Key]:
        order = shuffled(self.groups, seed=self.seed, epoch=self.epoch)
        for index in order[self.start :].tolist():
            yield self.epoch, index


def in_order(indices: Iterable[int]) -> list[Key]:
    """Return the keys of a dataset that is read once, in the order of these indices."""
    return [(0, int(index)) for index in indices]
