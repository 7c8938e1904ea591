"""A DVC dataset version as an MLflow dataset, and back to its bytes."""

import json
import tempfile
from pathlib import Path
from typing import Any

from mlflow.data.dataset import Dataset
from mlflow.data.dataset_source import DatasetSource

from lineage.errors import LineageError
from lineage.plugins import Facts, facts
from lineage.storage import materialise
from lineage.workspace import Item, Workspace


class DVCDatasetSource(DatasetSource):
    """Where a dataset version is: content-addressed, in no particular revision.

    MLflow keeps the first source that it saw of a dataset name and digest, so nothing
    of one revision may stand here.
    """

    def __init__(self, path: str, digest: str, repository: str = "") -> None:
        """Name it.

        Args:
            path: Relative to the root of the git repository.
            digest: The DVC hash.
            repository: The repository's URL, without credentials; may be empty.
        """
        self.path = path
        self.digest = digest
        self.repository = repository

    def load(self, destination: str | Path | None = None) -> str:
        """Bring the exact bytes back, inside any clone of the repository.

        Args:
            destination: A folder that does not exist yet; a temporary one by default.

        Returns:
            The path of the data, whose DVC hash is the digest.

        Raises:
            LineageError: Outside a clone, or where neither cache nor remote has the data.
        """
        if destination is None:
            destination = Path(tempfile.mkdtemp(prefix="dvc-")) / Path(self.path).name
        return str(materialise(Workspace.find(), self.digest, Path(destination)))

    def to_dict(self) -> dict[str, Any]:
        """As MLflow stores it."""
        return {"repository": self.repository, "path": self.path, "digest": self.digest}

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> "DVCDatasetSource":
        """Read what `to_dict` made."""
        return cls(source_dict["path"], source_dict["digest"], source_dict.get("repository", ""))

    @staticmethod
    def _get_source_type() -> str:
        return "dvc"

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:  # noqa: ARG004 - MLflow's signature
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> "DVCDatasetSource":
        raise NotImplementedError(f"a DVC dataset is named by from_dvc, not by {raw_source!r}")


class DVCDataset(Dataset):
    """A dataset version: its digest is the DVC hash, its profile facts of the content."""

    def __init__(
        self, source: DVCDatasetSource, name: str, profile: dict[str, Any], columns: list[Any]
    ) -> None:
        self._profile = profile
        self._columns = columns
        self._dvc_hash = source.digest
        super().__init__(source=source, name=name, digest=source.digest)

    @classmethod
    def of(cls, item: Item, known: Facts, repository: str) -> "DVCDataset":
        """The dataset that a stage reads or writes, with what is known of its content."""
        profile = {**known.profile, "files": item.files, "bytes": item.size_bytes}
        source = DVCDatasetSource(item.path, item.hash, repository)
        return cls(source, item.path, profile, known.schema)

    def _compute_digest(self) -> str:
        return self._dvc_hash

    @property
    def profile(self) -> dict[str, Any]:
        """Facts of the content, each a line in MLflow's dataset view."""
        return self._profile

    @property
    def schema(self) -> list[Any]:
        """The columns, or an empty list for data without any."""
        return self._columns

    def to_dict(self) -> dict[str, str]:
        """As MLflow stores it."""
        config: dict[str, str] = super().to_dict()
        config["profile"] = json.dumps(self._profile)
        if self._columns:
            config["schema"] = json.dumps({"mlflow_colspec": self._columns})
        return config


def from_dvc(
    path: str | Path, *, rev: str | None = None, name: str | None = None, digest: str | None = None
) -> DVCDataset:
    """Make an MLflow dataset of a path that DVC tracks; ``mlflow.data.from_dvc``.

    Example:
        >>> mlflow.log_input(mlflow.data.from_dvc("data/train", rev="v1"), context="training")

    Args:
        path: A file or folder, relative to the current directory.
        rev: A git revision; the working tree's present bytes by default.
        name: The dataset's name in MLflow; the path by default.
        digest: Refuse data with another DVC hash than this one.

    Raises:
        LineageError: If DVC does not track the path there, or the hash is another one.
    """
    from lineage.revision import repository_url

    workspace = Workspace.find()
    item = workspace.tracked(Path(path).absolute(), rev)
    if digest is not None and digest != item.hash:
        raise LineageError(f"{item.path} has the DVC hash {item.hash}, not {digest}.")
    known = facts(item.location) if rev is None else Facts()
    dataset = DVCDataset.of(item, known, repository_url(workspace))
    if name is not None:
        dataset._name = name
    return dataset
