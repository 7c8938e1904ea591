"""A COCO detection pipeline whose data versions and model lineage are one thing.

``cocopipe.load("data/train")`` opens a converted split as a Hugging Face dataset.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["load"]


def load(split: str | Path) -> "Dataset":
    """Open a converted split: images, boxes and named classes.

    Args:
        split: a folder that the ``convert`` stage wrote, such as ``data/train``.

    Returns:
        One row per image; see `cocopipe.export.huggingface_columns.load` for its columns.

    Raises:
        UserError: If the packages of the extra ``pipeline`` are not installed.
    """
    from cocopipe import installed

    installed.check()
    # Late: importing cocopipe, as every stage does, must not import `datasets`.
    from cocopipe.export.huggingface_columns import load as load_split

    return load_split(Path(split))
