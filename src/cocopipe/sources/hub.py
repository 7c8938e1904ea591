"""A detection dataset on the Hugging Face Hub, brought to COCO's conventions.

The original image bytes go into ``<split>.zip`` and the boxes into
``annotations/instances_<split>.json``, row by row: no more than a batch of rows is in memory.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import httpx2
import huggingface_hub
import huggingface_hub.errors
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from cocopipe.errors import UserError, some
from cocopipe.sources.coco2017 import categories as coco_categories
from cocopipe.sources.disk import require_space
from cocopipe.sources.names import is_plain, require_split_name
from cocopipe.sources.origin import Origin

BOX_FORMATS = ("xyxy", "xywh")

_BATCH_ROWS = 32
_TIMEOUT_S = 30
_MISFIT_SHARE = 0.1
"""More boxes than this that can't be of the stated format mean another format."""
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp"}


def fetch_hub(
    out: Path, *, repo: str, revision: str, splits: Sequence[str], box_format: str
) -> list[Origin]:
    """Write splits of a dataset on the Hub as COCO: an image archive and a document each.

    The Parquet files are fetched into ``huggingface_hub``'s own cache. The server is the one
    that ``HF_ENDPOINT`` named when ``huggingface_hub`` was imported.

    Args:
        out: Existing, empty folder.
        repo: Such as ``detection-datasets/coco``. Its rows hold ``image`` and ``objects``
            with ``bbox`` and ``category`` (a ClassLabel), and where it has them ``image_id``,
            ``width``, ``height``, and per object ``bbox_id`` or ``id``, ``area``, ``iscrowd``.
        revision: A commit; a branch or tag is resolved to one.
        splits: As the Hub names them, such as ``["val"]``.
        box_format: ``xyxy`` or ``xywh``, in pixels: what ``bbox`` holds.

    Raises:
        UserError: Repository, revision or split don't exist, nothing answers, the rows are
            not as described, or the disk is too full.
    """
    if box_format not in BOX_FORMATS:
        raise UserError(f"{box_format!r} is no box format; use one of {', '.join(BOX_FORMATS)}.")
    if not splits:
        raise UserError(f"No split of {repo} was asked for; name at least one, such as val.")
    for split in splits:
        require_split_name(split)
    with _in_one_sentence(repo, revision):
        commit, files = _parquet_files(repo, revision)
        chosen = {split: _of_split(files, split, repo) for split in dict.fromkeys(splits)}
        wanted = [file for of_split in chosen.values() for file in of_split]
        require_space(
            [
                (out, sum(file.size for file in wanted)),
                (
                    Path(huggingface_hub.constants.HF_HUB_CACHE),
                    sum(file.size for file in wanted if not _is_cached(repo, commit, file)),
                ),
            ]
        )
        (out / "annotations").mkdir()
        origins = []
        for split, of_split in chosen.items():
            paths = []
            for file in of_split:
                path, origin = _download(repo, commit, file)
                paths.append(path)
                origins.append(origin)
            _write_split(out, split, paths, box_format, repo=repo, commit=commit)
    return origins


def _parquet_files(repo: str, revision: str) -> tuple[str, list[huggingface_hub.RepoFile]]:
    """Return the commit that ``revision`` is, and its Parquet files in order."""
    api = huggingface_hub.HfApi()
    commit = api.dataset_info(repo, revision=revision, timeout=_TIMEOUT_S).sha
    if commit is None:
        raise UserError(f"{repo}: the Hub names no commit for revision {revision!r}; name another.")
    entries = api.list_repo_tree(repo, repo_type="dataset", revision=commit, recursive=True)
    files = [entry for entry in entries if isinstance(entry, huggingface_hub.RepoFile)]
    parquet = [file for file in files if file.path.endswith(".parquet")]
    return commit, sorted(parquet, key=lambda file: file.path)


def _of_split(
    files: list[huggingface_hub.RepoFile], split: str, repo: str
) -> list[huggingface_hub.RepoFile]:
    """Choose the files of a split: ``<split>-….parquet``, ``<split>.parquet``, ``<split>/…``."""

    def belongs(path: PurePosixPath) -> bool:
        return path.stem == split or path.stem.startswith(f"{split}-") or path.parent.name == split

    chosen = [file for file in files if belongs(PurePosixPath(file.path))]
    if not chosen:
        there = sorted({PurePosixPath(file.path).stem.partition("-")[0] for file in files})
        raise UserError(
            f"{repo} has no Parquet files of a split {split!r} "
            f"({'its files are of ' + some(there) if there else 'it has no Parquet files at all'});"
            " name another split or revision."
        )
    folders = sorted({str(PurePosixPath(file.path).parent) for file in chosen})
    if len(folders) > 1:
        raise UserError(
            f"{repo} has the split {split!r} in several configurations ({some(folders)}); only "
            "datasets with one can be read."
        )
    return chosen


def _is_cached(repo: str, commit: str, file: huggingface_hub.RepoFile) -> bool:
    found = huggingface_hub.try_to_load_from_cache(
        repo, file.path, revision=commit, repo_type="dataset"
    )
    return isinstance(found, str)


