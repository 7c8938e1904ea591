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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.coco.file_columns import Files
from cocopipe.coco.names import IMAGE_SUFFIXES
from cocopipe.coco.naming import near
from cocopipe.coco.places import BESIDE, Asked, Pictures
from cocopipe.coco.sniff import Look, listed, look, names_of
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
    """Documents of an archive of more splits than have images here, image folders that no
    document is about, and zips in zips."""


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


def _find_splits(raw: Path, files: Files) -> Raw:
    pictures = Pictures(files.only(_ends(files, IMAGE_SUFFIXES)))
    tree = dict(files.only(_ends(files, [".json"])).entries())
    looks = {path: seen for path, entry in tree.items() if (seen := look(entry))}
    if not looks:
        raise UserError(
            f"{raw} has no COCO annotations: expected a JSON file with images and annotations, "
            "such as annotations/instances_<split>.json or <split>/_annotations.coco.json"
        )
    last_parts = {path.rpartition("/")[2] for path in pictures.folders} - {""}
    documents: dict[str, dict[str, str]] = {}
    unclear: list[Title] = []
    for title in titles(looks, last_parts):
        found = documents.setdefault(title.split, {})
        if found.setdefault(title.document, title.path) != title.path:
            unclear.append(title)
    asked = [_asked(split, its, looks) for split, its in sorted(documents.items())]
    folders = pictures.folders_of(asked)
    if unclear:
        other = documents[unclear[0].split][unclear[0].document]
        told = _as_told(asked, {unclear[0].split: FOLDER} | folders, tree)
        raise _unclear(unclear[0], other, tree, told)
    asked, folders = _looked_closer(asked, folders, pictures, tree)
    absent = [each for each in asked if each.name not in folders]
    here = [tree[path] for each in asked if each.name in folders for path in each.documents]
    for each in absent:
        if not all(_is_one_of_more(tree[path], here) for path in each.documents):
            told = _as_told(asked, {each.name: FOLDER} | folders, tree)
            raise _absent(each, tree, near(each.names[0], pictures.below("")), told)
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
    zipped = [f"{entry.where} (unpack it: it is in a zip)" for entry in _zips_in_zips(files)]
    return Raw(splits, tuple(left + [f"{folder or '.'}/" for folder in unused] + zipped))


def _looked_closer(
    asked: Sequence[Asked],
    folders: Mapping[str, str],
    pictures: Pictures,
    tree: Mapping[str, Entry],
) -> tuple[list[Asked], dict[str, str]]:
    """Ask for all images of those splits of which the first ones were not found.

    Not of documents that come with the archive of another split, and whose own folder is not
    there: they may list a hundred thousand.
    """
    here = [tree[path] for each in asked if each.name in folders for path in each.documents]

    def closer(each: Asked) -> Asked:
        is_of_more = all(_is_one_of_more(tree[path], here) for path in each.documents)
        if each.name in folders or (is_of_more and not pictures.has_folder_of(each.name)):
            return each
        every = [name for path in each.documents for name in names_of(listed(tree[path]))]
        return replace(each, names=tuple(dict.fromkeys(every)))

    every = [closer(each) for each in asked]
    return every, (pictures.folders_of(every) if every != [*asked] else {**folders})


def _zips_in_zips(files: Files) -> Iterator[Entry]:
    for _, entry in files.only(_ends(files, [".zip"])).entries():
        if isinstance(entry, ZipMember):
            yield entry


def _ends(files: Files, suffixes: Iterable[str]) -> pa.BooleanArray:
    """Whether each file's name ends so, in whatever letter case."""
    pattern = rf"[^/]\.({'|'.join(each.removeprefix('.') for each in suffixes)})$"
    return pc.match_substring_regex(files.names, pattern, ignore_case=True)


def _unclear(title: Title, other: str, tree: Mapping[str, Entry], told: str) -> UserError:
    """Two documents have one name: what to write so that one of them has it."""
    one, another = tree[other].where, tree[title.path].where
    return UserError(
        f"{one} and {another} are both the {title.document} of split {title.split}: remove one of"
        f" them, or say which is meant, {told}"
    )


def _as_told(splits: Sequence[Asked], folders: Mapping[str, str], tree: Mapping[str, Entry]) -> str:
    """How to name images and documents of the splits with folders, in params.yaml and by ``-S``."""
    its = [each for each in splits if each.name in folders]
    is_zipped = any(isinstance(tree[path], ZipMember) for each in its for path in each.documents)
    told = {each.name: _places(each, folders[each.name]) for each in its}
    listed = ", ".join(f"{quoted(split)}: {places}" for split, places in told.items())
    options = [f"-S '+download.directory.splits.{name}={where}'" for name, where in told.items()]
    return (
        f"in params.yaml,{' once the zip is unpacked,' if is_zipped else ''} as"
        f" download.directory.splits: {{{listed}}}, or as dvc exp run {' '.join(options)}"
    )


def _places(split: Asked, folder: str) -> str:
    documents = [quoted(path) for path in split.documents]
    listed = documents[0] if len(documents) == 1 else f"[{', '.join(documents)}]"
    return f"{{images: {quoted(folder or '.')}, annotations: {listed}}}"


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


def _absent(split: Asked, tree: Mapping[str, Entry], near_by: str | None, told: str) -> UserError:
    path = split.documents[0]
    many = len(listed(tree[path]))
    return UserError(
        f"{tree[path].where} lists {many:,} picture{'s' * (many != 1)}, and none was found: looked"
        f" beside it and around it, in folders named {split.name} and {BESIDE[0]}"
        f"{f' (there is {near_by})' if near_by else ''}; put them there, or name their folder,"
        f" {told}"
    )
