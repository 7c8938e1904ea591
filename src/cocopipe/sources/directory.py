"""A COCO dataset that is on disk already."""

import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from cocopipe.coco.names import IMAGE_SUFFIXES, UNREADABLE_ZIP
from cocopipe.errors import UserError, some
from cocopipe.sources.local import files_in, inside, is_image, readable, root_of, take
from cocopipe.sources.names import require_split_name
from cocopipe.sources.notes import Notes
from cocopipe.sources.origin import Origin


def copy_directory(
    source: Path, out: Path, *, splits: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Origin], tuple[str, ...]]:
    """Put the dataset's files of ``source`` into ``out``: by reflink where possible, else copied.

    Only what belongs to the dataset is taken: images, annotation documents and archives of
    those. What is *in* the documents is checked by the converter.

    Args:
        source: The dataset's folder.
        out: Existing, empty folder, outside of ``source``.
        splits: Empty where the documents' file names lead to the images. Else, per
            split, ``images`` (a folder) and ``annotations`` (a file, or a list of files),
            relative to ``source``; they are written in the official layout.

    Returns:
        Where the bytes came from; and what was left behind that may be of a dataset.

    Raises:
        UserError: ``source`` is missing, empty or no COCO dataset; a path or a symlink leads
            out of it; a file can't be read, or the disk is too full.
    """
    notes = Notes()
    with readable(source):
        root = root_of(source, out)
        chosen = _named(root, source, splits) if splits else _found(root, source, notes)
        if splits:
            _tell_of_others(root, chosen.values(), notes)
    return [take(chosen, source, out)], notes.told()


def _found(root: Path, source: Path, notes: Notes) -> dict[PurePosixPath, Path]:
    """Choose all files that may be of the dataset, under the names they have."""
    files = list(_files(root, root))
    held = {path: _members(path) for path in files if _is_zip(path)}
    members = [member for names in held.values() for member in names]
    inner = [each for path, names in held.items() for each in names if _is_zip(each)]
    within = f"; {some([each.name for each in inner])} is in a zip: unpack that" if inner else ""
    if not any(_is_document(path) for path in [*files, *members]):
        raise UserError(
            f"{source} has no COCO annotations: a JSON file with images and annotations, beside "
            f"the images, around them or in a zip{within}."
        )
    if not any(is_image(path) for path in [*files, *members]):
        names = [_name(path, root).as_posix() for path in files if path not in held]
        raise UserError(
            f"{source} has annotations ({some(names or [path.name for path in held])}) but no "
            f"images: those that are read are called {', '.join(sorted(IMAGE_SUFFIXES))}{within}."
        )
    for path, names_in_zip in held.items():
        for each in filter(_is_zip, names_in_zip):
            notes.add("zips in zips left out, unpack the outer one", f"{path.name}/{each}")
    return {
        _name(path, root): path
        for path in files
        if path not in held or not all(map(_is_zip, held[path]))
    }


def _members(archive: Path) -> list[PurePosixPath]:
    """Return the images, documents and zips in a zip."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [PurePosixPath(name.replace("\\", "/")) for name in opened.namelist()]
    except UNREADABLE_ZIP as error:
        raise UserError(f"{archive} is no readable zip ({error}); replace it.") from error
    return [path for path in members if _may_belong(path)]


def _images(folder: Path, root: Path) -> list[Path]:
    return [path for path in _files(folder, root) if is_image(path)]


def _named(
    root: Path, source: Path, splits: Mapping[str, Mapping[str, Any]]
) -> dict[PurePosixPath, Path]:
    """Choose the files that the user named, under names of the official layout."""
    chosen: dict[PurePosixPath, Path] = {}
    for split, places in splits.items():
        require_split_name(split)
        if set(places) != {"images", "annotations"}:
            raise UserError(
                f"The split {split!r} of {source} needs exactly 'images' (a folder) and "
                f"'annotations' (a file or a list of files), not {some(sorted(places))}."
            )
        folder = _path(root, source, places["images"])
        if not folder.is_dir():
            raise UserError(f"{source / places['images']}, the images of {split!r}, is no folder.")
        images = _images(folder, root)
        if not images:
            raise UserError(f"{source / places['images']}, the images of {split!r}, has no images.")
        chosen |= {PurePosixPath(split) / _name(path, folder): path for path in images}
        listed = places["annotations"]
        for place in listed if isinstance(listed, list) else [listed]:
            path = _path(root, source, place)
            if not path.is_file():
                raise UserError(f"{source / place}, the annotations of {split!r}, is no file.")
            suffix = f"_{split}"
            document = path.stem.removesuffix(suffix) if path.stem.endswith(suffix) else "instances"
            target = PurePosixPath("annotations") / f"{document}_{split}.json"
            if target in chosen:
                raise UserError(
                    f"{source / place} and {chosen[target].name} would both be the {document!r} "
                    f"of {split!r}; rename one to <document>_{split}.json."
                )
            chosen[target] = path
    return chosen


def _tell_of_others(root: Path, chosen: Iterable[Path], notes: Notes) -> None:
    """Note what may be of a dataset, and no setting names."""
    taken = {inside(path, root) for path in chosen}
    folders = set()
    for path in _own_files(root):
        if path in taken:
            continue
        if _is_document(path) or _is_zip(path):
            what = "zips" if _is_zip(path) else "documents"
            notes.add(f"{what} that no split names left behind", _name(path, root).as_posix())
        elif is_image(path):
            folders.add(_name(path.parent, root).as_posix())
    for folder in sorted(folders):
        notes.add("folders with images that no split names left behind", f"{folder}/")


def _own_files(root: Path) -> Iterator[Path]:
    """All files, but hidden ones and what links lead to."""
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        paths = (Path(folder, name) for name in sorted(names))
        yield from (path for path in paths if not path.is_symlink())


def _path(root: Path, source: Path, place: object) -> Path:
    """Return the path that ``place``, a setting, names inside of ``root``."""
    if not isinstance(place, str) or not place:
        raise UserError(f"{place!r} is not a path relative to {source}.")
    if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
        raise UserError(f"{place!r} leads out of {source}; name a path relative to it, inside.")
    path = root / place
    if not path.exists():
        raise UserError(f"{source / place} does not exist.")
    return inside(path, root)


def _files(folder: Path, root: Path) -> Iterator[Path]:
    """Yield the files below ``folder`` that may be of a dataset."""
    return files_in(folder, root, _may_belong)


def _may_belong(path: PurePath) -> bool:
    return is_image(path) or _is_document(path) or _is_zip(path)


def _is_zip(path: PurePath) -> bool:
    return path.suffix.lower() == ".zip" and not path.name.startswith(".")


def _is_document(path: PurePath) -> bool:
    return path.suffix.lower() == ".json" and not path.name.startswith(".")


def _name(path: Path, folder: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(folder).as_posix())
