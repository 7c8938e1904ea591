"""Pictures on their way into image stores, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cocopipe.coco.file_columns import Files
from cocopipe.coco.zips import Entry
from cocopipe.convert.settings import Role

DIGEST = np.dtype("S32")
"""A SHA-256. NumPy takes zeros at its end for padding, and gives them back."""


@dataclass(frozen=True)
class FoundImages:
    """Images of a split of the raw data, in the order of their canonical names.

    Attributes:
        names: Canonical, rising, ``pa.StringArray`` [N].
        image_ids: int64 [N]; of images with one name, they rise.
        file_names: As written, ``pa.StringArray`` [N].
        sizes: Annotated width and height in pixels, both 0 where no document says, int32 [N, 2].
        files: The files among which theirs are.
        rows: The rows that their files have in those, -1 where there is none, [N].
    """

    names: pa.StringArray
    image_ids: npt.NDArray[np.int64]
    file_names: pa.StringArray
    sizes: npt.NDArray[np.int32]
    files: Files
    rows: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def size_bytes(self) -> npt.NDArray[np.int64]:
        """The size of each file, int64 [N]."""
        return self.files.size_bytes[self.rows]

    def entry(self, place: int) -> Entry:
        """The file of an image."""
        return self.files.at(int(self.rows[place]))

    def only(self, chosen: npt.NDArray[np.bool_]) -> "FoundImages":
        """The images where ``chosen`` [N] is true."""
        those = pa.array(chosen)
        return replace(
            self,
            names=self.names.filter(those),
            image_ids=self.image_ids[chosen],
            file_names=self.file_names.filter(those),
            sizes=self.sizes[chosen],
            rows=self.rows[chosen],
        )


@dataclass(frozen=True)
class Placed:
    """Where images went, N of them, and what their files say of themselves.

    Attributes:
        sha256: Of each file, `DIGEST` [N].
        sizes: Width and height of each file in pixels, int32 [N, 2].
        exif: How EXIF asks viewers to turn each, its number, 1 for not at all, int8 [N].
        turns: How each is turned on reading (see :mod:`cocopipe.pictures.turning`), int8 [N].
        roles: The number of the role whose store has it, among ``names``, int8 [N].
        shards: The shard that has it, among ``shard_names``, int32 [N].
        rows: The row that it has there, int32 [N].
        names: The roles.
        shard_names: Names of files, without suffix.
    """

    sha256: npt.NDArray[np.bytes_]
    sizes: npt.NDArray[np.int32]
    exif: npt.NDArray[np.int8]
    turns: npt.NDArray[np.int8]
    roles: npt.NDArray[np.int8]
    shards: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int32]
    names: Sequence[Role]
    shard_names: Sequence[str]

    def __len__(self) -> int:
        return len(self.rows)

    def taken(self, places: npt.NDArray[np.int64] | slice) -> "Placed":
        """Some of the images."""
        columns = ("sha256", "sizes", "exif", "turns", "roles", "shards", "rows")
        return replace(self, **{name: getattr(self, name)[places] for name in columns})

    def hex(self) -> list[str]:
        """The SHA-256 of each file as text."""
        text = self.sha256.tobytes().hex()
        return [text[start : start + 64] for start in range(0, len(text), 64)]
