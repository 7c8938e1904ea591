"""One COCO document: parsed and found sound, or refused.

Annotations are parsed a few thousand at a time and become Arrow columns at once, so that a
document of 450 MB needs little more memory than its text and its columns.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.coco import fields
from cocopipe.coco.raw import leads_out
from cocopipe.errors import UserError

PRIMARY = "instances"
"""The document that detection reads; its order of images is the split's."""

INT64 = range(-(2**63), 2**63)

CHUNK = 4096
"""Annotations that are Python objects at the same time."""

_BEYOND_MSGSPEC = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""What the fast parser does not take: NaN, a byte order mark, UTF-16, halves of surrogates."""


@dataclass(frozen=True)
class Objects:
    """The annotations of a document, in its order.

    Attributes:
        image_ids: int64 [M].
        rows: ``pa.ChunkedArray`` of `fields.OBJECT`, [M].
    """

    image_ids: npt.NDArray[np.int64]
    rows: Any

    def __len__(self) -> int:
        return len(self.image_ids)

    def of_images(self, image_ids: npt.NDArray[np.int64]) -> "Objects":
        """Only those of these images."""
        chosen = np.isin(self.image_ids, image_ids)
        if chosen.all():
            return self
        return Objects(self.image_ids[chosen], self.rows.filter(pa.array(chosen)))


@dataclass(frozen=True)
class Document:
    """A COCO document, or what one split keeps of it.

    Images and annotations carry their places in the original lists, so that the
    order survives sorting, division and subsets.
    """

    name: str
    top: Mapping[str, Any]
    """Every top-level field except ``images`` and ``annotations``."""
    images: pa.Table
    """Of `fields.IMAGE`, in the document's order."""
    annotations: Objects | None
    """None where the document has no such field."""

    @property
    def image_ids(self) -> npt.NDArray[np.int64]:
        """In the document's order, int64 [N]."""
        ids: npt.NDArray[np.int64] = self.images["image_id"].to_numpy()
        return ids

    @property
    def categories(self) -> list[dict[str, Any]]:
        """The categories it lists, in its order."""
        listed: list[dict[str, Any]] = self.top.get("categories", [])
        return listed

    def of_images(self, image_ids: Iterable[int]) -> "Document":
        """Only these images and their annotations."""
        wanted = np.fromiter(image_ids, np.int64)
        chosen = np.isin(self.image_ids, wanted)
        return replace(
            self,
            images=self.images.filter(pa.array(chosen)),
            annotations=self.annotations and self.annotations.of_images(wanted),
        )


def order(names: Iterable[str]) -> list[str]:
    """Document names, the primary one first, then by the alphabet."""
    return sorted(names, key=lambda name: (name != PRIMARY, name))


def parse(data: bytes, *, name: str, where: str) -> Document | None:
    """Parse and check one document as a whole; see `outline`."""
    found = outline(data, name=name, where=where)
    return None if found is None else found.fill()


def outline(data: bytes, *, name: str, where: str) -> "Outline | None":
    """Parse and check a document, but for its annotations.

    Args:
        data: the JSON file.
        name: the document's name, such as ``instances``.
        where: what messages call the file.

    Returns:
        What to fill; None for a panoptic document, whose annotations are
        pictures with segments and no objects.

    Raises:
        UserError: not JSON, not COCO, an id that is missing, no integer or
            there twice, a file name that leads out.
    """
    try:
        return _outline(_split(data), name, where, data)
    except _BEYOND_MSGSPEC:
        return _outline(_load(data, where), name, where, data)


