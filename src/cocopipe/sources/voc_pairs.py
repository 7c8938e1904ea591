"""Which label file of Pascal VOC is of which image: by their names, and by where they lie."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from cocopipe.errors import UserError, some
from cocopipe.sources.notes import Notes
from cocopipe.sources.split_names import role_of, told
from cocopipe.sources.voc_labels import read_label


def pairs(
    images: Sequence[Path], labels: Sequence[Path], root: Path, notes: Notes
) -> dict[Path, Path]:
    """The label file of each image that has one.

    It lies beside the image, or else in a folder beside the image's, as ``Annotations`` beside
    ``JPEGImages`` or ``train_labels`` beside ``train_images``, or else where no folder says that
    it is of another, which is noted where folders are called otherwise.

    Raises:
        UserError: a label file could be of several images, or an image's be one of several.
    """
    found: dict[Path, Path] = {}
    keys: tuple[Callable[[Path], Hashable], ...] = (
        lambda path: (path.parent, path.stem),
        lambda path: (_told(path, root), path.stem),
        lambda path: (tuple(role_of(part) or part for part in _told(path, root)), path.stem),
    )
    for key in keys:
        for its_images, its_labels in _groups(images, labels, found, key):
            image, label = _one(its_images, its_labels, root)
            found[image] = label
    times = Counter(path.stem for path in (*images, *labels))
    for its_images, its_labels in _groups(images, labels, found, lambda path: path.stem):
        found |= _by_name(its_images, its_labels, root)
        if times[its_images[0].stem] == 2 and not found.keys() & its_images:
            found |= _alone(its_images[0], its_labels[0], root, notes)
    return found


def _groups(
    images: Sequence[Path],
    labels: Sequence[Path],
    found: dict[Path, Path],
    key: Callable[[Path], Hashable],
) -> Iterator[tuple[list[Path], list[Path]]]:
    """Images and labels that are not found yet, and have one key."""
    taken = set(found.values())
    groups: dict[Hashable, tuple[list[Path], list[Path]]] = defaultdict(lambda: ([], []))
    for image in images:
        if image not in found:
            groups[key(image)][0].append(image)
    for label in labels:
        if label not in taken:
            groups[key(label)][1].append(label)
    return (its for its in groups.values() if all(its))


def _one(images: Sequence[Path], labels: Sequence[Path], root: Path) -> tuple[Path, Path]:
    """The image, and its label: the only ones, or the image that the only label names."""
    its = images
    if len(images) > 1 and len(labels) == 1:
        name = read_label(labels[0], root, Notes()).name
        its = [image for image in images if image.name == name]
    if len(its) != 1 or len(labels) > 1:
        raise _unclear(images, labels, root)
    return its[0], labels[0]


def _by_name(images: Sequence[Path], labels: Sequence[Path], root: Path) -> dict[Path, Path]:
    """Pair what lies in folders of which one's path says nothing else than the other's."""
    found: dict[Path, Path] = {}
    for label in labels:
        its = [image for image in images if _is_part(_told(image, root), _told(label, root))]
        if not its:
            continue
        image, _ = _one(its, [label], root)
        if image in found:
            raise _unclear([image], [found[image], label], root)
        found[image] = label
    return found


def _is_part(one: Sequence[str], other: Sequence[str]) -> bool:
    shorter, longer = sorted((one, other), key=len)
    rest = iter(longer)
    return all(part in rest for part in shorter)


def _alone(image: Path, label: Path, root: Path, notes: Notes) -> dict[Path, Path]:
    """Pair the only two files of one name, unless they are of two splits."""
    roles = [[*filter(None, map(role_of, _told(path, root)))] for path in (image, label)]
    if all(roles) and roles[0][-1] != roles[1][-1]:
        return {}
    notes.add("labels of images in folders called otherwise", label.relative_to(root).as_posix())
    return {image: label}


def _unclear(images: Sequence[Path], labels: Sequence[Path], root: Path) -> UserError:
    what, of = (
        some([path.relative_to(root).as_posix() for path in paths]) for paths in (labels, images)
    )
    return UserError(
        f"{what} in {root} could be the labels of {of}: put each label file beside its image, and"
        " remove what is there twice."
    )


def _told(path: Path, root: Path) -> tuple[str, ...]:
    return told(PurePosixPath(path.parent.relative_to(root).as_posix()))
