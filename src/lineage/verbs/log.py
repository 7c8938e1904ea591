"""Dataset versions over the history of git."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lineage.errors import LineageError
from lineage.project import Project
from lineage.repository.commits import Commit
from lineage.repository.history import History
from lineage.repository.items import Item


@dataclass(frozen=True)
class Version:
    """A dataset version: bytes at a path, as history first recorded them.

    Attributes:
        item: Path, hash, kind, bytes and files.
        commit: The oldest revision that records it.
        names: Branches, tags and DVC experiments at whose commit it is there.
        facts: What the stage that wrote it recorded of its content, such as images.
        runs: How many MLflow runs read it, whatever became of them.
        models: Model versions that were made of it directly.
    """

    item: Item
    commit: Commit
    names: tuple[str, ...]
    facts: Mapping[str, Any]
    runs: int
    models: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "path": self.item.path,
            "hash": self.item.hash,
            "kind": self.item.kind,
            "bytes": self.item.size_bytes,
            "files": self.item.files,
            "time": self.commit.time.isoformat(),
            "commit": self.commit.id,
            "names": list(self.names),
            "facts": dict(self.facts),
            "runs": self.runs,
            "models": list(self.models),
        }


@dataclass(frozen=True)
class Log:
    """Dataset versions, newest first.

    Attributes:
        versions: Each path and hash once.
        older: How many more there are.
        warnings: Sentences about what the answer cannot know.
    """

    versions: tuple[Version, ...]
    older: int
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "versions": [version.as_dict() for version in self.versions],
            "older": self.older,
            "warnings": list(self.warnings),
        }


def log(project: Project, path: str | None = None, number: int | None = None) -> Log:
    """The versions that a branch, tag, experiment or the working tree records.

    Args:
        project: Whose.
        path: Only what is tracked there or below, of any kind; all datasets by default.
        number: Only so many, the newest; all by default.

    Raises:
        LineageError: If nothing was ever tracked at the path.
    """
    history = project.history
    found, names = _first_seen(history)
    if path is None:
        wanted = [key for key in found if found[key][0].kind == "dataset"]
    else:
        name = project.workspace.name_of(Path(os.path.normpath(Path(path).absolute())))
        wanted = [key for key in found if _is_below(key[0], name)]
        if not wanted:
            raise LineageError(_never(path, name, {tracked for tracked, _ in found}))
    wanted.sort(key=lambda key: (found[key][1].time, key[0]), reverse=True)
    shown = wanted[:number]
    digests = {digest for _, digest in shown}
    readers = project.runs.count_reading(digests if len(shown) < len(wanted) else None)
    facts = project.runs.facts_of_content(digests)
    versions = [
        Version(
            item=found[key][0],
            commit=found[key][1],
            names=names[key],
            facts=facts.get(key[1], {}),
            runs=len(readers.get(key[1], ())),
            models=_models(project, key[1], readers.get(key[1], set())),
        )
        for key in shown
    ]
    return Log(tuple(versions), len(wanted) - len(shown), tuple(history.warnings))


def _first_seen(
    history: History,
) -> tuple[dict[tuple[str, str], tuple[Item, Commit]], dict[tuple[str, str], tuple[str, ...]]]:
    """(path, hash) -> how and where it was first recorded; and -> names of all its revisions."""
    found: dict[tuple[str, str], tuple[Item, Commit]] = {}
    names: dict[tuple[str, str], tuple[str, ...]] = {}
    present = history.present
    is_new = history.snapshot(present) != history.snapshot_of_head
    for commit in [*reversed(history.commits), *([present] if is_new else [])]:
        for item in history.snapshot(commit).data:
            key = (item.path, item.hash)
            found.setdefault(key, (item, commit))
            names[key] = (*names.get(key, ()), *commit.names)
    return found, names


def _models(project: Project, digest: str, readers: set[str]) -> tuple[str, ...]:
    return tuple(
        version.id
        for version in project.registry.versions
        if digest in version.data.values() or version.run_id in readers
    )


def _is_below(path: str, name: str) -> bool:
    return name == "." or path == name or path.startswith(f"{name}/")


def _never(path: str, name: str, tracked: set[str]) -> str:
    likely = get_close_matches(name, tracked) or sorted(tracked)[:8]
    known = f"tracked are {', '.join(likely)}" if likely else "DVC tracks nothing here yet"
    return f"no revision tracks data at {path}; {known}."
