import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO

from cocopipe.sources.sample import write_sample

SIZE = 128

pytestmark = pytest.mark.filterwarnings(
    # pycocotools' compiled part is older than numpy 2.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def made(folder: Path, **settings: int) -> Path:
    folder.mkdir()
    write_sample(folder, **({"images": 50, "size": SIZE, "seed": 0} | settings))
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def document(folder: Path) -> dict:
    return json.loads((folder / "annotations" / "instances_sample.json").read_text())


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("sample") / "out")


@pytest.fixture(scope="module")
def coco(sample: Path) -> COCO:
    return COCO(sample / "annotations" / "instances_sample.json")


def test_layout_is_the_official_one(sample: Path) -> None:
    expected = {f"sample/{k:06d}.jpg" for k in range(1, 51)} | {"annotations/instances_sample.json"}
    assert set(digests(sample)) == expected
    assert [image["file_name"] for image in document(sample)["images"]] == [
        f"{k:06d}.jpg" for k in range(1, 51)
    ]


def test_same_settings_give_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    assert digests(made(tmp_path / "again")) == digests(sample)
    assert digests(made(tmp_path / "other", seed=1)) != digests(sample)


def test_more_images_leave_the_first_ones_as_they_are(sample: Path, tmp_path: Path) -> None:
    fewer = made(tmp_path / "fewer", images=30)
    images = {name: digest for name, digest in digests(fewer).items() if name.endswith(".jpg")}
    assert images.items() <= digests(sample).items()
    small, large = document(fewer), document(sample)
    assert small["images"] == large["images"][:30]
    assert small["annotations"] == large["annotations"][: len(small["annotations"])]


def test_ids_begin_at_1_and_run_on(sample: Path) -> None:
    found = document(sample)
    for kind in ("images", "annotations"):
        assert [entry["id"] for entry in found[kind]] == list(range(1, len(found[kind]) + 1))
    assert {"info", "licenses"} <= found.keys()
    assert len(found["categories"]) >= 3
    assert all(category["supercategory"] for category in found["categories"])
    assert {image["license"] for image in found["images"]} == {found["licenses"][0]["id"]}


def test_it_has_what_real_data_has(sample: Path, coco: COCO) -> None:
    modes = set()
    for image in coco.dataset["images"]:
        with Image.open(sample / "sample" / image["file_name"]) as opened:
            opened.load()
            assert opened.format == "JPEG"
            assert opened.size == (image["width"], image["height"]) == (SIZE, SIZE)
            modes.add(opened.mode)
    assert modes == {"RGB", "L"}
    assert {a["category_id"] for a in coco.dataset["annotations"]} == set(coco.getCatIds())
    empty = [i for i in coco.getImgIds() if not coco.getAnnIds(i)]
    crowds = coco.getAnnIds(iscrowd=True)
    assert 2 <= len(empty) <= 5
    assert 2 <= len(crowds) <= 5


def test_polygons_crowds_areas_and_boxes_agree(coco: COCO) -> None:
    for annotation in coco.dataset["annotations"]:
        mask = coco.annToMask(annotation)
        encoded = rle.encode(np.asfortranarray(mask))
        x, y, width, height = annotation["bbox"]
        assert x >= 0 and y >= 0 and x + width <= SIZE and y + height <= SIZE
        if annotation["iscrowd"]:
            assert annotation["area"] == rle.area(encoded)
            assert annotation["bbox"] == rle.toBbox(encoded).tolist()
            assert isinstance(annotation["segmentation"]["counts"], list)
        else:
            corners = np.reshape(annotation["segmentation"][0], (-1, 2))
            extent = [*corners.min(axis=0), *np.ptp(corners, axis=0)]
            assert annotation["bbox"] == pytest.approx(extent, abs=0.006)
            assert annotation["area"] == pytest.approx(rle.area(encoded), rel=0.12)
            assert min(width, height) >= 14


def test_what_is_annotated_is_what_was_drawn(sample: Path, coco: COCO) -> None:
    for image in coco.dataset["images"]:
        with Image.open(sample / "sample" / image["file_name"]) as opened:
            gray = np.asarray(opened.convert("L")).astype(float)
        masks = [coco.annToMask(a).astype(bool) for a in coco.loadAnns(coco.getAnnIds(image["id"]))]
        if masks:
            background = gray[~np.any(masks, axis=0)].mean()
            assert all(abs(gray[mask].mean() - background) > 25 for mask in masks)
            # Nothing was drawn that isn't annotated: the rest is no more than texture.
            assert gray[~np.any(masks, axis=0)].std() < 30


def test_origin_names_the_settings(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (origin,) = write_sample(tmp_path / "out", images=3, size=64, seed=7)
    assert origin.checksum == "seed:7,images:3,size:64"
    assert origin.size_bytes == sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    assert origin.url == "sample:"
