"""Dataset versions over the history of git."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

from lineage.answer import Answer
from lineage.errors import LineageError
from lineage.identity import DataId
from lineage.project import Project
from lineage.repository.commits import Commit
from lineage.repository.history import History
from lineage.repository.items import Item


@dataclass(frozen=True)
class Version(Answer):
    """A dataset version: bytes at a path, as history first recorded them.

    Attributes:
        item: Path, hash, kind, bytes and files.
        commit: The oldest revision that records it.
        names: Branches, tags and DVC experiments at whose commit it is there.
        facts: What the stage that wrote it recorded of its content, such as images.
        runs: How many MLflow runs read it, whatever became of them.
        models: Model versions that were made of it directly.
    """

    json_names: ClassVar[tuple[str, ...]] = (
        "path=item.path",
        "hash=item.hash",
        "kind=item.kind",
        "bytes=item.size_bytes",
        "files=item.files",
        "time=commit.time",
        "commit=commit.id",
        "names",
        "facts",
        "runs",
        "models",
    )

    item: Item
    commit: Commit
    names: tuple[str, ...]
    facts: Mapping[str, Any]
    runs: int
    models: tuple[str, ...]


@dataclass(frozen=True)
class Log(Answer):
    """Dataset versions, newest first.

    Attributes:
        versions: Each path and hash once.
        older: How many more there are.
        warnings: Sentences about what the answer cannot know.
    """

    versions: tuple[Version, ...]
    older: int
    warnings: tuple[str, ...]


def log(project: Project, path: str | None = None, number: int | None = None) -> Log:
    """The versions that a branch, tag, experiment or the working tree records.

    Args:
        project: The repository and its tracking store.
        path: Only what is tracked there or below, of any kind; all datasets by default.
        number: Only so many, the newest; all by default.

    Raises:
        LineageError: If nothing was ever tracked at the path.
    """
    history = project.history
    found = _first_seen(history)
    if path is None:
        wanted = [seen for seen in found if seen.item.kind == "dataset"]
    else:
        name = project.workspace.name_of(Path(os.path.normpath(Path(path).absolute())))
        wanted = [seen for seen in found if _is_below(seen.item.path, name)]
        if not wanted:
            raise LineageError(_never(path, name, {seen.item.path for seen in found}))
    wanted.sort(key=lambda seen: (seen.commit.time, seen.item.id), reverse=True)
    shown = wanted[:number]
    digests = {seen.item.hash for seen in shown}
    readers = project.runs.count_reading(digests if len(shown) < len(wanted) else None)
    facts = project.runs.facts_of_content(digests)
    versions = [
        Version(
            item=seen.item,
            commit=seen.commit,
            names=tuple(seen.names),
            facts=facts.get(seen.item.hash, {}),
            runs=len(readers.get(seen.item.hash, ())),
            models=_models(project, seen.item.hash, readers.get(seen.item.hash, set())),
        )
        for seen in shown
    ]
    return Log(tuple(versions), len(wanted) - len(shown), tuple(project.warnings))


@dataclass
class _Seen:
    """How and where some bytes were first recorded, and the names of all their revisions."""

    item: Item
    commit: Commit
    names: list[str] = field(default_factory=list)


def _first_seen(history: History) -> list[_Seen]:
    found: dict[DataId, _Seen] = {}
    present = [history.commits.present] if history.is_dirty else []
    for commit in [*reversed(history.commits.all), *present]:
        for item in history.snapshot(commit).data:
            found.setdefault(item.id, _Seen(item, commit)).names.extend(commit.names)
    return list(found.values())


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
