"""Converted splits in the formats of other tools."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol


class Export(Protocol):
    """Writes converted splits below a folder, or to a file; see the modules of the formats."""

    def __call__(
        self, split_dirs: Sequence[Path], out: Path, *, advance: Callable[[int], object]
    ) -> Sequence[object]:
        """Returns what was written, by split: its ``str`` is for people."""


def formats() -> Mapping[str, Export]:
    """All formats by their names."""
    from cocopipe.export.coco import export, export_zip
    from cocopipe.export.huggingface_folder import export_hf
    from cocopipe.export.yolo import export_yolo

    return {"coco": export, "zip": export_zip, "yolo": export_yolo, "hf": export_hf}
