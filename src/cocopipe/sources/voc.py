"""A dataset with Pascal VOC's labels: an XML file beside each image.

As the VOC development kit has it: ``Annotations/a.xml``, ``JPEGImages/a.jpg``, and lists of names
in ``ImageSets/Main/<split>.txt``; or images and XML files in one folder, as LabelImg writes them.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml import DefusedXmlException, ElementTree

from cocopipe.errors import UserError
from cocopipe.sources.labels import Labelled, Notes, require_images, shown_size, write_documents
from cocopipe.sources.local import files_in, inside, is_image, root_of, take
from cocopipe.sources.origin import Origin

ALL = "all"
"""The split of a dataset that lists none."""

_KIND = "Pascal VOC"
_PLAIN = {"annotations", "jpegimages", "images", "imgs", "labels", "xml", "xmls", "data"}
_MARKS = ("difficult", "truncated", "occluded", "pose")
"""What VOC says of an object beside its box; kept as fields that COCO does not have."""


def copy_voc(source: Path, out: Path) -> tuple[list[Origin], tuple[str, ...]]:
    """Copy the images, and write what the labels say as COCO documents.

    Classes are numbered from 1, by the alphabet. VOC counts pixels from 1 and has the last one
    inside: a box from 1 to 10 is COCO's of x 0 and width 10.

    Args:
        source: The dataset's folder.
        out: Existing, empty folder, outside of ``source``.

    Returns:
        Where the bytes came from; and what was left out or is not known.

    Raises:
        UserError: there are no labels or no images; a path leads out of ``source``; a file that
            is no XML.
    """
    root = root_of(source, out, _KIND)
    notes = Notes()
    labels = {path.stem: path for path in files_in(root, root, _is_label)}
    if not labels:
        raise UserError(
            f"{source} has no {_KIND} labels: XML files, in the folder Annotations or beside the"
            " images."
        )
    chosen: dict[PurePosixPath, Path] = {}
    splits: dict[str, list[Labelled]] = {}
    for split, path in _images(root, labels, notes):
        name = PurePosixPath(path.name)
        target = PurePosixPath(split) / name
        if target in chosen:
            raise UserError(
                f"{source} has two images {path.name} in split {split}: rename one, and its labels."
            )
        objects = _objects(labels.get(path.stem), root, notes)
        chosen[target] = path
        splits.setdefault(split, []).append(Labelled(name, shown_size(path), objects))
    require_images(splits, source, _KIND)
    origin = take(chosen, source, out)
    names = {one["category"] for its in splits.values() for each in its for one in each.objects}
    write_documents(out, splits, sorted(names))
    return [origin], notes.told()


def _is_label(path: Path) -> bool:
    return path.suffix.lower() == ".xml"


def _images(root: Path, labels: Mapping[str, Path], notes: Notes) -> Iterator[tuple[str, Path]]:
    """The split of each image, and the image, in order; one may be in several."""
    images: dict[str, Path] = {}
    several = set()
    for path in files_in(root, root, is_image):
        if path.parent.name.lower().startswith("segmentation"):
            notes.add("masks of pixels left out", path.name)
        elif path.stem in images:
            several.add(path.stem)
        else:
            images[path.stem] = path
    lists = _lists(root)
    if lists and not several:
        for split, names in lists.items():
            for name in names:
                if name in images:
                    yield split, images[name]
                else:
                    notes.add("listed images that are not there left out", name)
        listed = {name for names in lists.values() for name in names}
        for name in sorted(labels.keys() & images.keys() - listed):
            notes.add("images that no list of ImageSets names left out", images[name].name)
        return
    for path in files_in(root, root, is_image):
        if not path.parent.name.lower().startswith("segmentation"):
            yield _split_of(path.relative_to(root)), path
    for name in sorted(labels.keys() - images.keys()):
        notes.add("labels without an image left out", labels[name].name)


def _lists(root: Path) -> dict[str, list[str]]:
    """Split -> names of its images; without those that hold others, such as trainval."""
    found: dict[str, list[str]] = {}
    for folder in sorted(path for path in root.rglob("ImageSets") if path.is_dir()):
        main = folder / "Main" if (folder / "Main").is_dir() else folder
        for path in sorted(main.glob("*.txt")):
            if path.stem in ("train", "val", "test", "trainval"):
                text = inside(path, root).read_text(encoding="utf-8-sig")
                found[path.stem] = [line.split()[0] for line in text.splitlines() if line.split()]
    if "train" in found or "val" in found:
        found.pop("trainval", None)
    elif "trainval" in found:
        found["train"] = found.pop("trainval")
    return found


def _split_of(path: Path) -> str:
    """The split that a folder's name tells, the last that tells one."""
    told = [part for part in path.parts[:-1] if part.lower() not in _PLAIN]
    return told[-1] if told else ALL


def _objects(path: Path | None, root: Path, notes: Notes) -> list[dict[str, Any]]:
    if path is None:
        return []
    where = path.relative_to(root).as_posix()
    objects = []
    for element in _parsed(path, root).iter("object"):
        name = (element.findtext("name") or "").strip()
        box = _box(element.find("bndbox"))
        if not name or box is None:
            notes.add("objects without a name or a box left out", where)
            continue
        if element.find("part") is not None:
            notes.add("parts of objects left out", where)
        if element.findtext("difficult", "0").strip() not in ("0", ""):
            notes.add("objects marked difficult taken as others are; the mark is kept", where)
        objects.append({"category": name, **box, **_marks(element)})
    return objects


def _parsed(path: Path, root: Path) -> Element:
    data = inside(path, root).read_bytes()
    try:
        found: Element = ElementTree.fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise UserError(
            f"{path} defines entities, which no labels need: take its DOCTYPE out."
        ) from error
    except ElementTree.ParseError as error:
        raise UserError(f"{path} is not XML ({error}): correct or remove it.") from error
    return found


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
    if not all(map(math.isfinite, box)):
        return None
    plain = [int(each) if each.is_integer() else each for each in box]
    return {"bbox": plain, "area": plain[2] * plain[3], "segmentation": []}


def _marks(element: Element) -> dict[str, Any]:
    found = {name: element.findtext(name) for name in _MARKS}
    told = {name: text.strip() for name, text in found.items() if text and text.strip()}
    return {name: int(text) if text.isdigit() else text for name, text in told.items()}
