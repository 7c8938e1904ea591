"""A dataset with YOLO's labels: a text file beside each image, a line an object.

As Ultralytics reads it (its docs, "Object Detection Datasets Overview"): ``data.yaml`` names the
classes and the folders of images; the labels of ``…/images/a.jpg`` are ``…/labels/a.txt``.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from cocopipe.errors import UserError, some
from cocopipe.sources.labels import Labelled, Notes, require_images, shown_size, write_documents
from cocopipe.sources.local import files_in, inside, is_image, root_of, take
from cocopipe.sources.origin import Origin

SPLITS = ("train", "val", "test")
"""What ``data.yaml`` calls them."""

ALL = "all"
"""The split of images of which nothing tells one."""

_LISTS = ("classes.txt", "obj.names", "predefined_classes.txt")
"""Where older tools name classes, a line each."""

_KIND = "YOLO"
_DIGITS = 4
"""Of boxes in pixels, behind the point."""


def copy_yolo(source: Path, out: Path) -> tuple[list[Origin], tuple[str, ...]]:
    """Copy the images, and write what the labels say as COCO documents.

    Classes are numbered from 1, in their order. A line of four numbers is a box, of four and one
    a box with a confidence, of keypoints as ``kpt_shape`` says, of other even numbers an outline.

    Args:
        source: The dataset's folder.
        out: Existing, empty folder, outside of ``source``.

    Returns:
        Where the bytes came from; and what was left out or is not known.

    Raises:
        UserError: there are no labels or no images; a path leads out of ``source``; a class that
            has no name.
    """
    root = root_of(source, out, _KIND)
    described = _description(root, source)
    notes = Notes()
    chosen: dict[PurePosixPath, Path] = {}
    splits: dict[str, list[Labelled]] = {}
    used: set[int] = set()
    for split, folder, path in _images(root, source, described):
        name = PurePosixPath(path.relative_to(folder).as_posix())
        size = shown_size(path)
        objects, classes = _objects(path, size, root, described, notes)
        used |= classes
        chosen[PurePosixPath(split) / name] = path
        splits.setdefault(split, []).append(Labelled(name, size, objects))
    require_images(splits, source, _KIND)
    if not used:
        raise UserError(
            f"{source} has no {_KIND} labels: a text file for each image, in a folder labels beside"
            " images, or beside the image itself."
        )
    origin = take(chosen, source, out)
    write_documents(out, splits, _names(described, used, source, notes))
    return [origin], notes.told()


@dataclass(frozen=True)
class _Description:
    """What a dataset says of itself."""

    names: Mapping[int, str]
    folders: Mapping[str, Sequence[str]]
    """Split -> folders of images, or lists of their paths, as written."""
    keypoints: tuple[int, int] | None
    """How many an object has, and numbers of each."""
    base: str
    """The folder that folders are relative to, as written."""
    at: Path
    """Where it stands."""


def _description(root: Path, source: Path) -> _Description:
    files = [path for path in sorted(root.glob("*.y*ml")) if path.suffix in (".yaml", ".yml")]
    for path in files:
        try:
            content = yaml.safe_load(inside(path, root).read_text(encoding="utf-8-sig"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())[:100]
            raise UserError(f"{source / path.name} is not YAML ({reason}): correct it.") from error
        if isinstance(content, dict) and "names" in content:
            return _of_yaml(content, path, source)
    for name in _LISTS:
        if (listed := root / name).is_file():
            lines = inside(listed, root).read_text(encoding="utf-8-sig").splitlines()
            classes = dict(enumerate(line.strip() for line in lines if line.strip()))
            return _Description(classes, {}, None, "", root)
    return _Description({}, {}, None, "", root)


def _of_yaml(content: Mapping[str, Any], path: Path, source: Path) -> _Description:
    names = content["names"]
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(isinstance(key, int) for key in names):
        raise UserError(f"{source / path.name}: names is no list of classes: correct it.")
    folders = {}
    for split in SPLITS:
        written = content.get(split) or ()
        folders[split] = [written] if isinstance(written, str) else [*map(str, written)]
    shape = content.get("kpt_shape")
    is_shape = isinstance(shape, list) and [*map(type, shape)] == [int, int]
    keypoints = (int(shape[0]), int(shape[1])) if shape and is_shape else None
    return _Description(
        {number: str(name) for number, name in names.items()},
        {split: written for split, written in folders.items() if written},
        keypoints,
        str(content.get("path") or ""),
        path.parent,
    )


def _images(root: Path, source: Path, described: _Description) -> Iterator[tuple[str, Path, Path]]:
    """Split, its folder, and the image, of all images of the dataset, in order."""
    told = {
        split: [place for each in written if (place := _place(described, each)) is not None]
        for split, written in described.folders.items()
    }
    if any(told.values()):
        lost = [split for split in told if len(told[split]) < len(described.folders[split])]
        if lost:
            written = [each for split in lost for each in described.folders[split]]
            raise UserError(
                f"{source} names folders in its YAML that are not there: {some(written)}; put them"
                " there, or correct it."
            )
        for split, places in told.items():
            for place in places:
                yield from _of_place(split, place, root)
        return
    for path in files_in(root, root, is_image):
        folder = path.parent
        split, base = _split_of(PurePosixPath(folder.relative_to(root).as_posix()))
        yield split, root / base, path


def _place(described: _Description, written: str) -> Path | None:
    """The folder or list in the dataset that a path of its YAML means, wherever it was written."""
    parts = [part for part in PurePosixPath(written.replace("\\", "/")).parts if part != ".."]
    base = [part for part in PurePosixPath(described.base).parts if part not in ("..", "/")]
    for start in ([*base], []):
        for skip in range(len(parts)):
            path = described.at.joinpath(*start, *parts[skip:])
            if path.exists() and path != described.at:
                return path
    return None


def _of_place(split: str, place: Path, root: Path) -> Iterator[tuple[str, Path, Path]]:
    if place.is_dir():
        inside(place, root)
        for path in files_in(place, root, is_image):
            yield split, place, path
        return
    for line in inside(place, root).read_text(encoding="utf-8-sig").splitlines():
        name = line.strip().replace("\\", "/")
        if name:
            found = next((each for each in _ways(name, place, root) if each.is_file()), None)
            if found is None:
                raise UserError(f"{place.name} lists {name}, which is not there: add or remove it.")
            inside(found, root)
            yield split, root, found


def _ways(name: str, listing: Path, root: Path) -> Iterator[Path]:
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
    for skip in range(len(parts)):
        yield listing.parent.joinpath(*parts[skip:])
        yield root.joinpath(*parts[skip:])


def _split_of(folder: PurePosixPath) -> tuple[str, PurePosixPath]:
    """The split of a folder of images, by its own name or its parent's, and where it begins."""
    parts = folder.parts
    plain = {"images", "imgs", "img", "jpegimages", "data", "dataset"}
    for place in range(len(parts) - 1, -1, -1):
        name = parts[place].lower()
        if name in plain:
            continue
        base = PurePosixPath(*parts[: place + 1])
        if place + 1 < len(parts) and parts[place + 1].lower() in plain:
            base = base / parts[place + 1]
        return ("val" if name.startswith("val") else parts[place]), base
    return ALL, folder


