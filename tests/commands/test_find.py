"""`cocopipe find`: what is asked for comes before what is like it."""

from pathlib import Path

import pytest

from cocopipe.commands.find import _asked, _places
from cocopipe.commands.versions import Found, OnDisk
from tests.coco_files import instances, official, picture, write_files
from tests.converting import convert_into

NAMES = {
    "train_a": ["cam1/0001.jpg", "a.jpg", "a.png", "v1.jpg", "2024.05.01.jpg", "b.jpg"],
    "train_b": ["cam2/0001.jpg", "sub/a.jpg", "1a2b3c4d-dog.jpg", "c.jpg"],
}
"""Images are numbered from 1 in each; in the table, the second ones from 101."""


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("found")
    files = official([901], "val")
    for place, (source, names) in enumerate(NAMES.items()):
        document = instances(range(1, len(names) + 1))
        for image, name in zip(document["images"], names, strict=True):
            image["file_name"] = name
            files[f"{source}/{name}"] = picture(100 * place + image["id"])
        files[f"annotations/instances_{source}.json"] = document
    return convert_into(write_files(folder / "raw", files), folder / "out", workers=1)[1]


def found(split: Path, what: str) -> list[str]:
    """The names of what is told, with the number that the document has for it."""
    places = _places(Found("v1", (), "data/train", OnDisk(split)), _asked(what))
    best = min((nearness for nearness, _ in places), default=None)
    return [
        f"{place.source} {place.image_id} {place.file_name}"
        for nearness, place in places
        if nearness == best
    ]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("cam1/0001.jpg", ["train_a 1 cam1/0001.jpg"]),
        ("cam1\\0001.jpg", ["train_a 1 cam1/0001.jpg"]),
        ("0001.jpg", ["train_a 1 cam1/0001.jpg", "train_b 1 cam2/0001.jpg"]),
        ("cam3/0001.jpg", ["train_a 1 cam1/0001.jpg", "train_b 1 cam2/0001.jpg"]),
        ("a.jpg", ["train_a 2 a.jpg"]),
        ("a.webp", ["train_a 2 a.jpg", "train_a 3 a.png", "train_b 2 sub/a.jpg"]),
        ("2024.05.01", ["train_a 5 2024.05.01.jpg"]),
        ("v1", ["train_a 4 v1.jpg"]),
        ("v1.2", []),
        ("dog.jpg", ["train_b 3 1a2b3c4d-dog.jpg"]),
        ("b_jpg.rf.0123456789abcdef0123456789abcdef.jpg", ["train_a 6 b.jpg"]),
        ("1", ["train_a 1 cam1/0001.jpg", "train_b 1 cam2/0001.jpg"]),
        ("6", ["train_a 6 b.jpg"]),
        ("104", ["train_b 4 c.jpg"]),
        ("0001", ["train_a 1 cam1/0001.jpg", "train_b 1 cam2/0001.jpg"]),
        ("001", []),
    ],
)
def test_the_nearest_are_told(split: Path, what: str, expected: list[str]) -> None:
    assert sorted(found(split, what)) == sorted(expected)
