"""Reads the DVC files of one revision, with DVC only where templates are to be filled in."""

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lineage.errors import LineageError, without_secrets
from lineage.identity import StageId, from_root, hash_of
from lineage.repository import dvc_yaml
from lineage.repository.items import (
    Item,
    Observed,
    check_annotations,
    check_written,
    files_of,
    why_unpushed,
)
from lineage.repository.pipelines import Definition, Pipeline, Pipelines
from lineage.repository.snapshot import LOCK_FILE, Added, Snapshot, overlap
from lineage.repository.workspace import Workspace

if TYPE_CHECKING:
    from lineage.repository.resolver import Files

NOT_AS_WRITTEN = (AttributeError, KeyError, TypeError, ValueError, RecursionError)
"""What is raised where a file does not hold what DVC writes into such files."""


class SnapshotReader:
    """Reads snapshots; what several revisions share is parsed once.

    Args:
        workspace: The working tree, whose git root all paths are relative to.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._pipelines = Pipelines(workspace.git_root)
        self._parsed: dict[tuple[str, bytes, Pipeline], list[_Entry]] = {}

    def read(
        self,
        texts: Mapping[str, bytes],
        in_git: Callable[[str], bool],
        files: "Files",
        unreadable: Callable[[LineageError], None],
    ) -> Snapshot:
        """Read the DVC files of a revision.

        Args:
            texts: Path relative to the git root -> content, of every DVC file.
            in_git: Whether git keeps the bytes of a path there.
            files: All files there, for what templates are filled in with.
            unreadable: Told of a file that cannot be read, which is then left out.
        """
        entries: list[_Entry] = []
        added: list[Added] = []
        for path, text in texts.items():
            try:
                if path.endswith(LOCK_FILE):
                    entries += self._entries(path, texts, files)
                elif path.endswith(".dvc"):
                    added += _added(self._workspace, path, text)
            except LineageError as error:
                unreadable(error)
        return _snapshot(self._workspace, entries, added, in_git)

    def _entries(self, lock: str, texts: Mapping[str, bytes], files: "Files") -> "list[_Entry]":
        path = lock.removesuffix(".lock") + ".yaml"
        if path not in texts:
            return []  # DVC does not look at a lock alone
        pipeline = self._pipelines.pipeline(path, texts[path], files)
        key = (lock, texts[lock], pipeline)
        if key not in self._parsed:
            locked = dvc_yaml.parse(texts[lock], lock)
            if locked and not locked.keys() & {"schema", "stages", "datasets"}:
                raise LineageError(
                    f"{lock} is of DVC 1, and the DVC of today does not read it: restore a newer"
                    " one from git, or run `dvc repro` after you removed it."
                )
            try:
                dvc_yaml.refuse_endless(texts[lock], lock, locked)
                entries = list(_joined(path, locked.get("stages") or {}, pipeline))
            except NOT_AS_WRITTEN as error:
                raise LineageError(
                    f"{lock} does not hold stages as DVC writes them: restore it from git, or run"
                    " `dvc repro`."
                ) from error
            self._parsed[key] = entries
        return self._parsed[key]


@dataclass(frozen=True)
class _Entry:
    """An entry of a lock with what the pipeline file says of the stage."""

    stage: StageId
    lock: Mapping[str, Any]
    definition: Definition

    @property
    def wdir(self) -> str:
        """What its paths are relative to."""
        return self.definition.wdir


def _joined(path: str, locked: Mapping[str, Any], pipeline: Pipeline) -> "Iterator[_Entry]":
    for name, entry in locked.items():
        # DVC leaves the entries of stages that were removed in the lock.
        if name in pipeline.stages and entry:
            _check(entry)
            yield _Entry(StageId(path, name), entry, pipeline.stages[name])


def _check(entry: Mapping[str, Any]) -> None:
    """Refuse an entry that DVC never wrote; raises one of `NOT_AS_WRITTEN`."""
    command = entry["cmd"]
    commands = command if isinstance(command, list) else [command]
    if not all(isinstance(each, str) and each for each in commands) or not commands:
        raise ValueError("no command")
    for item in [*(entry.get("deps") or []), *(entry.get("outs") or [])]:
        check_written(item)
    for values in (entry.get("params") or {}).values():
        if not isinstance(values, Mapping):
            raise TypeError("params are by name")
    Observed.of_entry(StageId("", ""), entry, ".", (), ())


def _snapshot(
    workspace: Workspace,
    entries: Iterable[_Entry],
    added: Iterable[Added],
    in_git: Callable[[str], bool],
) -> Snapshot:
    outs = [(entry, list(_outs(workspace, entry))) for entry in entries]
    tracked = {item.path: item for _, items in outs for item in items}
    tracked |= {each.item.path: each.item for each in added}
    stages = []
    for entry, items in outs:
        deps = [
            _dep(workspace, entry, dep, tracked, in_git) for dep in entry.lock.get("deps") or []
        ]
        stages.append(
            Observed.of_entry(entry.stage, entry.lock, entry.wdir, tuple(deps), tuple(items))
        )
    return Snapshot(tuple(stages), tuple(added))


def _outs(workspace: Workspace, entry: _Entry) -> Iterator[Item]:
    """What an entry of a lock says of the outputs that the stage still has."""
    for out in entry.lock.get("outs") or []:
        annotations = entry.definition.outs.get(from_root(out["path"], entry.wdir))
        if annotations is not None:
            yield _item(workspace, out, entry.wdir, annotations)


def _dep(
    workspace: Workspace,
    entry: _Entry,
    dep: Mapping[str, Any],
    tracked: Mapping[str, Item],
    in_git: Callable[[str], bool],
) -> Item:
    path = from_root(dep["path"], entry.wdir)
    owner = tracked.get(path) or next(
        (item for place, item in tracked.items() if overlap(place, path)), None
    )
    if owner is not None:
        return replace(
            _item(workspace, dep, entry.wdir, {"type": owner.kind}), unpushed=owner.unpushed
        )
    is_inside = "://" not in path and not path.startswith(("/", ".."))
    # A folder kept for data that is not there yet is no data.
    is_code = is_inside and (in_git(path) or dep.get("size") == 0)
    return _item(workspace, dep, entry.wdir, {"type": "code" if is_code else "dataset"})


def _item(
    workspace: Workspace, entry: Mapping[str, Any], wdir: str, annotations: Mapping[str, Any]
) -> Item:
    path = from_root(entry["path"], wdir)
    return Item(
        path=path,
        location=workspace.git_root / path,
        hash=hash_of(entry),
        kind=str(annotations["type"]),
        labels=tuple(annotations.get("labels") or ()),
        size_bytes=int(entry.get("size") or 0),
        files=files_of(entry.get("nfiles")),
        unpushed=why_unpushed(annotations),
    )


def _added(workspace: Workspace, file: str, text: bytes) -> list[Added]:
    """What a ``.dvc`` file tracks."""
    read = dvc_yaml.parse(text, file)
    try:
        dvc_yaml.refuse_endless(text, file, read)
        return list(_outs_of_file(workspace, file, read))
    except NOT_AS_WRITTEN as error:
        raise LineageError(
            f"{file} is not as DVC writes it: restore it from git, or run `dvc add` again."
        ) from error


def _outs_of_file(workspace: Workspace, file: str, read: Mapping[str, Any]) -> Iterator[Added]:
    folder = from_root(str(read.get("wdir") or "."), posixpath.dirname(file))
    source: Mapping[str, Any] = next(iter(read.get("deps") or []), {})
    origin = source.get("repo") or {}
    url = str(origin.get("url") or source.get("path") or "")
    if origin:
        url = f"{url}#{source.get('path', '')}"
    checksum = str(origin.get("rev_lock") or hash_of(source))
    for out in read.get("outs") or []:
        check_written(out)
        check_annotations(out)
        item = _item(workspace, out, folder, {**out, "type": out.get("type") or "dataset"})
        if origin:
            # DVC fetches it from there whenever it is needed.
            item = replace(item, unpushed="imported")
        yield Added(item, file, without_secrets(url), checksum)
