"""What a dataset with YOLO's labels says of itself: classes, folders of images, keypoints."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from cocopipe.coco.names import is_unicode
from cocopipe.errors import UserError, some
from cocopipe.sources.notes import Notes
from cocopipe.sources.texts import lines_of, text_of

_SPLITS = ("train", "val", "test")
"""What ``data.yaml`` calls them."""

_CLASS_LISTS = ("classes.txt", "obj.names", "predefined_classes.txt")
"""Where older tools name classes, a line each."""

_NOTHING = ("", "~", "null", "Null", "NULL")
"""How YAML says that a key has no value."""


@dataclass(frozen=True)
class Description:
    """What a dataset says of itself.

    Attributes:
        at: The folder that this stands in.
        names: Of classes, by their numbers.
        folders: Split -> folders of images, or lists of their paths, as written.
        keypoints: How many an object has, and numbers of each.
        base: The folder that folders are relative to, as written.
    """

    at: Path
    names: Mapping[int, str] = field(default_factory=dict)
    folders: Mapping[str, Sequence[str]] = field(default_factory=dict)
    keypoints: tuple[int, int] | None = None
    base: str = ""


def description(root: Path, source: Path, notes: Notes) -> Description:
    """Read ``data.yaml``, whatever it is called, and a list of classes where that names none.

    Raises:
        UserError: it is no YAML or text; a value in it is no such thing.
    """
    found = _of_yaml(root, source, notes) or Description(root)
    for name in _CLASS_LISTS:
        if not found.names and (listed := root / name).is_file():
            found = replace(found, names=dict(enumerate(lines_of(listed, root))))
    return found


def require_names(described: Description, used: set[int], source: Path, notes: Notes) -> list[str]:
    """The names of all classes, in their order.

    Raises:
        UserError: a class that is used has no name, or two have one.
    """
    if not described.names:
        notes.add("classes without names, called by their numbers", source.name)
        return [str(number) for number in range(max(used) + 1)]
    unknown = sorted(used - described.names.keys())
    if unknown:
        raise UserError(
            f"{source} has labels of class {some([str(each) for each in unknown])}, of which no"
            " name is told: add it to names in its YAML, or to its list of classes."
        )
    names = [described.names[number] for number in sorted(described.names)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{source} has two classes called {some(twice)}: rename one.")
    return names


def _of_yaml(root: Path, source: Path, notes: Notes) -> Description | None:
    for path in sorted(root.glob("*.y*ml")):
        if path.suffix not in (".yaml", ".yml") or not path.is_file():
            continue
        where = source / path.name
        try:
            # Texts, lists and mappings alone: a class may be called `no` or `1.0`.
            content = yaml.load(text_of(path, root), Loader=yaml.BaseLoader)  # noqa: S506
        except yaml.YAMLError as error:
            reason = " ".join(str(error).split())[:100]
            raise UserError(f"{where} is not YAML ({reason}): correct it.") from error
        if isinstance(content, dict) and content.keys() & {"names", "nc"}:
            return _described(content, where, root, notes)
    return None


def _described(content: Mapping[str, Any], where: Path, root: Path, notes: Notes) -> Description:
    names = _names(content.get("names", ""), where)
    count = content.get("nc", "")
    if count not in _NOTHING:
        if not _is_number(count):
            raise UserError(f"{where}: nc is no number of classes: correct or remove it.")
        if names and int(count) != len(names):
            notes.add("numbers of classes (nc) that are not how many are named", where.name)
    base = content.get("path", "")
    if not isinstance(base, str):
        raise UserError(f"{where}: path is no folder: correct or remove it.")
    folders = {split: [*_folders(content.get(split, ""), split, where)] for split in _SPLITS}
    return Description(
        root,
        names,
        {split: written for split, written in folders.items() if written},
        _keypoints(content.get("kpt_shape", ""), where),
        "" if base in _NOTHING else base,
    )


def _names(written: Any, where: Path) -> dict[int, str]:
    if written in _NOTHING:
        return {}
    by_number: dict[Any, Any] = {}
    if isinstance(written, list):
        by_number = dict(enumerate(written))
    elif isinstance(written, dict) and all(map(_is_number, written)):
        by_number = {int(number): name for number, name in written.items()}
    if not by_number or not all(map(_is_name, by_number.values())):
        raise UserError(f"{where}: names is no list of classes: correct it.")
    return by_number


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and text != "" and is_unicode(text)


def _folders(written: Any, split: str, where: Path) -> Iterator[str]:
    for each in written if isinstance(written, list) else [written]:
        if not isinstance(each, str):
            raise UserError(f"{where}: {split} is no folder, nor a list of folders: correct it.")
        if each not in _NOTHING:
            yield each


def _keypoints(written: Any, where: Path) -> tuple[int, int] | None:
    if written in _NOTHING:
        return None
    if isinstance(written, list) and [*map(_is_number, written)] == [True, True]:
        count, each = map(int, written)
        if count > 0 and each in (2, 3):
            return count, each
    raise UserError(
        f"{where}: kpt_shape is no list of how many keypoints an object has, and 2 or 3 numbers"
        " of each: correct or remove it."
    )


def _is_number(text: Any) -> bool:
    return isinstance(text, str) and text.isdecimal() and len(text) < 7  # digits
