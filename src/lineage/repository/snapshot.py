"""What the DVC files of one revision record, as a value."""

from dataclasses import dataclass

from lineage.identity import DataId
from lineage.repository.items import Item, Observed

LOCK_FILE = "dvc.lock"
PIPELINE_FILE = "dvc.yaml"


def is_dvc_file(path: str) -> bool:
    """Whether a file is one of those that `SnapshotReader` reads."""
    name = path.rpartition("/")[2]
    return name in (LOCK_FILE, PIPELINE_FILE) or (name.endswith(".dvc") and name != ".dvc")


def is_pipeline(path: str) -> bool:
    """Whether a file defines stages, and so holds no hash."""
    return path.rpartition("/")[2] == PIPELINE_FILE


@dataclass(frozen=True)
class Added:
    """Data that DVC tracks outside of any stage, by ``dvc add`` or ``dvc import``.

    Attributes:
        item: The data.
        file: The ``.dvc`` file that says so.
        url: Where DVC imported it from, or empty.
        checksum: What identified the source at that time, or empty.
    """

    item: Item
    file: str
    url: str = ""
    checksum: str = ""


@dataclass(frozen=True)
class Snapshot:
    """What one revision records.

    Attributes:
        stages: Every stage with an entry in a ``dvc.lock``.
        added: Every path with a ``.dvc`` file.
    """

    stages: tuple[Observed, ...]
    added: tuple[Added, ...]

    @property
    def data(self) -> list[Item]:
        """All that DVC tracks: outputs of stages, and what was added."""
        return [item for stage in self.stages for item in stage.outs] + [
            added.item for added in self.added
        ]

    def item(self, path: str) -> Item | None:
        """What is tracked under this very path."""
        return next((item for item in self.data if item.path == path), None)

    def dependency(self, path: str) -> Item | None:
        """What a stage reads under this very path, such as a file that git keeps."""
        deps = (dep for stage in self.stages for dep in stage.deps)
        return next((dep for dep in deps if dep.path == path and dep.hash), None)

    def writer(self, data: DataId) -> Observed | None:
        """The stage that wrote these bytes there."""
        return next((stage for stage in self.stages if stage.execution.wrote(data)), None)

    def overlapping(self, path: str) -> list[Item]:
        """What is tracked inside ``path``, or around it, but not as ``path`` itself."""
        return [item for item in self.data if item.path != path and overlap(item.path, path)]


def overlap(one: str, other: str) -> bool:
    """Whether one path is the other, or lies inside it."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
