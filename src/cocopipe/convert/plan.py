"""What becomes of the images of splits: in which stores they go, and where shards begin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.convert.cutting import borders, coarser, hashes, reach
from cocopipe.convert.division import Division, groups
from cocopipe.convert.found import FoundImages
from cocopipe.convert.renumber import offsets
from cocopipe.convert.settings import ConvertSettings, Role
from cocopipe.convert.taking import Taken
from cocopipe.errors import UserError, some

MEGABYTE = 2**20

SAID = {"train": "training", "val": "validation", "test": "testing"}
"""What a role is for."""


@dataclass(frozen=True)
class Plan:
    """Images that become stores together: of one or more splits of the raw data."""

    images: Sequence[FoundImages]
    """The images of each split."""
    splits: Sequence[str]
    """What messages call each."""
    names: pa.StringArray
    """The canonical names of all images, one split after the other, [N]."""
    groups: Sequence[str | None]
    """The groups of all images, each of which has one role; None: by its own bytes, [N]."""
    division: Division
    folders: Mapping[Role, Path]
    """Role -> its split's folder, which exists."""
    shard_bytes: float
    """What a shard holds on average, at most."""
    decode: bool = False
    """Whether to decode every image, to be sure that it is whole."""

    @property
    def roles(self) -> list[Role]:
        """The roles that images are divided to."""
        return list(self.division.parts)

    @cached_property
    def added(self) -> list[int]:
        """What is added to the ids of each split's images, so that all are told apart."""
        return offsets([each.image_ids for each in self.images], "image")

    @cached_property
    def order(self) -> npt.NDArray[np.int64]:
        """The images in the order of their names, int64 [N]."""
        return np.asarray(pc.sort_indices(self.names), np.int64)

    @cached_property
    def reaches(self) -> dict[Role, int]:
        """Role -> how far the first image of a shard of it has the least hash."""
        total = sum(int(each.size_bytes.sum()) for each in self.images)
        near = reach(total / max(1, len(self.names)), self.shard_bytes)
        return {role: coarser(near, part) for role, part in self.division.parts.items()}

    @cached_property
    def starts(self) -> dict[Role, frozenset[str]]:
        """Role -> the names with which a shard of it begins."""
        names = sorted(pc.unique(self.names).to_pylist())
        found = hashes([name.encode() for name in names])
        return {
            role: frozenset(names[place] for place in np.flatnonzero(borders(found, near)).tolist())
            for role, near in self.reaches.items()
        }

    def at(self, number: int) -> tuple[str, FoundImages, int]:
        """The split of an image, the images of that, and its place among them."""
        for split, images in zip(self.splits, self.images, strict=True):
            if number < len(images):
                return split, images, number
            number -= len(images)
        raise IndexError(number)


def planned(
    role: Role,
    taken: Mapping[Role, Sequence[Taken]],
    out: Mapping[Role, Path],
    settings: ConvertSettings,
) -> Plan:
    """What becomes of the splits of a role; those for training may be divided."""
    division = Division(role)
    if role == "train":
        division = Division(
            role,
            val=0.0 if "val" in taken else settings.validation_fraction,
            test=0.0 if "test" in taken else settings.test_fraction,
        )
    if division.val + division.test >= 1:
        raise UserError(
            "convert.validation_fraction and convert.test_fraction are"
            f" {division.val} and {division.test}, which leaves nothing for training: lower them"
        )
    pattern = settings.group if len(division.parts) > 1 else None
    written = [each.images.file_names.to_pylist() for each in taken[role]]
    if role != "test" and not any(written):
        raise UserError(
            f"{some([each.split for each in taken[role]])} has no images, and is all there is for"
            f" {SAID[role]}: give another split that role with convert.splits, or remove its"
            " documents from the source"
        )
    return Plan(
        images=[each.images for each in taken[role]],
        splits=[each.split for each in taken[role]],
        names=pa.concat_arrays([each.images.names for each in taken[role]]),
        groups=[group for names in written for group in groups(names, pattern)],
        division=division,
        folders={each: out[each] for each in division.parts},
        shard_bytes=settings.shard_mb * MEGABYTE,
        decode=settings.verify == "decode",
    )
