"""Images to look at: files, folders of them, or a converted split."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cocopipe.coco.names import IMAGE_SUFFIXES
from cocopipe.coco.paths import path_of
from cocopipe.detect.serving.finder import AS_STORED
from cocopipe.documents import PRIMARY
from cocopipe.errors import UserError, some
from cocopipe.split.images import ImageStore
from cocopipe.split.tables import documents, is_split, read_table


@dataclass(frozen=True)
class Picture:
    """An image file to look at."""

    image_id: int
    file_name: str
    """What it is called, a relative path with slashes."""
    turn: int | None
    """EXIF's number of how it is turned first; None: as its own EXIF says."""
    read: Callable[[], bytes]


def gather(places: Sequence[Path], *, upright: bool) -> list[Picture]:
    """Return the images of some places, each under a name of its own.

    Those of a split have its ids, where it is the only place, and are turned as it was annotated;
    others are numbered from 1.

    Args:
        places: Image files, folders, which are searched through, and converted splits.
        upright: Turn files as their own EXIF says; else their pixels are as they are stored.

    Raises:
        UserError: There are none, a place is not there, or two have one name.
    """
    turn = None if upright else AS_STORED
    found = [picture for place in places for picture in _images_at(place, turn)]
    if not found:
        raise UserError(f"there are no images in {some([str(place) for place in places])}")
    names = Counter(picture.file_name for picture in found)
    several = [name for name, count in names.items() if count > 1]
    if several:
        raise UserError(
            f"several images are called {some(several)}: name a folder that all of them are in, so"
            " that they are told from each other by their paths"
        )
    if len(places) == 1 and is_split(places[0]):
        return found
    return [replace(each, image_id=number) for number, each in enumerate(found, start=1)]


def _images_at(place: Path, turn: int | None) -> Iterator[Picture]:
    if is_split(place):
        yield from _of_split(place)
    elif place.is_dir():
        files = (path for path in place.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        for path in sorted(file for file in files if file.is_file()):
            yield Picture(0, path.relative_to(place).as_posix(), turn, path.read_bytes)
    elif place.is_file():
        yield Picture(0, place.name, turn, place.read_bytes)
    else:
        raise UserError(f"{place} is not there: name an image file, a folder or a converted split")


def _of_split(split: Path) -> Iterator[Picture]:
    if PRIMARY not in (names := documents(split)):
        raise UserError(f"{split} has no table of {PRIMARY}, only {some(names)}")
    columns = ["image_id", "file_name", "source", "sha256", "turn"]
    rows = read_table(split, PRIMARY, columns).to_pylist()
    store, has_several = ImageStore(split), len({row["source"] for row in rows}) > 1
    for row in rows:
        name = path_of(row["file_name"])
        name = f"{row['source']}/{name}" if has_several else name
        yield Picture(row["image_id"], name, row["turn"], partial(store.read, row["sha256"]))
