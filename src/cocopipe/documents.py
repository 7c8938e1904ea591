"""The documents of COCO data by name, and which of them comes first."""

from collections.abc import Iterable

PRIMARY = "instances"
"""The document that detection reads; its order of images is the split's."""


def order(names: Iterable[str]) -> list[str]:
    """Document names, the primary one first, then by the alphabet."""
    return sorted(names, key=lambda name: (name != PRIMARY, name))
