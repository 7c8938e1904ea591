"""COCO documents as columns of a split's tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cocopipe.coco import document
from cocopipe.coco.document import Document
from cocopipe.coco.zips import Entry
from cocopipe.convert.encode import encode_images, encode_objects
from cocopipe.convert.readings import Readings


@dataclass(frozen=True)
class Annotations:
    """Annotations that follow each other in a document.

    Attributes:
        image_ids: int64 [M].
        rows: ``pa.StructArray`` of `fields.OBJECT`, [M].
    """

    image_ids: npt.NDArray[np.int64]
    rows: Any

    def __len__(self) -> int:
        return len(self.image_ids)

    def only(self, chosen: npt.NDArray[np.bool_]) -> "Annotations":
        """The annotations where ``chosen`` [M] is true."""
        if chosen.all():
            return self
        return Annotations(self.image_ids[chosen], self.rows.filter(pa.array(chosen)))


@dataclass(frozen=True)
class DocumentColumns:
    """A COCO document whose images were read; its annotations are still to be.

    Images and annotations carry their places in the original lists, so that the
    order survives sorting, division and subsets.

    Attributes:
        coco: The document, found sound but for its annotations.
        of_images: How values of images were read.
        of_annotations: How values of annotations were read, of those that were read so far.
    """

    coco: Document
    of_images: Readings
    of_annotations: Readings

    @property
    def name(self) -> str:
        """The document's name, such as ``instances``."""
        return self.coco.name

    def annotations(self) -> Iterator[Annotations]:
        """Read, check and encode the annotations of all images, some at a time.

        Raises:
            UserError: as `Document.annotations`.
        """
        return self.coco.annotations(partial(_annotations, readings=self.of_annotations))


def read(entry: Entry, *, name: str) -> tuple[DocumentColumns, pa.Table] | None:
    """Read and check a document, but for its annotations.

    Returns:
        The document and its images, rows of `fields.IMAGE` in its order. None for a panoptic one.

    Raises:
        UserError: as `cocopipe.coco.document.read`.
    """
    found = document.read(entry, name=name, encode=_images)
    if found is None:
        return None
    sound, pieces = found
    readings = Readings()
    for _, of_piece in pieces:
        readings += of_piece
    table = pa.concat_tables([images for images, _ in pieces]).combine_chunks()
    return DocumentColumns(sound, readings, Readings()), table


def _images(images: Sequence[Mapping[str, Any]], first: int) -> tuple[pa.Table, Readings]:
    readings = Readings()
    return encode_images(images, first, readings), readings


def _annotations(
    annotations: Sequence[Mapping[str, Any]], first: int, readings: Readings
) -> Annotations:
    image_ids = np.array([annotation["image_id"] for annotation in annotations], np.int64)
    return Annotations(image_ids, encode_objects(annotations, first, readings))
