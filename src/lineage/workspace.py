"""The DVC side: the working tree, its stages, and the bytes that they read and write."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import psutil

from lineage.errors import LineageError
from lineage.identity import Execution, StageId, from_root, hash_of

DVC2_HASH = "md5-dos2unix"


@dataclass(frozen=True)
class Workspace:
    """A working tree that git and DVC both manage.

    Attributes:
        root: The folder with ``.dvc``, in which DVC works.
        git_root: The top of the git working tree; names are relative to it.
        home: The root that keeps the tracking store. The same as ``root``, but for a
            ``dvc exp run --temp``, which works in a copy and belongs to its parent, and for a
            git worktree, which belongs to the main one.
    """

    root: Path
    git_root: Path
    home: Path

    @classmethod
    def find(cls, start: Path | None = None) -> "Workspace":
        """Find the working tree around ``start`` (the current directory by default).

        Raises:
            LineageError: Where git or DVC does not manage it.
        """
        try:
            start = (start or Path.cwd()).resolve()
        except FileNotFoundError as error:
            raise LineageError(
                "the current folder is not there any more: change into one that is."
            ) from error
        root = next((folder for folder in [start, *start.parents] if _is_dvc_root(folder)), None)
        if root is None:
            raise LineageError(
                f"{start} is not inside a DVC repository: change into one, or make one here with"
                " `git init && dvc init`."
            )
        top = Path(_top_of_git(root)).resolve()
        # In a temporary experiment DVC_ROOT is the parent, not the copy that runs.
        home = Path(os.environ.get("DVC_ROOT", root)).resolve()
        if home == root:
            home = _in_main_worktree(root, top)
        return cls(root, top, home)

    @property
    def is_temporary(self) -> bool:
        """Whether this is the copy in which a ``dvc exp run --temp`` or ``--queue`` works."""
        return Path(os.environ.get("DVC_ROOT", self.root)).resolve() != self.root

    @property
    def private(self) -> Path:
        """A folder of our own, ignored by git, gone with the working tree."""
        folder = self.root / ".dvc" / "tmp" / "lineage"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def name_of(self, path: Path) -> str:
        """The name of a path: relative to the git root, or absolute where it lies outside."""
        if path.is_relative_to(self.git_root):
            return path.relative_to(self.git_root).as_posix()
        return path.as_posix()

    def tracked(self, path: Path, rev: str | None = None) -> "Item":
        """Look up data that DVC tracks, as it is on disk now or was recorded at ``rev``.

        Raises:
            LineageError: If DVC does not track it there.
        """
        location = Path(os.path.normpath(path))
        name = self.name_of(location)
        with open_repo(self, rev) as repo:
            recorded = _recorded(repo, location, self.root)
            if recorded is None:
                raise LineageError(
                    f"{name} is not tracked by DVC {f'at {rev}' if rev else 'here'}: name an output"
                    " of a stage, or a path that was given to `dvc add`, as a whole."
                )
            if rev is None:
                if not location.exists():
                    raise LineageError(f"{name} is not here: run `dvc checkout` or `dvc pull`.")
                recorded = present_bytes(repo, location)
        digest, size_bytes, files = recorded
        return Item(name, location, digest, "dataset", (), size_bytes, files)


def _top_of_git(root: Path) -> str:
    done = _run_git(root, "rev-parse", "--show-toplevel")
    if done.returncode == 0:
        return done.stdout.strip("\n")
    if "not a git repository" in done.stderr:
        raise LineageError(
            f"{root} is not inside a git repository, which dataset versions need for their"
            " names: run `git init` there."
        )
    raise LineageError(f"git refuses {root}: {' '.join(done.stderr.split())}")


def _in_main_worktree(root: Path, top: Path) -> Path:
    """The same folder in the main worktree; ``root`` itself where that has none."""
    if (top / ".git").is_dir():
        return root
    common = Path(git(root, "rev-parse", "--path-format=absolute", "--git-common-dir")).resolve()
    main = common.parent / root.relative_to(top)
    return main if common.name == ".git" and _is_dvc_root(main) else root


def _is_dvc_root(folder: Path) -> bool:
    # The same test as DVC's: a `.dvc` folder, not a `.dvc` file of that name.
    return (folder / ".dvc").is_dir()


def _recorded(repo: Any, location: Path, root: Path) -> tuple[str, int, int] | None:
    """Hash, bytes and files of a path as DVC recorded them; None where it did not."""
    if not location.is_relative_to(root):
        return None
    try:
        info = repo.dvcfs.info("/" + location.relative_to(root).as_posix())
    except FileNotFoundError:
        return None
    tracked = info.get("dvc_info")
    if not tracked or not tracked.get("md5"):
        return None
    meta = tracked["entry"].meta
    return str(tracked["md5"]), meta.size or 0, meta.nfiles or 1


def present_bytes(repo: Any, location: Path) -> tuple[str, int, int]:
    """Hash, bytes and files of what is on disk now, through DVC's state."""
    from dvc_data.hashfile.build import build

    _, meta, tree = build(
        repo.cache.local, str(location), repo.fs, "md5", ignore=repo.dvcignore, dry_run=True
    )
    return str(tree.hash_info.value), meta.size or 0, meta.nfiles or 1


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    """What git prints, without the final newline; "" when it fails and need not succeed."""
    done = _run_git(folder, *arguments)
    if done.returncode and check:
        said = " ".join(done.stderr.split())
        raise LineageError(f"`git {' '.join(arguments)}` failed in {folder}: {said}")
    return done.stdout.strip("\n") if not done.returncode else ""


