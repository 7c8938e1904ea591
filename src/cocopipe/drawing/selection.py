"""Which pictures of a split are shown: always the same ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from cocopipe.documents import PRIMARY
from cocopipe.errors import UserError
from cocopipe.pictures.examine import UnreadableImageError, decode
from cocopipe.pictures.turning import turned
from cocopipe.split.fields import read_object
from cocopipe.split.images import ImageStore
from cocopipe.split.objects import Objects
from cocopipe.split.tables import read_table


@dataclass(frozen=True)
class Shown:
    """A picture to show."""

    image_id: int
    caption: str
    image: Image.Image
    objects: list[dict[str, Any]]
    """The image's COCO annotations."""


def select(split_dir: Path, count: int, document: str = PRIMARY) -> Iterator[Shown]:
    """Yield up to ``count`` pictures of a split, those with objects first.

    Raises:
        UserError: not a converted split, one without a table of that document, or a
            picture that can't be decoded.
    """
    table = read_table(split_dir, document)
    counts = Objects(table["objects"].combine_chunks()).counts
    hashes = table["sha256"].to_pylist()
    rows = sorted(range(len(hashes)), key=lambda row: (not counts[row], _lot(hashes[row])))
    store = ImageStore(split_dir)
    for row in table.take(pa.array(rows[:count], pa.int64())).to_pylist():
        image_id = row["image_id"]
        try:
            image = turned(decode(store.read(row["sha256"])), row["turn"])
        except UnreadableImageError as error:
            raise UserError(
                f"image {image_id} of {split_dir} can't be decoded ({error}): replace it in "
                "the source and convert again"
            ) from error
        yield Shown(
            image_id=image_id,
            caption=f"{image_id} · {row['file_name']}",
            image=image,
            objects=[read_object(item) for item in row["objects"]],
        )


def _lot(sha256: str) -> bytes:
    """The lot that a picture always draws, so that versions show the same ones."""
    return blake2b(sha256.encode(), person=b"pictures").digest()