@dataclass(frozen=True)
class Outline:
    """A document whose annotations are not parsed yet."""

    name: str
    where: str
    top: Mapping[str, Any]
    images: pa.Table
    _data: bytes
    _content: "_Content"

    @property
    def categories(self) -> list[dict[str, Any]]:
        """The categories it lists, in its order."""
        listed: list[dict[str, Any]] = self.top.get("categories", [])
        return listed

    def fill(self) -> Document:
        """Parse and check the annotations.

        Raises:
            UserError: an id that is missing, no integer or there twice, a
                reference to nothing.
        """
        try:
            annotations = self._encoded(self._content)
        except _BEYOND_MSGSPEC:
            annotations = self._encoded(_load(self._data, self.where))
        return Document(self.name, self.top, self.images, annotations)

    def _encoded(self, content: "_Content") -> Objects | None:
        if content.annotations is None:
            return None
        image_ids = set(self.images["image_id"].to_pylist())
        category_ids = {category["id"] for category in self.categories}
        check = _AnnotationCheck(image_ids, category_ids, self.name, self.where)
        return _encode(content.annotations(), check)


@dataclass(frozen=True)
class _Content:
    """A document's parts, its annotations not parsed yet."""

    top: dict[str, Any]
    images: Any
    annotations: Callable[[], Iterator[list[Any]]] | None = None
    """Gives them in pieces; None where there are none."""
    first: Any = None
    """The first of them."""


def _split(data: bytes) -> _Content:
    """Find the parts of a document without parsing its annotations."""
    spans = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    annotations = spans.pop("annotations", None)
    top = {name: msgspec.json.decode(span) for name, span in spans.items()}
    images = top.pop("images", None)
    if annotations is None:
        return _Content(top, images)
    each = msgspec.json.decode(annotations, type=list[msgspec.Raw])

    def pieces() -> Iterator[list[Any]]:
        for start in range(0, len(each), CHUNK):
            text = b"[" + b",".join(each[start : start + CHUNK]) + b"]"
            yield msgspec.json.decode(text)

    return _Content(top, images, pieces, msgspec.json.decode(each[0]) if each else None)


def _load(data: bytes, where: str) -> _Content:
    """The same by the standard parser, which takes more than the JSON standard allows."""
    try:
        top = json.loads(data)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise UserError(f"{where} is not JSON: {error.msg} at {place}; correct the file") from error
    except (ValueError, RecursionError) as error:  # no Unicode, endless digits, endless depth
        raise UserError(f"{where} is not JSON ({error}): correct the file") from error
    if not isinstance(top, dict):
        return _Content({}, None)
    images = top.pop("images", None)
    if not isinstance(images, list) or "annotations" not in top:
        return _Content(top, images)
    annotations = top.pop("annotations")
    if not isinstance(annotations, list):
        raise UserError(f"{where} is not a COCO document: its annotations are not a list")

    def pieces() -> Iterator[list[Any]]:
        for start in range(0, len(annotations), CHUNK):
            yield annotations[start : start + CHUNK]

    return _Content(top, images, pieces, annotations[0] if annotations else None)


def _outline(content: _Content, name: str, where: str, data: bytes) -> Outline | None:
    if not isinstance(content.images, list):
        raise UserError(f"{where} is not a COCO document: it has no list of images")
    seems_panoptic = content.annotations is not None and _is_panoptic([content.first])
    if content.annotations and seems_panoptic and all(map(_is_panoptic, content.annotations())):
        return None
    _check_categories(content.top, where)
    _check_images(content.images, where)
    images = fields.encode_images(content.images)
    return Outline(name, where, content.top, images, data, replace(content, images=None))


def _is_panoptic(annotations: list[Any]) -> bool:
    return all(isinstance(each, dict) and "segments_info" in each for each in annotations)


def _encode(pieces: Iterator[list[Any]], check: "_AnnotationCheck") -> Objects:
    """Check annotations and make columns of them, a piece at a time."""
    ids: list[npt.NDArray[np.int64]] = []
    image_ids: list[npt.NDArray[np.int64]] = []
    rows: list[Any] = []
    start = 0
    for piece in pieces:
        check(piece, start)
        rows.append(fields.encode_objects(piece, start))
        ids.append(np.array([annotation["id"] for annotation in piece], np.int64))
        image_ids.append(np.array([annotation["image_id"] for annotation in piece], np.int64))
        start += len(piece)
    none = np.empty(0, np.int64)
    check.once(np.concatenate([none, *ids]))
    return Objects(np.concatenate([none, *image_ids]), pa.chunked_array(rows, fields.OBJECT))


