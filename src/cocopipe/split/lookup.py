"""Finding values in sorted ones, many at a time."""

from typing import Any

import numpy as np
import numpy.typing as npt


def look_up(
    values: npt.NDArray[Any], among: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Where values stand among others.

    Args:
        values: [N].
        among: rising, [M].

    Returns:
        The place of each value, int64 [N], and whether it is there, [N]; a place means
        nothing where it is not.
    """
    places = np.searchsorted(among, values)
    is_there = places < len(among)
    is_there[is_there] = among[places[is_there]] == values[is_there]
    return places, is_there