def _download(repo: str, commit: str, file: huggingface_hub.RepoFile) -> tuple[Path, Origin]:
    """Fetch a file, unless it is cached, and check it against the checksum that the Hub states."""
    path = Path(
        huggingface_hub.hf_hub_download(repo, file.path, repo_type="dataset", revision=commit)
    )
    with path.open("rb") as opened:
        actual = hashlib.file_digest(opened, "sha256").hexdigest()
    if file.lfs is not None and actual != file.lfs.sha256:
        path.resolve().unlink()
        path.unlink()
        raise UserError(
            f"{repo}: {file.path} has the sha256 {actual} where the Hub states {file.lfs.sha256}, "
            "and was deleted from the cache; fetch it again."
        )
    url = huggingface_hub.hf_hub_url(repo, file.path, repo_type="dataset", revision=commit)
    return path, Origin(file.path, url, path.stat().st_size, f"sha256:{actual}")


@contextmanager
def _in_one_sentence(repo: str, revision: str) -> Iterator[None]:
    """Turn what ``huggingface_hub`` raises into a sentence."""
    endpoint = huggingface_hub.constants.ENDPOINT
    errors = huggingface_hub.errors
    try:
        yield
    except errors.GatedRepoError as error:
        raise UserError(
            f"{repo} is gated: accept its terms on {endpoint} and log in with 'hf auth login'."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"There is no dataset {repo!r} on {endpoint}, or it is private; check the name, or log "
            "in with 'hf auth login'."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(
            f"{repo} has no revision {revision!r}; name a commit, branch or tag of it."
        ) from error
    except errors.HFValidationError as error:
        raise UserError(
            f"{repo!r} can't be the name of a dataset; write it as owner/name."
        ) from error
    except errors.HfHubHTTPError as error:
        raise UserError(
            f"{repo}: {endpoint} answered HTTP {error.response.status_code}; try again later."
        ) from error
    except (httpx2.HTTPError, errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise UserError(
            f"{repo}: no usable answer from {endpoint} ({_innermost(error)}); check the network, "
            "and HF_ENDPOINT and HF_HUB_OFFLINE where they are set."
        ) from error
    except pa.ArrowException as error:
        raise UserError(
            f"{repo}: a file of revision {revision} is no readable Parquet ({error}); name another "
            "revision."
        ) from error
    except OSError as error:
        raise UserError(
            f"{repo}: {error.filename or 'a file'} can't be read or written "
            f"({error.strerror or error})."
        ) from error


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error) or type(error).__name__).rstrip(".")


@dataclass(frozen=True)
class _Row:
    """An image of the dataset and its objects, each a dict of the dataset's own fields."""

    image_id: int
    file_name: str
    data: bytes
    width: int
    height: int
    objects: list[dict[str, Any]]


def _write_split(
    out: Path, split: str, paths: list[Path], box_format: str, *, repo: str, commit: str
) -> None:
    """Write ``<split>.zip`` and ``annotations/instances_<split>.json``.

    The document's annotations are written as they come, its images after them: of a million
    objects, those of one batch are in memory.
    """
    categories = _categories(_class_names(paths[0], repo))
    head = {
        "info": {"description": f"{repo}, {split}", "version": commit},
        "licenses": [],
        "categories": sorted(categories, key=lambda category: category["id"]),
    }
    images: list[dict[str, Any]] = []
    number = misfits = 0
    with (
        zipfile.ZipFile(out / f"{split}.zip", "w", zipfile.ZIP_STORED) as archive,
        (out / "annotations" / f"instances_{split}.json").open("w", encoding="utf-8") as document,
    ):
        document.write(json.dumps(head)[:-1] + ', "annotations": [')
        for row in _rows(paths, split, repo):
            archive.writestr(_member(f"{split}/{row.file_name}"), row.data)
            images.append(
                {
                    "id": row.image_id,
                    "file_name": row.file_name,
                    "width": row.width,
                    "height": row.height,
                }
            )
            for thing in row.objects:
                number += 1
                where = f"{repo}: object {number} of {split}, in image {row.image_id},"
                annotation = _annotation(thing, number, row.image_id, categories, box_format, where)
                misfits += not _fits(annotation["bbox"], box_format, row)
                document.write(("," if number > 1 else "") + "\n" + json.dumps(annotation))
        document.write('],\n"images": ' + json.dumps(images) + "}\n")
    if misfits > number * _MISFIT_SHARE:
        raise UserError(
            f"{repo}: {misfits:,} of the {number:,} boxes of {split} can't be {box_format} in "
            "pixels; state the dataset's own box_format."
        )


def _member(name: str) -> zipfile.ZipInfo:
    """A member whose header says nothing of this machine or moment."""
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return info


