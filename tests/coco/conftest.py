from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cocopipe.convert.convert import Conversion, convert

Converted = tuple[Conversion, Path, Path]


@pytest.fixture
def converted(tmp_path: Path) -> Callable[..., Converted]:
    """Convert a raw folder; gives the conversion and the two splits."""
    count = iter(range(1000))

    def run(raw: Path, **settings: Any) -> Converted:
        out = tmp_path / f"converted-{next(count)}"
        train, val = out / "train", out / "val"
        train.mkdir(parents=True)
        val.mkdir()
        defaults = {
            "validation_fraction": 0.3,
            "subset": None,
            "on_missing": "error",
            "workers": 2,
        }
        return convert(raw, train, val, **(defaults | settings)), train, val

    return run
