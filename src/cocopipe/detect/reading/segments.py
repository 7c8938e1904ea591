"""The masks of objects, as annotated and drawn on the pictures that they belong to."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from cocopipe.errors import UserError, some
from cocopipe.split.fields import SEGMENTATION, decode_fields
from cocopipe.split.masks import encoded, has_mask, mask

SEGMENT_FIELDS = ("id", *(field.column for field in SEGMENTATION))
"""Fields of the objects that these are made from."""


class Segments:
    """The segmentations of M objects, of which none is drawn yet."""

    def __init__(self, rows: pa.StructArray, split: Path) -> None:
        """Take the structs of the objects, [M], which have `SEGMENT_FIELDS`.

        Raises:
            UserError: some have no mask.
        """
        columns = [rows.field(name) for name in SEGMENT_FIELDS]
        self._rows = pa.StructArray.from_arrays(columns, SEGMENT_FIELDS)
        self._split = split
        bare = self._rows.field("id").filter(pa.array(~has_mask(self._rows))).to_pylist()
        if bare:
            raise UserError(
                f"{split} has {len(bare)} annotations without a mask (ids"
                f" {some([*map(str, bare)])}), which a mask detector needs: use a box detector such"
                " as fasterrcnn_resnet50_fpn"
            )

    def pixels(self, these: slice, *, height: int, width: int) -> Tensor:
        """Draw some on their image of so many pixels, uint8 [N, height, width].

        Raises:
            UserError: one can't be drawn on that.
        """
        rows = self._rows[these].to_pylist()
        masks = torch.zeros((len(rows), height, width), dtype=torch.uint8)
        for place, row in enumerate(rows):
            drawn = mask(_segmentation(row), height=height, width=width)
            if drawn is None:
                raise self._undrawable(row, height, width)
            masks[place] = torch.from_numpy(drawn)
        return masks

    def encoded(self, index: int, *, height: int, width: int) -> dict[str, Any]:
        """Return one on its image of so many pixels, as COCO's compressed RLE.

        Raises:
            UserError: it can't be drawn on that.
        """
        row = self._rows[index].as_py()
        found = encoded(_segmentation(row), height=height, width=width)
        if found is None:
            raise self._undrawable(row, height, width)
        return found

    def _undrawable(self, row: dict[str, Any], height: int, width: int) -> UserError:
        return UserError(
            f"annotation {row['id']} of {self._split} has a mask that can't be drawn on its image"
            f" of {width}x{height} pixels: correct its segmentation at the source"
        )


def _segmentation(row: dict[str, Any]) -> Any:
    """Return the segmentation as COCO has it."""
    return decode_fields(row, SEGMENTATION)["segmentation"]
