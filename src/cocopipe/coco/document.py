"""One COCO document: parsed and found sound, or refused."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from cocopipe.coco.raw import leads_out
from cocopipe.errors import UserError

PRIMARY = "instances"
"""The document that detection reads; its order of images is the split's."""

INT64 = range(-(2**63), 2**63)

_BEYOND_ORJSON = re.compile(rb"[0-9]{20}")
"""orjson makes floats of integers past 2**64, which have 20 digits at least."""


@dataclass(frozen=True)
class Document:
    """A COCO document, or what one split keeps of it.

    Images and annotations carry their places in the original lists, so that the
    order survives sorting, division and subsets.
    """

    name: str
    top: Mapping[str, Any]
    """Every top-level field except ``images`` and ``annotations``."""
    images: tuple[tuple[int, dict[str, Any]], ...]
    annotations: tuple[tuple[int, dict[str, Any]], ...] | None
    """None where the document has no such field."""

    @property
    def categories(self) -> list[dict[str, Any]]:
        """The categories it lists, in its order."""
        listed: list[dict[str, Any]] = self.top.get("categories", [])
        return listed

    def of_images(self, image_ids: "frozenset[int] | set[int]") -> "Document":
        """Only these images and their annotations."""
        return replace(
            self,
            images=tuple(item for item in self.images if item[1]["id"] in image_ids),
            annotations=None
            if self.annotations is None
            else tuple(item for item in self.annotations if item[1]["image_id"] in image_ids),
        )


def order(names: Iterable[str]) -> list[str]:
    """Document names, the primary one first, then by the alphabet."""
    return sorted(names, key=lambda name: (name != PRIMARY, name))


def parse(data: bytes, *, name: str, where: str) -> Document | None:
    """Parse and check one document.

    Args:
        data: the JSON file.
        name: the document's name, such as ``instances``.
        where: what messages call the file.

    Returns:
        The document; None for a panoptic one, whose annotations are pictures
        with segments and no objects.

    Raises:
        UserError: not JSON, not COCO, an id that is missing, no integer or
            there twice, a reference to nothing, a file name that leads out.
    """
    content = _load(data, where)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise UserError(f"{where} is not a COCO document: it has no list of images")
    images = content.pop("images")
    has_annotations = "annotations" in content
    annotations = content.pop("annotations", [])
    if not isinstance(annotations, list):
        raise UserError(f"{where} is not a COCO document: its annotations are not a list")
    if _is_panoptic(annotations):
        return None
    _check_categories(content, where)
    _check_images(images, where)
    _check_annotations(annotations, images, content.get("categories", []), name, where)
    return Document(
        name=name,
        top=content,
        images=tuple(enumerate(images)),
        annotations=tuple(enumerate(annotations)) if has_annotations else None,
    )


def _load(data: bytes, where: str) -> Any:
    if not _BEYOND_ORJSON.search(data):
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass  # NaN, a byte order mark, UTF-16: the standard parser takes them
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise UserError(f"{where} is not JSON: {error.msg} at {place}; correct the file") from error
    except (ValueError, RecursionError) as error:  # no Unicode, endless digits, endless depth
        raise UserError(f"{where} is not JSON ({error}): correct the file") from error


def _is_panoptic(annotations: list[Any]) -> bool:
    return bool(annotations) and all(
        isinstance(annotation, dict) and "segments_info" in annotation for annotation in annotations
    )


def _ids(items: list[Any], kind: str, where: str) -> set[int]:
    """The ids of a list of objects, each an int64 and there once."""
    seen: set[int] = set()
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise UserError(f"{where} is not a COCO document: {kind} number {index} is no object")
        number = item.get("id")
        if type(number) is not int or number not in INT64:
            shown = "no id" if number is None else f"the id {number!r}"
            raise UserError(f"{where}: {kind} number {index} has {shown}; it must be an integer")
        if number in seen:
            raise UserError(f"{where}: two {kind} entries have the id {number}; renumber one")
        seen.add(number)
    return seen


def _check_categories(content: dict[str, Any], where: str) -> None:
    categories = content.get("categories", [])
    if not isinstance(categories, list):
        raise UserError(f"{where} is not a COCO document: its categories are not a list")
    _ids(categories, "category", where)
    for category in categories:
        if not isinstance(category.get("name"), str):
            raise UserError(f"{where}: category {category['id']} has no name; give it one")
        if not _is_unicode(category["name"]):
            raise UserError(f"{where}: category {category['id']} has a name that is not Unicode")


def _check_images(images: list[Any], where: str) -> None:
    _ids(images, "image", where)
    for image in images:
        name = image.get("file_name")
        if not isinstance(name, str) or not name:
            raise UserError(f"{where}: image {image['id']} has no file_name; give it one")
        if leads_out(name):
            raise UserError(
                f"{where}: image {image['id']} has the file name {name!r}, which leads out of the "
                "image folder; make it relative to the folder"
            )
        if not _is_unicode(name):
            raise UserError(f"{where}: image {image['id']} has a file name that is not Unicode")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_annotations(
    annotations: list[Any], images: list[Any], categories: list[Any], name: str, where: str
) -> None:
    _ids(annotations, "annotation", where)
    image_ids = {image["id"] for image in images}
    category_ids = {category["id"] for category in categories}
    for annotation in annotations:
        image_id = annotation.get("image_id")
        if type(image_id) is not int or image_id not in image_ids:
            raise UserError(
                f"{where}: annotation {annotation['id']} is of image {image_id!r}, which the file "
                "does not list; add the image or remove the annotation"
            )
        category_id = annotation.get("category_id")
        # A caption is of the whole image, or of a region where nothing has categories: what
        # category it has, if any, means nothing.
        if (type(category_id) is not int or category_id not in category_ids) and (
            "caption" not in annotation
            or (_is_object(annotation) and (category_ids or name == PRIMARY))
        ):
            raise UserError(
                f"{where}: annotation {annotation['id']} is of category {category_id!r}, which the "
                "file does not list; add the category or remove the annotation"
            )


def _is_object(annotation: dict[str, Any]) -> bool:
    return "bbox" in annotation or "segmentation" in annotation
