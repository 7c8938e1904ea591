import zipfile
from pathlib import Path

from cocopipe.sources.origin import images_in


def test_images_are_counted_in_folders_and_in_zips(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for name in ("train/a.JPG", "train/._a.jpg", "b.png", "instances.json"):
        (tmp_path / name).touch()
    with zipfile.ZipFile(tmp_path / "val.zip", "w") as archive:
        for name in ("val/c.jpeg", "__MACOSX/._c.jpeg", "annotations/instances_val.json"):
            archive.writestr(name, b"")
    assert images_in(tmp_path) == 3
