"""A dataset with YOLO's labels: a text file beside each image, a line an object.

As Ultralytics reads it (its docs, "Object Detection Datasets Overview"): ``data.yaml`` names the
classes and the folders of images; the labels of ``…/images/a.jpg`` are ``…/labels/a.txt``.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from cocopipe.errors import UserError, some
from cocopipe.sources.frames import frame_of
from cocopipe.sources.labels import (
    NOT_READ,
    UNUSED,
    Found,
    Labelled,
    named,
    require_images,
    targets,
    write_documents,
)
from cocopipe.sources.local import (
    files_in,
    inside,
    is_image,
    is_other_image,
    readable,
    root_of,
    take,
)
from cocopipe.sources.notes import Notes
from cocopipe.sources.origin import Origin
from cocopipe.sources.split_names import split_of, word_of
from cocopipe.sources.texts import lines_of
from cocopipe.sources.yolo_description import Description, description, require_names
from cocopipe.sources.yolo_labels import TEXT, holds_labels, label_path, objects_of

_KIND = "YOLO"


def copy_yolo(source: Path, out: Path) -> tuple[list[Origin], tuple[str, ...]]:
    """Copy the images, and write what the labels say as COCO documents.

    Classes are numbered from 1, in their order. A line of four numbers is a box, of four and one
    a box with a confidence, of keypoints as ``kpt_shape`` says, of other even numbers an outline;
    so is a turned box, by its corners.

    Args:
        source: The dataset's folder.
        out: Existing, empty folder, outside of ``source``.

    Returns:
        Where the bytes came from; and what was left out or is not known.

    Raises:
        UserError: there are no labels or no images; a path leads out of ``source``; a class that
            has no name.
    """
    notes = Notes()
    with readable(source):
        root = root_of(source, out, _KIND)
        described = description(root, source, notes)
        images = named(_images(root, source, described, notes), root)
        splits, used = _labelled(images, root, described, notes)
        _tell_of_others(images, root, notes)
    require_images(splits, source, _KIND)
    if not used:
        raise UserError(
            f"{source} has no {_KIND} labels: a text file for each image, in a folder labels beside"
            " images, or beside the image itself."
        )
    names = require_names(described, used, source, notes)
    origin = take(targets(images), source, out)
    write_documents(out, splits, names)
    return [origin], notes.told()


def _labelled(
    images: Mapping[str, Mapping[PurePosixPath, Path]],
    root: Path,
    described: Description,
    notes: Notes,
) -> tuple[dict[str, list[Labelled]], set[int]]:
    """The images of each split with their objects; and the numbers of all classes that occur."""
    splits: dict[str, list[Labelled]] = {split: [] for split in images}
    used: set[int] = set()
    for split, its in images.items():
        for name, path in its.items():
            frame = frame_of(path)
            objects, classes = objects_of(path, frame, root, described, notes)
            used |= classes
            splits[split].append(Labelled(name, frame.size, objects))
    return splits, used


def _images(root: Path, source: Path, described: Description, notes: Notes) -> Iterator[Found]:
    """All images of the dataset, in order: of the folders that it names, if any is there."""
    places = {
        split: {each: _place(described, each) for each in written}
        for split, written in described.folders.items()
    }
    if any(place for its in places.values() for place in its.values()):
        yield from _of_places(places, root, source, notes)
        return
    for each in (each for its in places.values() for each in its):
        notes.add("folders of its YAML that are not there, all images taken instead", each)
    for path in files_in(root, root, is_image):
        split, base = split_of(PurePosixPath(path.parent.relative_to(root).as_posix()))
        yield Found(split, path, root / base)


def _of_places(
    places: Mapping[str, Mapping[str, Path | None]], root: Path, source: Path, notes: Notes
) -> Iterator[Found]:
    absent = {split: [each for each in its if its[each] is None] for split, its in places.items()}
    for each in absent.pop("test", ()):  # Roboflow names it, exported or not
        notes.add("folders for testing that are not there left out", each)
    if any(absent.values()):
        lost = [each for its in absent.values() for each in its]
        raise UserError(
            f"{source} names folders in its YAML that are not there: {some(lost)}; put them there,"
            " or correct it."
        )
    for split, its in places.items():
        for written, place in its.items():
            if place is None:
                continue
            if place.is_dir():
                paths = [*files_in(place, root, is_image)]
                if not paths:
                    notes.add("folders of its YAML that have no images", written)
                yield from (Found(split, path, place) for path in paths)
            else:
                yield from (Found(split, path, root) for path in _listed(place, root, notes))


def _place(described: Description, written: str) -> Path | None:
    """The folder or list in the dataset that a path of its YAML means, wherever it was written.

    Folders around it may be called otherwise, but what tells its split is not given up.
    """
    parts = _parts(written)
    for start in (_parts(described.base), []):
        for skip in range(max(len(parts), 1)):
            left, right = parts[:skip], parts[skip:]
            if any(map(word_of, left)) and not any(map(word_of, right)):
                break
            path = described.at.joinpath(*start, *right)
            if path.exists():
                return path
    return None


def _parts(written: str) -> list[str]:
    parts = PurePosixPath(written.replace("\\", "/")).parts
    return [part for part in parts if part not in ("..", "/", "//")]


def _listed(listing: Path, root: Path, notes: Notes) -> Iterator[Path]:
    """The images that a list names, a line each."""
    for name in lines_of(listing, root):
        found = next((each for each in _ways(name, listing, root) if each.is_file()), None)
        if found is None:
            raise UserError(f"{listing.name} lists {name}, which is not there: add or remove it.")
        inside(found, root)
        if is_image(found):
            yield found
        elif not is_other_image(found):  # of which is told anyway
            notes.add("listed files that are no images left out", name)


def _ways(name: str, listing: Path, root: Path) -> Iterator[Path]:
    parts = _parts(name)
    for skip in range(len(parts)):
        yield listing.parent.joinpath(*parts[skip:])
        yield root.joinpath(*parts[skip:])


def _tell_of_others(
    images: Mapping[str, Mapping[PurePosixPath, Path]], root: Path, notes: Notes
) -> None:
    """Note what lies there and is not taken, images and labels of none, and what is twice."""
    taken = {inside(path, root) for its in images.values() for path in its.values()}
    files = [*files_in(root, root, _may_belong)]
    labels = set()
    owners: dict[Path, Path] = {}
    for path in (each for each in files if each.suffix != TEXT):
        where, real = path.relative_to(root).as_posix(), inside(path, root)
        labels.add(label := label_path(path, root))
        if is_other_image(path):
            notes.add(NOT_READ, where)
        elif real not in taken:
            notes.add("images that its YAML does not name left out", where)
        elif label is not None and owners.setdefault(label, real) != real:
            notes.add("images with the label file of another one, each with its objects", where)
    for path in (each for each in files if each.suffix == TEXT):
        if inside(path, root) not in labels and holds_labels(path):
            notes.add(UNUSED, path.relative_to(root).as_posix())


def _may_belong(path: Path) -> bool:
    return is_image(path) or is_other_image(path) or path.suffix == TEXT
