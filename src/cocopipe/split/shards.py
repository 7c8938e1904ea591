"""Shards of an image store: their schema, their names, and where one ends and the next begins."""

import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cocopipe.errors import UserError

SHARD_BYTES = 8 * 2**20
"""What shards hold on average, at most; at least half of it."""

CAP = 8
"""A shard never holds more than this many times the average number of images."""

ROW_GROUP = 32
"""Images in a row group, which is what a reader of one image reads."""

_SHARD_NAME = re.compile(r"(^|/)-?\d+\.parquet$")

_COLUMNS = (
    pa.field("image_id", pa.int64(), nullable=False),
    pa.field("file_name", pa.string(), nullable=False),
    pa.field("width", pa.int32(), nullable=False),  # pixels, as annotated
    pa.field("height", pa.int32(), nullable=False),
    pa.field("image", pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])),
)


def _features(columns: Iterable[pa.Field]) -> bytes:
    """What `datasets` calls the columns: with it, ``load_dataset("parquet", …)`` shows pictures."""
    features = {
        column.name: {"_type": "Image"}
        if pa.types.is_struct(column.type)
        else {"dtype": str(column.type), "_type": "Value"}
        for column in columns
    }
    return json.dumps({"info": {"features": features}}, separators=(",", ":")).encode()


SCHEMA = pa.schema(_COLUMNS, metadata={b"huggingface": _features(_COLUMNS)})


def images_per_shard(mean_bytes: float) -> int:
    """The average number of images in a shard, for images of this mean size.

    A power of two, so that the mean can drift without moving every border.
    """
    return int(2 ** max(0, math.floor(math.log2(SHARD_BYTES / max(mean_bytes, 1)))))


def shards(image_ids: Sequence[int], average: int) -> list[slice]:
    """Cut sorted image ids into shards of this average length, by content.

    An id that hashes to 0 modulo ``average`` starts a shard, and so does the
    first id; a shard reaches ``CAP`` averages hardly ever (1 in 3,000).
    """
    starts: list[int] = []
    for index, image_id in enumerate(image_ids):
        if not starts or index - starts[-1] >= CAP * average or _hash(image_id) % average == 0:
            starts.append(index)
    return [slice(*ends) for ends in zip(starts, [*starts[1:], len(image_ids)], strict=True)]


def _hash(image_id: int) -> int:
    data = image_id.to_bytes(8, "little", signed=True)
    return int.from_bytes(blake2b(data, digest_size=8, person=b"shard").digest(), "little")


def shard_name(first_image_id: int) -> str:
    """The file name of the shard that starts with this image.

    Twelve digits, as COCO names its images, so that names sort as ids do.
    """
    return f"{first_image_id:012d}.parquet"


def shards_with(names: Iterable[str], image_ids: Iterable[int]) -> set[str]:
    """The shards of a store, by their file names, that images lie in."""
    shards = sorted(filter(_SHARD_NAME.search, names), key=lambda name: int(Path(name).stem))
    firsts = [int(Path(name).stem) for name in shards]
    places = {bisect_right(firsts, image_id) - 1 for image_id in image_ids}
    return {shards[place] for place in places if place >= 0}


def image_writer(path: Path, schema: pa.Schema = SCHEMA) -> pq.ParquetWriter:
    """Write a Parquet file of images as they are."""
    return pq.ParquetWriter(
        path,
        schema,
        compression="none",  # image files are compressed already
        use_dictionary=False,
        write_statistics=["image_id"],
    )


def shard_paths(split_dir: Path) -> list[Path]:
    """The shards of a split's image store, in image-id order.

    Raises:
        UserError: it has no image store.
    """
    folder = split_dir / "images"
    if not folder.is_dir():
        raise UserError(f"{split_dir} is not a converted split: run the convert stage first")
    shards = [path for path in folder.glob("*.parquet") if _SHARD_NAME.search(path.name)]
    return sorted(shards, key=lambda path: int(path.stem))


def lacking(path: Path) -> UserError:
    """Why a store, or a shard of it, can't be of this version of the split."""
    return UserError(
        f"{path} does not hold the images that the annotations list: run the convert stage again,"
        " or `dvc checkout`"
    )