def _ids(items: Sequence[Any], kind: str, where: str, first: int = 0) -> list[int]:
    """The ids of a list of objects, each an int64."""
    for index, item in enumerate(items, first):
        if not isinstance(item, dict):
            raise UserError(f"{where} is not a COCO document: {kind} number {index} is no object")
        number = item.get("id")
        if type(number) is not int or number not in INT64:
            shown = "no id" if number is None else f"the id {number!r}"
            raise UserError(f"{where}: {kind} number {index} has {shown}; it must be an integer")
    return [item["id"] for item in items]


def _require_once(ids: npt.NDArray[np.int64], kind: str, where: str) -> None:
    values, counts = np.unique(ids, return_counts=True)
    twice = values[counts > 1]
    if len(twice):
        raise UserError(f"{where}: two {kind} entries have the id {twice[0]}; renumber one")


def _check_categories(content: dict[str, Any], where: str) -> None:
    categories = content.get("categories", [])
    if not isinstance(categories, list):
        raise UserError(f"{where} is not a COCO document: its categories are not a list")
    ids = _ids(categories, "category", where)
    _require_once(np.array(ids, np.int64), "category", where)
    for category in categories:
        if not isinstance(category.get("name"), str):
            raise UserError(f"{where}: category {category['id']} has no name; give it one")
        if not _is_unicode(category["name"]):
            raise UserError(f"{where}: category {category['id']} has a name that is not Unicode")


def _check_images(images: list[Any], where: str) -> None:
    ids = _ids(images, "image", where)
    _require_once(np.array(ids, np.int64), "image", where)
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


class _AnnotationCheck:
    """Refuses annotations that refer to nothing."""

    def __init__(self, image_ids: set[int], category_ids: set[int], name: str, where: str) -> None:
        self._image_ids = image_ids
        self._category_ids = category_ids
        self._name = name
        self._where = where

    def __call__(self, annotations: list[Any], first: int) -> None:
        """Check some of a document, the first of which has this position in it."""
        _ids(annotations, "annotation", self._where, first)
        for field, known in (("image_id", self._image_ids), ("category_id", self._category_ids)):
            found = [annotation.get(field) for annotation in annotations]
            if not (set(map(type, found)) <= {int} and known.issuperset(found)):
                self._look_closer(annotations)
                return

    def once(self, ids: npt.NDArray[np.int64]) -> None:
        """Check that no id of the whole document is there twice."""
        _require_once(ids, "annotation", self._where)

    def _look_closer(self, annotations: list[Any]) -> None:
        for annotation in annotations:
            image_id = annotation.get("image_id")
            if type(image_id) is not int or image_id not in self._image_ids:
                raise UserError(
                    f"{self._where}: annotation {annotation['id']} is of image {image_id!r}, which"
                    " the file does not list; add the image or remove the annotation"
                )
            category_id = annotation.get("category_id")
            if (
                type(category_id) is not int or category_id not in self._category_ids
            ) and not self._needs_no_category(annotation):
                raise UserError(
                    f"{self._where}: annotation {annotation['id']} is of category {category_id!r},"
                    " which the file does not list; add the category or remove the annotation"
                )

    def _needs_no_category(self, annotation: dict[str, Any]) -> bool:
        # A caption is of the whole image, or of a region where nothing has categories: what
        # category it has, if any, means nothing.
        is_object = "bbox" in annotation or "segmentation" in annotation
        is_detection = bool(self._category_ids) or self._name == PRIMARY
        return "caption" in annotation and not (is_object and is_detection)


def count_by_category(annotations: Objects | None) -> dict[int, int]:
    """Annotations of each category id that is an integer."""
    if annotations is None:
        return {}
    ids = pc.struct_field(annotations.rows, "category_id").drop_null()
    return {each["values"]: each["counts"] for each in pc.value_counts(ids).to_pylist()}
