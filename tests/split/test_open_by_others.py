"""The files of a converted split, opened by what people have, with none of this project's code."""

import io
import json
from hashlib import sha256
from pathlib import Path

import datasets
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

from tests.coco_files import official, picture, write_files
from tests.converting import convert_into


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("split")
    raw = write_files(folder / "raw", {**official(range(5)), **official([9], "val")})
    _, train, _ = convert_into(raw, folder / "data", workers=1)
    return train


def test_hugging_face_shows_pictures(
    split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = datasets.load_dataset(
        "parquet",
        data_files=str(split / "images" / "*.parquet"),
        split="train",
        cache_dir=str(tmp_path),
    )
    assert isinstance(opened.features["image"], datasets.Image)
    row = next(row for row in opened if row["sha256"] == sha256(picture(3)).hexdigest())
    assert np.array_equal(np.asarray(row["image"]), np.asarray(Image.open(io.BytesIO(picture(3)))))


def test_duckdb_counts_classes_in_the_one_query_of_the_docs(split: Path) -> None:
    docs = Path(__file__).resolve().parents[2] / "docs" / "data.md"
    query = docs.read_text(encoding="utf-8").partition("```sql\n")[2].partition("```")[0]
    found = duckdb.sql(query.replace("data/train", str(split))).fetchall()
    assert found == [("thing", 5, 14.0)]


def test_pandas_reads_boxes_and_metadata(split: Path) -> None:
    import pyarrow.parquet as pq

    path = split / "annotations" / "instances.parquet"
    table = pd.read_parquet(path)
    assert table["image_id"].tolist() == list(range(5))
    assert table["objects"][0][0]["bbox"].tolist() == [1, 2, 3.5, 4]
    metadata = pq.read_schema(path).metadata
    assert json.loads(metadata[b"categories"])[0]["name"] == "thing"
    images = pd.concat(map(pd.read_parquet, sorted((split / "images").glob("*.parquet"))))
    assert images["image"].iloc[2]["bytes"] == picture(2)


def test_polars_explodes_objects(split: Path) -> None:
    table = pl.read_parquet(split / "annotations" / "instances.parquet")
    objects = table.select("objects").explode("objects").unnest("objects")
    assert objects["area"].to_list() == [14.0] * 5
    assert objects["polygons"][0].to_list() == [[1, 2, 4.5, 2, 4.5, 6]]
    images = pl.scan_parquet(split / "images" / "*.parquet").select("sha256", "image").collect()
    both = table.join(images, on="sha256").sort("image_id")
    assert both["image"].struct.field("bytes")[4] == picture(4)
