"""COCO datasets of any size, made of a few real ones: what `benchmarks.data` measures on.

Every image is a whole JPEG of its own bytes: the file of a real image with a comment segment
that numbers the copy, so that no store can keep two of them once. Ids are spread like COCO's.
"""

import json
import random
import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SPLIT = "val2017"
HIGHEST_ID = 600_000
"""COCO 2017 numbers its images up to 581,929."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """One image with its annotations, to be repeated."""

    data: bytes
    image: Json
    annotations: Sequence[Json]


@dataclass(frozen=True)
class CocoSet:
    """A made dataset in COCO's official layout, as files and as archives.

    Attributes:
        files: ``val2017/*.jpg`` and ``annotations/instances_val2017.json``.
        archives: The same as ``val2017.zip`` and ``annotations_trainval2017.zip``.
        images: How many.
        image_bytes: Of all image files together.
    """

    files: Path
    archives: Path
    images: int
    image_bytes: int

    @property
    def pictures(self) -> Path:
        """The folder of images."""
        return self.files / SPLIT

    @property
    def document(self) -> Path:
        """The annotations."""
        return self.files / "annotations" / f"instances_{SPLIT}.json"


def read_sources(*datasets: tuple[Path, Path]) -> tuple[list[Source], list[Json]]:
    """Read (document, image folder) pairs; images with their annotations, and the categories."""
    sources: list[Source] = []
    categories: dict[int, Json] = {}
    for document, folder in datasets:
        content = json.loads(document.read_text(encoding="utf-8"))
        categories |= {one["id"]: one for one in content["categories"]}
        of_image: dict[int, list[Json]] = {}
        for annotation in content["annotations"]:
            of_image.setdefault(annotation["image_id"], []).append(annotation)
        for image in content["images"]:
            data = (folder / image["file_name"]).read_bytes()
            sources.append(Source(data, image, of_image.get(image["id"], [])))
    return sources, [categories[each] for each in sorted(categories)]


def spread_ids(count: int, seed: int = 0) -> list[int]:
    """Image ids with gaps, as COCO has them, in rising order."""
    return sorted(random.Random(seed).sample(range(1, max(HIGHEST_ID, 4 * count)), count))


def numbered(jpeg: bytes, number: int) -> bytes:
    """The JPEG with a comment of its own behind the start-of-image marker."""
    comment = f"copy {number}".encode()
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + jpeg[2:]


def entries(
    sources: Sequence[Source], ids: Sequence[int]
) -> Iterator[tuple[Json, bytes, list[Json]]]:
    """(COCO image, its file, its annotations) for every id, the sources in turn."""
    annotation_id = 1
    for place, image_id in enumerate(ids):
        source = sources[place % len(sources)]
        image = {**source.image, "id": image_id, "file_name": f"{image_id:012d}.jpg"}
        annotations = []
        for annotation in source.annotations:
            annotations.append({**annotation, "id": annotation_id, "image_id": image_id})
            annotation_id += 1
        yield image, numbered(source.data, image_id), annotations


def build(
    folder: Path, sources: Sequence[Source], categories: Sequence[Json], ids: Sequence[int]
) -> CocoSet:
    """Write the dataset below ``folder``, which must not exist, as files and as archives."""
    made = CocoSet(folder / "files", folder / "archives", len(ids), 0)
    made.pictures.mkdir(parents=True)
    made.document.parent.mkdir()
    made.archives.mkdir()
    content: Json = {
        "info": {"description": "made of real COCO images for measurements", "year": 2017},
        "licenses": [],
        "images": [],
        "annotations": [],
        "categories": list(categories),
    }
    image_bytes = 0
    # Stored, as COCO's own archives are.
    with zipfile.ZipFile(made.archives / f"{SPLIT}.zip", "w", zipfile.ZIP_STORED) as archive:
        for image, data, annotations in entries(sources, ids):
            (made.pictures / image["file_name"]).write_bytes(data)
            archive.writestr(f"{SPLIT}/{image['file_name']}", data)
            content["images"].append(image)
            content["annotations"] += annotations
            image_bytes += len(data)
    made.document.write_text(json.dumps(content), encoding="utf-8")
    path = made.archives / "annotations_trainval2017.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.write(made.document, f"annotations/{made.document.name}")
    return CocoSet(made.files, made.archives, len(ids), image_bytes)
