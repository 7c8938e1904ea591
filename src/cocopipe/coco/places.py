"""Where the images of a split lie: where the file names of its documents lead."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow.compute as pc

from cocopipe.coco.file_columns import Files
from cocopipe.coco.naming import meant
from cocopipe.coco.paths import path_of
from cocopipe.coco.titles import is_plain

BESIDE = ("images", "data", "imgs", "img", "pictures")
"""What a folder of images may be called that lies beside a document."""


@dataclass(frozen=True)
class Asked:
    """A split whose images are looked for.

    Attributes:
        name: The split's.
        documents: Where its documents lie.
        names: File names of some of its images, as documents write them.
    """

    name: str
    documents: Sequence[str]
    names: Sequence[str]


class Pictures:
    """All image files of the raw data.

    Args:
        files: By their paths.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._paths = frozenset(files)
        self._direct = {path.rpartition("/")[0] for path in self._paths}
        self.folders = frozenset(
            folder.as_posix() if folder.parts else ""
            for path in map(PurePosixPath, self._direct)
            for folder in (path, *path.parents)
        )
        """The folders that images are in, or in folders of; the root is ``""``."""

    def folders_of(self, splits: Iterable[Asked]) -> dict[str, str]:
        """Split -> the folder that its file names are relative to; without those of no image.

        Names that are files' own come first. What they lead to under the name of a split is no
        other split's, however alike names are.
        """
        asked = list(splits)
        # Of a document without images there are none to find; of names that are none, its reader
        # tells.
        found = {each.name: "" for each in asked if not each.names}
        found |= {each.name: best for each in asked if (best := self._exactly(each)) is not None}
        for each in asked:
            if each.name not in found:
                best = self._perhaps(each, self._owned(found))
                if best is not None:
                    found[each.name] = best
        return found

    def below(self, folder: str, others: Iterable[str] = ()) -> Files:
        """The files of a folder by their paths in it, but for those in other folders."""
        files = self._files
        for other in others:
            if other != folder:
                files = files.only(pc.invert(pc.starts_with(files.names, f"{other}/")))
        return files.below(inside(folder))

    def unused(self, folders: Iterable[str]) -> list[str]:
        """Folders with images in them that lie in none of these."""
        used = tuple(inside(folder) for folder in folders)
        return sorted(folder for folder in self._direct if not inside(folder).startswith(used))

    def has_folder_of(self, split: str) -> bool:
        """Whether some folder with images has the name of a split, such as train2017 of train."""
        return bool(self._named(split))

    def _exactly(self, split: Asked) -> str | None:
        names = [path_of(name) for name in split.names]
        hits = {
            folder: sum(inside(folder) + name in self._paths for name in names)
            for folder in self._candidates(split)
        }
        best = max(hits, key=lambda folder: hits[folder], default=None)
        return best if best is not None and hits[best] else None

    def _perhaps(self, split: Asked, owned: Iterable[str]) -> str | None:
        hits = {
            folder: int((meant(split.names, self.below(folder, owned)).rows >= 0).sum())
            for folder in self._candidates(split)
        }
        best = max(hits, key=lambda folder: hits[folder], default=None)
        return best if best is not None and hits[best] else None

    def _candidates(self, split: Asked) -> list[str]:
        every = dict.fromkeys([*_candidates(split), *self._named(split.name), ""])
        return [folder for folder in every if folder in self.folders]

    def _named(self, split: str) -> list[str]:
        its_name = re.compile(rf"{re.escape(split)}[_-]?\d*")
        return [folder for folder in sorted(self.folders) if its_name.fullmatch(_last(folder))]

    @staticmethod
    def _owned(found: Mapping[str, str]) -> list[str]:
        """Folders that belong to a split alone, by their names."""
        return [folder for folder in found.values() if not is_plain(_last(folder))]


def _candidates(split: Asked) -> Iterator[str]:
    """Where images may be, likely ones first: around a document, and around its folders."""
    around = [PurePosixPath(path).parents for path in split.documents]
    for depth in range(max(map(len, around), default=0)):
        for parents in around:
            if depth < len(parents):
                yield from _beside(parents[depth], split.name)


def _beside(folder: PurePosixPath, split: str) -> Iterator[str]:
    for inside in (split, *(f"{each}/{split}" for each in BESIDE), "", *BESIDE):
        path = folder / inside
        yield path.as_posix() if path.parts else ""


def inside(folder: str) -> str:
    """What the paths of files in a folder begin with; the root is ``""``."""
    return f"{folder}/" if folder else ""


def _last(folder: str) -> str:
    return folder.rpartition("/")[2]
