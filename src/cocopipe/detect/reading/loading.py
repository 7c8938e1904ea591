"""Datasets in batches, by worker processes."""

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cocopipe.detect.reading.images import Sample, Target
from cocopipe.detect.reading.order import Parts
from cocopipe.errors import UserError

_ALIGNED_BYTES = 64

Loader = DataLoader[Sample]

SampleBatch = tuple[list[Tensor], list[Target]]
"""Images and their targets, an entry each for every sample."""


def loader(
    dataset: Dataset[Sample],
    keys: Iterable[Any] | None = None,
    *,
    batch_size: int,
    workers: int,
    device: torch.device,
) -> Loader:
    """Read ``dataset`` in batches, in ``workers`` processes (0: in this one).

    By ``keys``, or as it comes where it is a `Stream`. Take the batches by `batches` or
    `decoded`, inside `ending_workers` where an interrupt must not be lost.
    """
    return _loader(dataset, workers, device, sampler=keys, batch_size=batch_size)


def loader_of_parts(
    dataset: Dataset[Sample], parts: Parts, *, workers: int, device: torch.device
) -> Loader:
    """Read ``dataset`` as `loader` does, a part at once."""
    return _loader(dataset, workers, device, batch_sampler=parts)


def _loader(dataset: Dataset[Sample], workers: int, device: torch.device, **how: Any) -> Loader:
    return DataLoader(
        dataset,
        **how,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        collate_fn=_packed if workers else _batch,
        worker_init_fn=_begin,
        # Else it draws from the global generator, as often as there are workers to seed.
        generator=torch.Generator(),
    )


def batches(source: Loader, device: torch.device) -> Iterator[SampleBatch]:
    """Yield what a detector takes: float images in 0..1 and targets, both on ``device``.

    Raises:
        UserError: an image can't be decoded.
    """
    for images, targets in decoded(source):
        yield (
            [image.to(device, non_blocking=True).float() / 255 for image in images],
            [
                {name: part.to(device, non_blocking=True) for name, part in target.items()}
                for target in targets
            ],
        )


def decoded(source: Loader) -> Iterator[SampleBatch]:
    """Yield images uint8 [3, H, W] and targets, as the dataset made them.

    What workers made is in one piece of memory a batch: keep copies, or all of it is kept.

    Raises:
        UserError: an image can't be decoded.
    """
    try:
        for batch in source:
            yield batch.unpacked() if isinstance(batch, _Packed) else batch
    except UserError as error:
        # A worker's error arrives with the worker's traceback in its message.
        sentence = str(error.args[0]).rpartition(f"{UserError.__name__}: ")[2].strip()
        raise UserError(sentence) from error


@contextmanager
def ending_workers(*sources: Loader) -> Iterator[None]:
    """End the loaders' workers with the block.

    Torch does so in a finalizer, which waits for them; an interrupt that comes while it does is
    printed and dropped by Python, and the program goes on.
    """
    with ExitStack() as stack:
        for source in sources:
            stack.callback(_end_workers, source)
        yield


def _end_workers(source: Loader) -> None:
    workers = source._iterator
    if workers is not None:
        workers._shutdown_workers()  # type: ignore[attr-defined]


def _begin(worker: int) -> None:
    """Set a worker up."""
    del worker
    # A terminal interrupts all processes at once; this one ends when the one that reads says so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # To send memory by its name: as a file descriptor, it is handed over and signed.
    torch.multiprocessing.set_sharing_strategy("file_system")  # type: ignore[no-untyped-call]


def _batch(samples: list[Sample]) -> SampleBatch:
    images, targets = zip(*samples, strict=True)
    return list(images), list(targets)


class _Layout(NamedTuple):
    """Where a tensor lies in a packed batch."""

    dtype: torch.dtype
    start: int
    """Its first element, counted in elements of its type."""
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class _Packed:
    """A batch in one tensor.

    To go from one process to another costs a tensor half a millisecond, whatever its size: with
    one for every box and label, two workers were no faster than one.
    """

    memory: Tensor
    """All tensors one after the other, uint8 [n]."""
    images: Sequence[_Layout]
    targets: Sequence[dict[str, _Layout]]

    def pin_memory(self) -> "_Packed":
        """Return the batch in memory that a GPU copies from; torch's loader calls this."""
        return _Packed(self.memory.pin_memory(), self.images, self.targets)

    def unpacked(self) -> SampleBatch:
        """Return images and targets, in the same memory."""
        typed: dict[torch.dtype, Tensor] = {}

        def at(layout: _Layout) -> Tensor:
            if layout.dtype not in typed:
                typed[layout.dtype] = self.memory.view(layout.dtype)
            return typed[layout.dtype].as_strided(layout.shape, layout.stride, layout.start)

        return (
            [at(layout) for layout in self.images],
            [{name: at(each) for name, each in one.items()} for one in self.targets],
        )


def _packed(samples: list[Sample]) -> _Packed:
    """Called in a worker: the memory is shared with the process that waits for it."""
    images, targets = _batch(samples)
    end_bytes = 0

    def place(tensor: Tensor) -> _Layout:
        nonlocal end_bytes
        stride = tensor.stride() if _is_dense(tensor) else tensor.contiguous().stride()
        start = end_bytes // tensor.itemsize
        end_bytes += -(-tensor.nbytes // _ALIGNED_BYTES) * _ALIGNED_BYTES
        return _Layout(tensor.dtype, start, tuple(tensor.shape), tuple(stride))

    of_images = [place(image) for image in images]
    of_targets = [{name: place(part) for name, part in one.items()} for one in targets]
    # As torch's own collating does: memory that is shared only later has to be copied.
    storage = torch.UntypedStorage._new_shared(end_bytes)  # type: ignore[no-untyped-call]
    packed = _Packed(torch.empty(0, dtype=torch.uint8).set_(storage), of_images, of_targets)
    spaces, spaces_of_targets = packed.unpacked()
    for space, image in zip(spaces, images, strict=True):
        space.copy_(image)
    for of_target, target in zip(spaces_of_targets, targets, strict=True):
        for name, part in target.items():
            of_target[name].copy_(part)
    return packed


def _is_dense(tensor: Tensor) -> bool:
    """Whether its elements fill their memory, in whatever order of dimensions."""
    by_stride = sorted(range(tensor.dim()), key=lambda each: -tensor.stride()[each])
    return tensor.permute(by_stride).is_contiguous()
