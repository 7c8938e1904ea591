"""A COCO dataset that is on disk already."""

import hashlib
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from tqdm import tqdm

from cocopipe.coco.names import IMAGE_SUFFIXES, UNREADABLE_ZIP
from cocopipe.errors import UserError, some
from cocopipe.sources.disk import require_space, take_file
from cocopipe.sources.names import require_split_name
from cocopipe.sources.origin import Origin


def copy_directory(
    source: Path, out: Path, *, splits: Mapping[str, Mapping[str, Any]]
) -> list[Origin]:
    """Put the dataset's files of ``source`` into ``out``: by reflink where possible, else copied.

    Only what belongs to the dataset is taken: images, annotation documents and archives of
    those. What is *in* the documents is checked by the converter.

    Args:
        source: The dataset's folder.
        out: Existing, empty folder, outside of ``source``.
        splits: Empty where the documents' file names lead to the images. Else, per
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
        raise UserError(f"{source} is empty; put a COCO dataset there, its JSON and its images.")
    return root


def _found(root: Path, source: Path) -> dict[PurePosixPath, Path]:
    """Choose all files that may be of the dataset, under the names they have."""
    files = list(_files(root, root))
    held = {path: _members(path) for path in files if path.suffix.lower() == ".zip"}
    members = [member for names in held.values() for member in names]
    if not any(_is_document(path) for path in [*files, *members]):
        raise UserError(
            f"{source} has no COCO annotations: a JSON file with images and annotations, beside "
            "the images, around them or in a zip."
        )
    if not any(_is_image(path) for path in [*files, *members]):
        names = [_name(path, root).as_posix() for path in files if path not in held]
        raise UserError(
            f"{source} has annotations ({some(names or [path.name for path in held])}) but no "
            f"images: those that are read are called {', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    return {_name(path, root): path for path in files if held.get(path, True)}


def _members(archive: Path) -> list[PurePosixPath]:
    """Return the images and documents in a zip."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [PurePosixPath(name.replace("\\", "/")) for name in opened.namelist()]
    except UNREADABLE_ZIP as error:
        raise UserError(f"{archive} is no readable zip ({error}); replace it.") from error
    return [path for path in members if _is_image(path) or _is_document(path)]


def _images(folder: Path, root: Path) -> list[Path]:
    return [path for path in _files(folder, root) if _is_image(path)]


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
        elif _is_image(path) or _is_document(path) or path.suffix.lower() == ".zip":
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


def _is_document(path: PurePath) -> bool:
    return path.suffix.lower() == ".json" and not path.name.startswith(".")


def _name(path: Path, folder: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(folder).as_posix())
