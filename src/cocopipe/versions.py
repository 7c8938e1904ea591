"""Versions of the converted data: what a revision, a DVC hash or a directory has of it."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cocopipe.coco.document import order
from cocopipe.coco.store import shards_with
from cocopipe.errors import UserError, some

if TYPE_CHECKING:
    from cocopipe.diff.changes import Changes
    from cocopipe.diff.sheet import ShownImage
    from lineage.project import Project
    from lineage.workspace import Item, Workspace

CONVERT = "convert"
"""The stage whose outputs are the converted splits."""

_FOLDERS = ("annotations", "images")


class Split(Protocol):
    """One converted split of a version; its files are named relative to its folder."""

    @property
    def files(self) -> Collection[str]:
        """All of them."""

    def digest(self, file: str) -> str:
        """The md5 of a file."""

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

    def digest(self, file: str) -> str:
        """The md5, as DVC has it."""
        with (self.folder / file).open("rb") as opened:
            return hashlib.file_digest(
                opened, lambda: hashlib.md5(usedforsecurity=False)
            ).hexdigest()

    @contextmanager
    def bring(self, files: Collection[str]) -> Iterator[Path]:
        """The folder itself."""
        del files
        yield self.folder


@dataclass(frozen=True)
class InDvc:
    """A split by its DVC hash, of which DVC's cache or remote have the files."""

    workspace: "Workspace"
    hash: str

    @cached_property
    def _listing(self) -> Mapping[str, str]:
        from lineage.storage import listings

        found = listings(self.workspace, [self.hash])
        if self.hash not in found:
            raise UserError(
                f"the data {self.hash} are neither in the DVC cache nor in a DVC remote: push them"
                " with `dvc push` where they are"
            )
        return found[self.hash]

    @property
    def files(self) -> Collection[str]:
        """All that DVC lists."""
        return self._listing.keys()

    def digest(self, file: str) -> str:
        """As DVC lists it."""
        return self._listing[file]

    def bring(self, files: Collection[str]) -> AbstractContextManager[Path]:
        """Links into DVC's cache, after fetching what that lacks."""
        from lineage.storage import linked

        return linked(self.workspace, {file: self.digest(file) for file in files})


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
    from lineage.project import Project

    return Version(ref, _in_project(Project.find(), ref))


def _in_folder(folder: Path) -> dict[str, Split]:
    each = [folder] if _is_split(folder) else filter(_is_split, sorted(folder.iterdir()))
    return {split.as_posix(): OnDisk(split) for split in each}


def _is_split(folder: Path) -> bool:
    return all((folder / name).is_dir() for name in _FOLDERS)


def _in_project(project: "Project", ref: str) -> dict[str, Split]:
    from lineage.reference import Data, Revision, resolve

    subject = resolve(project, ref)
    if isinstance(subject, Revision):
        items = converted(project, ref)
        return {item.path: InDvc(project.workspace, item.hash) for item in items}
    if isinstance(subject, Data):
        split = InDvc(project.workspace, subject.hash)
        if not subject.hash.endswith(".dir") or not _documents(split):
            raise UserError(f"{ref} is {subject}, which is no converted split")
        return {subject.paths[0] if subject.paths else subject.hash: split}
    raise UserError(
        f"{ref} is {subject}: name data, by a git revision, path@revision, a DVC hash or a"
        f" directory; `lineage show {ref}` says which it read"
    )


def converted(project: "Project", rev: str | None) -> "list[Item]":
    """The splits that the convert stage wrote, as a revision or the working tree records them.

    Raises:
        UserError: There are none.
        LineageError: There is no such revision.
    """
    history = project.history
    commit = history.present if rev is None else history.named(rev)
    stages = history.snapshot(commit).stages
    items = [
        item for stage in stages if stage.execution.stage.name == CONVERT for item in stage.outs
    ]
    if not items:
        raise UserError(
            f"{rev or 'dvc.lock'} records no outputs of the stage {CONVERT}: run `dvc repro"
            f" {CONVERT}` first"
        )
    return items


