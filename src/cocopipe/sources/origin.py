"""What the raw bytes came from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """One thing that a source fetched, copied or made; logged with the run.

    Attributes:
        name: What it is called at its source.
        url: Where it came from: a URL without credentials, a path as the user wrote it,
            or ``sample:``.
        size_bytes: How many bytes were taken from there.
        checksum: What determines the bytes: ``md5:…``, ``sha256:…``, ``listing-sha256:…``
            (of names and sizes only) or ``seed:…``.
    """

    name: str
    url: str
    size_bytes: int
    checksum: str
