import io
import pickle
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from cocopipe.convert.result import Stored
from cocopipe.errors import UserError
from cocopipe.split.images import ImageStore
from cocopipe.split.shards import ROW_GROUP
from tests.coco_files import official, picture, write_files
from tests.converting import convert_into, store


def test_images_come_back_byte_for_byte(tmp_path: Path) -> None:
    image_ids = [-7, 0, 5, *range(100, 100 + 2 * ROW_GROUP), 2**62]
    split, stored = store(tmp_path, image_ids)
    assert stored.images == len(image_ids)
    assert stored.size_bytes == sum(len(picture(image_id % 1000)) for image_id in image_ids)
    opened = pickle.loads(pickle.dumps(ImageStore(split)))
    assert len(opened) == len(image_ids)
    hashes = [sha256(picture(image_id % 1000)).hexdigest() for image_id in image_ids]
    for image_id, digest in [*zip(image_ids, hashes, strict=True), (-7, hashes[0])]:
        assert opened.read(digest) == picture(image_id % 1000)
    rows = list(opened)
    assert [row.sha256 for row in rows] == opened.sha256
    assert sorted(opened.sha256) == sorted(hashes)
    assert sha256(rows[1].data).hexdigest() == rows[1].sha256
    assert (rows[1].width, rows[1].height) == (20, 12)
    with pytest.raises(KeyError):
        opened.read("0" * 64)


def test_file_layout_is_the_documented_one(tmp_path: Path) -> None:
    split, _ = store(tmp_path, list(range(ROW_GROUP + 1)))
    (path,) = (split / "images").iterdir()
    assert path.name == "000000000000.parquet"
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(index).num_rows for index in range(2)] == [ROW_GROUP, 1]
    columns = [metadata.row_group(0).column(index) for index in range(metadata.num_columns)]
    assert {column.compression for column in columns} == {"UNCOMPRESSED"}
    assert str(pq.read_schema(path).remove_metadata()) == (
        "sha256: string not null\n"
        "width: int32 not null\n"
        "height: int32 not null\n"
        "image: struct<bytes: binary, path: string>\n"
        "  child 0, bytes: binary\n"
        "  child 1, path: string"
    )
    overhead = path.stat().st_size - sum(len(picture(number)) for number in range(ROW_GROUP + 1))
    assert overhead < 8000


def test_a_store_without_a_shard_gives_no_other_images(tmp_path: Path) -> None:
    split, _ = store(tmp_path, list(range(0, 900, 2)))
    (path,) = (split / "images").glob("*.parquet")
    path.unlink()
    opened = ImageStore(split)
    for read in (lambda: opened.read(opened.sha256[0]), lambda: list(opened)):
        with pytest.raises(UserError, match="does not hold the images that the annotations list"):
            read()


def test_a_shard_of_another_version_gives_no_other_images(tmp_path: Path) -> None:
    split, _ = store(tmp_path, [3, 9])
    other, _ = store(tmp_path / "other", [3, 8])
    (path,), (wrong,) = ((each / "images").glob("*.parquet") for each in (split, other))
    path.write_bytes(wrong.read_bytes())
    opened = ImageStore(split)
    with pytest.raises(UserError, match="does not hold the images that the annotations list"):
        opened.read(opened.sha256[0])


def test_files_that_are_no_shards_are_passed_over(tmp_path: Path) -> None:
    split, _ = store(tmp_path, [3, 9])
    for name in (".DS_Store", "._000000000003.parquet", "notes.parquet"):
        (split / "images" / name).write_bytes(b"?")
    assert len(list(ImageStore(split))) == 2


def test_an_empty_store(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", official([1], "train") | official([2], "val"))
    conversion, train, _ = convert_into(raw, tmp_path / "out")
    assert conversion.splits["test"].stored == Stored()
    assert list(ImageStore(train.parent / "test")) == []


def test_a_folder_that_is_no_split(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a converted split"):
        ImageStore(tmp_path)


def test_datasets_shows_pictures_with_no_code_of_ours(tmp_path: Path) -> None:
    import datasets

    split, _ = store(tmp_path, [1, 2, 3])
    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(split / "images" / "*.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    with Image.open(io.BytesIO(picture(2))) as expected:
        assert loaded[1]["image"].tobytes() == expected.tobytes()
