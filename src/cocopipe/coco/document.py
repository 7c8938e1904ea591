"""One COCO document: parsed and found sound, or refused.

A document is read in pieces, twice: for all but its annotations, and for those. What becomes of
a piece is the reader's business, who is given one at a time: so a document of 450 MB needs the
memory of a piece.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cocopipe.coco.json_pieces import NotInPiecesError
from cocopipe.coco.names import is_unicode
from cocopipe.coco.parts import Parts, as_a_whole, in_pieces, require_json
from cocopipe.coco.values import Reread, file_name, integer
from cocopipe.coco.zips import Entry
from cocopipe.documents import PRIMARY
from cocopipe.errors import UserError

Encoded = TypeVar("Encoded")
Encode = Callable[[Sequence[Mapping[str, Any]], int], Encoded]
"""Makes something smaller of entries that follow each other, the first at this position."""


@dataclass(frozen=True)
class Document:
    """A COCO document; its annotations are still to be read.

    Attributes:
        name: Such as ``instances``.
        top: Every top-level field except ``images`` and ``annotations``.
        image_ids: In the document's order, int64 [N].
        has_annotations: It may lack the list; one with an empty list is another document.
    """

    name: str
    top: Mapping[str, Any]
    image_ids: npt.NDArray[np.int64]
    has_annotations: bool
    _entry: Entry
    _parts: Parts

    @property
    def where(self) -> str:
        """What messages call the file."""
        return self._entry.where

    @property
    def categories(self) -> list[dict[str, Any]]:
        """The categories it lists, in its order; their ids are integers, however written."""
        listed: list[dict[str, Any]] = self.top.get("categories", [])
        return [{**each, "id": integer(each["id"])} for each in listed]

    def annotations(self, encode: Encode[Encoded]) -> Iterator[Encoded]:
        """Read and check the file's annotations, those of all its images, some at a time.

        Args:
            encode: Given annotations, each with an int64 ``id`` and a known ``image_id``.

        Yields:
            What ``encode`` made of them, in the document's order.

        Raises:
            UserError: an id that is missing, no integer or there twice, a
                reference to nothing.
        """
        category_ids: set[int] = {category["id"] for category in self.categories}
        image_ids = frozenset(self.image_ids.tolist())
        check = _AnnotationCheck(image_ids, category_ids, self.name, self.where)
        ids = [np.empty(0, np.int64)]
        start = 0
        try:
            for part in self._parts(self._entry):
                if part.name != "annotations":
                    continue
                annotations = part.parse()
                check(annotations, start)
                encoded = encode(annotations, start)
                ids.append(_ids_of(annotations))
                start += len(annotations)
                del annotations  # else they are here until the next ones are
                yield encoded
        except NotInPiecesError as error:
            require_json(self._entry)
            raise UserError(f"{self.where} is not JSON ({error}): correct the file") from error
        check.once(np.concatenate(ids))


def read(
    entry: Entry, *, name: str, encode: Encode[Encoded]
) -> tuple[Document, list[Encoded]] | None:
    """Read and check a document, but for its annotations.

    Args:
        entry: the JSON file.
        name: the document's name, such as ``instances``.
        encode: given images, each with an int64 ``id`` and a ``file_name``.

    Returns:
        The document, and what ``encode`` made of its images, in its order. None for a
        panoptic document, whose annotations are pictures with segments and no objects.

    Raises:
        UserError: not JSON, not COCO, an id that is missing, no integer or
            there twice, an image without a file name.
    """
    try:
        return _read(entry, name, encode, in_pieces)
    except NotInPiecesError:
        return _read(entry, name, encode, as_a_whole)
    except UserError:
        for _ in entry.blocks():  # of what is damaged in its zip, nothing else is told
            pass
        raise


def _read(
    entry: Entry, name: str, encode: Encode[Encoded], parts: Parts
) -> tuple[Document, list[Encoded]] | None:
    top: dict[str, Any] = {}
    images: list[Encoded] = []
    ids = [np.empty(0, np.int64)]
    listed = 0
    has_annotations, is_panoptic = False, True
    for part in parts(entry):
        if not part.is_part:
            top[part.name] = part.parse()
        elif part.name == "images":
            some = part.parse()
            _check_images(some, entry.where, listed)
            images.append(encode(some, listed))
            ids.append(_ids_of(some))
            listed += len(some)
        else:
            has_annotations = True
            is_panoptic = is_panoptic and _is_panoptic(part.parse())
    if not images or "images" in top:
        raise UserError(f"{entry.where} is not a COCO document: it has no list of images")
    if "annotations" in top:
        raise UserError(f"{entry.where} is not a COCO document: its annotations are not a list")
    if has_annotations and is_panoptic:
        return None
    _check_categories(top, entry.where)
    image_ids = np.concatenate(ids)
    _require_once(image_ids, "image", entry.where)
    return Document(name, top, image_ids, has_annotations, entry, parts), images


def _is_panoptic(annotations: list[Any]) -> bool:
    return bool(annotations) and all(
        isinstance(each, dict) and "segments_info" in each for each in annotations
    )


def _ids_of(items: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.int64]:
    return np.array([item["id"] for item in items], np.int64)


def _require_ids(items: list[Any], kind: str, where: str, first: int = 0) -> None:
    """Refuse what is no list of objects, each with an int64 for an id; read ids that are so."""
    for place, item in enumerate(items):
        if not isinstance(item, dict):
            raise UserError(
                f"{where} is not a COCO document: {kind} number {first + place} is no object"
            )
        number = item.get("id")
        found = integer(number)
        if found is None:
            shown = "no id" if number is None else f"the id {number!r}"
            raise UserError(
                f"{where}: {kind} number {first + place} has {shown}; it must be an integer"
                " of 64 bits"
            )
        if type(number) is not int:
            items[place] = Reread(item, id=found)


def _require_once(ids: npt.NDArray[np.int64], kind: str, where: str) -> None:
    in_order = np.sort(ids)
    twice = in_order[1:][in_order[1:] == in_order[:-1]]
    if len(twice):
        raise UserError(f"{where}: two {kind} entries have the id {twice[0]}; renumber one")


def _check_categories(content: dict[str, Any], where: str) -> None:
    categories = content.get("categories", [])
    if not isinstance(categories, list):
        raise UserError(f"{where} is not a COCO document: its categories are not a list")
    read = [*categories]
    _require_ids(read, "category", where)
    _require_once(_ids_of(read), "category", where)
    for category in categories:
        if not isinstance(category.get("name"), str):
            raise UserError(f"{where}: category {category['id']} has no name; give it one")
        if not is_unicode(category["name"]):
            raise UserError(f"{where}: category {category['id']} has a name that is not Unicode")


def _check_images(images: list[Any], where: str, first: int) -> None:
    _require_ids(images, "image", where, first)
    for place, image in enumerate(images):
        name = image.get("file_name")
        if name is None and (found := file_name(image)):
            name, images[place] = found, Reread(image, file_name=found)
        if not isinstance(name, str) or not name:
            shown = f"the file_name {name!r}, which is no text" if name else "no file_name"
            raise UserError(f"{where}: image {image['id']} has {shown}; give it one")
        if not is_unicode(name):
            raise UserError(f"{where}: image {image['id']} has a file name that is not Unicode")


class _AnnotationCheck:
    """Refuses annotations that refer to nothing."""

    def __init__(
        self, image_ids: frozenset[int], category_ids: set[int], name: str, where: str
    ) -> None:
        self._image_ids = image_ids
        self._category_ids = category_ids
        self._name = name
        self._where = where

    def __call__(self, annotations: list[Any], first: int) -> None:
        """Check some of a document, the first of which has this position in it."""
        _require_ids(annotations, "annotation", self._where, first)
        for field, known in (("image_id", self._image_ids), ("category_id", self._category_ids)):
            found = [annotation.get(field) for annotation in annotations]
            if not (set(map(type, found)) <= {int} and known.issuperset(found)):
                self._look_closer(annotations)
                return

    def once(self, ids: npt.NDArray[np.int64]) -> None:
        """Check that no id of the whole document is there twice."""
        _require_once(ids, "annotation", self._where)

    def _look_closer(self, annotations: list[Any]) -> None:
        for place, annotation in enumerate(annotations):
            read = {
                name: found
                for name in ("image_id", "category_id")
                if type(annotation.get(name)) is not int
                and (found := integer(annotation.get(name))) is not None
            }
            if read:
                annotation = annotations[place] = Reread(annotation, **read)
            image_id = annotation.get("image_id")
            if type(image_id) is not int or image_id not in self._image_ids:
                raise UserError(
                    f"{self._where}: annotation {annotation['id']} is of image {image_id!r}, which"
                    " the file does not list; add the image or remove the annotation"
                )
            category_id = annotation.get("category_id")
            is_known = type(category_id) is int and category_id in self._category_ids
            if not is_known and not self._needs_no_category(annotation):
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
