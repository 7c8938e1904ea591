"""What documents are called: of which split each is, and which of its documents.

Tools have no rule for it. A file may be named after its split (``instances_train.json``,
``custom_train.json``, ``train.json``), lie in a folder of that name (``train/result.json``), or
say nothing, being the only one.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from cocopipe.coco.sniff import Kind, Look
from cocopipe.documents import PRIMARY

ALL = "all"
"""The split of a document of which nothing tells one."""

_PLAIN = r"anns?|annotations?|coco|data|datasets?|images?|imgs?|json|labels?|pictures|raw"
_PLAIN_FOLDER = re.compile(_PLAIN, re.IGNORECASE)
_PLAIN_FILE = re.compile(
    rf"_?(?:{_PLAIN}|results?|{'|'.join(each.value for each in Kind)})(?:\.coco)?", re.IGNORECASE
)
_OFFICIAL = ("instances", "person_keypoints", "captions", "panoptic", "stuff", "image_info")
_KINDS = re.compile(rf"({'|'.join(_OFFICIAL)})_(.+)")
_ROLE = re.compile(
    r"(?:^|[^a-z])((?:train|val|valid|validation|test|dev|minival|trainval)\d*)(?![a-z])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Title:
    """What a document is called.

    Attributes:
        path: Where it lies in the raw data.
        split: Of which it is.
        document: Such as ``instances``.
        is_told: Whether something tells the split.
    """

    path: str
    split: str
    document: str
    is_told: bool = True


def is_plain(folder: str) -> bool:
    """Whether a folder's name tells no split."""
    return folder == "" or bool(_PLAIN_FOLDER.fullmatch(folder))


def titles(looks: Mapping[str, Look], folders: Collection[str]) -> list[Title]:
    """Name documents.

    Args:
        looks: Path -> what a first look showed.
        folders: The last parts of the paths of all folders with images.

    Returns:
        In the order given. Two may have one name.
    """
    found = [_title(path, looks[path].kind, folders) for path in looks]
    times = Counter((each.split, each.document) for each in found)
    found = [
        each
        if each.is_told or times[each.split, each.document] == 1
        else Title(each.path, _stem(each.path), each.document)
        for each in found
    ]
    return _with_primary(found, looks)


def _title(path: str, kind: Kind, folders: Collection[str]) -> Title:
    stem = _stem(path)
    told = [part for part in path.split("/")[:-1] if not is_plain(part)]
    if _PLAIN_FILE.fullmatch(stem):
        document = stem if stem.lower() in {each.value for each in Kind} else kind.value
        return Title(path, told[-1] if told else ALL, document, bool(told))
    split = _named(stem, folders, in_annotations=path.split("/")[-2:-1] == ["annotations"])
    if split is not None:
        before = stem.removesuffix(split).rstrip("_-. ") if stem.endswith(split) else ""
        return Title(path, split, before or kind.value)
    return Title(path, told[-1] if told else ALL, kind.value, bool(told))


def _named(stem: str, folders: Collection[str], *, in_annotations: bool) -> str | None:
    """The split that a file's own name tells."""
    official = _KINDS.fullmatch(stem)
    name = official[2] if official else stem
    # A split's own name may hold underscores: its folder tells.
    ends = [folder for folder in folders if name == folder or name.endswith(f"_{folder}")]
    if ends:
        return max(ends, key=len)
    if official:
        return name
    if roles := _ROLE.findall(stem):
        return str(roles[-1])
    return stem.rpartition("_")[2] or None if in_annotations and "_" in stem else None


def _with_primary(found: Iterable[Title], looks: Mapping[str, Look]) -> list[Title]:
    """Call the only document with boxes of a split the primary one, whatever its file's name is."""
    by_split: dict[str, list[Title]] = {}
    for each in found:
        by_split.setdefault(each.split, []).append(each)
    for split, its in by_split.items():
        if any(each.document == PRIMARY for each in its):
            continue
        for kind in (Kind.BOXES, Kind.KEYPOINTS):
            # Without annotations, a document is what its file is called.
            with_boxes = [
                each
                for each in its
                if looks[each.path].kind is kind
                and not (looks[each.path].is_bare and each.document in _OFFICIAL)
            ]
            if len(with_boxes) == 1:
                its[its.index(with_boxes[0])] = Title(with_boxes[0].path, split, PRIMARY)
            if with_boxes:
                break
    return [each for its in by_split.values() for each in its]


def _stem(path: str) -> str:
    return PurePosixPath(path).stem
