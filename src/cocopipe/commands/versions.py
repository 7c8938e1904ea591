"""Versions of the converted data: what a revision, a DVC hash or a directory has of it."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from cocopipe.documents import order
from cocopipe.errors import UserError
from cocopipe.split.tables import is_split, require_readable
from lineage.identity import DataId
from lineage.join.reference import DataRef, RevisionRef, resolve_ref
from lineage.project import Project
from lineage.repository.commits import WORKSPACE, Commit
from lineage.repository.items import Item
from lineage.repository.workspace import Workspace
from lineage.storage.borrow import linked
from lineage.storage.locate import listings

CONVERT = "convert"
"""The stage whose datasets are the converted splits."""

DATASET = "dataset"

_FOLDERS = ("annotations", "images")


class Split(Protocol):
    """One converted split of a version; its files are named relative to its folder."""

    @property
    def files(self) -> Collection[str]:
        """The names of all files of the split."""

    def bring(self, files: Collection[str]) -> AbstractContextManager[Path]:
        """Give a folder that has these files for a while, and maybe others; only to read."""


@dataclass(frozen=True)
class OnDisk:
    """A split that lies somewhere."""

    folder: Path

    @property
    def files(self) -> Collection[str]:
        """All files of its two folders."""
        return [
            path.relative_to(self.folder).as_posix()
            for name in _FOLDERS
            for path in sorted((self.folder / name).glob("*.parquet"))
        ]

    @contextmanager
    def bring(self, files: Collection[str]) -> Iterator[Path]:
        """Give the folder itself."""
        del files
        yield self.folder


@dataclass(frozen=True)
class InDvc:
    """A split by its DVC hash, of which DVC's cache or remote have the files."""

    workspace: Workspace
    hash: str
    name: str
    """What messages call it: its path, and the revision."""
    is_past: bool = True
    """Whether it is not what the working tree records."""

    @cached_property
    def _listing(self) -> Mapping[str, str]:
        found = listings(self.workspace, [self.hash])
        if self.hash not in found:
            raise UserError(
                f"{self.name} is neither in the DVC cache nor in a DVC remote: push it with"
                " `dvc push` where it is"
            )
        return found[self.hash]

    @property
    def files(self) -> Collection[str]:
        """The files that DVC lists."""
        return self._listing.keys()

    @contextmanager
    def bring(self, files: Collection[str]) -> Iterator[Path]:
        """Links into DVC's cache, after fetching what that lacks."""
        named_files = {file: self._listing[file] for file in files}
        with (
            linked(self.workspace, named_files) as folder,
            called(folder, self.name, is_past=self.is_past),
        ):
            yield folder


@contextmanager
def called(folder: Path, name: str, *, is_past: bool) -> Iterator[None]:
    """Have errors call a split by its name, whose folder is not its own and soon gone.

    Raises:
        UserError: It is in a layout that is not read here; or another, with the name in it.
    """
    require_readable(folder, name, is_past=is_past)
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(str(folder), name)) from error


@dataclass(frozen=True)
class Version:
    """The converted splits that somebody named, by their names."""

    ref: str
    splits: Mapping[str, Split]


def find(ref: str) -> Version:
    """The converted splits that ``ref`` names.

    Args:
        ref: A directory that is a converted split or holds some; a git revision, tag or DVC
            experiment; ``path@revision``; a DVC hash of a split.

    Raises:
        UserError: It names none.
        LineageError: It is none of these.
    """
    folder = Path(ref)
    if folder.is_dir():
        found = _in_folder(folder)
        if found:
            return Version(ref, found)
        raise UserError(
            f"{ref} is no converted split and has none in it: a split has the folders"
            " images/ and annotations/, as the stage convert writes them"
        )
    return Version(ref, _in_project(Project.find(), ref))


def _in_folder(folder: Path) -> dict[str, Split]:
    each = [folder] if is_split(folder) else filter(is_split, sorted(folder.iterdir()))
    return {split.as_posix(): OnDisk(split) for split in each}


def _in_project(project: Project, ref: str) -> dict[str, Split]:
    subject = resolve_ref(project, ref)
    if isinstance(subject, RevisionRef):
        return {
            item.path: InDvc(project.workspace, item.hash, f"{item.path} of {ref}")
            for item in converted(project, ref)
        }
    if isinstance(subject, DataRef):
        split = InDvc(project.workspace, subject.hash, ref)
        if not subject.hash.endswith(".dir") or not documents_of(split):
            raise UserError(f"{ref} is {subject}, which is no converted split")
        return {subject.paths[0] if subject.paths else subject.hash: split}
    raise UserError(
        f"{ref} is {subject}: name data, by a git revision, path@revision, a DVC hash or a"
        f" directory; `lineage show {ref}` says which it read"
    )


def converted(project: Project, rev: str | None) -> list[Item]:
    """The splits that the convert stage wrote, as a revision or the working tree records them.

    Raises:
        UserError: There are none.
        LineageError: There is no such revision.
    """
    history = project.history
    commit = history.commits.present if rev is None else history.commits.named(rev)
    items = _outs(project, commit)
    if not items:
        raise UserError(_nothing(rev or "dvc.lock"))
    return items


def _outs(project: Project, commit: Commit) -> list[Item]:
    stages = project.history.snapshot(commit).stages
    return [
        item
        for stage in stages
        if stage.execution.stage.name == CONVERT
        for item in stage.outs
        if item.kind == DATASET
    ]


def _nothing(where: str) -> str:
    return f"{where} records no outputs of the stage {CONVERT}: run `dvc repro {CONVERT}` first"


@dataclass(frozen=True)
class Found:
    """A split of one version, as history has it."""

    version: str
    """The revision, in short."""
    names: tuple[str, ...]
    """Branches, tags and experiments that have this split as it is."""
    path: str
    split: Split

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.path} of {self.version}"


def recorded(project: Project, *, present: bool = False) -> Iterator[Found]:
    """The converted splits that any revision records, each path and hash once, oldest first.

    Args:
        project: the repository.
        present: only those that the working tree records.
    """
    commits = project.history.commits
    found: dict[DataId, tuple[Commit, list[str]]] = {}
    for commit in [commits.present] if present else [*reversed(commits.all), commits.present]:
        for item in _outs(project, commit):
            names = found.setdefault(item.id, (commit, []))[1]
            names += [name for name in commit.names if name != WORKSPACE]
    if not found:
        raise UserError(_nothing("dvc.lock" if present else "the history"))
    for data, (commit, names) in found.items():
        name = data.path if present else f"{data.path} of {commit.short}"
        split = InDvc(project.workspace, data.hash, name, is_past=not present)
        yield Found(commit.short, tuple(names), data.path, split)


def table_of(document: str) -> str:
    """The file of a document's table, in its split."""
    return f"annotations/{document}.parquet"


def documents_of(split: Split) -> list[str]:
    """The names of a split's documents, the primary one first."""
    files = (Path(file) for file in split.files)
    return order(file.stem for file in files if file.match("annotations/*.parquet"))
