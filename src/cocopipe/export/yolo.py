"""Converted splits in the layout that Ultralytics' YOLO models are trained from.

::

    data.yaml                     where the splits are, and the names of the classes
    images/<split>/<file name>
    labels/<split>/<stem>.txt     one line per object: class, and its box's centre, width and
                                  height as fractions of the image's width and height

The format is described at docs.ultralytics.com/datasets/detect. It has boxes and classes;
segmentations, keypoints, captions, ids and areas have no place in it, nor have crowds.
"""

import posixpath
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import yaml

from cocopipe.coco.paths import path_of
from cocopipe.documents import PRIMARY
from cocopipe.errors import UserError
from cocopipe.export import detection
from cocopipe.split import tables
from cocopipe.split.boxes import are_usable
from cocopipe.split.objects import Objects

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"})
"""The suffixes of image files that every release of Ultralytics finds."""

_ROUNDING = 1e-6
"""Pixels by which a sum of box coordinates may be off."""


@dataclass(frozen=True)
class YoloSplit:
    """What was written of one split, and what the format could not take."""

    split: str
    images: int = 0
    boxes: int = 0
    """How many lines were written."""
    clipped: int = 0
    """How many of those reached over the image's border and were cut there."""
    crowds: int = 0
    """Objects left out, as every trainer of COCO does."""
    degenerate: int = 0
    """Objects left out: a box with numbers that are not finite, or no area inside the image."""
    without_box: int = 0
    """Objects left out: no box, or none that is four numbers."""
    unlisted: int = 0
    """Images left out: documents other than ``instances`` list them."""
    unseen: int = 0
    """Images that were written, but Ultralytics does not find files with such names."""
    turned: int = 0
    """Images whose EXIF asks to turn them, which Ultralytics does, annotated as they are stored."""

    def __str__(self) -> str:
        told = {
            "boxes cut at the border": self.clipped,
            "crowds left out": self.crowds,
            "boxes without area left out": self.degenerate,
            "objects without a box left out": self.without_box,
            "images of other documents left out": self.unlisted,
            "images with names that Ultralytics does not find": self.unseen,
            "images that Ultralytics turns, by their EXIF, and their boxes not": self.turned,
        }
        notes = "".join(f"; {count} {what}" for what, count in told.items() if count)
        return f"{self.split}, {self.images} images, {self.boxes} boxes{notes}"


def export_yolo(
    split_dirs: Sequence[Path], out: Path, *, advance: Callable[[int], object] = lambda _: None
) -> list[YoloSplit | detection.LeftOut]:
    """Write converted splits for Ultralytics, under the names of their folders.

    Image files are untouched. Classes are numbered from 0 in the document's order of categories,
    the same in all splits. An image without objects has an empty label file.

    Args:
        split_dirs: folders that the convert stage wrote; to train, Ultralytics needs those
            called ``train`` and ``val``.
        out: an existing folder, empty.
        advance: told how many more images are written.

    Returns:
        What was written and left out, by split.

    Raises:
        UserError: not a converted split, or none has ``instances``; categories that differ; two
            images that would share a label file.
    """
    split_dirs, left = detection.with_boxes(split_dirs)
    names = detection.class_names(split_dirs)
    for split_dir in split_dirs:
        _require_own_labels(split_dir)
    done = [_export(split_dir, out, list(names), advance) for split_dir in split_dirs]
    # Without `path`, which Ultralytics takes for one below its own folder of datasets where it is
    # relative, the splits are looked for beside the file.
    content = {each.split: f"images/{each.split}" for each in done}
    (out / "data.yaml").write_text(
        yaml.safe_dump(
            content | {"names": dict(enumerate(names.values()))},
            sort_keys=False,
            allow_unicode=True,
        ),
        encoding="utf-8",
        newline="\n",
    )
    return [*done, *left]


def _image_paths(split_dir: Path, rows: pa.Table) -> list[str]:
    """Where images go; those of several splits of the source, each into a folder of its own."""
    several = len(tables.sources(split_dir, PRIMARY)) > 1
    columns = (rows[name].to_pylist() for name in ("source", "file_name"))
    return [
        f"images/{split_dir.name}/{f'{source}/' if several else ''}{path_of(name)}"
        for source, name in zip(*columns, strict=True)
    ]


