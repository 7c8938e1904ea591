"""Pascal VOC's labels: an XML file an image."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml import DefusedXmlException, ElementTree

from cocopipe.errors import UserError
from cocopipe.sources.local import inside
from cocopipe.sources.notes import Notes

_MARKS = ("difficult", "truncated", "occluded", "pose")
"""What VOC says of an object beside its box; kept as fields that COCO does not have."""

_ENCODING = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z][\w.-]*)["']""")

_LARGEST = 2**31


@dataclass(frozen=True)
class Label:
    """What a label file says.

    Attributes:
        name: Of its image, without folders; empty where it says none.
        size: Width and height of its image in pixels, as it was labelled.
        objects: With ``category`` for the name of the class.
    """

    name: str
    size: tuple[int, int] | None
    objects: tuple[dict[str, Any], ...]


def read_label(path: Path, root: Path, notes: Notes) -> Label:
    """Read a label file.

    VOC counts pixels from 1 and has the last one inside: a box from 1 to 10 is COCO's of x 0 and
    width 10.

    Raises:
        UserError: it is no XML, has entities, or leads out of ``root``.
    """
    top = _parsed(path, root)
    where = path.relative_to(root).as_posix()
    name = (top.findtext("filename") or "").strip().replace("\\", "/")
    return Label(
        PurePosixPath(name).name,
        _size(top.find("size")),
        tuple(_objects(top, where, notes)),
    )


def _parsed(path: Path, root: Path) -> Element:
    data = inside(path, root).read_bytes()
    try:
        found: Element = ElementTree.fromstring(_decoded(data), forbid_dtd=True)
    except DefusedXmlException as error:
        raise UserError(
            f"{path} defines entities, which no labels need: take its DOCTYPE out."
        ) from error
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise UserError(f"{path} is not XML ({error}): correct or remove it.") from error
    return found


def _decoded(data: bytes) -> bytes | str:
    """The text of XML that says its encoding, of which Python knows more than XML's parser."""
    data = data.removeprefix(codecs.BOM_UTF8)
    stated = _ENCODING.match(data)
    if stated is None:
        return data
    encoding = stated[1].decode("ascii")
    # Text of two bytes a character would not have matched: it was saved anew, and says so no more.
    return data.decode("utf-8" if encoding.lower().startswith(("utf-16", "utf-32")) else encoding)


def _size(element: Element | None) -> tuple[int, int] | None:
    if element is None:
        return None
    try:
        width, height = (float(element.findtext(side) or "") for side in ("width", "height"))
    except ValueError:
        return None
    is_size = all(each.is_integer() and 0 < each < _LARGEST for each in (width, height))
    return (int(width), int(height)) if is_size else None


def _objects(top: Element, where: str, notes: Notes) -> Iterator[dict[str, Any]]:
    for element in top.iter("object"):
        name = (element.findtext("name") or "").strip()
        box = _box(element.find("bndbox"))
        if not name or box is None:
            notes.add("objects without a name or a box left out", where)
            continue
        if element.find("part") is not None:
            notes.add("parts of objects left out", where)
        if element.findtext("difficult", "0").strip() not in ("0", ""):
            notes.add("objects marked difficult taken as others are; the mark is kept", where)
        yield {"category": name, **box, **_marks(element)}


def _box(element: Element | None) -> dict[str, Any] | None:
    if element is None:
        return None
    try:
        left, top, right, bottom = (
            float(element.findtext(side) or "") for side in ("xmin", "ymin", "xmax", "ymax")
        )
    except ValueError:
        return None
    x, y = left - 1, top - 1
    box = [x, y, right - x, bottom - y]
    if not all(abs(each) < _LARGEST for each in box):  # which NaN is not
        return None
    plain = [int(each) if each.is_integer() else each for each in box]
    return {"bbox": plain, "area": plain[2] * plain[3], "segmentation": []}


def _marks(element: Element) -> dict[str, Any]:
    found = {name: element.findtext(name) for name in _MARKS}
    told = {name: text.strip() for name, text in found.items() if text and text.strip()}
    return {name: int(text) if text in ("0", "1") else text for name, text in told.items()}
