"""Fixtures that more than one room's tests use."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real COCO images, beside the project; a test that needs them skips where they are absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real COCO data at {folder}")
    return folder
