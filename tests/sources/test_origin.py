import zipfile
from pathlib import Path

from cocopipe.sources.origin import images_in


def test_images_are_counted_in_folders_and_in_zips(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for name in ("train/a.JPG", "train/._a.jpg", "b.png", "instances.json"):
        (tmp_path / name).touch()
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "folder.zip" / "d.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    with zipfile.ZipFile(tmp_path / "val.ZIP", "w") as archive:
        for name in ("val/c.jpeg", "__MACOSX/._c.jpeg", "annotations/instances_val.json"):
            archive.writestr(name, b"")
    assert images_in(tmp_path) == 4
