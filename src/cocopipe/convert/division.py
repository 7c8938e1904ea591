"""How one split is divided into several: each picture by its own bytes, or by its group."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from cocopipe.convert.canonical import are_uploaded, undecorated
from cocopipe.convert.settings import Role
from cocopipe.errors import UserError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Division:
    """Which shares of images go to validation and to testing, and where the others go.

    The two are taken from both ends of the range of shares: neither moves what the other takes.
    """

    rest: Role = "train"
    """The role of all others."""
    val: float = 0.0
    test: float = 0.0

    @property
    def parts(self) -> dict[Role, float]:
        """Role -> how much of the images it gets, of those that get something."""
        every: dict[Role, float] = {self.rest: 1 - self.val - self.test}
        if self.val:
            every["val"] = self.val
        if self.test:
            every["test"] = self.test
        return every

    def role(self, share: float) -> Role:
        """The role of an image with this share."""
        if share < self.val:
            return "val"
        return "test" if share >= 1 - self.test else self.rest


def share(key: bytes) -> float:
    """A number in [0, 1) that the same bytes always get."""
    digest = blake2b(key, digest_size=8, person=b"division").digest()
    return int.from_bytes(digest, "little") / 2**64


def share_of(group: str) -> float:
    """The share of a group, which all of its images have."""
    return share(group.encode("utf-8", "surrogatepass"))


def groups(file_names: Sequence[str], pattern: str | None) -> list[str | None]:
    """The group of each picture, None where it has none but itself.

    Args:
        file_names: As written in the documents of one split.
        pattern: Looked for in each name without what tools add to it; what it matches, or its
            first part in parentheses, is the group's name, if it is anything.

    Raises:
        UserError: it is no regular expression.
    """
    if pattern is None:
        return [None] * len(file_names)
    try:
        look_for = re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"convert.group is {pattern!r}, which is no regular expression ({error}): correct it"
        ) from error
    is_uploaded = are_uploaded(file_names)
    return [
        _group(look_for.search(undecorated(name, is_uploaded=is_uploaded))) for name in file_names
    ]


def _group(found: re.Match[str] | None) -> str | None:
    if found is None:
        return None
    return (found[1] if found.re.groups else found[0]) or None
