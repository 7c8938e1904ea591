"""The one place that lets hashes and names of files in, from whoever wrote them.

Listings, locks, ``.dvc`` files, tags and sources of datasets may come from somebody else. Nothing
of them becomes a path before it came through here.
"""

import json
import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath

from lineage.errors import LineageError
from lineage.places import is_file, is_folder

FOLDER = ".dir"
"""How the DVC hash of a folder ends: it is the hash of a listing of its files."""

DEEPEST = 255
"""How many folders deep a file may lie: who goes down into more may not come back."""

HASH = re.compile(rf"[0-9a-f]{{32}}(?:{re.escape(FOLDER)})?")
"""What DVC names its objects by."""

_HASHES = re.compile(r"(?:[0-9a-f]{32}\n)*")
_SUSPECT = re.compile(r"(?:^|/)(?:[./]|$)|[\\:\0]", re.MULTILINE)
"""What a line with a name that could be refused has in it."""
_DRIVE = re.compile(r"[A-Za-z]:")
_NO_NAMES = frozenset(("", ".", ".."))
_OF_OTHERS = frozenset((".dvc", ".hg"))
"""Folders that DVC never takes in, nor ``.git``: programs find settings in them that they obey."""
_SHOWN = 80


def is_hash(text: object) -> bool:
    """Whether it is a hash of the kind that DVC names its objects by."""
    return isinstance(text, str) and HASH.fullmatch(text) is not None


def admit_hash(text: str) -> str:
    """A hash that may become a part of a path.

    Raises:
        LineageError: If it is none that DVC makes of data that it keeps.
    """
    if not is_hash(text):
        raise LineageError(
            f"{shown(text)} is no hash by which DVC keeps data, which is 32 of 0-9 and a-f, with"
            f" {FOLDER} for a folder: see who wrote it."
        )
    return text


def why_not_inside(name: object) -> str:
    """Why a name of a file, with folders before it, may not be taken; empty where it may."""
    if not isinstance(name, str) or "\0" in name:
        return "is no name of a file"
    # On other systems a backslash parts names as well.
    parts = name.replace("\\", "/").split("/")
    if not _NO_NAMES.isdisjoint(parts) or _DRIVE.match(name):
        return "may lead out of the folder"
    # Also as `.Git` and as `.git.`, which some file systems take for it.
    hidden = [part.casefold().rstrip(". ") for part in parts if part[0] == "."]
    if ".git" in hidden or not _OF_OTHERS.isdisjoint(hidden[: -1 if parts[-1][0] == "." else None]):
        return "would be settings of git or DVC"
    if len(parts) > DEEPEST:
        return f"lies more than {DEEPEST} folders deep"
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return "is no name of a file"
    return ""


def why_not_together(names: Sequence[str]) -> str:
    """Why files may not lie in one folder under these names, each alone admitted; or empty.

    Two names may be one on another file system, and none is both a file and a folder.
    """
    plain = [_folded(name) for name in names]
    if len(set(plain)) < len(plain):
        seen: dict[str, str] = {}
        for name, folded in zip(names, plain, strict=True):
            if folded in seen:
                return f"names {shown(seen[folded])} and {shown(name)}, which may be one file"
            seen[folded] = name
    folders = {name.rpartition("/")[0] for name in plain}
    waiting = list(folders)
    while waiting:
        above = waiting.pop().rpartition("/")[0]
        if above not in folders:
            folders.add(above)
            waiting.append(above)
    both = next(
        (name for name, folded in zip(names, plain, strict=True) if folded in folders), None
    )
    return f"names {shown(both)} as a file, and another below it" if both is not None else ""


def admit_names(names: Collection[str]) -> None:
    """Names of files that may be written into one folder.

    Raises:
        LineageError: If one may lead out of it, or two into each other.
    """
    why = _why_not(list(names))
    if why:
        raise LineageError(f"who asks for files {why}: ask for others, one at a time.")


