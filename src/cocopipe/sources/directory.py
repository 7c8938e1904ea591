"""A COCO dataset that is on disk already."""

import hashlib
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from tqdm import tqdm

from cocopipe.coco.names import BESIDE, IMAGE_SUFFIXES, UNREADABLE_ZIP
from cocopipe.errors import UserError, some
from cocopipe.sources.disk import require_space, take_file
from cocopipe.sources.names import require_split_name
from cocopipe.sources.origin import Origin

_LAYOUTS = (
    "annotations/instances_<split>.json with its images in <split>/ or images/<split>/, "
    "or <split>/_annotations.coco.json beside its images"
)


def copy_directory(
    source: Path, out: Path, *, splits: Mapping[str, Mapping[str, Any]]
) -> list[Origin]:
    """Put the dataset's files of ``source`` into ``out``: by reflink where possible, else copied.

    Only what belongs to the dataset is taken: images, annotation documents and archives of
    those. What is *in* the documents is checked by the converter.

    Args:
        source: The dataset's folder.
        out: Existing, empty folder, outside of ``source``.
        splits: Empty where ``source`` is in a layout that the converter knows. Else, per
            split, ``images`` (a folder) and ``annotations`` (a file, or a list of files),
            relative to ``source``; they are written in the official layout.

    Raises:
        UserError: ``source`` is missing, empty or no COCO dataset; a path or a symlink leads
            out of it; a file can't be read, or the disk is too full.
    """
    try:
        root = _root(source, out)
        chosen = _named(root, source, splits) if splits else _found(root, source)
        sizes = {target: path.stat().st_size for target, path in sorted(chosen.items())}
        require_space([(out, sum(sizes.values()))])
        for target in tqdm(sizes, desc="copying", unit="file", disable=None):
            (out / target).parent.mkdir(parents=True, exist_ok=True)
            take_file(chosen[target], out / target)
    except OSError as error:
        raise UserError(
            f"{error.filename or source}: cannot be copied ({error.strerror or error})."
        ) from error
    listing = "".join(f"{target}\t{size}\n" for target, size in sizes.items())
    digest = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
    return [
        Origin(
            name=source.name or str(source),
            url=source.as_posix(),
            size_bytes=sum(sizes.values()),
            checksum=f"listing-sha256:{digest}",
        )
    ]


def _root(source: Path, out: Path) -> Path:
    """Return the real path of ``source``, once it is sure that there is something in it."""
    if not source.is_dir():
        problem = "is a file, not a folder" if source.exists() else "does not exist"
        raise UserError(
            f"{source} {problem}; name the folder of a COCO dataset, relative to the project."
        )
    root, target = source.resolve(), out.resolve()
    if root.is_relative_to(target) or target.is_relative_to(root):
        raise UserError(
            f"{source} holds the pipeline's own output {out}, or lies in it; move the dataset to "
            "a folder of its own."
        )
    if all(entry.name.startswith(".") for entry in root.iterdir()):
        raise UserError(f"{source} is empty; put a COCO dataset there: {_LAYOUTS}.")
    return root


def _found(root: Path, source: Path) -> dict[PurePosixPath, Path]:
    """Choose the files of a layout that the converter knows, under the names they have."""
    documents = _documents(root)
    archives = {path: _members(_inside(path, root)) for path in sorted(root.glob("[!.]*.zip"))}
    names = {path.stem for path in documents}.union(*(held for held, _ in archives.values()))
    beside = {folder / BESIDE for folder in _folders(root) if (folder / BESIDE).is_file()}
    if not names and not beside:
        raise UserError(
            f"{source} has no COCO annotations where they are looked for: {_LAYOUTS}; name other "
            "places in download.directory.splits."
        )

    images: dict[str, list[Path]] = {}
    for folder in _folders(root):
        if folder / BESIDE in beside or _annotates(names, folder.name):
            images.setdefault(folder.name, []).extend(_images(folder, root))
    for path, (held, has_images) in archives.items():
        if has_images and (held or _annotates(names, path.stem)):
            images.setdefault(path.stem, []).append(path)
    if not any(images.values()) and (root / "images").is_dir():
        flat = _images(root / "images", root)
        images = {name.rpartition("_")[2]: flat for name in names}
    splits = {split for split, paths in images.items() if paths}
    if not splits:
        listed = names | {path.relative_to(root).as_posix() for path in beside}
        raise UserError(
            f"{source} has annotations ({some(sorted(listed))}) but no images for them: "
            f"{_LAYOUTS}; name other places in download.directory.splits."
        )

    chosen = [path for path in documents if any(_annotates({path.stem}, split) for split in splits)]
    chosen += [path for path in beside if path.parent.name in splits]
    chosen += [path for path, (held, _) in archives.items() if held]
    chosen += [path for paths in images.values() for path in paths]
    return {_name(path, root): path for path in chosen}


def _documents(root: Path) -> list[Path]:
    folder = root / "annotations"
    if not folder.is_dir():
        return []
    return [
        path
        for path in _files(folder, root)
        if path.parent == folder and path.suffix == ".json" and "_" in path.stem
    ]


def _annotates(names: set[str], split: str) -> bool:
    """Tell whether a document of these names, ``<document>_<split>``, is of this split."""
    return any(name.endswith(f"_{split}") for name in names)


def _images(folder: Path, root: Path) -> list[Path]:
    return [path for path in _files(folder, root) if _is_image(path)]


def _folders(root: Path) -> list[Path]:
    """Folders that may hold the images of the split they are named after."""
    candidates = [*root.iterdir()]
    if (root / "images").is_dir():
        candidates += _inside(root / "images", root).iterdir()
    return [path for path in sorted(candidates) if path.is_dir() and path.name[0] != "."]


def _members(archive: Path) -> tuple[set[str], bool]:
    """Return the names of the annotation documents in a zip, and whether it has images."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [PurePosixPath(name) for name in opened.namelist()]
    except UNREADABLE_ZIP as error:
        raise UserError(f"{archive} is no readable zip ({error}); replace it.") from error
    documents = {
        path.stem
        for path in members
        if path.parent.name == "annotations" and path.suffix == ".json" and "_" in path.stem
    }
    return documents, any(_is_image(path) for path in members)


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


def _path(root: Path, source: Path, place: object) -> Path:
    """Return the path that ``place``, a setting, names inside of ``root``."""
    if not isinstance(place, str) or not place:
        raise UserError(f"{place!r} is not a path relative to {source}.")
    if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
        raise UserError(f"{place!r} leads out of {source}; name a path relative to it, inside.")
    path = root / place
    if not path.exists():
        raise UserError(f"{source / place} does not exist.")
    return _inside(path, root)


def _files(folder: Path, root: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield the files below ``folder`` in order, but hidden ones, following safe symlinks."""
    real = _inside(folder, root)
    if real in above:
        raise UserError(f"{folder} is a symlink to a folder that it lies in; remove it.")
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files(path, root, (*above, real))
        elif _is_image(path) or path.suffix == ".json":
            _inside(path, root)
            yield path


def _inside(path: Path, root: Path) -> Path:
    """Return the real path of ``path``, refusing one outside of ``root``."""
    real = Path(os.path.realpath(path))  # of a link to itself, too
    if not real.is_relative_to(root):
        raise UserError(
            f"{path} is a symlink to {real}, outside of the dataset's folder; put the files "
            "themselves there, or name the folder that holds both."
        )
    if not real.exists():
        raise UserError(f"{path} is a symlink to {real}, which does not exist; remove it.")
    return real


def _is_image(path: PurePath) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _name(path: Path, folder: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(folder).as_posix())
