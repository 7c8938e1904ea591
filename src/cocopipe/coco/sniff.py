"""A first look at a JSON file: whether it is COCO, and what it has, by its content alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cocopipe.coco.json_pieces import NotInPiecesError
from cocopipe.coco.parts import LISTS, Part, as_a_whole, in_pieces, require_json
from cocopipe.coco.values import file_name
from cocopipe.coco.zips import Entry
from cocopipe.documents import PRIMARY

SAMPLE = 200
"""Images whose file names a look remembers, at most."""


class Kind(Enum):
    """What a document is about; the value is what one of its kind is called."""

    BOXES = PRIMARY
    KEYPOINTS = "person_keypoints"
    CAPTIONS = "captions"
    PANOPTIC = "panoptic"
    PICTURES = "image_info"


@dataclass(frozen=True)
class Look:
    """What the beginning of a document shows.

    Attributes:
        kind: By its first annotations; a document without any, but with the list or with
            categories, is one of boxes.
        names: The file names of its first images, `SAMPLE` at most.
        is_bare: Whether it has no annotations, so that the kind is a guess.
    """

    kind: Kind
    names: tuple[str, ...]
    is_bare: bool = False


def look(entry: Entry) -> Look | None:
    """Look at a JSON file, as far as is needed.

    Returns:
        None where it is no COCO document: no object with a list of images, and annotations or
        categories or a file name for an image. One of these lists may be something else.

    Raises:
        UserError: It is not JSON, or damaged.
    """
    if next(entry.blocks(), b"").lstrip().startswith(b"["):
        return None  # such as detections, of which there may be millions
    try:
        return _look(in_pieces(entry))
    except NotInPiecesError:
        return _look(as_a_whole(entry)) if isinstance(require_json(entry), dict) else None


def listed(entry: Entry) -> list[Any]:
    """All images that a document lists, as it has them."""
    try:
        return _images(in_pieces(entry))
    except NotInPiecesError:
        return _images(as_a_whole(entry))


def _images(parts: Iterable[Part]) -> list[Any]:
    lists = (part.parse() for part in parts if part.name == "images" and part.is_part)
    return [image for images in lists for image in images]


def _look(parts: Iterable[Part]) -> Look | None:
    first: dict[str, list[Any]] = {}
    no_lists: set[str] = set()
    has_categories = False
    for part in parts:
        has_categories = has_categories or part.name == "categories"
        if part.name not in LISTS:
            continue
        if not part.is_part:  # its reader tells what is wrong
            no_lists.add(part.name)
        if part.name not in first:
            first[part.name] = part.parse() if part.is_part else []
        if first.get("images") is not None and first.get("annotations"):
            break
    if "images" not in first:
        return None
    names = tuple(names_of(first["images"][:SAMPLE]))
    annotations = first.get("annotations")
    if annotations is None and not has_categories and not names:
        return None
    if (
        no_lists
        and not names
        and not any(isinstance(each, Mapping) and "image_id" in each for each in annotations or ())
    ):
        return None
    return Look(_kind(annotations, has_categories), names, not annotations)


def names_of(images: Sequence[Any]) -> Iterator[str]:
    """The file names of images as a document has them, of those that have one."""
    for image in images:
        if not isinstance(image, Mapping):
            continue
        name = image.get("file_name") or file_name(image)
        if isinstance(name, str):
            yield name


def _kind(annotations: "Sequence[Any] | None", has_categories: bool) -> Kind:
    first = [each for each in annotations or () if isinstance(each, Mapping)]
    fields = {name for each in first for name in each}
    if "segments_info" in fields:
        return Kind.PANOPTIC
    if "keypoints" in fields:
        return Kind.KEYPOINTS
    is_object = "category_id" in fields and fields & {"bbox", "segmentation"}
    if "caption" in fields and not is_object:  # of an image, or of a region
        return Kind.CAPTIONS
    if annotations is None and not has_categories:
        return Kind.PICTURES
    return Kind.BOXES