def admit_listing(text: bytes, folder: str) -> dict[str, str]:
    """The files of a folder, name -> hash, of a listing as DVC writes it.

    Args:
        text: The listing.
        folder: The hash that it is kept by, for the sentence.

    Raises:
        LineageError: If it is none, or names what may not be taken.
    """
    try:
        names, digests = _read(text)
    except (ValueError, KeyError, TypeError, RecursionError):
        why = "is not as DVC writes it"
    else:
        why = _why_not(names)
        if not why and not _HASHES.fullmatch("\n".join([*digests, ""])):
            name, digest = next(
                (name, digest)
                for name, digest in zip(names, digests, strict=True)
                if not is_hash(digest) or digest.endswith(FOLDER)
            )
            why = f"says {shown(digest)} of {shown(name)}, which is no hash of a file"
    if why:
        raise LineageError(
            f"the listing {folder} {why}: nothing of it is taken; if these are your data, mend"
            " their names and `dvc add` them again, else see who wrote it."
        )
    return dict(zip(names, digests, strict=True))


def admit_path(root: Path, name: str) -> Path | None:
    """A file or folder in another that may be read; None where there is none of that name."""
    if why_not_inside(name):
        return None
    place = root / name
    # Nothing is opened that never ends, as /dev/zero does.
    return place if is_file(place) or is_folder(place) else None


def admit_free(root: Path, names: Iterable[str]) -> None:
    """See that admitted names can be written below a folder without touching what is there.

    Raises:
        LineageError: If something is there of a name, or a link is on the way to it.
    """
    for name in names:
        admit_unlinked(root, name)
        for each in _on_the_way(root, name):
            if os.path.lexists(each) and (each == root / name or not each.is_dir()):
                raise LineageError(
                    f"{name} cannot be written, since {each.relative_to(root)} is there already:"
                    " check it out without the code."
                )


def admit_unlinked(root: Path, name: str) -> None:
    """See that what is written below a folder under a name comes to lie there.

    Raises:
        LineageError: If a link is on the way to it, or it is one.
    """
    for each in _on_the_way(root, name):
        if each.is_symlink():
            raise LineageError(
                f"{name} cannot be written, since {each.relative_to(root)} is a link, which may"
                " lead out: check it out without the code."
            )


def _on_the_way(root: Path, name: str) -> list[Path]:
    place = root / name
    return [*reversed(place.parents[: len(PurePosixPath(name).parts) - 1]), place]


def file_name(path: str) -> str:
    """A name for a file or folder that holds the data of a path: its last part where that will do.

    Never one that leads elsewhere.
    """
    last = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return "data" if why_not_inside(last) or len(os.fsencode(last)) > DEEPEST else last


def shown(text: object) -> str:
    """A foreign text as a sentence has it: in quotes, short, and without control characters."""
    whole = repr(text) if isinstance(text, str) else f"a {type(text).__name__}"
    return whole if len(whole) <= _SHOWN else f"{whole[:_SHOWN]}…"


def _folded(name: str) -> str:
    """What names that some file system takes for one have in common."""
    if name.isascii():
        return name.lower().replace("\\", "/")
    plain = name.replace("\\", "/")
    # Bytes that Python could not read may together be letters that it can.
    read = os.fsencode(plain).decode("utf-8", "surrogateescape")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", read).casefold())


def _why_not(names: Sequence[str]) -> str:
    """Why these names may not be taken, as the end of a sentence; empty where they may."""
    # Thousands of names are looked at at once: few have anything in them that needs a closer look.
    text = "\n".join(names)
    is_plain = text.isascii() and text.count("\n") == len(names) - 1
    if not is_plain or _SUSPECT.search(text) or max(map(len, names)) > DEEPEST:
        for name in names:
            why = why_not_inside(name)
            if why:
                return f"names {shown(name)}, which {why}"
    return why_not_together(names)


def _read(text: bytes) -> tuple[list[str], list[str]]:
    """Names and hashes of a listing."""
    # Objects become tuples, which arrays do not.
    pairs = json.loads(text.decode(), object_pairs_hook=tuple, parse_constant=_refuse)
    if not isinstance(pairs, list) or not {*map(type, pairs)} <= {tuple}:
        raise TypeError
    entries = [dict(each) for each in pairs]
    if [*map(len, entries)] != [*map(len, pairs)]:
        raise ValueError("a key is there twice")
    names, digests = [each["relpath"] for each in entries], [each["md5"] for each in entries]
    if not {*map(type, names), *map(type, digests)} <= {str}:
        raise TypeError
    return names, digests


def _refuse(constant: str) -> None:
    raise ValueError(constant)
