"""`cocopipe diff` between revisions, hashes and directories of a real project."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from tests.stages.conftest import Clone

pytestmark = pytest.mark.slow

WRONG, RIGHT = "square", "circle"


@pytest.fixture(scope="module")
def corrected(finished: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Version v1 of the sample; v2 with some labels corrected and moved, and an image less."""
    clone = finished.copy(tmp_path_factory.mktemp("corrected") / "clone")
    remote = tmp_path_factory.mktemp("remote")
    clone.run("dvc", "remote", "add", "--quiet", "-d", "here", str(remote))
    clone.commit("first", tag="v1")
    source = tmp_path_factory.mktemp("annotated") / "export"
    clone.run("cocopipe", "export", str(source))
    (path,) = (source / "annotations").glob("instances_*.json")
    document = json.loads(path.read_text())
    ids = {category["name"]: category["id"] for category in document["categories"]}
    gone = document["images"].pop()
    document["annotations"] = [
        one for one in document["annotations"] if one["image_id"] != gone["id"]
    ]
    wrong = [one for one in document["annotations"] if one["category_id"] == ids[WRONG]]
    for one in wrong[:3]:
        one["category_id"] = ids[RIGHT]
    for one in wrong[3:5]:
        one["bbox"][2] += 4
    path.write_text(json.dumps(document))
    (source / path.stem.rpartition("_")[2] / gone["file_name"]).unlink()
    shutil.copytree(source, clone.root / "data" / "source", dirs_exist_ok=True)
    clone.set(download__source="directory")
    clone.repro("convert")
    clone.commit("corrected", tag="v2")
    return clone


def changes(clone: Clone, *arguments: str, **environment: str) -> dict[str, Any]:
    return dict(
        json.loads(clone.run("cocopipe", "diff", *arguments, "--json", **environment).stdout)
    )


def totals(found: dict[str, Any]) -> dict[str, int]:
    names = ("added", "removed", "moved", "relabelled", "other", "of_removed_images")
    return {name: sum(split["boxes"][name] for split in found.values()) for name in names}


def test_what_was_corrected_is_what_is_told(corrected: Clone) -> None:
    found = changes(corrected, "v1", "v2")
    assert list(found) == ["data/train", "data/val"]
    told = totals(found)
    gone = told.pop("of_removed_images")
    assert told == {"added": 0, "removed": 0, "moved": 2, "relabelled": 3, "other": 0}
    assert sum(len(split["images"]["removed"]) for split in found.values()) == 1
    assert not any(split["images"]["replaced"] for split in found.values())
    assert {
        (one["before"], one["after"]) for split in found.values() for one in split["relabelled"]
    } == {(WRONG, RIGHT)}
    before = sum(split["boxes"]["before"] for split in found.values())
    assert sum(split["boxes"]["after"] for split in found.values()) == before - gone
    backwards = totals(changes(corrected, "v2", "v1"))
    assert (backwards["moved"], backwards["relabelled"]) == (2, 3)


def test_hashes_paths_and_directories_name_the_same(corrected: Clone) -> None:
    expected = changes(corrected, "v1", "v2")["data/train"]
    old = YAML(typ="safe").load(corrected.run("git", "show", "v1:dvc.lock").stdout)["stages"]
    (old_train,) = (out["md5"] for out in old["convert"]["outs"] if out["path"] == "data/train")
    for before, after in (
        ("data/train@v1", "data/train"),
        (old_train, "data/train@v2"),
        (old_train[:8], str(corrected.root / "data" / "train")),
        ("v1", "data/train"),
    ):
        (found,) = changes(corrected, before, after).values()
        assert found == expected


def test_text_for_people_and_pictures(corrected: Clone, tmp_path: Path) -> None:
    said = corrected.run(
        "cocopipe", "diff", "v1", "v2", "--pictures", str(tmp_path / "sheets"), "--images", "3"
    ).stdout
    assert f"{WRONG} → {RIGHT}" in said
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == [
        "data_train.png",
        "data_val.png",
    ]
    assert "no difference" in corrected.run("cocopipe", "diff", "v2", "data").stdout


def test_a_fresh_clone_fetches_only_what_differs(corrected: Clone, tmp_path: Path) -> None:
    corrected.run("dvc", "push", "--all-commits", "--quiet")
    elsewhere = Clone(tmp_path / "elsewhere", corrected.environment)
    corrected.run("git", "clone", "--quiet", str(corrected.root), str(elsewhere.root))
    assert changes(elsewhere, "v1", "v2") == changes(corrected, "v1", "v2")
    assert not (elsewhere.root / "data" / "train").exists()
    brought = [path for path in (elsewhere.root / ".dvc/cache/files").rglob("*") if path.is_file()]
    columns = [pq.read_schema(path).names for path in brought if path.suffix != ".dir"]
    # The tables of train and val of both versions, and that of test, which is the same.
    assert sum("objects" in names for names in columns) == 5
    assert not any("image" in names for names in columns)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["v1", "nothing"], "nothing is nothing that git, DVC or this tracking store knows"),
        (["v1", "src"], "src is no converted split and has none in it"),
        (["data/raw@v1", "v2"], "which is no converted split"),
        (["v1", "v2", "--document", "captions"], "there is no document captions in both versions"),
        (["v1", "v2", "--pictures", "src"], "src exists already"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(
    corrected: Clone, arguments: list[str], sentence: str
) -> None:
    done = corrected.run("cocopipe", "diff", *arguments, ok=False)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
