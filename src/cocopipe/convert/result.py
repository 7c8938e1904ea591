"""What became of raw data, as values."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from cocopipe.convert.found import FoundImages, Placed
from cocopipe.convert.notes import Note, note
from cocopipe.split.boxes import OddBoxes

_NOT_IN_METRICS = re.compile(r"[^\w.\- ]", re.ASCII)
"""What a file may be named, but not an MLflow metric."""


@dataclass(frozen=True)
class Stored:
    """The images of one split."""

    images: int = 0
    """How many are listed."""
    files: int = 0
    """How many files there are, identical ones once."""
    size_bytes: int = 0
    """The size of all these files together."""
    shards: int = 0
    mismatched: tuple[str, ...] = ()
    """Files whose annotated size isn't their own, not even turned, with both."""
    turned: tuple[str, ...] = ()
    """Files that are turned on reading, as their EXIF says: so they have their annotated size."""
    as_stored: tuple[str, ...] = ()
    """Files whose EXIF asks to turn them, which are not: they have their annotated size as they
    are stored, or that tells nothing."""
    doubtful: tuple[str, ...] = ()
    """Those of them of which no size tells how they were annotated, and that have boxes outside."""

    def counts(self) -> dict[str, int]:
        """Everything that was counted, and how many files the lists have."""
        return {
            "images": self.images,
            "files": self.files,
            "size_bytes": self.size_bytes,
            "shards": self.shards,
            "size_mismatches": len(self.mismatched),
            "turned_by_exif": len(self.turned),
            "not_turned_by_exif": len(self.as_stored),
        }


@dataclass(frozen=True)
class SplitConversion:
    """What became of one split."""

    sources: tuple[str, ...]
    """The splits of the raw data that it comes from; none where it is empty."""
    stored: Stored
    annotations: Mapping[str, int]
    """How many annotations each document has of the split's images."""
    odd_boxes: OddBoxes
    """The odd boxes of the ``instances`` document, all of which were kept as they are."""


@dataclass(frozen=True)
class Conversion:
    """What became of the raw data."""

    splits: Mapping[str, SplitConversion]
    """Role -> its split."""
    skipped: tuple[str, ...]
    """Listed images that are missing in the raw data, as ``<split>/<file name>``."""
    readings: tuple[Note, ...]
    """How file names were read that are not those of files, and values that are not written as
    COCO has them; and which values can't be read."""
    ignored: tuple[str, ...]
    """Splits without a role, documents without images or of panoptic segments, image folders
    without documents."""
    ungrouped: int = 0
    """Images of a divided split whose names have no match of ``convert.group``."""
    in_several_groups: int = 0
    """Pictures with copies in groups that are on different sides; each has one of them."""

    unlisted: Note | None = None
    """Image files in the folders of splits that no document lists."""
    copies: tuple[str, ...] = ()
    """Images whose picture another image of their role has too; stores have it once."""
    in_several_roles: tuple[str, ...] = ()
    """Images whose picture is of another role too, with both."""
    renumbered: tuple[str, ...] = ()
    """Splits of the raw data whose image ids others of their role have too: in the tables they
    have others, and in what is exported their own."""

    @property
    def notes(self) -> list[Note]:
        """All that is told at the end of the stage."""
        stores = [split.stored for split in self.splits.values()]
        odd = sum((split.odd_boxes for split in self.splits.values()), OddBoxes())
        found = [
            *note("not taken", self.ignored),
            *([self.unlisted] if self.unlisted else []),
            *note("listed images that are missing, left out", self.skipped),
            *note("pictures in more than one of train, val and test", self.in_several_roles),
            *note("images that are copies of others of their split", self.copies),
            *self.readings,
            *note(
                "pictures turned on reading, as EXIF says",
                [name for each in stores for name in each.turned],
            ),
            *note(
                "pictures that EXIF asks to turn, taken as stored",
                [name for each in stores for name in each.as_stored],
            ),
            *note(
                "of those, pictures that may have been annotated turned: boxes leave them",
                [name for each in stores for name in each.doubtful],
            ),
            *note(
                "annotated sizes that are not the files', kept",
                [line for each in stores for line in each.mismatched],
            ),
            *note("splits whose image ids are others in the tables", self.renumbered),
        ]
        every = "of instances"
        counted = {
            "boxes that are not finite, kept and not used": (odd.not_finite, every),
            "boxes without area, kept and not used": (odd.degenerate, every),
            "boxes over the border, cut there for training": (odd.outside, every),
            "images without a match of convert.group, each divided by itself": (
                self.ungrouped,
                "of divided splits",
            ),
            "pictures with copies in groups of several sides, kept on one": (
                self.in_several_groups,
                "of divided splits",
            ),
        }
        return found + [Note(what, *how) for what, how in counted.items() if how[0]]

    def metrics(self) -> dict[str, float]:
        """Everything that was counted, as ``<split>.<name>``."""
        counts: dict[str, float] = {
            "skipped_images": len(self.skipped),
            "images_in_several_roles": len(self.in_several_roles),
        }
        for name, split in self.splits.items():
            if not split.sources:
                continue  # a split for testing that the source does not have
            counts |= {f"{name}.{key}": value for key, value in split.stored.counts().items()}
            counts |= {
                f"{name}.annotations/{_NOT_IN_METRICS.sub('_', key)}": value
                for key, value in split.annotations.items()
            }
            boxes = asdict(split.odd_boxes)
            counts |= {f"{name}.boxes_{key}": value for key, value in boxes.items()}
        return counts


def stored(
    images: Iterable[tuple[FoundImages, Placed]], role: int, doubtful: Iterable[str] = ()
) -> Stored:
    """What the store of a role holds.

    Args:
        images: of each split of the raw data, and where they went.
        role: its number among the roles that they were divided to.
        doubtful: files of which nothing tells how they were annotated.
    """
    total, mismatched, turned, as_stored = 0, [], [], []
    places, sizes = [np.empty((0, 2), np.int32)], [np.empty(0, np.int64)]
    for found, placed in images:
        its = placed.roles == role
        total += int(its.sum())
        places.append(np.stack([placed.shards[its], placed.rows[its]], axis=1))
        sizes.append(found.size_bytes[its])
        is_turned = placed.turns != 1
        mismatched += _mismatched(found, placed.sizes, its & ~is_turned)
        turned += found.file_names.filter(its & is_turned).to_pylist()
        as_stored += found.file_names.filter(its & ~is_turned & (placed.exif != 1)).to_pylist()
    files, first = np.unique(np.concatenate(places), axis=0, return_index=True)
    return Stored(
        images=total,
        files=len(files),
        size_bytes=int(np.concatenate(sizes)[first].sum()),
        shards=len(np.unique(files[:, 0])),
        mismatched=tuple(mismatched),
        turned=tuple(turned),
        as_stored=tuple(as_stored),
        doubtful=tuple(doubtful),
    )


def _mismatched(
    found: FoundImages, sizes: npt.NDArray[np.int32], chosen: npt.NDArray[np.bool_]
) -> list[str]:
    differs = chosen & (found.sizes != sizes).any(axis=1) & (found.sizes != 0).any(axis=1)
    return [
        f"{found.file_names[place].as_py()}: annotated {found.sizes[place, 0]}x"
        f"{found.sizes[place, 1]}, stored {sizes[place, 0]}x{sizes[place, 1]}"
        for place in np.flatnonzero(differs).tolist()
    ]
