"""The order in which a split is read.

Images lie in row groups, and a reader of one reads its group. So an epoch takes the groups in a
random order, and draws each image from a window of them: well mixed, and no group read twice.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

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


@dataclass(frozen=True)
class Part:
    """The images of a step that go through the network at once.

    Attributes:
        keys: Of them.
        weight: What its loss counts in that of the step, whose parts come to 1 over all readers.
        batch: How many images the step has.
        ends_step: Whether it is this reader's last one of the step.
        name: Tells it from the other parts of the epoch, whoever reads it.
    """

    keys: tuple[Key, ...]
    weight: float
    batch: int
    ends_step: bool
    name: int


class Parts(Sampler[list[Key]]):
    """An epoch's images, a batch a step, and of each batch the share of one reader, in parts.

    All shares together have each image once, however many there are: a training that was stopped
    may go on with others. A reader for whom a batch has no image gets one of another's, which
    counts nothing: all readers do every step.
    """

    def __init__(
        self, order: Shuffled, batch_size: int, share: Share, most: int | None = None
    ) -> None:
        """Divide an order.

        Args:
            order: Of all images; its ``epoch`` is set before each, its ``start`` to the first image
                of a batch.
            batch_size: Images a step, of all readers together.
            share: Of the reader.
            most: Images in a part; None: as many as there are.
        """
        self.order = order
        self._batch_size = batch_size
        self._share = share
        self._most = most or batch_size

    @property
    def steps(self) -> int:
        """How many an epoch has."""
        return -(-len(self.order) // self._batch_size)

    def begin(self, epoch: int, step: int) -> None:
        """Go on in an epoch after so many of its steps."""
        self.order.epoch, self.order.start = epoch, step * self._batch_size

    def __iter__(self) -> Iterator[list[Key]]:
        return (list(part.keys) for part in self.parts())

    def parts(self) -> Iterator[Part]:
        """The parts that `begin` left, in the order in which they are read."""
        keys = iter(self.order)
        first = self.order.start
        while batch := tuple(islice(keys, self._batch_size)):
            own = self._share.cut(len(batch))
            yield from self._of_step(batch, own, first)
            first += len(batch)

    def _of_step(self, batch: tuple[Key, ...], own: slice, first: int) -> Iterator[Part]:
        if own.start == own.stop:
            yield Part(batch[:1], 0.0, len(batch), ends_step=True, name=first)
        for start in range(own.start, own.stop, self._most):
            stop = min(start + self._most, own.stop)
            keys, ends = batch[start:stop], stop == own.stop
            yield Part(keys, len(keys) / len(batch), len(batch), ends, first + start)


def in_order(indices: Iterable[int]) -> list[Key]:
    """Return the keys of a dataset that is read once, in the order of these indices."""
    return [(0, int(index)) for index in indices]
