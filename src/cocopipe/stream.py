"""A split read from one end of an epoch to the other, each row group once."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from cocopipe.detect.reading.decoding import Decoded, File
from cocopipe.detect.reading.images import Images, Sample
from cocopipe.detect.reading.order import Share, shuffled
from cocopipe.detect.training.detections import Detections

AHEAD = 2
"""Row groups that are read while images are decoded."""

DECODED_AHEAD = 4
"""Images that are decoded before they are asked for, where no worker process does so."""


class Stream(IterableDataset[Sample]):
    """The samples of a dataset, each once an epoch, over all workers and ranks together.

    Set `epoch` before each pass: it gives the order and what augmentation draws. Ranks get
    shares that differ by one image at most. The order depends on seed, epoch, shares and the
    number of a loader's workers; what a sample looks like does not.

        >>> stream = Stream(Images(Path("data/train")), seed=0)  # doctest: +SKIP
        >>> for stream.epoch in range(12):  # doctest: +SKIP
        ...     for image, target in stream:
        ...         pass
    """

    def __init__(
        self,
        dataset: Images | Detections,
        *,
        seed: int,
        shuffle: bool = True,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        """Read nothing yet.

        Args:
            dataset: What makes a sample of an image.
            seed: What the order is drawn from.
            shuffle: Whether the order is that of `shuffled`, and not that of the image store.
            rank: The number of this process, from 0, among those that train together.
            ranks: How many there are.
        """
        self.dataset = dataset
        self.images = dataset if isinstance(dataset, Images) else dataset.images
        self.seed = seed
        self.shuffle = shuffle
        self.share = Share(rank, ranks)
        # Seen by a loader's workers too, which live longer than an epoch.
        self._epoch: Tensor = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]

    @property
    def epoch(self) -> int:
        """The number of the next pass."""
        return int(self._epoch)

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch.fill_(epoch)

    @property
    def size(self) -> int:
        """Images of this rank an epoch; how many batches they are depends on the workers."""
        every = range(len(self.images))
        return len(every[self.share.cut(len(every))])

    def __iter__(self) -> Iterator[Sample]:
        worker = get_worker_info()
        share = self.share.of_each(worker.id, worker.num_workers) if worker else self.share
        epoch = self.epoch
        files = self._files(self._order(epoch, share))
        # Workers are as many as there are cores for it.
        for index, decoded in self._decoded(files) if worker else self._decoded_ahead(files):
            yield self.dataset.sample(epoch, index, decoded)

    def _decoded(self, files: Iterable[tuple[int, File]]) -> Iterator[tuple[int, Decoded]]:
        for index, file in files:
            yield index, self.images.decoded(index, file)

    def _decoded_ahead(self, files: Iterable[tuple[int, File]]) -> Iterator[tuple[int, Decoded]]:
        """Yield the same; the next are decoded while whoever takes them does something else."""
        waiting: deque[tuple[int, Future[Decoded]]] = deque()
        with ThreadPoolExecutor(max_workers=1) as pool:
            for index, file in files:
                waiting.append((index, pool.submit(self.images.decoded, index, file)))
                if len(waiting) > DECODED_AHEAD:
                    first, job = waiting.popleft()
                    yield first, job.result()
            for first, job in waiting:
                yield first, job.result()

    def _order(self, epoch: int, share: Share) -> npt.NDArray[np.int64]:
        groups = self.images.groups
        if self.shuffle:
            return shuffled(groups, seed=self.seed, epoch=epoch, share=share)
        return self.images.stored_order[share.cut(len(groups))]

    def _files(self, order: npt.NDArray[np.int64]) -> Iterator[tuple[int, File]]:
        """Index and file of every image, the next row groups being read meanwhile."""
        groups, rows = self.images.groups[order].tolist(), self.images.rows[order].tolist()
        left = Counter(groups)
        coming = deque(left)  # in the order of their first images
        held: dict[int, list[File]] = {}
        with ThreadPoolExecutor(max_workers=1) as pool:
            reading = deque(
                pool.submit(self.images.read_group, coming.popleft())
                for _ in range(min(1 + AHEAD, len(coming)))
            )
            for index, group, row in zip(order.tolist(), groups, rows, strict=True):
                if group not in held:
                    held[group] = reading.popleft().result()
                    if coming:
                        next_group = coming.popleft()
                        reading.append(pool.submit(self.images.read_group, next_group))
                yield index, held[group][row]
                left[group] -= 1
                if not left[group]:
                    del held[group]
