"""Sheets of pictures of a split: with their objects, and beside predictions."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from cocopipe.documents import PRIMARY
from cocopipe.drawing import draw
from cocopipe.drawing.selection import select
from cocopipe.split.tables import categories, category_names

SCORE = 0.3
"""Predictions below are not drawn: a detector lists a hundred an image."""

_COLUMNS, _COLUMNS_OF_PAIRS = 4, 2


def pictures_of(split_dir: Path, count: int) -> Image.Image:
    """Draw a sheet of up to ``count`` pictures of a split with their objects.

    Raises:
        UserError: not a converted split, one without an ``instances`` table, or a
            picture that can't be decoded.
    """
    names, skeletons = category_names(split_dir), _skeletons(split_dir, PRIMARY)
    drawn, captions = [], []
    for shown in select(split_dir, count):
        drawn.append(draw.picture(shown.image, shown.objects, names, skeletons))
        captions.append(shown.caption)
    return draw.sheet(drawn, columns=_COLUMNS, captions=captions)


def compare(
    split_dir: Path,
    predictions: Sequence[Mapping[str, Any]],
    path: Path,
    *,
    pictures: int,
    document: str = PRIMARY,
) -> None:
    """Write a sheet of pictures, each with its ground truth and beside it with predictions.

    Args:
        split_dir: a converted split.
        predictions: COCO results: ``image_id``, ``category_id``, ``bbox`` xywh, ``score``, and
            where there ``segmentation`` and ``keypoints``.
        path: the PNG to write.
        pictures: how many images to show.
        document: the one with the ground truth.

    Raises:
        UserError: not a converted split, or one without a table of that document.
    """
    names, skeletons = category_names(split_dir, document), _skeletons(split_dir, document)
    found = defaultdict(list)
    for prediction in predictions:
        if prediction["score"] >= SCORE:
            found[prediction["image_id"]].append(prediction)
    pairs = [
        draw.beside(
            shown.image,
            shown.objects,
            found[shown.image_id],
            names,
            skeletons,
            captions=(f"{shown.caption}, ground truth", f"predictions, score ≥ {SCORE}"),
        )
        for shown in select(split_dir, pictures, document)
    ]
    draw.sheet(pairs, columns=_COLUMNS_OF_PAIRS).save(path)


def _skeletons(split_dir: Path, document: str) -> dict[int, Any]:
    """Which keypoints are joined, by category id, as the document has it."""
    return {each["id"]: each.get("skeleton") for each in categories(split_dir, document)}