def pairs(before: Version, after: Version) -> dict[str, tuple[Split | None, Split | None]]:
    """Which splits of two versions are to be compared, by name.

    Those of one name, or else of one last part of it (``data/val`` and ``val``). Where one
    version is a single split, only that is compared; where both are, whatever their names.

    Raises:
        UserError: One is a single split, and the other has none like it.
    """
    one, other = before.splits, after.splits
    if len(one) == len(other) == 1:
        names = dict.fromkeys([*one, *other])
        return {" → ".join(names): (next(iter(one.values())), next(iter(other.values())))}
    twins = {name: _twin(name, other) for name in one}
    found: dict[str, tuple[Split | None, Split | None]] = {
        name: (one[name], other[twin] if twin else None) for name, twin in twins.items()
    }
    found |= {name: (None, other[name]) for name in other if name not in twins.values()}
    if 1 in (len(one), len(other)):
        found = {name: both for name, both in found.items() if None not in both}
    if not found:
        single, many = (before, after) if len(one) == 1 else (after, before)
        raise UserError(
            f"{single.ref} is {next(iter(single.splits))}, and {many.ref} has only"
            f" {some(list(many.splits))}: name one of those, as in {next(iter(many.splits))}@REV"
        )
    return found


def _twin(name: str, splits: Mapping[str, Split]) -> str | None:
    if name in splits:
        return name
    alike = [each for each in splits if Path(each).name == Path(name).name]
    return alike[0] if len(alike) == 1 else None


@dataclass(frozen=True)
class Comparison:
    """Two versions of a split, and what changed between them."""

    before: Split | None
    after: Split | None
    changes: "Changes"


def compare(
    before: Split | None, after: Split | None, *, document: str | None, iou: float
) -> Comparison:
    """Compare two versions of a split by their tables, and the shards that are not the same.

    Args:
        before: None: there was none.
        after: None: there is none any more.
        document: None: the first that both have.
        iou: See `cocopipe.diff.changes.compare`.

    Raises:
        UserError: There is no such document.
        LineageError: Neither cache nor remote have what is needed.
    """
    from cocopipe.diff.changes import compare as compare_splits

    name = document or _common_document([each for each in (before, after) if each is not None])
    same = _same_shards(before, after)
    with ExitStack() as stack:
        folders = [
            None if split is None else stack.enter_context(_needed(split, name, same))
            for split in (before, after)
        ]
        shards = {Path(file).name for file in same}
        changes = compare_splits(*folders, document=name, same_shards=shards, iou=iou)
    return Comparison(before, after, changes)


def _common_document(splits: Sequence[Split]) -> str:
    names = [_documents(split) for split in splits]
    both = order(set.intersection(*map(set, names)))
    if not both:
        raise UserError(
            "the two versions have no document in common:"
            f" {' and '.join(some(each) or 'none' for each in names)}"
        )
    return both[0]


def _same_shards(before: Split | None, after: Split | None) -> set[str]:
    """The shards that two versions have alike."""
    if before is None or after is None:
        return set()
    both = {*_shards(before)} & {*_shards(after)}
    return {file for file in both if before.digest(file) == after.digest(file)}


def _needed(split: Split, document: str, same: set[str]) -> AbstractContextManager[Path]:
    if document not in _documents(split):
        raise UserError(
            f"there is no document {document} in both versions, only {some(_documents(split))}"
        )
    return split.bring([_table(document), *(file for file in _shards(split) if file not in same)])


def _documents(split: Split) -> list[str]:
    """The names of a split's documents, the primary one first."""
    files = (Path(file) for file in split.files)
    return order(file.stem for file in files if file.match("annotations/*.parquet"))


def _table(document: str) -> str:
    return f"annotations/{document}.parquet"


def _shards(split: Split) -> list[str]:
    return [file for file in split.files if file.startswith("images/")]


def draw_changes(comparison: Comparison, path: Path, *, pictures: int) -> None:
    """Write a sheet of the most changed images; nothing where nothing changed."""
    from cocopipe.diff.changes import Side
    from cocopipe.diff.sheet import read_from, sheet_of_changes, to_show

    shown = to_show(comparison.changes, pictures)
    table = _table(comparison.changes.document)
    with ExitStack() as stack:
        folders = {
            side: _with_images(stack, getattr(comparison, side), table, shown, side)
            for side in Side
        }
        before, after = folders[Side.BEFORE], folders[Side.AFTER]
        sheet_of_changes(
            comparison.changes,
            before,
            after,
            path,
            read=read_from(before, after),
            pictures=pictures,
        )


def _with_images(
    stack: ExitStack, split: Split | None, table: str, shown: "list[ShownImage]", side: str
) -> Path | None:
    """A folder of a split with its table and the images that are shown."""
    if split is None:
        return None
    images = [getattr(each, side) for each in shown]
    ids = [image.image_id for image in images if image is not None]
    return stack.enter_context(split.bring([table, *shards_with(_shards(split), ids)]))
