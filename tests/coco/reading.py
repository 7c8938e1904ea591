"""Raw data as it is read."""

from pathlib import Path

from cocopipe.coco.layout import open_raw
from tests.coco_files import instances, picture

DOC = instances([1])
JPG = picture(1)


def read(raw: Path) -> dict[str, tuple[list[str], dict[str, bytes]]]:
    """Splits to their document names and image bytes."""
    with open_raw(raw) as source:
        return {
            split.name: (
                sorted(split.documents),
                {name: entry.read() for name, entry in split.images.items()},
            )
            for split in source.splits
        }


def entry_of(path: Path, name: str = "1.jpg") -> bytes:
    return read(path)["train"][1][name]
