"""The files of a dataset beside a model, for who reads them in MLflow without DVC."""

import json
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow

from cocopipe.coco.paths import path_of
from cocopipe.drawing.sheets import pictures_of
from cocopipe.split.images import ImageStore
from cocopipe.split.tables import documents, read_document, read_table, sources

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
        listed = sources(split, name)
        for source in listed:
            of = f"_{source.split}" if len(listed) > 1 else ""
            text = json.dumps(read_document(split, name, source.split), ensure_ascii=False)
            (out / f"{name}{of}.json").write_text(text, encoding="utf-8")


def _write_images(split: Path, out: Path) -> None:
    names: dict[str, set[Path]] = {}
    for document in documents(split):
        listed = len(sources(split, document))
        for row in read_table(split, document, ["sha256", "source", "file_name"]).to_pylist():
            folder = out / row["source"] if listed > 1 else out
            names.setdefault(row["sha256"], set()).add(folder / path_of(row["file_name"]))
    for image in ImageStore(split):
        for path in names[image.sha256]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image.data)
