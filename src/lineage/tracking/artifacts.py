"""Small artifacts of runs, of which somebody else said where they are and how large."""

import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.errors import reason

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from lineage.tracking.no_store import NoStore

LIMIT_BYTES = 64 * 2**20
"""Of an artifact that is read as a whole: a record of some 100,000 paths."""


class UnreadableError(Exception):
    """Why an artifact cannot be read, in a few words."""


def text_of(client: "MlflowClient | NoStore", run_id: str, name: str) -> str | None:
    """The text of an artifact; None where the run has none of this name.

    Only a regular file of a modest size is opened, whatever the run's record points to.

    Raises:
        UnreadableError: If it is something else, or its store does not give it.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    try:
        place = client.get_run(run_id).info.artifact_uri
        if is_local_uri(place):  # type: ignore[no-untyped-call]
            return _of_file(Path(local_file_uri_to_path(place)) / name)  # type: ignore[no-untyped-call]
        return _downloaded(get_artifact_repository(place), name)
    except (MlflowException, OSError, ImportError, ValueError) as error:
        raise UnreadableError(reason(error)) from error


def _of_file(path: Path) -> str | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableError("no regular file")
    _check_size(found.st_size)
    return path.read_text(encoding="utf-8")


def _downloaded(repository: Any, name: str) -> str | None:
    listed = [each for each in repository.list_artifacts() if each.path == name]
    if not listed:
        return None
    _check_size(listed[0].file_size or 0)
    with tempfile.TemporaryDirectory(prefix="lineage-") as folder:
        return _of_file(Path(repository.download_artifacts(name, folder)))


def _check_size(size_bytes: int) -> None:
    if size_bytes > LIMIT_BYTES:
        raise UnreadableError(f"it has {size_bytes} bytes, more than {LIMIT_BYTES}")
