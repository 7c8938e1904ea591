"""Pictures with their boxes, masks and labels, for people to look at."""

import colorsys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cocopipe.drawing.points import draw_points
from cocopipe.pictures.pixels import rgb
from cocopipe.split.boxes import is_box
from cocopipe.split.masks import mask

SIDE = 480
"""Longest side of a drawn picture in pixels; boxes and labels are drawn at that size."""

_FONT_SIZE = 13
_LINE = 2
_MASK_OPACITY = 0.28
_GAP = 12
_PAPER = (255, 255, 255)
_INK = (40, 40, 40)

Color = tuple[int, int, int]
Annotation = Mapping[str, Any]
"""A COCO annotation or result: ``bbox`` xywh in pixels, ``category_id``, and where there
``segmentation``, ``keypoints``, ``iscrowd`` and ``score``."""


def picture(
    image: Image.Image,
    objects: Sequence[Annotation],
    names: Mapping[int, str],
    skeletons: Mapping[int, Any] | None = None,
    *,
    side: int = SIDE,
) -> Image.Image:
    """Draw objects on a copy of ``image``, scaled so that its longest side is ``side``.

    Masks are translucent, crowds dashed, hidden keypoints hollow. Larger objects are drawn first
    and named first: a label that finds no free place is left out.

    Args:
        image: turned as it was annotated, so that boxes are of its pixels.
        objects: those whose box isn't four finite numbers are left out.
        names: of the categories by id; their order gives the colours.
        skeletons: which keypoints are joined, pairs of numbers from 1, by category id.
        side: in pixels.
    """
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    drawn = sorted(
        (item for item in objects if is_box(item.get("bbox"))), key=lambda item: -_area(item)
    )
    colors = {category_id: _color(index) for index, category_id in enumerate(names)}
    canvas = _with_masks(
        rgb(image).resize(size, Image.Resampling.LANCZOS),
        image.size,
        [(item, colors[item["category_id"]]) for item in drawn],
    )
    draw = ImageDraw.Draw(canvas)
    boxes = [_scaled(item["bbox"], scale, size) for item in drawn]
    for item, box in zip(drawn, boxes, strict=True):
        _outline(draw, box, colors[item["category_id"]], dashed=bool(item.get("iscrowd")))
    for item in drawn:
        skeleton = (skeletons or {}).get(item["category_id"])
        draw_points(draw, item.get("keypoints"), skeleton, scale, colors[item["category_id"]])
    taken: list[_Box] = []
    for item, box in zip(drawn, boxes, strict=True):
        label = _label(item, names)
        _name(draw, box, label, colors[item["category_id"]], size, taken)
    return canvas


