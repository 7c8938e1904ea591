import io
import pickle
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cocopipe.coco.entries import DiskFile
from cocopipe.coco.files import Files
from cocopipe.convert.image_writer import Pictures, Stored, write_store
from cocopipe.errors import UserError
from cocopipe.split.images import ImageStore
from cocopipe.split.shards import CAP, ROW_GROUP, images_per_shard, shard_name, shards, shards_with
from tests.coco.coco_files import picture


def cut(image_ids: list[int], average: int = 16) -> dict[str, tuple[int, ...]]:
    """Shard name to the ids in it."""
    return {
        shard_name(image_ids[part.start]): tuple(image_ids[part])
        for part in shards(image_ids, average)
    }


def changed(one: dict[str, tuple[int, ...]], other: dict[str, tuple[int, ...]]) -> int:
    """How many shards of ``other`` would have to be stored anew."""
    return sum(one.get(name) != ids for name, ids in other.items())


IDS = sorted(random.Random(1).sample(range(600_000), 3000))


def test_shards_hold_all_images_in_order_and_are_near_the_average() -> None:
    cuts = shards(IDS, 16)
    assert [IDS[index] for part in cuts for index in range(part.start, part.stop)] == IDS
    assert 12 < len(IDS) / len(cuts) < 20


def test_one_image_more_or_less_changes_at_most_two_shards() -> None:
    before = cut(IDS)
    chance = random.Random(2)
    for _ in range(100):
        new = chance.randrange(600_000)
        more = sorted({*IDS, new})
        less = sorted({*IDS} - {chance.choice(IDS)})
        assert changed(before, cut(more)) <= 2
        assert changed(before, cut(less)) <= 2


def test_images_at_the_end_change_the_last_shard_only() -> None:
    before = cut(IDS)
    after = cut([*IDS, *range(600_000, 600_030)])
    kept = list(before)[:-1]
    assert all(after[name] == before[name] for name in kept)


def test_a_shard_is_never_longer_than_the_cap() -> None:
    # With this average no id of a thousand starts a shard by its hash.
    lengths = {part.stop - part.start for part in shards(range(1000), 2**60)}
    assert lengths == {1000}
    assert max(part.stop - part.start for part in shards(IDS * 40, 2)) <= CAP * 2


def test_borders_stay_when_the_mean_size_drifts() -> None:
    assert images_per_shard(160_000) == images_per_shard(170_000) == 32
    assert images_per_shard(10**9) == 1
    assert images_per_shard(0) == 2**23


def test_shard_names_sort_as_their_ids() -> None:
    names = [shard_name(image_id) for image_id in (0, 9, 139, 581_929)]
    assert names == sorted(names)
    assert names[2] == "000000000139.parquet"


def pictures(folder: Path, image_ids: list[int], size: tuple[int, int] | None) -> Pictures:
    folder.mkdir(exist_ok=True)
    files = {}
    for image_id in image_ids:
        path = folder / f"{image_id}.jpg"
        path.write_bytes(picture(image_id % 1000))
        files[path.name] = DiskFile(folder, path.name, path.stat().st_size)
    return Pictures(
        np.array(image_ids),
        pa.array(files, pa.string()),
        np.array([size or (0, 0)] * len(image_ids)).reshape(-1, 2),
        Files(files),
        np.arange(len(image_ids)),
    )


def store(folder: Path, image_ids: list[int], **settings: object) -> tuple[Path, Stored]:
    split = folder / "split"
    split.mkdir()
    advanced: list[int] = []
    stored = write_store(
        split,
        pictures(folder / "raw", image_ids, (20, 12)),
        where="train",
        workers=2,
        advance=advanced.append,
    )
    assert sum(advanced) == len(image_ids)
    return split, stored


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


def test_the_file_tells_the_size_where_the_document_does_not(tmp_path: Path) -> None:
    split = tmp_path / "split"
    split.mkdir()
    unknown = pictures(tmp_path / "raw", [1], None)
    stored = write_store(split, unknown, where="train", workers=1, advance=lambda _: None)
    assert stored.mismatched == ()
    assert [(image.width, image.height) for image in ImageStore(split)] == [(20, 12)]


def test_another_annotated_size_is_kept_and_counted(tmp_path: Path) -> None:
    split = tmp_path / "split"
    split.mkdir()
    wrong = pictures(tmp_path / "raw", [1], (99, 12))
    stored = write_store(split, wrong, where="train", workers=1, advance=lambda _: None)
    (line,) = stored.mismatched
    assert ": annotated " in line
    assert ", stored " in line
    assert [image.width for image in ImageStore(split)] == [99]


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
