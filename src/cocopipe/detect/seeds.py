"""Random streams that depend on what is drawn, not on which process draws it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(seed: int, *path: int | str) -> int:
    """Return a seed in [0, 2^63) of its own for, say, ``(epoch, image)``."""
    text = "/".join(map(str, (seed, *path)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from ``seed`` on the CPU for a while, and leave every generator as it was."""
    state = torch.get_rng_state()
    # Unlike torch.manual_seed, which seeds the GPUs' generators too.
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
