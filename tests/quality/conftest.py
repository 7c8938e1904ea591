import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cocopipe.convert.convert import convert

Splits = tuple[Path, Path]


@pytest.fixture
def to_splits(tmp_path: Path) -> Callable[[Path], Splits]:
    """Convert a raw folder to its train and val split."""
    count = iter(range(100))

    def run(raw: Path) -> Splits:
        out = tmp_path / f"data-{next(count)}"
        train, val = out / "train", out / "val"
        train.mkdir(parents=True)
        val.mkdir()
        settings = {"validation_fraction": 0.3, "subset": None, "on_missing": "error"}
        convert(raw, train, val, **settings, workers=2)
        return train, val

    return run


@pytest.fixture
def splits_of(
    tmp_path: Path, to_splits: Callable[[Path], Splits]
) -> Callable[[Mapping[str, Any]], Splits]:
    """Convert COCO documents, given by split; an image of noise for each one listed."""
    count = iter(range(100))

    def run(
        documents: Mapping[str, Any],
        name: str = "instances",
        damage: Callable[[bytes], bytes] = bytes,
    ) -> Splits:
        raw = tmp_path / f"raw-{next(count)}"
        (raw / "annotations").mkdir(parents=True)
        for split, document in documents.items():
            path = raw / "annotations" / f"{name}_{split}.json"
            path.write_text(json.dumps(document))
            (raw / split).mkdir()
            for image in [*document["images"], {"file_name": "unlisted.jpg"}]:
                (raw / split / image["file_name"]).write_bytes(damage(noise(image)))
        return to_splits(raw)

    return run


def noise(image: Mapping[str, Any]) -> bytes:
    size = (image.get("height", 60), image.get("width", 80), 3)
    pixels = np.random.default_rng(image.get("id", 0)).integers(60, 120, size, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()