def sheet(
    pictures: Sequence[Image.Image], *, columns: int, captions: Sequence[str] = ()
) -> Image.Image:
    """Lay pictures out in rows, each centred in its cell, with a caption below if there is one."""
    if not pictures:
        return Image.new("RGB", (SIDE, _GAP), _PAPER)
    columns = min(columns, len(pictures))
    cell = max(one.width for one in pictures)
    text_height = _font().size + _GAP // 2 if captions else 0
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    heights = [max(one.height for one in row) + text_height for row in rows]
    canvas = Image.new(
        "RGB",
        (columns * (cell + _GAP) + _GAP, int(sum(heights)) + _GAP * (len(rows) + 1)),
        _PAPER,
    )
    draw = ImageDraw.Draw(canvas)
    top = _GAP
    for number, (row, height) in enumerate(zip(rows, heights, strict=True)):
        for column, one in enumerate(row):
            left = _GAP + column * (cell + _GAP)
            down = int(top + (height - text_height - one.height) // 2)
            canvas.paste(one, (left + (cell - one.width) // 2, down))
            if captions:
                text = _shortened(captions[number * columns + column], cell)
                below = (left + cell / 2, down + one.height + text_height)
                draw.text(below, text, _INK, _font(), anchor="md")
        top += int(height) + _GAP
    return canvas


def beside(
    image: Image.Image,
    truth: Sequence[Annotation],
    predictions: Sequence[Annotation],
    names: Mapping[int, str],
    skeletons: Mapping[int, Any] | None = None,
    *,
    captions: tuple[str, str] = ("ground truth", "predictions"),
) -> Image.Image:
    """The same picture twice: with its ground truth, and with predictions."""
    return sheet(
        [picture(image, objects, names, skeletons) for objects in (truth, predictions)],
        columns=2,
        captions=captions,
    )


_Box = tuple[float, float, float, float]
"""The left, top, right and bottom of a box on the canvas, in pixels."""


def _area(item: Annotation) -> float:
    return float(item["bbox"][2]) * float(item["bbox"][3])


def _scaled(xywh: Sequence[float], scale: float, size: tuple[int, int]) -> _Box:
    x, y, width, height = (scale * value for value in xywh)
    last = (size[0] - 1, size[1] - 1)
    corners = np.clip([x, y, x + width, y + height], 0, [*last, *last]).tolist()
    # A negative width or height still shows where it is.
    left, right = sorted(corners[0::2])
    top, bottom = sorted(corners[1::2])
    return left, top, right, bottom


@cache
def _font() -> ImageFont.FreeTypeFont:
    import matplotlib  # brings a font with many scripts

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(path, _FONT_SIZE)


def _color(index: int) -> Color:
    """A colour far from its neighbours': hues go round by the golden ratio."""
    hue = (0.58 + index * 0.618033988749895) % 1
    value = (0.95, 0.75)[index // 20 % 2]
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _with_masks(
    canvas: Image.Image, original: tuple[int, int], items: Sequence[tuple[Annotation, Color]]
) -> Image.Image:
    width, height = original
    for item, color in items:
        pixels = mask(item.get("segmentation"), height=height, width=width)
        if pixels is not None:
            stencil = Image.fromarray(pixels.astype(np.uint8) * round(255 * _MASK_OPACITY))
            stencil = stencil.resize(canvas.size, Image.Resampling.BILINEAR)
            canvas.paste(color, (0, 0), stencil)
    return canvas


def _outline(draw: ImageDraw.ImageDraw, box: _Box, color: Color, *, dashed: bool) -> None:
    left, top, right, bottom = box
    if not dashed:
        draw.rectangle(box, outline=color, width=_LINE)
        return
    dash = 6
    for start in np.arange(left, right, 2 * dash):
        end = min(start + dash, right)
        draw.line([(start, top), (end, top)], color, _LINE)
        draw.line([(start, bottom), (end, bottom)], color, _LINE)
    for start in np.arange(top, bottom, 2 * dash):
        end = min(start + dash, bottom)
        draw.line([(left, start), (left, end)], color, _LINE)
        draw.line([(right, start), (right, end)], color, _LINE)


def _label(item: Annotation, names: Mapping[int, str]) -> str:
    label = names[item["category_id"]]
    if item.get("score") is not None:
        label += f" {item['score']:.2f}"
    return f"{label} (crowd)" if item.get("iscrowd") else label


def _name(
    draw: ImageDraw.ImageDraw,
    box: _Box,
    label: str,
    color: Color,
    size: tuple[int, int],
    taken: list[_Box],
) -> None:
    """Write a label at the first free place: above the box, in it, below it."""
    font = _font()
    width = draw.textlength(label, font) + 6
    height = font.size + 4
    left = max(0.0, min(box[0], size[0] - width))
    for top in (box[1] - height, box[1], box[3], box[3] - height):
        place = (left, top, left + width, top + height)
        inside = top >= 0 and place[3] <= size[1]
        if inside and not any(_overlap(place, other) for other in taken):
            taken.append(place)
            draw.rectangle(place, color)
            ink = (0, 0, 0) if np.dot(color, (0.299, 0.587, 0.114)) > 140 else _PAPER
            draw.text((left + 3, top + height / 2), label, ink, font, anchor="lm")
            return


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _shortened(text: str, width: float) -> str:
    """``text``, its middle left out if it is wider than ``width`` pixels."""
    font = _font()
    kept = text = " ".join(text.split())
    while font.getlength(kept) > width and len(kept) > 3:
        half = (len(kept) - 2) // 2
        kept = f"{text[:half]}…{text[-half:]}" if half else "…"
    return kept
