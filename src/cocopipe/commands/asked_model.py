"""A model that a user names: its files, by their hash, and what it is registered as."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cocopipe.errors import UserError
from lineage.identity import DataId
from lineage.join.reference import MODEL as MODELS
from lineage.join.reference import DataRef, ModelRef, data, resolve_ref
from lineage.project import Project
from lineage.recording.work import data_at
from lineage.repository.items import Item
from lineage.storage.borrow import exact


@dataclass(frozen=True)
class Model:
    """A model to ask.

    Attributes:
        item: Its files, by their hash.
        location: Where they can be read.
        versions: What it is registered as, ``models:/name/version``; the one that was named first.
    """

    item: Item
    location: Path
    versions: tuple[str, ...]

    @property
    def info(self) -> dict[str, Any]:
        """What a document of predictions says of it."""
        return {"path": self.item.path, "hash": self.item.hash, "versions": list(self.versions)}


@contextmanager
def asked_model(project: Project, ref: str) -> Iterator[Model]:
    """Find a model, and bring its files for a while.

    Raises:
        UserError: It is something else than a model.
        LineageError: It is nothing, or its bytes are nowhere to be had.
    """
    folder = Path(ref)
    if not ref.startswith(MODELS) and folder.is_dir():
        item = data_at(project.workspace, folder, kind="model")
        yield Model(item, folder, _versions(project, item.hash))
        return
    files, named = _named(project, ref)
    versions = tuple(dict.fromkeys([*named, *_versions(project, files.hash)]))
    with exact(project.workspace, files) as location:
        item = data_at(project.workspace, location, kind="model")
        yield Model(replace(item, path=files.path), location, versions)


def _named(project: Project, ref: str) -> tuple[DataId, list[str]]:
    """The files that a REF means, and the version that it named."""
    match resolve_ref(project, ref):
        case ModelRef(version) if version.hash:
            paths = data(project, version.hash).paths
            return DataId(next(iter(paths), version.name), version.hash), [version.id]
        case DataRef(digest, paths, _):
            return DataId(next(iter(paths), digest), digest), []
        case other:
            raise UserError(
                f"{ref} is {other}, which has no files of a model: give models:/name/version, a"
                " path, path@revision or a DVC hash"
            )


def _versions(project: Project, digest: str) -> tuple[str, ...]:
    return tuple(each.id for each in project.registry.versions if each.hash == digest)
