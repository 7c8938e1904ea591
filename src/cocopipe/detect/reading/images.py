"""The images of a split, decoded one by one."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cocopipe.detect.reading.decoding import Decoded, File, decode, files, turned
from cocopipe.detect.reading.order import Key, groups_in_window
from cocopipe.documents import PRIMARY
from cocopipe.errors import UserError
from cocopipe.split import tables
from cocopipe.split.images import ImageStore

Target = dict[str, Tensor]
"""What is known of an image, by name."""

Sample = tuple[Tensor, Target]
"""A uint8 image [3, H, W] in RGB, and its target."""


class Images(Dataset[Sample]):
    """The images of a split in the order of its table, for prediction.

    A target holds ``image_id`` and ``scale``: x and y of the image by x and y as stored, float32
    [2], 1 unless it was reduced.
    """

    def __init__(
        self, split: Path, *, shortest_side: int | None = None, document: str = PRIMARY
    ) -> None:
        """Find the images; none is read yet.

        Args:
            split: A folder that the convert stage wrote.
            shortest_side: What a model needs, pixels; see `decode`. None: all pixels.
            document: The one that lists them.
        """
        self.split = split
        self.shortest_side = shortest_side
        table = tables.read_table(split, document, ["image_id", "sha256", "turn"])
        self.image_ids = np.asarray(table["image_id"], np.int64)
        self._turns = table["turn"].to_numpy()
        self._store = ImageStore(split)
        self.groups, self.rows = self._store.places(table["sha256"])
        self._most_kept = 2 * groups_in_window(self.groups)
        self._kept: OrderedDict[int, list[File]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def stored_order(self) -> npt.NDArray[np.int64]:
        """The indices of all images as their files lie in the store, int64 [N]."""
        return np.lexsort((self.rows, self.groups))

    def __getitem__(self, key: int | Key) -> Sample:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        return self.sample(epoch, index, self.decoded(index, self.file(index)))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict()}

    def file(self, index: int) -> File:
        """Return the file of the image at ``index``; those near it are kept for a while."""
        group = int(self.groups[index])
        if group not in self._kept:
            # Twice what `shuffled` draws from: which of them are done is not known here.
            while len(self._kept) >= self._most_kept:
                self._kept.popitem(last=False)
            self._kept[group] = self.read_group(group)
        self._kept.move_to_end(group)
        return self._kept[group][int(self.rows[index])]

    def read_group(self, group: int) -> list[File]:
        """Read the files of a row group."""
        return files(self._store.read_group(group))

    def sample(self, epoch: int, index: int, decoded: Decoded) -> Sample:
        """Make a sample of the image at ``index``."""
        del epoch
        return decoded.pixels, {
            "image_id": torch.tensor(int(self.image_ids[index])),
            "scale": torch.tensor(decoded.scale, dtype=torch.float32),
        }

    def decoded(self, index: int, file: File) -> Decoded:
        """Decode ``file``, that of the image at ``index``.

        Raises:
            UserError: it can't be decoded.
        """
        try:
            found = decode(file, shortest_side=self.shortest_side)
            return turned(found, int(self._turns[index]))
        except ValueError as error:
            raise UserError(
                f"image {self.image_ids[index]} of {self.split} can't be decoded ({error}):"
                " replace it in the source and convert again"
            ) from error
