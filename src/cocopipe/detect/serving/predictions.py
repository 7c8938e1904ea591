"""What a detector finds on images, as files: COCO results, a COCO document, pictures, a dataset."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cocopipe.detect.serving.finder import Finder, Found
from cocopipe.detect.serving.images import Picture
from cocopipe.drawing import draw
from cocopipe.errors import UserError
from cocopipe.files import write_json
from cocopipe.pictures.examine import UnreadableImageError, decode, examine
from cocopipe.pictures.turning import turned

RESULTS, DOCUMENT, PICTURES, DATASET = "predictions.json", "instances.json", "pictures", "dataset"
"""What is in the folder. The last is a source of data, if it was asked for."""

_SIDE = 1280
"""Longest side of a drawn picture at most, pixels."""

_SPLIT = "train"
"""The split of the dataset, which is for training."""


@dataclass(frozen=True)
class Asked:
    """What to find, and what to write of it."""

    score_threshold: float
    """Leaves out what scores lower."""
    max_detections: int
    """How many an image has at most, the best first."""
    pictures: int | None
    """How many images are drawn; None: all."""
    dataset: bool
    """Whether the images are written with their objects as a COCO dataset, too."""


def write_predictions(
    finder: Finder,
    images: Sequence[Picture],
    out: Path,
    asked: Asked,
    *,
    info: Mapping[str, Any],
    advance: Callable[[], object],
) -> int:
    """Look at images, and write what is found into an empty folder.

    Args:
        finder: The detector.
        images: From `gather`.
        out: The folder.
        asked: What to find and write.
        info: The document's ``info``: where its annotations come from.
        advance: Called after each image.

    Returns:
        How many objects were found.

    Raises:
        UserError: an image can't be looked at.
    """
    names = {category.id: category.name for category in finder.categories}
    results: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    for number, image in enumerate(images):
        data = image.read()
        found = _found(finder, image, data, asked)
        of_image = list(found.results(image.image_id))
        results += of_image
        size = {"width": found.width, "height": found.height}
        records.append({"id": image.image_id, "file_name": image.file_name, **size})
        if asked.pictures is None or number < asked.pictures:
            _draw(image, data, of_image, names, out / PICTURES)
        if asked.dataset:
            _copy(data, out / DATASET / _SPLIT / image.file_name)
        advance()
    document = {
        "info": dict(info),
        "images": records,
        "annotations": [
            _annotation(number, result) for number, result in enumerate(results, start=1)
        ],
        "categories": [{"id": each, "name": name} for each, name in names.items()],
    }
    write_json(out / RESULTS, results)
    write_json(out / DOCUMENT, document)
    if asked.dataset:
        write_json(out / DATASET / "annotations" / f"instances_{_SPLIT}.json", document)
    return len(results)


def _found(finder: Finder, image: Picture, data: bytes, asked: Asked) -> Found:
    try:
        return finder.find(
            data, score_threshold=asked.score_threshold, most=asked.max_detections, turn=image.turn
        )
    except UnreadableImageError as error:
        raise UserError(
            f"{image.file_name} can't be looked at ({error}): leave it out, or replace it"
        ) from error


def _draw(
    image: Picture,
    data: bytes,
    results: Sequence[Mapping[str, Any]],
    names: Mapping[int, str],
    folder: Path,
) -> None:
    turn = examine(data).turn if image.turn is None else image.turn
    seen = turned(decode(data), turn)
    path = folder / image.file_name
    if PurePosixPath(image.file_name).suffix.lower() not in (".jpg", ".jpeg"):
        path = path.with_name(f"{path.name}.jpg")
    path.parent.mkdir(parents=True, exist_ok=True)
    side = min(max(seen.size), _SIDE)
    draw.picture(seen, results, names, side=side).save(path, "JPEG", quality=90)


def _copy(data: bytes, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _annotation(number: int, result: Mapping[str, Any]) -> dict[str, Any]:
    """A result as an annotation of a document, whose score stays with it."""
    _, _, width, height = result["bbox"]
    return {"id": number, "iscrowd": 0, "area": round(width * height, 2), **result}
