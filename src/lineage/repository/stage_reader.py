"""The running stage as DVC itself reads it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lineage.errors import LineageError
from lineage.identity import StageId, from_root, hash_of
from lineage.places import is_folder
from lineage.repository.git import git
from lineage.repository.items import Item, Observed, files_of, why_unpushed
from lineage.repository.processes import dvc_process
from lineage.repository.touched import touched_since
from lineage.repository.workspace import Workspace, open_repo

DVC2_HASH = "md5-dos2unix"


class StageReader:
    """Reads one stage of an open DVC repository, at its revision."""

    def __init__(self, workspace: Workspace, repo: Any, stage: Any) -> None:
        self._workspace = workspace
        self._repo = repo
        self._stage = stage
        self._prefix = workspace.name_of(workspace.root)
        self.id = StageId(self._name(stage.path), stage.name)
        self.wdir = self._name(stage.wdir)
        self.outs = tuple(Path(out.fs_path) for out in stage.outs)

    def written(self) -> set[str]:
        """The paths of all that the stages of this repository write."""
        return {self._name(out.fs_path) for out in self._repo.index.outs}

    def before(self) -> Observed:
        """The running stage with its dependencies as they are now.

        They are hashed through DVC's state, so DVC does not pay for it again.

        Raises:
            LineageError: If a dependency is not there, which DVC does not look for before a
                forced run.
        """
        for dep in self._deps:
            if dep.protocol == "local" and not dep.exists:
                raise LineageError(
                    f"stage {self.id} reads {dep.def_path}, which is not here: bring it with `dvc"
                    " checkout` or `dvc pull`, or run the stage that writes it."
                )
        return self._observe(self._hash_deps(), [])

    def after(self) -> Observed:
        """The running stage with dependencies and outputs as they are now.

        Call it when nothing writes any more: DVC stores wrong bytes under the hash of a
        file that changes later.

        Raises:
            LineageError: If an output is not there.
        """
        for out in self._stage.outs:
            if not out.exists:
                raise LineageError(
                    f"stage {self.id} ended without writing its output {out.def_path}."
                )
        outs = [(out, _hashed(out)) for out in self._stage.outs]
        return self._observe(self._hash_deps(), outs)

    def touched_since(self, moment: float) -> list[str]:
        """Paths of dependencies, and of files with its params, that were written to since.

        Files that DVC ignores do not count.
        """
        ignores = self._repo.dvcignore
        return [
            from_root(dep.def_path, self.wdir)
            for dep in self._stage.deps
            if dep.protocol == "local"
            and not all(
                ignores.is_ignored(dep.fs, str(path))
                for path in touched_since(Path(dep.fs_path), moment)
            )
        ]

    def plots(self) -> list[Path]:
        """Files and folders with plots of the running stage, as ``dvc.yaml`` declares them."""
        # DVC names them as seen from the current folder, the stage's own.
        sources = self._repo.index._plot_sources
        declared = [Path(os.path.normpath(Path.cwd() / source)) for source in sources]
        inside = [each for each in declared if any(each.is_relative_to(out) for out in self.outs)]
        own = [Path(out.fs_path) for out in self._stage.outs if out.plot]
        return list(dict.fromkeys([*own, *inside]))

    @property
    def command(self) -> str | list[str]:
        """Of the stage, with templates filled in."""
        command: str | list[str] = self._stage.cmd
        return command

    def _observe(self, deps: list[Any], outs: list[Any]) -> Observed:
        entry = {
            "cmd": self._stage.cmd,
            "deps": [item for _, item in deps],
            "params": {dep.def_path: dict(dep.get_hash().value) for dep in self._stage.params},
            "outs": [item for _, item in outs],
        }
        return self._observed(entry, deps, outs)

    def _observed(self, entry: Any, deps: list[Any], outs: list[Any]) -> Observed:
        return Observed.of_entry(
            self.id,
            entry,
            self.wdir,
            deps=tuple(self._dependency(dep, item) for dep, item in deps),
            outs=tuple(self._item(out, item, out, _kind_of_output(out)) for out, item in outs),
        )

    def _hash_deps(self) -> list[tuple[Any, dict[str, Any]]]:
        return [(dep, _hashed(dep)) for dep in self._deps]

    @property
    def _deps(self) -> list[Any]:
        from dvc.dependency import ParamsDependency

        return [dep for dep in self._stage.deps if not isinstance(dep, ParamsDependency)]

    def _dependency(self, dep: Any, entry: Mapping[str, Any]) -> Item:
        outs = [out for out in self._repo.index.outs if _overlap(out, dep)]
        owner = next((out for out in outs if out.fs_path == dep.fs_path), next(iter(outs), None))
        if owner is not None:
            return self._item(dep, entry, owner, _kind_of_output(owner))
        path = self._workspace.git_root / from_root(dep.def_path, self.wdir)
        is_code = "://" not in dep.def_path and self._is_in_git(path)
        return self._item(dep, entry, None, "code" if is_code else "dataset")

    def _item(self, side: Any, entry: Mapping[str, Any], owner: Any, kind: str) -> Item:
        """A dependency or output; ``owner`` is the output that has its bytes, if one has."""
        path = from_root(entry["path"], self.wdir)
        return Item(
            path=path,
            location=self._workspace.git_root / path,
            hash=hash_of(entry),
            kind=kind,
            labels=tuple(side.annot.labels),
            size_bytes=entry.get("size") or 0,
            files=files_of(entry.get("nfiles")),
            unpushed=why_unpushed({"push": owner.can_push, "cache": owner.use_cache})
            if owner
            else "",
        )

    def _name(self, path: str) -> str:
        # At a revision, DVC's paths start at the root of git's tree.
        return from_root(self._repo.fs.relpath(path, self._repo.root_dir), self._prefix)

    def _is_in_git(self, path: Path) -> bool:
        """Whether git keeps the bytes of ``path``, or will: some tracked, none ignored.

        A file that is neither is code that was not added yet.
        """
        top = self._workspace.git_root
        if not path.is_relative_to(top):
            return False
        if is_folder(path) and not git(top, "ls-files", "--", str(path)):
            return False
        ignored = git(
            top, "ls-files", "--others", "--ignored", "--exclude-standard", "--", str(path)
        )
        ignores = self._repo.dvcignore
        return all(ignores.is_ignored_file(str(top / name)) for name in ignored.splitlines())


def _hashed(side: Any) -> dict[str, Any]:
    """A dependency or output as DVC will write it into the lock."""
    # As DVC does before it saves: a path that is new in a stage with an old lock entry
    # starts out with the hash of DVC 2, which read text files in its own way.
    side.update_legacy_hash_name()
    # Not `get_hash` and `get_meta`, each of which walks the whole folder.
    meta, info = side._get_hash_meta()
    return {
        "path": side.def_path,
        "md5" if info.name == DVC2_HASH else info.name: info.value,
        "size": meta.size,
        "nfiles": meta.nfiles,
    }


def _overlap(out: Any, dep: Any) -> bool:
    one, other = Path(out.fs_path), Path(dep.fs_path)
    return one.is_relative_to(other) or other.is_relative_to(one)


def _kind_of_output(out: Any) -> str:
    if out.annot.type:
        return str(out.annot.type)
    return "report" if out.metric or out.plot else "dataset"


@contextmanager
def running_stage(workspace: Workspace) -> Iterator[StageReader]:
    """Open the stage that DVC started this process for.

    DVC names it in ``DVC_STAGE``, relative to the folder that ``dvc`` was called in.

    Raises:
        LineageError: If DVC did not start this process, or no such stage is there.
    """
    address = os.environ.get("DVC_STAGE")
    if not address:
        raise LineageError(
            "this is the command of a DVC stage, and was started by hand: run `dvc repro <stage>`,"
            " which keeps the data and its lineage in step."
        )
    folder = _folder_of_dvc()
    with open_repo(workspace) as repo:
        named = [stage for stage in repo.index.stages if getattr(stage, "name", None)]
        stages = [stage for stage in named if _address(stage, folder) == address]
        if len(stages) != 1:
            raise LineageError(
                f"no stage {address} is in the dvc.yaml files of {workspace.root}, as seen from"
                f" {folder}."
            )
        yield StageReader(workspace, repo, stages[0])


def _address(stage: Any, folder: Path) -> str:
    """What DVC calls a stage when it was called in ``folder``."""
    path = os.path.relpath(os.path.realpath(stage.path), folder)
    return str(stage.name) if path == "dvc.yaml" else f"{path}:{stage.name}"


def _folder_of_dvc() -> Path:
    process = dvc_process()
    return Path(process.cwd() if process else Path.cwd()).resolve()
