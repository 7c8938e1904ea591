import io
import pickle
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from cocopipe.convert.image_writer import Stored
from cocopipe.errors import UserError
from cocopipe.split.images import ImageStore
from cocopipe.split.shards import ROW_GROUP, shards_with
from tests.coco_files import (
    picture,
)
from tests.converting import (
    store,
)


def test_images_come_back_byte_for_byte(tmp_path: Path) -> None:
    image_ids = [-7, 0, 5, *range(100, 100 + 2 * ROW_GROUP), 2**62]
    split, stored = store(tmp_path, image_ids)
    assert stored.images == len(image_ids)
    assert stored.size_bytes == sum(path.stat().st_size for path in (tmp_path / "raw").iterdir())
    opened = pickle.loads(pickle.dumps(ImageStore(split)))
    assert len(opened) == len(image_ids)
    assert opened.image_ids.tolist() == image_ids
    for image_id in [2**62, *image_ids, -7]:
        assert opened.read(image_id) == picture(image_id % 1000)
    rows = list(opened)
    assert [row.image_id for row in rows] == image_ids
    assert rows[1].data == picture(0)
    assert (rows[1].file_name, rows[1].width, rows[1].height) == ("0.jpg", 20, 12)
    with pytest.raises(KeyError):
        opened.read(1)
    with pytest.raises(KeyError):
        opened.read(2**62 + 1)


def test_file_layout_is_the_documented_one(tmp_path: Path) -> None:
    split, _ = store(tmp_path, list(range(ROW_GROUP + 1)))
    (path,) = (split / "images").iterdir()
    assert path.name == "000000000000.parquet"
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(index).num_rows for index in range(2)] == [ROW_GROUP, 1]
    columns = [metadata.row_group(0).column(index) for index in range(metadata.num_columns)]
    assert {column.compression for column in columns} == {"UNCOMPRESSED"}
    assert str(pq.read_schema(path).remove_metadata()) == (
        "image_id: int64 not null\n"
        "file_name: string not null\n"
        "width: int32 not null\n"
        "height: int32 not null\n"
        "image: struct<bytes: binary, path: string>\n"
        "  child 0, bytes: binary\n"
        "  child 1, path: string"
    )
    overhead = path.stat().st_size - sum(len(picture(number)) for number in range(ROW_GROUP + 1))
    assert overhead < 8000


def test_a_store_without_its_first_shard_gives_no_other_images(tmp_path: Path) -> None:
    split, _ = store(tmp_path, list(range(0, 4000, 7)))
    ids = ImageStore(split).image_ids
    shards = sorted((split / "images").glob("*.parquet"))
    shards[0].unlink()
    with pytest.raises(UserError, match="does not hold the images that the annotations list"):
        ImageStore(split, ids)


def test_files_that_are_no_shards_are_passed_over(tmp_path: Path) -> None:
    split, _ = store(tmp_path, [3, 9])
    for name in (".DS_Store", "._000000000003.parquet", "notes.parquet"):
        (split / "images" / name).write_bytes(b"?")
    assert ImageStore(split).image_ids.tolist() == [3, 9]
    names = ["images/.DS_Store", "images/000000000003.parquet", "images/000000000009.parquet"]
    assert shards_with(names, [4, 1]) == {"images/000000000003.parquet"}
    assert shards_with([], [4]) == set()


def test_an_empty_store(tmp_path: Path) -> None:
    split, stored = store(tmp_path, [])
    assert stored == Stored()
    assert len(ImageStore(split)) == 0
    assert list(ImageStore(split)) == []


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
