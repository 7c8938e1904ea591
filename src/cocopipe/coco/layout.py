"""Raw COCO data as a directory, zips in it included, read in place.

The files of the directory and the members of its zips form one tree. A document is any JSON file
in it that is COCO by its content, wherever it lies; its images are where its file names lead:
beside it, in a folder ``images`` or ``data`` or one named like the split, or around those. A
split's name is that of the document, or of the folder that it lies in.

A zip's members stand beside the zip, as if it had been unpacked there; one that holds images
without a folder of their own stands for the folder of its name. Nothing is extracted: a member is
read, and its CRC checked, where it lies.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cocopipe.coco.file_columns import Files
from cocopipe.coco.names import IMAGE_SUFFIXES
from cocopipe.coco.places import BESIDE, Asked, Pictures
from cocopipe.coco.sniff import Look, listed, look
from cocopipe.coco.titles import Title, titles
from cocopipe.coco.tree import tree
from cocopipe.coco.zips import Entry, ZipMember
from cocopipe.errors import UserError

FOLDER = "<folder>"
"""What a user has to fill in, where nothing tells it."""


@dataclass(frozen=True)
class RawSplit:
    """One split of the raw data: its documents and the files its images may come from."""

    name: str
    documents: Mapping[str, Entry]
    images: Files
    """The image files by their paths relative to the split's image folder."""
    folder: str
    """The image folder, as messages call it."""


@dataclass(frozen=True)
class Raw:
    """Raw COCO data, open for reading."""

    splits: tuple[RawSplit, ...]
    """The splits that have both documents and images, in the order of their names."""
    ignored: tuple[str, ...]
    """Documents of an archive of more splits than have images here, and image folders that no
    document is about."""


@contextmanager
def open_raw(raw: Path) -> Iterator[Raw]:
    """Find the splits of ``raw`` and keep its zips open inside the block.

    Raises:
        UserError: nothing there, no documents, no images for one of them, a
            broken zip, a name or link that leads out of the directory, one
            path found twice.
    """
    if not raw.is_dir():
        raise UserError(f"{raw} is not a directory: run the download stage first")
    with ExitStack() as open_zips:
        yield _find_splits(raw, tree(raw, open_zips))


def _find_splits(raw: Path, tree: Mapping[str, Entry]) -> Raw:
    pictures = Pictures({path: entry for path, entry in tree.items() if _is_image(path)})
    looks = {
        path: seen
        for path, entry in tree.items()
        if path.lower().endswith(".json") and (seen := look(entry))
    }
    if not looks:
        raise UserError(
            f"{raw} has no COCO annotations: expected a JSON file with images and annotations, "
            "such as annotations/instances_<split>.json or <split>/_annotations.coco.json"
        )
    last_parts = {path.rpartition("/")[2] for path in pictures.folders} - {""}
    documents: dict[str, dict[str, str]] = {}
    for title in titles(looks, last_parts):
        found = documents.setdefault(title.split, {})
        if title.document in found:
            raise _unclear(title, found[title.document], tree, pictures, looks)
        found[title.document] = title.path
    asked = [_asked(split, its, looks) for split, its in sorted(documents.items())]
    folders = pictures.folders_of(asked)
    absent = [each for each in asked if each.name not in folders]
    here = [tree[path] for each in asked if each.name in folders for path in each.documents]
    for each in absent:
        if not all(_is_one_of_more(tree[path], here) for path in each.documents):
            raise _absent(each, tree)
    splits = tuple(
        RawSplit(
            each.name,
            {document: tree[path] for document, path in documents[each.name].items()},
            pictures.below(folders[each.name]),
            folders[each.name],
        )
        for each in asked
        if each.name in folders
    )
    left = [tree[path].where for each in absent for path in each.documents]
    unused = pictures.unused(
        folders[each.name] for each in asked if each.names and each.name in folders
    )
    return Raw(splits, tuple(left + [f"{folder or '.'}/" for folder in unused]))


def _is_image(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


def _unclear(
    title: Title,
    other: str,
    tree: Mapping[str, Entry],
    pictures: Pictures,
    looks: Mapping[str, Look],
) -> UserError:
    """Two documents have one name: what to write so that one of them has it."""
    asked = _asked(title.split, {title.document: other}, looks)
    folder = pictures.folders_of([asked]).get(title.split, "")
    one, another = tree[other].where, tree[title.path].where
    return UserError(
        f"{one} and {another} are both the {title.document} of split {title.split}: remove one of"
        f" them, or say which is meant, {_as_told(asked, folder, tree)}"
    )


def _as_told(split: Asked, folder: str, tree: Mapping[str, Entry]) -> str:
    """How to name a split's images and documents, in params.yaml and by ``-S``."""
    unpack = ""
    if any(isinstance(tree[path], ZipMember) for path in split.documents):
        unpack = " once the zip is unpacked,"
    documents = [quoted(path) for path in split.documents]
    listed = documents[0] if len(documents) == 1 else f"[{', '.join(documents)}]"
    told = f"{{images: {quoted(folder or '.')}, annotations: {listed}}}"
    return (
        f"in params.yaml,{unpack} as download.directory.splits: {{{quoted(split.name)}: {told}}},"
        f" or as dvc exp run -S '+download.directory.splits.{split.name}={told}'"
    )


def quoted(text: str) -> str:
    """A text as YAML and DVC's ``-S`` both take it, in quotes where it needs some."""
    return text if re.fullmatch(r"[\w./-]+", text, re.ASCII) else json.dumps(text)


def _asked(split: str, documents: Mapping[str, str], looks: Mapping[str, Look]) -> Asked:
    names = [name for path in documents.values() for name in looks[path].names]
    return Asked(split, tuple(documents.values()), tuple(dict.fromkeys(names)))


def _is_one_of_more(entry: Entry, here: Iterable[Entry]) -> bool:
    """Whether a document lies in a zip with others, whose images are here.

    The official archive has the annotations of all splits, of which some were fetched.
    """
    return isinstance(entry, ZipMember) and any(entry.origin == each.origin for each in here)


def _absent(split: Asked, tree: Mapping[str, Entry]) -> UserError:
    path = split.documents[0]
    many = listed(tree[path])
    return UserError(
        f"{tree[path].where} lists {many:,} picture{'s' * (many != 1)}, and none was found: looked"
        f" beside it and around it, in folders named {split.name} and {BESIDE[0]}; put them"
        f" there, or name their folder, {_as_told(split, FOLDER, tree)}"
    )
