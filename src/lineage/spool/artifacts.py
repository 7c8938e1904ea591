"""The artifacts of runs whose writes take the way over a spool."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import (
    _artifact_repository_registry as registry,
)
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking._tracking_service import utils
from mlflow.utils.uri import get_uri_scheme, is_local_uri

if TYPE_CHECKING:
    from mlflow.entities import FileInfo

    from lineage.spool.spool import Spool

UNKNOWN = "lineage-waiting"
"""Scheme of where the artifacts of a run lie that its store has not seen yet."""


class SpooledArtifacts(ArtifactRepository):
    """What is logged goes to a spool; what is asked for is sent before, if it can be."""

    def __init__(self, uri: str, run_id: str, spool: "Spool", tracking_uri: str | None) -> None:
        """Make it of the run whose artifacts lie at a URI."""
        super().__init__(uri, tracking_uri)
        self._run_id = run_id
        self._spool = spool

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Log a file."""
        self._spool.put_files(self._run_id, Path(local_file), artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Log the files of a folder, and those in folders below."""
        self._spool.put_files(self._run_id, Path(local_dir), artifact_path)

    def list_artifacts(self, path: str | None = None) -> "list[FileInfo]":
        """List the files and folders in a folder."""
        return self._settled().list_artifacts(path)  # type: ignore[no-any-return]

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self._settled()._download_file(remote_file_path, local_path)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete what was logged."""
        self._settled().delete_artifacts(artifact_path)

    def _settled(self) -> Any:
        self._spool.settle()
        return self._spool.artifacts_of(self._run_id)


def take_over(uri: str, run_id: str, spool: "Spool") -> None:
    """Let what this process logs at the place of a run's artifacts go to a spool.

    A folder of this machine is always there: what goes to it takes no way round.
    """
    scheme = get_uri_scheme(uri)  # type: ignore[no-untyped-call]
    if scheme != UNKNOWN and is_local_uri(uri):  # type: ignore[no-untyped-call]
        return
    _places[uri.rstrip("/")] = (run_id, spool)
    if scheme not in _own:
        _own[scheme] = registry._registry.get(scheme)
        registry.register(scheme, _choose)  # type: ignore[no-untyped-call]
    forget(run_id)


def give_back(run_id: str) -> None:
    """Let them go to where they belong again."""
    for uri in [uri for uri, (whose, _) in _places.items() if whose == run_id]:
        del _places[uri]
    forget(run_id)


def repository_at(uri: str, tracking_uri: str) -> Any:
    """What MLflow itself makes of the place of artifacts."""
    scheme = get_uri_scheme(uri)  # type: ignore[no-untyped-call]
    return _own.get(scheme, get_artifact_repository)(uri, tracking_uri=tracking_uri)


def forget(run_id: str) -> None:
    """Let MLflow look anew for where the artifacts of a run are."""
    utils._artifact_repos_cache.pop(run_id, None)


_places: dict[str, "tuple[str, Spool]"] = {}
_own: dict[str, Any] = {}
"""What MLflow itself makes of a scheme."""


def _choose(uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> Any:
    run_id, spool = _places.get(uri.rstrip("/"), ("", None))
    if spool is not None:
        return SpooledArtifacts(uri, run_id, spool, tracking_uri)
    own = _own[get_uri_scheme(uri)]  # type: ignore[no-untyped-call]
    return own(uri, tracking_uri=tracking_uri, registry_uri=registry_uri)
