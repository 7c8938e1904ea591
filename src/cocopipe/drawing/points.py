"""Keypoints and what joins them, on a picture."""

import math
from typing import Any

from PIL import ImageDraw

_RADIUS = 3
_LINE = 2
_RIM = (255, 255, 255)


def draw_points(
    draw: ImageDraw.ImageDraw,
    keypoints: Any,
    skeleton: Any,
    scale: float,
    color: tuple[int, int, int],
) -> None:
    """Draw keypoints as discs, hidden ones hollow, and the lines of their skeleton.

    Args:
        draw: of the picture.
        keypoints: x and y in pixels of the original, and visibility; what is no list of finite
            numbers is not drawn.
        skeleton: pairs of numbers of points, from 1; pairs that are none are left out.
        scale: of the picture to the original.
        color: of points and lines.
    """
    if not _are_points(keypoints):
        return
    places = {
        number: (keypoints[start] * scale, keypoints[start + 1] * scale, keypoints[start + 2])
        for number, start in enumerate(range(0, len(keypoints), 3), start=1)
        if keypoints[start + 2] > 0
    }
    for pair in skeleton if isinstance(skeleton, list) else ():
        if isinstance(pair, list) and len(pair) == 2 and all(end in places for end in pair):
            draw.line([places[end][:2] for end in pair], color, _LINE)
    # Detectors say 1 of all.
    hidden = 1 if any(place[2] > 1 for place in places.values()) else 0
    for x, y, visibility in places.values():
        disc = (x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS)
        if visibility <= hidden:
            draw.ellipse(disc, outline=color)
        else:
            draw.ellipse(disc, fill=color, outline=_RIM)


def _are_points(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) % 3 == 0
        and all(isinstance(number, int | float) and math.isfinite(number) for number in value)
    )
