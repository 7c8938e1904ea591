"""Fixtures of this room."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.detect.splits import posed, rectangles, write_split


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Nets this small take longer with more threads, and tests already run one a core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """More than one thread, as a training has them."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


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


@pytest.fixture(scope="session")
def posed_split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of `split`, with keypoints in a document of their own; in the other, no boxes."""
    folder = tmp_path_factory.mktemp("posed")
    document, files = rectangles(8, seed=0, odd=False)
    return write_split(folder, {**document, "annotations": []}, files, posed(document))