def _label_path(image_path: str) -> str:
    """Where Ultralytics looks for an image's labels (``img2label_paths`` of its data/utils.py).

    The last folder called ``images`` is ``labels``, also where that is one of the file name.
    """
    before, _, after = f"/{image_path}".rpartition("/images/")
    return f"{before}/labels/{posixpath.splitext(after)[0]}.txt".lstrip("/")


def _require_own_labels(split_dir: Path) -> None:
    table = tables.read_table(split_dir, PRIMARY, ["source", "file_name"])
    images: dict[str, str] = {}
    paths = _image_paths(split_dir, table)
    for name, path in zip(table["file_name"].to_pylist(), paths, strict=True):
        label_path = _label_path(path)
        other = images.setdefault(label_path, name)
        if other != name:
            raise UserError(
                f"{other} and {name} of {split_dir.name} would share the label file {label_path}:"
                " give one of the images another name, in the annotations too"
            )


def _export(
    split_dir: Path, out: Path, category_ids: list[int], advance: Callable[[int], object]
) -> YoloSplit:
    split = split_dir.name
    for kind in ("images", "labels"):
        (out / kind / split).mkdir(parents=True)
    counts: Counter[str] = Counter()
    for batch in detection.boxed_images(split_dir):
        texts, objects = _label_texts(batch, category_ids)
        counts.update(objects)
        paths = _image_paths(split_dir, batch.rows)
        for path, data, text in zip(paths, batch.files.to_pylist(), texts, strict=True):
            _write(out / path, data)
            _write(out / _label_path(path), text.encode())
            advance(1)
            counts["unseen"] += not _is_seen(path)
        counts["images"] += len(texts)
        counts["turned"] += batch.turned_unlike_boxes()
    return YoloSplit(split, unlisted=detection.unlisted(split_dir), **counts)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _is_seen(image_path: str) -> bool:
    path = PurePosixPath(image_path)
    return path.suffix.lower() in SUFFIXES and not any(part[0] == "." for part in path.parts)


def _label_texts(
    batch: detection.BoxedImages, category_ids: list[int]
) -> tuple[list[str], dict[str, int]]:
    """The label file of each image, and how many objects there were of each kind."""
    objects = Objects(batch.objects)
    boxes = _boxes(objects.boxes_xywh, batch.sizes[objects.image])
    classes = detection.class_numbers(objects.rows, category_ids).fill_null(-1).to_numpy()
    has_box = ~objects.is_crowd & objects.has_box & (classes >= 0)
    is_written = has_box & boxes.has_area
    lines = [
        f"{number} {' '.join(f'{each:.8g}' for each in box)}\n" if written else ""
        for number, box, written in zip(
            classes.tolist(), boxes.cxcywh.tolist(), is_written.tolist(), strict=True
        )
    ]
    ends = np.cumsum(objects.counts).tolist()
    texts = ["".join(lines[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
    return texts, {
        "boxes": int(is_written.sum()),
        "clipped": int((is_written & boxes.is_clipped).sum()),
        "crowds": int(objects.is_crowd.sum()),
        "degenerate": int((has_box & ~boxes.has_area).sum()),
        "without_box": int((~objects.is_crowd & ~has_box).sum()),
    }


@dataclass(frozen=True)
class _Boxes:
    """Boxes cut at the borders of their images."""

    cxcywh: npt.NDArray[np.float64]
    """Centre, width and height as fractions of the image, [M, 4]."""
    has_area: npt.NDArray[np.bool_]
    """Whether they are finite, and something of the box is inside the image, [M]."""
    is_clipped: npt.NDArray[np.bool_]
    """Whether something of it was outside, [M]."""


def _boxes(xywh: npt.NDArray[np.float64], sizes: npt.NDArray[np.int32]) -> _Boxes:
    """Boxes from x, y, width and height in pixels of images of these sizes, [M, 2]."""
    with np.errstate(invalid="ignore", over="ignore"):
        corners = np.stack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]])
        inside = np.clip(corners, 0, sizes)
        extent = inside[1] - inside[0]
        return _Boxes(
            cxcywh=np.hstack([inside.mean(axis=0) / sizes, extent / sizes]),
            has_area=np.isfinite(xywh).all(axis=1) & are_usable(np.hstack([inside[0], extent])),
            is_clipped=np.asarray((np.abs(inside - corners) > _ROUNDING).any(axis=(0, 2))),
        )
