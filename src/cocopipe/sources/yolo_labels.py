"""YOLO's label files: a line an object, its places in fractions of the sides of the image."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cocopipe.sources.frames import Frame
from cocopipe.sources.labels import UNLABELLED
from cocopipe.sources.local import inside
from cocopipe.sources.notes import Notes
from cocopipe.sources.texts import text_of
from cocopipe.sources.yolo_description import Description

TEXT = ".txt"
"""What label files end with."""

_DIGITS = 4
"""Of boxes in pixels, behind the point."""

_LARGEST = 1e6
"""Of numbers in a label, which are fractions, or a class."""

_HEAD_BYTES = 4096


def label_path(image: Path, root: Path) -> Path | None:
    """Where an image's labels are: in the folder labels, or beside it."""
    parts = list(image.relative_to(root).with_suffix(TEXT).parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place].lower() == "images":
            path = root.joinpath(*parts[:place], "labels", *parts[place + 1 :])
            if path.is_file():
                return inside(path, root)
            break
    for path in (image.with_suffix(TEXT), image.parent / "labels" / f"{image.stem}{TEXT}"):
        if path.is_file():
            return inside(path, root)
    return None


def holds_labels(path: Path) -> bool:
    """Whether a text begins with a line that may be a label."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace")
    first = next(filter(str.strip, head.splitlines()), "")
    return _numbers(first.split()) is not None


def objects_of(
    image: Path, frame: Frame, root: Path, described: Description, notes: Notes
) -> tuple[list[dict[str, Any]], set[int]]:
    """The objects of an image, and the numbers of their classes.

    Raises:
        UserError: the label file is no text, or leads out of ``root``.
    """
    path = label_path(image, root)
    if path is None:
        notes.add(UNLABELLED, image.name)
        return [], set()
    objects, classes = [], set()
    for number, line in enumerate(text_of(path, root).splitlines(), start=1):
        if not line.split():
            continue
        where = f"{path.relative_to(root).as_posix()} line {number}"
        found = _object(line.split(), frame, described, where, notes)
        if found is not None:
            name, fields = found
            classes.add(name)
            objects.append({"category": described.names.get(name, str(name)), **fields})
    if objects and frame.turn != 1:
        notes.add("images that EXIF turns, their labels moved to where they are stored", image.name)
    return objects, classes


def _numbers(words: Sequence[str]) -> tuple[int, list[float]] | None:
    """The class and the other numbers of a line that may be a label."""
    try:
        number, *values = map(float, words)
    except ValueError:  # no numbers, or none at all
        return None
    if len(values) < 4 or number < 0 or not number.is_integer():
        return None
    is_sane = all(abs(each) <= _LARGEST for each in (number, *values))  # which NaN is not
    return (int(number), values) if is_sane else None


def _object(
    words: Sequence[str], frame: Frame, described: Description, where: str, notes: Notes
) -> tuple[int, dict[str, Any]] | None:
    """The class and the fields of an object."""
    found = _numbers(words)
    if found is None:
        notes.add("lines that are no labels left out", where)
        return None
    number, values = found
    if len(values) in (4, 5):
        if len(values) == 5:
            notes.add("confidences of predictions left out", where)
        return number, _box(values, frame)
    if described.keypoints is not None:
        if len(values) == 4 + math.prod(described.keypoints):
            points = _keypoints(values[4:], described.keypoints[1], frame)
            return number, _box(values, frame) | points
        notes.add("lines that do not have the keypoints of kpt_shape left out", where)
        return None
    if len(values) % 2 == 0:
        return number, _outline(values, frame)
    notes.add("lines that are no labels left out", where)
    return None


def _box(values: Sequence[float], frame: Frame) -> dict[str, Any]:
    x, y = frame.point(values[0], values[1])
    width, height = frame.extent(values[2], values[3])
    box = [x - width / 2, y - height / 2, width, height]
    return {
        "bbox": [round(each, _DIGITS) for each in box],
        "area": round(width * height, _DIGITS),
        "segmentation": [],
    }


def _outline(values: Sequence[float], frame: Frame) -> dict[str, Any]:
    corners = [
        round(each, _DIGITS)
        for point in zip(values[::2], values[1::2], strict=True)
        for each in frame.point(*point)
    ]
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


def _keypoints(values: Sequence[float], each: int, frame: Frame) -> dict[str, Any]:
    points: list[float] = []
    for start in range(0, len(values), each):
        x, y, *seen = values[start : start + each]
        is_there = bool(x or y)
        visibility = int(seen[0]) if seen else 2 * is_there
        place = frame.point(x, y) if is_there or visibility else (0, 0)
        points += [*(round(value, _DIGITS) for value in place), visibility]
    return {"keypoints": points, "num_keypoints": sum(1 for seen in points[2::3] if seen)}
