"""The files of a dataset beside a model, for who reads them in MLflow without DVC."""

import json
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow

from cocopipe.coco.paths import path_of
from cocopipe.drawing.sheets import pictures_of
from cocopipe.split.images import ImageStore
from cocopipe.split.tables import documents, read_document

PREVIEW_PICTURES = 16


def log_dataset_files(splits: Iterable[Path], *, images: str) -> None:
    """Log each split's COCO documents as JSON, and its images as far as asked for.

    Args:
        splits: Folders that the convert stage wrote.
        images: ``none``; ``preview``: a sheet of some, with their boxes; ``all``: every
            image file, byte for byte.
    """
    for split in splits:
        with TemporaryDirectory(prefix="cocopipe-") as folder:
            out = Path(folder)
            _write_documents(split, out / "annotations")
            if images == "preview":
                pictures_of(split, PREVIEW_PICTURES).save(out / "preview.png")
            elif images == "all":
                _write_images(split, out / "images")
            mlflow.log_artifacts(folder, f"dataset/{split.name}")


def _write_documents(split: Path, out: Path) -> None:
    out.mkdir()
    for name in documents(split):
        text = json.dumps(read_document(split, name), ensure_ascii=False)
        (out / f"{name}.json").write_text(text, encoding="utf-8")


def _write_images(split: Path, out: Path) -> None:
    for image in ImageStore(split):
        path = out / path_of(image.file_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image.data)
