"""Raw COCO data as a directory, zips in it included, read in place.

The files of the directory and the members of its zips form one tree, in which
the splits are found::

    annotations/<document>_<split>.json     with images in <split>/ or images/<split>/,
                                            or in images/ where no split has its own folder
    <split>/_annotations.coco.json          with the images beside it; or in images/<split>/

A zip's members stand beside the zip, as if it had been unpacked there; one that
holds images without a folder of their own stands for the folder of its name.
Nothing is extracted: a member is read, and its CRC checked, where it lies.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cocopipe.coco.file_columns import Files
from cocopipe.coco.names import BESIDE, IMAGE_SUFFIXES
from cocopipe.coco.tree import tree
from cocopipe.coco.zips import Entry
from cocopipe.documents import PRIMARY
from cocopipe.errors import UserError, some


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
    """Documents without images, and image folders without documents."""


@contextmanager
def open_raw(raw: Path) -> Iterator[Raw]:
    """Find the splits of ``raw`` and keep its zips open inside the block.

    Raises:
        UserError: nothing there, no documents, no images for any of them, a
            broken zip, a name or link that leads out of the directory, one
            path found twice.
    """
    if not raw.is_dir():
        raise UserError(f"{raw} is not a directory: run the download stage first")
    with ExitStack() as open_zips:
        yield _find_splits(raw, tree(raw, open_zips))


def _find_splits(raw: Path, tree: Mapping[str, Entry]) -> Raw:
    folders = _image_folders(tree)
    documents = _documents(raw, tree, folders)
    if not documents:
        raise UserError(
            f"{raw} has no COCO annotations: expected annotations/<document>_<split>.json "
            f"or <split>/{BESIDE}"
        )
    if "images" in folders and folders.keys().isdisjoint(documents):
        folders |= dict.fromkeys(documents, "images")
    splits = tuple(
        RawSplit(name, found, _below(tree, folders[name]), folders[name])
        for name, found in sorted(documents.items())
        if name in folders
    )
    if not splits:
        names = sorted(documents)
        raise UserError(
            f"{raw} has annotations for {some(names)} but no images for them: put them into "
            f"{names[0]}/, images/{names[0]}/ or {names[0]}.zip"
        )
    used = {split.folder for split in splits}
    without_images = [
        entry.where
        for name, found in sorted(documents.items())
        if name not in folders
        for entry in found.values()
    ]
    without_documents = [f"{path}/" for path in sorted(set(folders.values())) if path not in used]
    return Raw(splits, tuple(without_images + without_documents))


def _image_folders(tree: Mapping[str, Entry]) -> dict[str, str]:
    """Split name to the folder of its images; ``images`` itself is there if it holds any."""
    folders: dict[str, str] = {}
    for path in tree:
        parts = path.split("/")
        if PurePosixPath(path).suffix.lower() not in IMAGE_SUFFIXES or len(parts) == 1:
            continue
        if parts[0] != "images":
            folders[parts[0]] = parts[0]
        elif len(parts) == 2:
            folders["images"] = "images"
        else:
            folders.setdefault(parts[1], f"images/{parts[1]}")
    return folders


def _documents(
    raw: Path, tree: Mapping[str, Entry], folders: Mapping[str, str]
) -> dict[str, dict[str, Entry]]:
    """Split name to its documents by name."""
    documents: dict[str, dict[str, Entry]] = {}
    for path, entry in tree.items():
        parts = path.split("/")
        if len(parts) > 1 and parts[-1] == BESIDE and parts[:-2] in ([], ["images"]):
            split, document = parts[-2], PRIMARY
        elif path.endswith(".json") and (len(parts) == 1 or parts[:-1] == ["annotations"]):
            stem = parts[-1].removesuffix(".json")
            known = [name for name in folders if stem.endswith(f"_{name}")]
            # A split's own name may hold underscores: its folder tells.
            split = max(known, key=len) if known else stem.rpartition("_")[2]
            document = stem.removesuffix(split).removesuffix("_")
            if not document:
                continue
        else:
            continue
        found = documents.setdefault(split, {})
        if document in found:
            raise UserError(
                f"{raw} has two {document} documents of split {split}, {found[document].where} and "
                f"{entry.where}: remove one of them"
            )
        found[document] = entry
    return documents


def _below(tree: Mapping[str, Entry], folder: str) -> Files:
    prefix = f"{folder}/"
    return Files(
        {path.removeprefix(prefix): each for path, each in tree.items() if path.startswith(prefix)}
    )
