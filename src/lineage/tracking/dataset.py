"""A DVC dataset version as an MLflow dataset, and back to its bytes."""

# ruff: noqa: E402 - what MLflow says while it is imported comes first
import json
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

IS_FIRST = "mlflow" not in sys.modules
"""Whether MLflow is imported by this module, and not this module by MLflow, as its plugin."""

with warnings.catch_warnings():
    # As MLflow is imported it looks for its plugins here, where nothing is yet: see the end.
    warnings.filterwarnings("ignore", "Failure attempting .*'lineage.tracking.dataset' has no attr")
    import mlflow.data

from mlflow.data.dataset import Dataset
from mlflow.data.dataset_source import DatasetSource

from lineage.errors import LineageError
from lineage.identity import DataId
from lineage.plugins import Facts, facts
from lineage.repository.items import Item
from lineage.repository.workspace import Workspace
from lineage.storage.admit import file_name, is_hash, shown
from lineage.storage.borrow import readable
from lineage.storage.materialise import materialise


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
        """Bring the exact bytes back.

        The current directory must lie in a clone of the repository, whose DVC cache and
        remote are asked.

        Args:
            destination: A path that does not exist yet; one in a new temporary folder by
                default.

        Returns:
            The path of the data, whose DVC hash is the digest.

        Raises:
            LineageError: Outside a clone, or where neither cache nor remote has the data.
        """
        try:
            workspace = Workspace.find()
        except LineageError as error:
            raise LineageError(
                f"the bytes of {self.path} ({self.digest}) come through a clone of"
                f" {self.repository or 'their git repository'}, and {Path.cwd()} is not inside of"
                " one: change into it first."
            ) from error
        if destination is not None:
            return str(materialise(workspace, self.digest, Path(destination)))
        folder = Path(tempfile.mkdtemp(prefix="dvc-"))
        try:
            return str(materialise(workspace, self.digest, folder / file_name(self.path)))
        except BaseException:
            folder.rmdir()
            raise

    def to_dict(self) -> dict[str, Any]:
        """As MLflow stores it."""
        return {"repository": self.repository, "path": self.path, "digest": self.digest}

    @classmethod
    def from_json(cls, source_json: str) -> "DVCDatasetSource":
        """Read the text that MLflow keeps.

        Raises:
            LineageError: If it is no JSON, or names no data.
        """
        try:
            return cls.from_dict(json.loads(source_json))
        except (ValueError, TypeError, RecursionError):
            return cls.from_dict({"no JSON": source_json})

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> "DVCDatasetSource":
        """Read what `to_dict` made, or what somebody else wrote in its place.

        Raises:
            LineageError: If it names no data.
        """
        named = source_dict if isinstance(source_dict, Mapping) else {}
        path, digest = named.get("path"), named.get("digest")
        repository = named.get("repository", "")
        if isinstance(path, str) and isinstance(digest, str) and isinstance(repository, str):
            # What is elsewhere has a hash of another kind, though DVC keeps no such bytes.
            is_sound = is_hash(digest) or "://" in path
            if path and is_sound and "\0" not in path + digest + repository:
                return cls(path, digest, repository)
        raise LineageError(
            f"the source {shown(str(source_dict))} of a dataset in MLflow names no path with its"
            " DVC hash, as mlflow.data.from_dvc writes it: log the dataset again."
        )

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


def facts_of_data(workspace: Workspace, data: DataId) -> Facts:
    """Ask the project's packages what they know of data, in the workspace or DVC's cache.

    Returns:
        No facts where neither has the bytes.
    """
    with readable(workspace, [data]) as places:
        return facts(places[data]) if data in places else Facts()


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
    from lineage.repository.code import repository_url

    workspace = Workspace.find()
    item = workspace.tracked(Path(path).absolute(), rev)
    if digest is not None and digest != item.hash:
        raise LineageError(f"{item.path} has the DVC hash {item.hash}, not {digest}.")
    known = facts(item.location) if rev is None else facts_of_data(workspace, item.id)
    dataset = DVCDataset.of(item, known, repository_url(workspace))
    if name is not None:
        dataset._name = name
    return dataset


if IS_FIRST:
    mlflow.data.dataset_registry.register_constructor(from_dvc)  # type: ignore[arg-type]
    sources = mlflow.data.dataset_source_registry
    sources.register_dataset_source(DVCDatasetSource)  # type: ignore[arg-type]
