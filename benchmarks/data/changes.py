"""Changes of a dataset, whose cost is measured."""

import json
import random
from collections.abc import Callable
from pathlib import Path

from benchmarks.data.coco_set import CocoSet, Json

Entries = dict[int, tuple[Json, bytes, list[Json]]]
"""Image id -> COCO image, its file, its annotations."""


def read_set(made: CocoSet) -> Entries:
    """The whole dataset in memory."""
    content = json.loads(made.document.read_text(encoding="utf-8"))
    of_image: dict[int, list[Json]] = {}
    for annotation in content["annotations"]:
        of_image.setdefault(annotation["image_id"], []).append(annotation)
    return {
        image["id"]: (
            image,
            (made.pictures / image["file_name"]).read_bytes(),
            of_image.get(image["id"], []),
        )
        for image in content["images"]
    }


def relabelled(base: Entries) -> Entries:
    """Every box of 1 % of the images is a pixel further right."""
    chosen = set(random.Random(1).sample(sorted(base), len(base) // 100))
    return {
        image_id: (
            image,
            data,
            [
                {**one, "bbox": [one["bbox"][0] + 1, *one["bbox"][1:]]}
                if image_id in chosen
                else one
                for one in annotations
            ],
        )
        for image_id, (image, data, annotations) in base.items()
    }


def added(base: Entries, *, at_end: bool, count: int | None = None) -> Entries:
    """More images, 1 % unless told: copies under new ids."""
    count = count or len(base) // 100
    highest = max(base)
    free = sorted(set(range(1, highest)) - base.keys())
    ids = (
        list(range(highest + 1, highest + 1 + count))
        if at_end
        else random.Random(2).sample(free, count)
    )
    copies: Entries = {}
    for new_id, (image, data, annotations) in zip(ids, list(base.values())[:count], strict=True):
        more = data[:2] + b"\xff\xfe\x00\x0a" + f"{new_id:08d}".encode() + data[2:]
        copies[new_id] = (
            {**image, "id": new_id, "file_name": f"{new_id:012d}.jpg"},
            more,
            [
                {**one, "id": new_id * 1000 + place, "image_id": new_id}
                for place, one in enumerate(annotations)
            ],
        )
    return dict(sorted({**base, **copies}.items()))


def removed(base: Entries, count: int) -> Entries:
    """Without so many images."""
    gone = set(random.Random(3).sample(sorted(base), count))
    return {image_id: entry for image_id, entry in base.items() if image_id not in gone}


# What annotation tools write when they are asked for the same images again.


def by_cvat(base: Entries) -> Entries:
    """Renumbered in the order of its own, and one box moved."""
    return _renumbered(base, lambda _, name: name)


def by_label_studio(base: Entries) -> Entries:
    """Renumbered, and with what it puts before the names of uploaded files."""
    return _renumbered(base, lambda number, name: f"{number * 2654435761 % 2**32:08x}-{name}")


def by_roboflow(base: Entries) -> Entries:
    """Renumbered, and renamed as each of its versions does."""
    return _renumbered(
        base,
        lambda number, name: (
            f"{name[:-4]}_jpg.rf.{random.Random(number).getrandbits(128):032x}.jpg"
        ),
    )


def _renumbered(base: Entries, renamed: Callable[[int, str], str]) -> Entries:
    order = sorted(base)
    random.Random(4).shuffle(order)
    moved = next(each for each in order if base[each][2])
    found: Entries = {}
    number = 0
    for new_id, image_id in enumerate(order):
        image, data, annotations = base[image_id]
        its = []
        for place, each in enumerate(annotations):
            x, *rest = each["bbox"]
            box = [x + (image_id == moved and place == 0), *rest]
            its.append({**each, "id": number, "image_id": new_id, "bbox": box})
            number += 1
        name = renamed(new_id, image["file_name"])
        found[new_id] = {**image, "id": new_id, "file_name": name}, data, its
    return found


def write_raw(entries: Entries, folder: Path, split: str) -> None:
    """Write them as a COCO directory."""
    (folder / split).mkdir(parents=True)
    (folder / "annotations").mkdir()
    for image, data, _ in entries.values():
        (folder / split / image["file_name"]).write_bytes(data)
    document = folder / "annotations" / f"instances_{split}.json"
    document.write_text(json.dumps(_content(entries)), encoding="utf-8")


def _content(entries: Entries) -> Json:
    names = {one["category_id"] for *_, found in entries.values() for one in found}
    return {
        "images": [image for image, *_ in entries.values()],
        "annotations": [one for *_, found in entries.values() for one in found],
        "categories": [{"id": each, "name": str(each)} for each in sorted(names)],
    }
