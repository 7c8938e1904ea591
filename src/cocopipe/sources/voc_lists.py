"""How a dataset with Pascal VOC's labels is divided: by the lists in ``ImageSets``."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cocopipe.errors import UserError, some
from cocopipe.sources.labels import Found
from cocopipe.sources.local import is_image
from cocopipe.sources.notes import Notes
from cocopipe.sources.split_names import word_of
from cocopipe.sources.texts import lines_of

_BOTH = "trainval"
_CLASS_HAS = re.compile(r"\s+(?:-1|0|1)$")
"""What lists of a class have behind a name: whether it is in the image."""


@dataclass
class _Kit:
    """A folder with ``ImageSets``: what its lists name, and its images by their names' stems."""

    lists: dict[str, dict[str, Path]] = field(default_factory=dict)
    """Split -> line -> the list that has it."""
    images: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))


def listed(
    images: Sequence[Path], texts: Sequence[Path], labelled: Collection[Path], notes: Notes
) -> list[Found]:
    """The images that lists of splits name, each list in its own kit; an image may be in several.

    Args:
        images: All of the dataset.
        texts: All text files.
        labelled: The images that have labels, which are meant where names are alike.
        notes: What is left out, is added.

    Returns:
        Nothing where there are no lists.

    Raises:
        UserError: a list is no text; a name that could be several images; no image is there of
            all that are listed.
    """
    kits = _kits(texts, notes)
    only = next(iter(kits)) if len(kits) == 1 else None  # whose images may lie anywhere
    for image in images:
        home = next((folder for folder in image.parents if folder in kits), only)
        if home is not None:
            kits[home].images[image.stem].append(image)
    lines = [
        (split, line, listing, kit)
        for kit in kits.values()
        for split, its in kit.lists.items()
        for line, listing in its.items()
    ]
    found = []
    for split, line, listing, kit in lines:
        meant = _meant(line, kit.images, listing, labelled)
        if meant is None:
            notes.add("listed images that are not there left out", line)
        else:
            found.append(Found(split, meant, meant.parent))
    if lines and not found:
        _, line, listing, _ = lines[0]
        raise UserError(f"{listing} lists {line}, which is not there, nor is any other: add them.")
    return found


def _kits(texts: Sequence[Path], notes: Notes) -> dict[Path, _Kit]:
    """Folder -> what its lists say."""
    lists: dict[Path, dict[bool, list[Path]]] = defaultdict(lambda: {True: [], False: []})
    for path in texts:
        folder = path.parent
        is_main = folder.name.lower() == "main"
        folder = folder.parent if is_main else folder
        if folder.name.lower() == "imagesets":
            lists[folder][is_main].append(path)
    kits: dict[Path, _Kit] = {}
    for folder, its in lists.items():
        found = _splits(its[True] or its[False], folder.parent, notes)
        if found:
            kits[folder.parent] = _Kit(found)
    return kits


def _splits(paths: Sequence[Path], kit: Path, notes: Notes) -> dict[str, dict[str, Path]]:
    """Split -> line -> the list that has it; what is in trainval alone is for training."""
    found: dict[str, dict[str, Path]] = {}
    for path in paths:
        split = word_of(path.stem)
        if split is not None:
            found.setdefault(split, {}).update(dict.fromkeys(lines_of(path, kit), path))
        elif word_of(path.stem.rpartition("_")[2]) is None:  # else of one class: cat_train.txt
            notes.add("lists of ImageSets that name no split left out", path.name)
    both = found.pop(_BOTH, {})
    if "train" not in found:
        others = found.get("val", {})
        found["train"] = {line: path for line, path in both.items() if line not in others}
    return {split: lines for split, lines in found.items() if lines}


def _meant(
    line: str, images: Mapping[str, Sequence[Path]], listing: Path, labelled: Collection[Path]
) -> Path | None:
    """The image that a line of a list names: by its stem, its name or the end of its path."""
    its = next(filter(None, (_of(name, images) for name in _readings(line))), [])
    if len(its) > 1:
        its = [image for image in its if image in labelled] or its
    if len(its) > 1:
        raise UserError(
            f"{listing} lists {line}, which could be {some([str(each) for each in its])}: write"
            " more of its path there."
        )
    return its[0] if its else None


def _readings(line: str) -> Iterator[str]:
    yield line
    yield _CLASS_HAS.sub("", line)


def _of(name: str, images: Mapping[str, Sequence[Path]]) -> list[Path]:
    path = PurePosixPath(name.replace("\\", "/"))
    stem = path.stem if is_image(path) else path.name
    its = images.get(stem, ())
    if is_image(path):
        its = [image for image in its if image.name == path.name] or its
    ends = path.with_name(stem).parts if stem else ()
    return [image for image in its if image.with_suffix("").parts[-len(ends) :] == ends] or [*its]
