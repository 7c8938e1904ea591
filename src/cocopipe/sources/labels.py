"""Labels of other formats as COCO documents."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import UnidentifiedImageError

from cocopipe.errors import UserError, some
from cocopipe.files import write_json
from cocopipe.pictures.opening import opened_file

_ORIENTATION = 0x0112
_SIDEWAYS = range(5, 9)
"""EXIF's numbers for what swaps width and height."""

FIRST = 3
"""Places that are told of what was left out."""


@dataclass(frozen=True)
class Labelled:
    """An image and its objects, as COCO has them but for ids.

    Attributes:
        path: In its split.
        size: Width and height in pixels, as the labels mean it.
        objects: With ``category`` for the name of the class.
    """

    path: PurePosixPath
    size: tuple[int, int]
    objects: Sequence[Mapping[str, Any]]


@dataclass
class Notes:
    """What was left out or could not be known, and where."""

    counts: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, place: str) -> None:
        """Note one of these."""
        self.counts[what] += 1
        if len(places := self.places.setdefault(what, [])) < FIRST:
            places.append(place)

    def told(self) -> tuple[str, ...]:
        """A line for each kind, with how many there are and the first."""
        return tuple(
            f"{count:,} {what}: {self._places(what)}" for what, count in self.counts.items()
        )

    def _places(self, what: str) -> str:
        more = self.counts[what] - len(self.places[what])
        return ", ".join(self.places[what]) + (f" and {more:,} more" if more else "")


def shown_size(path: Path) -> tuple[int, int]:
    """Width and height of an image as viewers show it, in pixels.

    Raises:
        UserError: it is none.
    """
    try:
        with opened_file(path) as image:
            turn = image.getexif().get(_ORIENTATION, 1)
            width, height = image.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{path} is no image that can be read: replace or remove it.") from error
    return (height, width) if turn in _SIDEWAYS else (width, height)


def write_documents(
    out: Path, splits: Mapping[str, Sequence[Labelled]], names: Sequence[str]
) -> None:
    """Write ``annotations/instances_<split>.json`` for every split.

    Images and annotations are numbered from 1, over all splits; categories too, in the order of
    ``names``.
    """
    (out / "annotations").mkdir()
    numbers = {name: number for number, name in enumerate(names, start=1)}
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    first_image = first_object = 1
    for split, labelled in splits.items():
        images = [
            {
                "id": number,
                "file_name": each.path.as_posix(),
                "width": each.size[0],
                "height": each.size[1],
            }
            for number, each in enumerate(labelled, start=first_image)
        ]
        annotations = list(_annotations(labelled, first_image, first_object, numbers))
        first_image += len(images)
        first_object += len(annotations)
        write_json(
            out / "annotations" / f"instances_{split}.json",
            {"images": images, "annotations": annotations, "categories": categories},
        )


def _annotations(
    labelled: Sequence[Labelled], first_image: int, first: int, numbers: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    for image_id, each in enumerate(labelled, start=first_image):
        for one in each.objects:
            rest = {name: value for name, value in one.items() if name != "category"}
            yield {
                "id": first,
                "image_id": image_id,
                "category_id": numbers[one["category"]],
                **rest,
                "iscrowd": 0,
            }
            first += 1


def require_images(splits: Mapping[str, Sequence[Labelled]], source: Path, kind: str) -> None:
    """Refuse a dataset in which no split has an image."""
    if not any(splits.values()):
        looked = some(sorted(splits)) if splits else "any folder"
        raise UserError(f"{source} has no images for its {kind} labels: looked in {looked}.")