def _run_git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",  # a file's name may be in any encoding
        env={**os.environ, "LC_ALL": "C"},
    )


@dataclass(frozen=True)
class Item:
    """Something a stage reads or writes, at one moment.

    Attributes:
        path: Its name, see `Workspace.name_of`.
        location: Where it is on this machine.
        hash: The DVC hash, with ``.dir`` for a folder.
        kind: ``code`` (git keeps it), or what DVC keeps: ``dataset``, ``model``,
            ``report``; as annotated with ``type:`` in ``dvc.yaml``.
        labels: The ``labels:`` of its annotation.
        size_bytes: Of all its files together.
        files: How many files it is.
        unpushed: Why ``dvc push`` does not bring it to the remote; empty where it does.
    """

    path: str
    location: Path
    hash: str
    kind: str
    labels: tuple[str, ...]
    size_bytes: int
    files: int
    unpushed: str = ""

    @property
    def name(self) -> str:
        """What a stage calls it: the last part of its path, without a suffix."""
        return PurePosixPath(self.path).stem


def why_unpushed(flags: Mapping[str, Any]) -> str:
    """Why ``dvc push`` passes over an output with these flags; empty where it does not."""
    if flags.get("cache") is False:
        return "cache: false"
    return "push: false" if flags.get("push") is False else ""


@dataclass(frozen=True)
class Observed:
    """A stage with everything that went in and came out, running or read from a lock.

    Attributes:
        execution: Its identity.
        command: With templates filled in.
        params: Declared params: file relative to the git root -> key -> value.
        deps: What it reads, in the order of ``dvc.yaml``.
        outs: What it wrote; empty while it runs.
    """

    execution: Execution
    command: str | list[str]
    params: Mapping[str, Mapping[str, Any]]
    deps: tuple[Item, ...]
    outs: tuple[Item, ...]


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
        """
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

    def locked(self) -> Observed | None:
        """The stage as its ``dvc.lock`` recorded it; None where it was never run."""
        from dvc.utils.serialize import load_yaml

        lock = f"{self._stage.path.removesuffix('.yaml')}.lock"
        if not self._repo.fs.exists(lock):
            return None
        entry = load_yaml(lock, fs=self._repo.fs).get("stages", {}).get(self.id.name)
        if not entry:
            return None
        deps = {item["path"]: item for item in entry.get("deps", [])}
        outs = {item["path"]: item for item in entry.get("outs", [])}
        return self._observed(
            entry,
            [(dep, deps[dep.def_path]) for dep in self._deps if dep.def_path in deps],
            [(out, outs[out.def_path]) for out in self._stage.outs if out.def_path in outs],
        )

    def _observe(self, deps: list[Any], outs: list[Any]) -> Observed:
        entry = {
            "cmd": self._stage.cmd,
            "deps": [item for _, item in deps],
            "params": {dep.def_path: dict(dep.get_hash().value) for dep in self._stage.params},
            "outs": [item for _, item in outs],
        }
        return self._observed(entry, deps, outs)

    def _observed(self, entry: Any, deps: list[Any], outs: list[Any]) -> Observed:
        return Observed(
            execution=Execution.from_lock_entry(self.id, entry, self.wdir),
            command=entry["cmd"],
            params={
                from_root(file, self.wdir): values
                for file, values in entry.get("params", {}).items()
            },
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
            files=entry.get("nfiles") or 1,
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
        if path.is_dir() and not git(top, "ls-files", "--", str(path)):
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


@contextmanager
def open_repo(workspace: Workspace, rev: str | None = None) -> Iterator[Any]:
    """Open the DVC repository as it is now, or as it was at a git revision.

    Raises:
        LineageError: If there is no such revision.
    """
    from dvc.repo import Repo
    from dvc.repo.brancher import switch
    from dvc.scm import RevError

    try:
        with Repo(str(workspace.root)) as repo, switch(repo, rev) if rev else nullcontext():
            yield repo
    except RevError as error:
        raise LineageError(f"{rev} is no revision of this git repository.") from error


def locked_stages(workspace: Workspace, rev: str | None = None) -> list[Observed]:
    """Every stage that has an entry in a ``dvc.lock``, in the working tree or at ``rev``."""
    with open_repo(workspace, rev) as repo:
        named = [stage for stage in repo.index.stages if getattr(stage, "name", None)]
        locked = [StageReader(workspace, repo, stage).locked() for stage in named]
    return [observed for observed in locked if observed is not None]


def dvc_process() -> psutil.Process | None:
    """The ``dvc`` that started this stage: the nearest ancestor without its ``DVC_STAGE``."""
    address = os.environ.get("DVC_STAGE")
    if not address:
        return None
    for parent in psutil.Process().parents():
        try:
            if parent.environ().get("DVC_STAGE") != address:
                return parent
        except psutil.Error:  # another user's process, or one that just ended
            return parent
    return None


def _folder_of_dvc() -> Path:
    process = dvc_process()
    return Path(process.cwd() if process else Path.cwd()).resolve()
