"""Files of a folder that is the user's own: found without leaving it, and copied."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath

from tqdm import tqdm

from cocopipe.coco.names import IMAGE_SUFFIXES, is_unicode
from cocopipe.errors import UserError
from cocopipe.sources.disk import require_space, take_file
from cocopipe.sources.origin import Origin

_OTHER_SUFFIXES = frozenset(
    {
        *(".arw", ".cr2", ".cr3", ".dcm", ".dng", ".exr", ".hdr", ".ico", ".jpeg2000", ".jxl"),
        *(".mpo", ".nef", ".orf", ".pcx", ".pfm", ".psd", ".raf", ".rw2", ".svg", ".tga"),
    }
)
"""What files of images end with that are not read, in small letters."""


def root_of(source: Path, out: Path, kind: str = "COCO") -> Path:
    """The real path of a dataset's folder, once it is sure that there is something in it.

    Raises:
        UserError: it is no folder, is empty, or has to do with the pipeline's own output.
    """
    if not source.is_dir():
        problem = "is a file, not a folder" if source.exists() else "does not exist"
        raise UserError(
            f"{source} {problem}; name the folder of a {kind} dataset, relative to the project."
        )
    root, target = source.resolve(), out.resolve()
    if root.is_relative_to(target) or target.is_relative_to(root):
        raise UserError(
            f"{source} holds the pipeline's own output {out}, or lies in it; move the dataset to "
            "a folder of its own."
        )
    if all(entry.name.startswith(".") for entry in root.iterdir()):
        what = "its JSON" if kind == "COCO" else "its labels"
        raise UserError(f"{source} is empty; put a {kind} dataset there, {what} and its images.")
    return root


def files_in(
    folder: Path, root: Path, wanted: Callable[[Path], bool], above: tuple[Path, ...] = ()
) -> Iterator[Path]:
    """The files below ``folder`` that are wanted, in order, but hidden ones; links are followed.

    Raises:
        UserError: a link leads out of ``root``, nowhere, or to a folder that it lies in; a name
            is not Unicode.
    """
    real = inside(folder, root)
    if real in above:
        raise UserError(f"{folder} is a symlink to a folder that it lies in; remove it.")
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from files_in(path, root, wanted, (*above, real))
        elif wanted(path):
            inside(path, root)
            _require_unicode(path, root)
            yield path


def _require_unicode(path: Path, root: Path) -> None:
    if not is_unicode(str(path.relative_to(root))):
        raise UserError(
            f"{os.fsencode(path)!r} has a name that is not Unicode, which no annotations can have:"
            " rename or remove it."
        )


def inside(path: Path, root: Path) -> Path:
    """The real path of ``path``, which has to be in ``root``."""
    real = Path(os.path.realpath(path))  # of a link to itself, too
    if not real.is_relative_to(root):
        raise UserError(
            f"{path} is a symlink to {real}, outside of the dataset's folder; put the files "
            "themselves there, or name the folder that holds both."
        )
    if not real.exists():
        raise UserError(f"{path} is a symlink to {real}, which does not exist; remove it.")
    return real


def is_image(path: PurePath) -> bool:
    """Whether a file is named as images are that are read, and not hidden."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def is_other_image(path: PurePath) -> bool:
    """Whether a file is named as images are that are not read, and not hidden."""
    return path.suffix.lower() in _OTHER_SUFFIXES and not path.name.startswith(".")


@contextmanager
def readable(source: Path) -> Iterator[None]:
    """Say which file of ``source`` the system does not let the block read.

    Raises:
        UserError: there is one.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{error.filename or source}: cannot be read ({error.strerror or error})."
        ) from error


def take(chosen: Mapping[PurePosixPath, Path], source: Path, out: Path) -> Origin:
    """Copy files: by reflink where possible.

    Args:
        chosen: the path in ``out`` of each -> where it is.
        source: the folder as the user wrote it.
        out: an existing folder.

    Raises:
        UserError: a file can't be read, or the disk is too full.
    """
    try:
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
    return Origin(
        name=source.name or str(source),
        url=source.as_posix(),
        size_bytes=sum(sizes.values()),
        checksum=f"listing-sha256:{digest}",
    )
