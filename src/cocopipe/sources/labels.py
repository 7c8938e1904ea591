"""Labels of other formats as COCO documents."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cocopipe.errors import UserError
from cocopipe.files import write_json

UNLABELLED = "images without a label file, taken as without objects"
"""A note."""

UNUSED = "label files without an image left out"
"""A note."""

NOT_READ = "images of kinds that are not read left out"
"""A note."""


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


@dataclass(frozen=True)
class Found:
    """An image of the dataset.

    Attributes:
        split: That it is in.
        path: Where it lies.
        base: The folder that its name is relative to, unless another one of the split is then
            called alike.
    """

    split: str
    path: Path
    base: Path


def named(found: Iterable[Found], root: Path) -> dict[str, dict[PurePosixPath, Path]]:
    """Split -> what each of its images is called in it -> the image.

    An image that is found again in its split is there once. Where two of a split would be called
    alike, all of it are called by their paths in the dataset.
    """
    splits: dict[str, dict[Path, Path]] = {}
    for each in found:
        splits.setdefault(each.split, {}).setdefault(each.path, each.base)
    return {split: _named(bases, root) for split, bases in splits.items()}


def _named(bases: Mapping[Path, Path], root: Path) -> dict[PurePosixPath, Path]:
    names = [path.relative_to(base).as_posix() for path, base in bases.items()]
    if len({name.casefold() for name in names}) < len(names):  # of file systems without case, too
        names = [path.relative_to(root).as_posix() for path in bases]
    return {PurePosixPath(name): path for name, path in zip(names, bases, strict=True)}


def targets(
    images: Mapping[str, Mapping[PurePosixPath, Path]],
) -> dict[PurePosixPath, Path]:
    """Where each image of each split goes -> the image."""
    return {
        PurePosixPath(split) / name: path
        for split, its in images.items()
        for name, path in its.items()
    }


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
    if not splits:
        raise UserError(f"{source} has no images for its {kind} labels: looked in any folder.")
