"""The documents of COCO data by name, and which of them comes first."""

from collections.abc import Iterable

ABSENT = "cocopipe:absent"
"""The key, beside an entry's values as they were written, that lists those that were not."""

PRIMARY = "instances"
"""The document that detection reads; its order of images is the split's."""

KEYPOINTS = "person_keypoints"
"""The document that a detector of keypoints reads, where there is one."""


def order(names: Iterable[str]) -> list[str]:
    """Document names, the primary one first, then by the alphabet."""
    return sorted(names, key=lambda name: (name != PRIMARY, name))
