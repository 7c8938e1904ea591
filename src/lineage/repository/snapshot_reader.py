"""Reads the DVC files of one revision, without DVC."""

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lineage.errors import LineageError, without_secrets
from lineage.identity import StageId, from_root, hash_of
from lineage.repository import dvc_yaml
from lineage.repository.items import Item, Observed, files_of, why_unpushed
from lineage.repository.snapshot import LOCK_FILE, PARAMS_FILE, Added, Snapshot, overlap
from lineage.repository.templates import definition_of, likeness
from lineage.repository.workspace import Workspace

SIZES = ("size", "nfiles")
"""What a lock says of an amount of data, beside its hash."""


class SnapshotReader:
    """Reads snapshots; what several revisions share is parsed once.

    Args:
        workspace: The working tree, whose git root all paths are relative to.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._parsed: dict[tuple[str, bytes, bytes], list[_Entry]] = {}
        self._contents: dict[tuple[bytes, str], Mapping[str, Any]] = {}

    def read(
        self,
        texts: Mapping[str, bytes],
        in_git: Callable[[str], bool],
        in_dvc: Callable[[], list[Observed]],
        unreadable: Callable[[LineageError], None],
    ) -> Snapshot:
        """Read the DVC files of a revision.

        Args:
            texts: Path relative to the git root -> content, of every DVC file.
            in_git: Whether git keeps the bytes of a path there.
            in_dvc: Reads the stages by DVC itself there. Needed where a working directory is
                a template.
            unreadable: Told of a file that cannot be read, which is then left out.
        """
        entries: list[_Entry] = []
        added: list[Added] = []
        for path, text in texts.items():
            try:
                if path.endswith(LOCK_FILE):
                    entries += self._entries(path, texts)
                elif path.endswith(".dvc"):
                    added += _added(self._workspace, path, text)
            except LineageError as error:
                unreadable(error)
        templates = [entry.stage for entry in entries if "${" in entry.wdir]
        known = [entry for entry in entries if entry.stage not in templates]
        by_dvc = in_dvc() if templates else []
        others = [stage for stage in by_dvc if stage.execution.stage in templates]
        return _snapshot(self._workspace, known, others, added, in_git)

    def _entries(self, lock: str, texts: Mapping[str, bytes]) -> "list[_Entry]":
        pipeline = lock.removesuffix(".lock") + ".yaml"
        definition = texts.get(pipeline, b"")
        params = f"{posixpath.dirname(lock)}/{PARAMS_FILE}".removeprefix("/")
        is_filled_in = b"foreach" in definition or b"matrix" in definition
        values = texts.get(params, b"") if is_filled_in else b""
        key = (lock, texts[lock], definition + b"\0" + values)
        if key not in self._parsed:
            locked = dvc_yaml.parse(texts[lock], lock).get("stages") or {}
            parsed = self._content(definition, pipeline)
            defined = parsed.get("stages") or {}
            variables = [self._content(values, params), *(parsed.get("vars") or [])]
            try:
                entries = list(_joined(pipeline, locked, defined, variables))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise LineageError(
                    f"{lock} and {pipeline} do not hold stages as DVC writes them: restore them"
                    " from git, or run `dvc repro`."
                ) from error
            self._parsed[key] = entries
        return self._parsed[key]

    def _content(self, text: bytes, path: str) -> Mapping[str, Any]:
        """A file that stays the same while locks change."""
        if (text, path) not in self._contents:
            self._contents[text, path] = dvc_yaml.parse(text, path)
        return self._contents[text, path]


@dataclass(frozen=True)
class _Entry:
    """An entry of a lock with what the pipeline file says of the stage."""

    stage: StageId
    lock: Mapping[str, Any]
    wdir: str
    definition: Mapping[str, Any]

    def annotations(self, path: str) -> Mapping[str, Any]:
        """What ``dvc.yaml`` says of an output, given by its path in the lock."""
        best = -1
        annotations: dict[str, Any] = {"type": "dataset"}
        for section, kind in (("outs", "dataset"), ("metrics", "report"), ("plots", "report")):
            for declared in self.definition.get(section) or []:
                spelled, more = (
                    next(iter(declared.items())) if isinstance(declared, dict) else (declared, {})
                )
                # A template such as `${item}.txt` spells what `other-${item}.txt` does.
                if (found := likeness(str(spelled), path)) > best:
                    best, annotations = found, {"type": kind, **(more or {})}
        return annotations


def _joined(
    pipeline: str, locked: Mapping[str, Any], defined: Mapping[str, Any], variables: Iterable[Any]
) -> "Iterator[_Entry]":
    known = {
        name: value for each in variables if isinstance(each, dict) for name, value in each.items()
    }
    for name, entry in locked.items():
        definition = definition_of(defined, name, known)
        # DVC leaves the entries of stages that were removed in the lock.
        if definition is not None and entry:
            wdir = from_root(str(definition.get("wdir") or "."), posixpath.dirname(pipeline))
            stage = StageId(pipeline, name)
            paths = [item["path"] for item in _items(entry)]
            sizes = [int(item.get(key) or 0) for item in _items(entry) for key in SIZES]
            if not entry["cmd"] or not all(paths) or min(sizes, default=0) < 0:
                raise ValueError(name)
            yield _Entry(stage, entry, wdir, definition)


def _items(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Dependencies and outputs of an entry of a lock."""
    return [*(entry.get("deps") or []), *(entry.get("outs") or [])]


def _snapshot(
    workspace: Workspace,
    entries: Iterable[_Entry],
    others: Iterable[Observed],
    added: Iterable[Added],
    in_git: Callable[[str], bool],
) -> Snapshot:
    outs = [
        (entry, [_out(workspace, entry, out) for out in entry.lock.get("outs") or []])
        for entry in entries
    ]
    tracked = {item.path: item for _, items in outs for item in items}
    tracked |= {each.item.path: each.item for each in added}
    stages = list(others)
    for entry, items in outs:
        deps = [
            _dep(workspace, entry, dep, tracked, in_git) for dep in entry.lock.get("deps") or []
        ]
        stages.append(
            Observed.of_entry(entry.stage, entry.lock, entry.wdir, tuple(deps), tuple(items))
        )
    return Snapshot(tuple(stages), tuple(added))


def _out(workspace: Workspace, entry: _Entry, out: Mapping[str, Any]) -> Item:
    annotations = entry.annotations(out["path"])
    return _item(workspace, out, entry.wdir, annotations)


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
        return list(_outs_of_file(workspace, file, read))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
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
        item = _item(workspace, out, folder, {"type": "dataset", **out})
        if origin:
            # DVC fetches it from there whenever it is needed.
            item = replace(item, unpushed="imported")
        yield Added(item, file, without_secrets(url), checksum)
