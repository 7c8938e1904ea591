"""Tiny COCO data, made of real files."""

import io
import json
import zipfile
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Files = Mapping[str, "bytes | Mapping[str, Any]"]

HEIC = b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAA"
    "AAAAAAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAAIsAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAA"
    "AAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34"
    "+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5"
    "uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAA"
    "AAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAA"
    "AAAAAAEAAQWBAgMFhAAAAJNtZGF0AAAAhygBrwngOSMkv//40n//9/QeQ/YKWcF//n6Uff4V/n/+ze9RXZVzY04C"
    "CnEQdbNmkv7fEv9z6C9QliwNWI1POyr67cKEP4/9DEVKFg5hkhjcp2QFZ9R8ac7pW7tJC5IhlRaNokRGI6pBKaeJ"
    "2Vz6k3TApFEKXj3Xcib0Exr6tCeDFO7z+WULng=="
)
"""A picture of 64 x 48 pixels, its left half red and its right half blue, as phones write them.

By pillow-heif, since what this project reads them with has no encoder.
"""


def picture(seed: int, size: tuple[int, int] = (20, 12), kind: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def with_broken_tables(jpeg: bytes) -> bytes:
    """The JPEG with Huffman tables that no decoder takes; its headers are sound."""
    table = jpeg.index(b"\xff\xc4") + 5
    return jpeg[:table] + b"\xff" * 16 + jpeg[table + 16 :]


def instances(image_ids: "list[int] | range", **top: Any) -> dict[str, Any]:
    """A document of images named after their ids, each with one object."""
    return {
        "images": [
            {"id": number, "file_name": f"{number}.jpg", "width": 20, "height": 12}
            for number in image_ids
        ],
        "annotations": [
            {
                "id": 100 + index,
                "image_id": number,
                "category_id": 3,
                "bbox": [1, 2, 3.5, 4],
                "area": 14.0,
                "iscrowd": 0,
                "segmentation": [[1, 2, 4.5, 2, 4.5, 6]],
            }
            for index, number in enumerate(image_ids)
        ],
        "categories": [{"id": 3, "name": "thing", "supercategory": "stuff"}],
        **top,
    }


def boxed(image_ids: "range | list[int]", categories: int = 2, **image: Any) -> dict[str, Any]:
    """A document in which two of three images have a box each; the names are hard to show."""
    return {
        "images": [{"id": number, "file_name": f"{number}.jpg", **image} for number in image_ids],
        "annotations": [
            {
                "id": number,
                "image_id": number,
                "category_id": number % categories,
                "bbox": [3, 4, 30 + number % 7, 20],
            }
            for number in image_ids
            if number % 3
        ],
        "categories": [
            {"id": number, "name": f"category ${number}^2$ 漢字"} for number in range(categories)
        ],
    }


def encode(value: "bytes | Mapping[str, Any]") -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@dataclass(frozen=True)
class InMemory:
    """A document that lies nowhere, read a few bytes at a time."""

    data: bytes
    where: str
    block_bytes: int = 100

    def read(self) -> bytes:
        return self.data

    def blocks(self) -> Iterator[bytes]:
        for start in range(0, len(self.data), self.block_bytes):
            yield self.data[start : start + self.block_bytes]


def write_files(root: Path, files: Files) -> Path:
    for name, value in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(value))
    return root


def write_zip(path: Path, files: Files, method: int = zipfile.ZIP_STORED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, value in files.items():
            archive.writestr(name, encode(value))
    return path


def official(image_ids: "list[int] | range", split: str = "train") -> dict[str, Any]:
    """The files of one split in the official layout."""
    return {
        f"annotations/instances_{split}.json": instances(image_ids),
        **{f"{split}/{number}.jpg": picture(number) for number in image_ids},
    }
