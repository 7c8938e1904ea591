"""The processes that train one detector together, each with its share of every step.

Plain torch: DistributedDataParallel averages the gradients, and a second group of processes, on
the CPU, passes on what the first of them decides. One process is a team too, and needs neither.
"""

import logging
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import wait
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing import get_context

from cocopipe.detect.network.device import choose
from cocopipe.detect.reading.order import Share
from cocopipe.errors import UserError

SILENCE_S = 600
"""How long a process that is there may keep the others waiting in a step: it may write a
checkpoint."""

PATIENCE_S = 24 * 3600
"""How long they wait for what the first one does alone, validation among it."""

GRACE_S = 20
"""How long an error may take to come up by itself after a process was lost."""

Value = TypeVar("Value")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resources:
    """What a training is done with, which decides none of its steps but for the last digits.

    Attributes:
        device: From `choose`.
        workers: Processes that read and decode, of each process that trains; 0: none but itself.
        processes: That train together on this machine.
        micro_batch: Images that go through the network at once, of one process; None: all that it
            has of a step.
    """

    device: torch.device
    workers: int = 0
    processes: int = 1
    micro_batch: int | None = None


@dataclass(frozen=True)
class Team:
    """This process's place among those that train together.

    Attributes:
        rank: Its number; 0 is the one that decides, writes and tells.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1
    _control: Any = None

    @property
    def is_first(self) -> bool:
        """Whether it is the one that decides."""
        return self.rank == 0

    @property
    def share(self) -> Share:
        """Its part of every batch."""
        return Share(self.rank, self.size)

    def told(self, value: Value | None = None) -> Value:
        """What the first one says, to all."""
        if self.size > 1:
            box = [value]
            dist.broadcast_object_list(box, src=0, group=self._control)
            value = box[0]
        return value  # type: ignore[return-value]

    def summed(self, values: Tensor) -> Tensor:
        """The sum of what all have of some values, to all."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def network(self, module: nn.Module) -> nn.Module:
        """A module whose gradients are averaged over all, as it steps back from a loss."""
        if self.size == 1:
            return module
        device = next(module.parameters()).device
        ids = [device.index] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=ids)


Job = Callable[[Team, Any], None]
"""What the others do: a function of a module, of their place and what the first one says."""


@contextmanager
def team(processes: int, work: Job, device: torch.device) -> Iterator[Team]:
    """Be the first of some processes, which end with the block.

    Others begin with what the first one tells them by `Team.told`. Where torchrun's variables say
    that they are started elsewhere, on this or on other machines, so it is.

    Args:
        processes: How many on this machine, without those of torchrun.
        work: What the others do.
        device: What this one computes on.

    Raises:
        UserError: If one of the others ended; with its error.
    """
    is_started = "RANK" in os.environ
    size = int(os.environ["WORLD_SIZE"]) if is_started else processes
    if size == 1:
        yield Team()
        return
    place = "env://" if is_started else f"tcp://127.0.0.1:{_free_port()}"
    context = get_context("spawn")
    errors = context.SimpleQueue()
    others = [
        context.Process(target=_be, args=(rank, size, place, device.type, work, errors))
        for rank in range(1, 1 if is_started else size)
    ]
    for other in others:
        other.start()
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(others, errors, over), daemon=True)
    watcher.start()
    try:
        with _joined(0, size, place, device.type) as joined:
            yield joined
    except RuntimeError as error:
        if lost := _lost(others, errors):
            raise UserError(lost) from error
        raise
    finally:
        over.set()
        for other in others:
            other.terminate()
            other.join()


def join(work: Job, device: str) -> None:
    """Be another than the first, where torchrun started this process.

    Args:
        work: What the others do.
        device: As for `choose`.
    """
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    with _joined(rank, size, "env://", choose(device).type) as joined:
        work(joined, joined.told())


def device_of(joined: Team, device: torch.device) -> torch.device:
    """The device of a process: of several GPUs of a machine, one each."""
    if device.type != "cuda" or joined.size == 1:
        return device
    return torch.device("cuda", torch.cuda.current_device())


@contextmanager
def _joined(rank: int, size: int, place: str, kind: str) -> Iterator[Team]:
    # Processes of one machine share its cores.
    if kind == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // size))
    else:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
    dist.init_process_group(
        "nccl" if kind == "cuda" else "gloo",
        init_method=place,
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=SILENCE_S),
    )
    try:
        control = dist.new_group(backend="gloo", timeout=timedelta(seconds=PATIENCE_S))
        yield Team(rank, size, control)
    finally:
        dist.destroy_process_group()


def _be(rank: int, size: int, place: str, kind: str, work: Job, errors: Any) -> None:
    """Be another than the first, in a process of its own."""
    os.environ["LOCAL_RANK"] = str(rank)
    try:
        with _joined(rank, size, place, kind) as joined:
            work(joined, joined.told())
    except BaseException as error:  # noqa: BLE001 - the first process raises it
        told = str(error) if isinstance(error, UserError) else traceback.format_exc()
        errors.put((rank, told))
        sys.exit(1)


def _lost(others: list[Any], errors: Any) -> str | None:
    """What ended another process, if any ended otherwise than in order."""
    wait([other.sentinel for other in others], timeout=10)
    ended = [rank for rank, other in enumerate(others, start=1) if other.exitcode]
    if not ended:
        return None
    if not errors.empty():
        rank, told = errors.get()
        return f"process {rank} of the training ended: {told.strip()}"
    code = others[ended[0] - 1].exitcode
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return (
        f"process {ended[0]} of the training ended {how}: run `dvc repro` again, which goes on from"
        " the last checkpoint, with fewer processes where memory was short"
    )


def _watch(others: list[Any], errors: Any, over: threading.Event) -> None:
    """End this process where another was lost and no error comes up: NCCL's calls wait on."""
    while not over.wait(1):
        if any(other.exitcode for other in others):
            if not over.wait(GRACE_S):
                sys.stderr.write(f"train: {_lost(others, errors)}\n")
                for other in others:
                    other.kill()
                os._exit(1)
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
