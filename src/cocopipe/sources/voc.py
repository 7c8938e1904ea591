"""A dataset with Pascal VOC's labels: an XML file beside each image.

As the VOC development kit has it: ``Annotations/a.xml``, ``JPEGImages/a.jpg``, and lists of names
in ``ImageSets/Main/<split>.txt``; or images and XML files in one folder, as LabelImg writes them.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from cocopipe.errors import UserError
from cocopipe.sources.frames import stored_size
from cocopipe.sources.labels import (
    NOT_READ,
    UNLABELLED,
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
    is_image,
    is_other_image,
    readable,
    root_of,
    take,
)
from cocopipe.sources.notes import Notes
from cocopipe.sources.origin import Origin
from cocopipe.sources.split_names import split_of
from cocopipe.sources.voc_labels import read_label
from cocopipe.sources.voc_lists import listed
from cocopipe.sources.voc_pairs import pairs

_KIND = "Pascal VOC"
_LABEL = ".xml"
_LIST = ".txt"


def copy_voc(source: Path, out: Path) -> tuple[list[Origin], tuple[str, ...]]:
    """Copy the images, and write what the labels say as COCO documents.

    Classes are numbered from 1, by the alphabet. An image has the size that its labels say, since
    that is what they are about.

    Args:
        source: The dataset's folder.
        out: Existing, empty folder, outside of ``source``.

    Returns:
        Where the bytes came from; and what was left out or is not known.

    Raises:
        UserError: there are no labels or no images; a path leads out of ``source``; a file that
            is no XML; labels that could be of several images.
    """
    notes = Notes()
    with readable(source):
        root = root_of(source, out, _KIND)
        found, labels = _found(root, source, notes)
        images = named(found, root)
        splits = {
            split: [_labelled(name, path, labels, root, notes) for name, path in its.items()]
            for split, its in images.items()
        }
    require_images(splits, source, _KIND)
    origin = take(targets(images), source, out)
    names = {one["category"] for its in splits.values() for each in its for one in each.objects}
    write_documents(out, splits, sorted(names))
    return [origin], notes.told()


def _found(root: Path, source: Path, notes: Notes) -> tuple[list[Found], dict[Path, Path]]:
    """The images, in order, each in the splits that it is in; and image -> label."""
    files = [*files_in(root, root, _may_belong)]
    labels = [path for path in files if path.suffix.lower() == _LABEL]
    if not labels:
        raise UserError(
            f"{source} has no {_KIND} labels: XML files, in the folder Annotations or beside the"
            " images."
        )
    images = []
    for path in files:
        if is_other_image(path):
            notes.add(NOT_READ, path.relative_to(root).as_posix())
        elif is_image(path) and path.parent.name.lower().startswith("segmentation"):
            notes.add("masks of pixels left out", path.name)
        elif is_image(path):
            images.append(path)
    its_label = pairs(images, labels, root, notes)
    for path in sorted({*labels} - {*its_label.values()}):
        notes.add(UNUSED, path.relative_to(root).as_posix())
    texts = [path for path in files if path.suffix.lower() == _LIST]
    if found := listed(images, texts, its_label.keys(), notes):
        for path in sorted({*images} - {each.path for each in found}):
            notes.add("images that no list of ImageSets names left out", path.name)
        return found, its_label
    return [_by_folder(path, root) for path in images], its_label


def _may_belong(path: Path) -> bool:
    return is_image(path) or is_other_image(path) or path.suffix.lower() in (_LABEL, _LIST)


def _by_folder(path: Path, root: Path) -> Found:
    split, base = split_of(PurePosixPath(path.parent.relative_to(root).as_posix()))
    return Found(split, path, root / base)


def _labelled(
    name: PurePosixPath, image: Path, labels: Mapping[Path, Path], root: Path, notes: Notes
) -> Labelled:
    if image not in labels:
        notes.add(UNLABELLED, image.name)
        return Labelled(name, stored_size(image), ())
    label = read_label(labels[image], root, notes)
    if label.size is None:
        notes.add("labels without a size, the image's own taken", labels[image].name)
    return Labelled(name, label.size or stored_size(image), label.objects)