def _label_path(image: Path, root: Path) -> Path | None:
    """Where an image's labels are: in the folder labels, or beside it."""
    parts = list(image.relative_to(root).with_suffix(".txt").parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place].lower() == "images":
            path = root.joinpath(*parts[:place], "labels", *parts[place + 1 :])
            if path.is_file():
                return inside(path, root)
            break
    for path in (image.with_suffix(".txt"), image.parent / "labels" / f"{image.stem}.txt"):
        if path.is_file():
            return inside(path, root)
    return None


def _objects(
    image: Path, size: tuple[int, int], root: Path, described: _Description, notes: Notes
) -> tuple[list[dict[str, Any]], set[int]]:
    path = _label_path(image, root)
    if path is None:
        notes.add("images without a label file, taken as without objects", image.name)
        return [], set()
    objects, classes = [], set()
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.split():
            continue
        where = f"{path.relative_to(root).as_posix()} line {number}"
        found = _object(line.split(), size, described, where, notes)
        if found is not None:
            name, fields = found
            classes.add(name)
            objects.append({"category": str(described.names.get(name, name)), **fields})
    return objects, classes


def _object(
    words: Sequence[str],
    size: tuple[int, int],
    described: _Description,
    where: str,
    notes: Notes,
) -> tuple[int, dict[str, Any]] | None:
    """The class and the fields of an object."""
    try:
        number, values = int(float(words[0])), [float(word) for word in words[1:]]
    except (ValueError, OverflowError):
        number, values = -1, []
    if number < 0 or len(values) < 4 or not all(map(math.isfinite, values)):
        notes.add("lines that are no labels left out", where)
        return None
    if described.keypoints and len(values) == 4 + math.prod(described.keypoints):
        return number, _box(values[:4], size) | _keypoints(values[4:], described.keypoints[1], size)
    if len(values) == 4:
        return number, _box(values, size)
    if len(values) == 5:
        notes.add("confidences of predictions left out", where)
        return number, _box(values[:4], size)
    if len(values) % 2 == 0:
        return number, _outline(values, size)
    notes.add("lines that are no labels left out", where)
    return None


