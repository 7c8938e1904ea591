"""Bytes, and what DVC calls them."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

FILE = ""
"""The relative name of the only file of a content that is no folder."""


@dataclass(frozen=True)
class Content:
    """A file or a folder.

    Attributes:
        files: Name relative to the folder -> bytes.
    """

    files: Mapping[str, bytes]

    @classmethod
    def of_file(cls, content: bytes) -> "Content":
        """A single file."""
        return cls({FILE: content})

    @property
    def is_folder(self) -> bool:
        """Whether DVC has a listing for it."""
        return FILE not in self.files

    @cached_property
    def hash(self) -> str:
        """The DVC hash, with ``.dir`` for a folder."""
        return f"{md5(self._listing())}.dir" if self.is_folder else md5(self.files[FILE])

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(map(len, self.files.values()))

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """(hash, bytes) of each object that DVC's cache has for it."""
        for content in self.files.values():
            yield md5(content), content
        if self.is_folder:
            yield self.hash, self._listing()

    def _listing(self) -> bytes:
        entries = [{"md5": md5(self.files[name]), "relpath": name} for name in sorted(self.files)]
        return json.dumps(entries).encode()


def md5(content: bytes) -> str:
    """The hash that DVC names bytes by."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
