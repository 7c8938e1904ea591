"""Fixtures of this room."""

from pathlib import Path

import pytest

from tests.detect.splits import rectangles, write_split


@pytest.fixture(scope="session")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images with two rectangles each, image 0 without."""
    folder = tmp_path_factory.mktemp("plain")
    return write_split(folder, *rectangles(8, seed=0, odd=False))


@pytest.fixture(scope="session")
def odd_split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images; image 1 with everything that must not reach training."""
    folder = tmp_path_factory.mktemp("odd")
    return write_split(folder, *rectangles(3, seed=1, odd=True))