def _box(values: Sequence[float], size: tuple[int, int]) -> dict[str, Any]:
    x, y, width, height = (value * size[place % 2] for place, value in enumerate(values))
    box = [x - width / 2, y - height / 2, width, height]
    return {
        "bbox": [round(each, _DIGITS) for each in box],
        "area": round(width * height, _DIGITS),
        "segmentation": [],
    }


def _outline(values: Sequence[float], size: tuple[int, int]) -> dict[str, Any]:
    corners = [round(value * size[place % 2], _DIGITS) for place, value in enumerate(values)]
    xs, ys = corners[::2], corners[1::2]
    around = zip(xs, ys, [*xs[1:], xs[0]], [*ys[1:], ys[0]], strict=True)
    area = abs(sum(x * next_y - next_x * y for x, y, next_x, next_y in around)) / 2
    left, top = min(xs), min(ys)
    box = [left, top, max(xs) - left, max(ys) - top]
    return {
        "bbox": [round(each, _DIGITS) for each in box],
        "area": round(area, _DIGITS),
        "segmentation": [corners],
    }


def _keypoints(values: Sequence[float], each: int, size: tuple[int, int]) -> dict[str, Any]:
    points: list[float] = []
    for start in range(0, len(values), each):
        x, y, *seen = values[start : start + each]
        is_there = bool(x or y)
        points += [
            round(x * size[0], _DIGITS),
            round(y * size[1], _DIGITS),
            int(seen[0]) if seen else 2 * is_there,
        ]
    return {"keypoints": points, "num_keypoints": sum(1 for seen in points[2::3] if seen)}


def _names(described: _Description, used: set[int], source: Path, notes: Notes) -> list[str]:
    """The names of all classes, in their order."""
    if not described.names:
        notes.add("classes without names, called by their numbers", source.name)
        return [str(number) for number in range(max(used) + 1)]
    unknown = sorted(used - described.names.keys())
    if unknown:
        raise UserError(
            f"{source} has labels of class {some([str(each) for each in unknown])}, of which no"
            " name is told: add it to names in its YAML, or to its list of classes."
        )
    names = [described.names[number] for number in sorted(described.names)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{source} has two classes called {some(twice)}: rename one.")
    return names
