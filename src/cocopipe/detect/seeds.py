"""Random streams that depend on what is drawn, not on which process draws it."""

import hashlib


def derive(seed: int, *path: int | str) -> int:
    """Return a seed in [0, 2^63) of its own for, say, ``(epoch, image)``."""
    text = "/".join(map(str, (seed, *path)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
