import json

import pytest

from lineage.identity import (
    Execution,
    StageId,
    canonical_json,
    from_root,
    hash_of,
    signature,
)
from lineage.tracking.tag_values import hashes_tag
from lineage.tracking.tags import TAG_LIMIT

ENTRY = {
    "cmd": "python train.py",
    "deps": [
        {"path": "data", "hash": "md5", "md5": "aa.dir", "size": 7, "nfiles": 2},
        {"path": "train.py", "hash": "md5", "md5": "bb", "size": 3},
    ],
    "params": {"params.yaml": {"train": {"lr": 1e-07, "epochs": 3}}},
    "outs": [{"path": "model", "hash": "md5", "md5": "cc"}],
}


def changed(**parts: object) -> dict:
    return {**ENTRY, **parts}


def test_a_signature_is_of_what_determines_the_result() -> None:
    assert signature(ENTRY) == signature(json.loads(json.dumps(ENTRY)))
    assert len(signature(ENTRY)) == 32


@pytest.mark.parametrize(
    "same",
    [
        changed(outs=[{"path": "model", "md5": "other"}]),
        changed(deps=list(reversed(ENTRY["deps"]))),
        changed(deps=[{**dep, "size": 1, "nfiles": 9} for dep in ENTRY["deps"]]),
        changed(params={"params.yaml": {"train": {"epochs": 3, "lr": 1e-7}}}),
    ],
    ids=["outputs", "order of dependencies", "sizes", "order of params"],
)
def test_what_does_not_determine_the_result_does_not_count(same: dict) -> None:
    assert signature(same) == signature(ENTRY)


@pytest.mark.parametrize(
    "other",
    [
        changed(cmd="python train.py --fast"),
        changed(cmd=["python train.py"]),
        changed(deps=ENTRY["deps"][:1]),
        changed(deps=[{**ENTRY["deps"][0], "md5": "dd.dir"}, ENTRY["deps"][1]]),
        changed(params={"params.yaml": {"train": {"lr": 1e-07, "epochs": 4}}}),
        changed(params={"other.yaml": ENTRY["params"]["params.yaml"]}),
    ],
    ids=["command", "list command", "a dependency less", "other bytes", "a param", "its file"],
)
def test_what_determines_the_result_counts(other: dict) -> None:
    assert signature(other) != signature(ENTRY)


def test_a_stage_without_params_or_dependencies_has_a_signature() -> None:
    assert signature({"cmd": "date"}) == signature({"cmd": "date", "deps": None, "params": {}})


def test_keys_of_any_yaml_type_have_a_canonical_form() -> None:
    assert canonical_json({2: 1, None: 0, "a": True}) == '{"2":1,"None":0,"a":true}'


@pytest.mark.parametrize(
    ("path", "wdir", "name"),
    [
        ("data/train", ".", "data/train"),
        ("../data", "sub", "data"),
        ("../../../x", "sub", "../../x"),
        ("/mnt/coco", "sub", "/mnt/coco"),
        ("s3://bucket/x", "sub", "s3://bucket/x"),
    ],
)
def test_paths_are_named_from_the_root(path: str, wdir: str, name: str) -> None:
    assert from_root(path, wdir) == name


def test_an_execution_knows_where_a_lock_entry_worked() -> None:
    execution = Execution.from_lock_entry(StageId("sub/dvc.yaml", "train"), ENTRY, "sub/work")
    assert execution.deps == {"sub/work/data": "aa.dir", "sub/work/train.py": "bb"}
    assert execution.outs == {"sub/work/model": "cc"}
    assert str(execution.stage) == "sub/dvc.yaml:train"


def test_hashes_too_long_for_a_tag_still_compare() -> None:
    many = {f"data/part-{number}": "0" * 32 for number in range(500)}
    more = {**many, "data/part-7": "1" * 32}
    assert hashes_tag({"b": "2", "a": "1"}) == '{"a":"1","b":"2"}'
    assert len(hashes_tag(many)) < TAG_LIMIT < len(canonical_json(many))
    assert hashes_tag(many) == hashes_tag(dict(reversed(many.items())))
    assert hashes_tag(many) != hashes_tag(more)


@pytest.mark.parametrize(
    ("item", "found"),
    [
        ({"path": "a", "md5": "1"}, "1"),
        ({"path": "s3://b/a", "etag": "2"}, "2"),
        ({"path": "hdfs://h/a", "checksum": "3"}, "3"),
        ({"path": "a", "md5": None, "etag": "2"}, "2"),
        ({"path": "a"}, ""),
    ],
)
def test_a_hash_is_found_under_whatever_key_dvc_keeps_it(item: dict, found: str) -> None:
    assert hash_of(item) == found