def _rows(paths: list[Path], split: str, repo: str) -> Iterator[_Row]:
    number = 0
    names: set[str] = set()
    total = sum(pq.read_metadata(path).num_rows for path in paths)
    with tqdm(desc=split, total=total, unit="image", disable=None) as bar:
        for path in paths:
            with pq.ParquetFile(path) as file:
                there = set(file.schema_arrow.names)
                if not {"image", "objects"} <= there:
                    raise UserError(
                        f"{repo}: {path.name} has the columns {some(sorted(there))}, and not "
                        "'image' and 'objects' as a detection dataset has; name another dataset."
                    )
                columns = sorted(there & {"image", "objects", "image_id", "width", "height"})
                for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                    for values in batch.to_pylist():
                        number += 1
                        row = _row(values, number, names, f"{repo}: row {number} of {split}")
                        names.add(row.file_name)
                        yield row
                    bar.update(batch.num_rows)


def _row(values: dict[str, Any], number: int, names: set[str], where: str) -> _Row:
    """Read a row; what it doesn't say of the image is numbered, or read from the image."""
    image = values["image"]
    if not isinstance(image, dict) or not image.get("bytes"):
        raise UserError(f"{where} holds no image bytes; name a dataset that embeds its images.")
    data: bytes = image["bytes"]
    try:
        with Image.open(io.BytesIO(data)) as opened:
            width, height = opened.size
            suffix = _SUFFIXES.get(opened.format or "", ".img")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise UserError(f"{where} is not a readable image; name another revision.") from error
    image_id = values.get("image_id")
    if not isinstance(image_id, int):
        image_id = number
    file_name = PurePosixPath(image.get("path") or "").name
    if not is_plain(file_name) or file_name in names:
        file_name = f"{image_id:012d}{suffix}"
    if file_name in names:
        raise UserError(f"{where} has the image_id {image_id} of an earlier row.")
    return _Row(
        image_id,
        file_name,
        data,
        values.get("width") or width,
        values.get("height") or height,
        _objects(values["objects"]),
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    """Bring both ways in which Parquet holds objects, lists in a struct or back, to dicts."""
    if isinstance(value, dict):
        columns = {name: column for name, column in value.items() if column is not None}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return list(value or [])


def _class_names(path: Path, repo: str) -> list[str]:
    """Return the names of the labels, from the features that ``datasets`` put into the file.

    Not through ``datasets.Features.from_arrow_schema``: it drops the names where the feature's
    storage type is not exactly the column's.
    """
    with pq.ParquetFile(path) as file:
        metadata = file.schema_arrow.metadata or {}
    info = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {})
    objects = info.get("features", {}).get("objects")
    for inner in (_inner(objects), objects):
        feature = inner.get("category") if isinstance(inner, dict) else None
        while isinstance(feature, dict) and feature.get("_type") != "ClassLabel":
            feature = _inner(feature)
        if feature:
            return list(feature["names"])
    raise UserError(
        f"{repo}: the features of {path.name} name no classes for objects.category; name a "
        "dataset whose category is a ClassLabel."
    )


def _inner(feature: Any) -> Any:
    """What a list feature is a list of, in any of the ways that ``datasets`` has written it."""
    if isinstance(feature, list):
        return feature[0]
    return feature.get("feature") if isinstance(feature, dict) else None


def _categories(names: list[str]) -> list[dict[str, Any]]:
    """Return the category of each label: COCO's own where the names are COCO's, else label + 1."""
    official = {category["name"]: category for category in coco_categories()}
    if set(names) == set(official):
        return [official[name] for name in names]
    return [{"id": label, "name": name} for label, name in enumerate(names, start=1)]


def _annotation(
    thing: dict[str, Any],
    number: int,
    image_id: int,
    categories: list[dict[str, Any]],
    box_format: str,
    where: str,
) -> dict[str, Any]:
    label, box = thing.get("category"), thing.get("bbox")
    if not isinstance(label, int) or not 0 <= label < len(categories):
        raise UserError(
            f"{where} has the category {label!r}, which is none of the {len(categories)} labels."
        )
    if not isinstance(box, list) or len(box) != 4 or None in box:
        raise UserError(f"{where} has the bbox {box!r}, which is not four numbers.")
    x, y, width, height = box
    if box_format == "xyxy":
        # Rounding takes back what the subtraction adds: 612.67 - 1.08 is 611.5899999999999.
        width, height = round(width - x, 6), round(height - y, 6)
    area = thing.get("area")
    identity = thing.get("bbox_id", thing.get("id"))
    return {
        "id": identity if isinstance(identity, int) else number,
        "image_id": image_id,
        "category_id": categories[label]["id"],
        "bbox": [x, y, width, height],
        "area": round(width * height, 6) if area is None else area,
        "iscrowd": int(thing.get("iscrowd") or 0),
        "segmentation": [],
    }


def _fits(bbox: list[float], box_format: str, row: _Row) -> bool:
    """Tell whether a box could be of the format: not of negative size, nor far outside."""
    x, y, width, height = bbox
    if box_format == "xyxy":
        return width >= 0 and height >= 0
    return x + width <= row.width + 1 and y + height <= row.height + 1
