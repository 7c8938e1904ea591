"""Which splits of two versions `cocopipe diff` compares."""

from pathlib import Path

import pytest

from cocopipe.commands.diff import Pair, pairs
from cocopipe.commands.versions import OnDisk, Version
from cocopipe.errors import UserError
from tests.commands.conftest import Ask


def version(ref: str, *names: str) -> Version:
    return Version(ref, {name: OnDisk(Path(ref, name)) for name in names})


def compared(before: Version, after: Version) -> dict[str, tuple[str | None, str | None]]:
    """The names of the splits that are compared, by the name that is told."""

    def named(version: Version, split: object) -> str | None:
        return next((name for name, each in version.splits.items() if each is split), None)

    return {
        name: (named(before, pair.before), named(after, pair.after))
        for name, pair in pairs(before, after).items()
    }


def test_splits_of_one_name_belong_together() -> None:
    both = version("v1", "data/train", "data/val"), version("v2", "data/val", "data/train")
    assert compared(*both) == {name: (name, name) for name in ("data/train", "data/val")}


def test_else_those_of_one_last_part_of_it() -> None:
    found = compared(version("v1", "data/train", "data/val"), version("v2", "x/train", "x/val"))
    assert found == {"data/train": ("data/train", "x/train"), "data/val": ("data/val", "x/val")}


def test_a_last_part_that_two_have_tells_nothing() -> None:
    found = compared(version("v1", "a/val", "b"), version("v2", "x/val", "y/val"))
    assert found == {
        "a/val": ("a/val", None),
        "b": ("b", None),
        "x/val": (None, "x/val"),
        "y/val": (None, "y/val"),
    }


def test_a_split_that_only_one_version_has() -> None:
    found = compared(version("v1", "train", "val"), version("v2", "val", "test"))
    assert found == {"train": ("train", None), "val": ("val", "val"), "test": (None, "test")}


def test_a_single_split_is_compared_with_its_twin_alone() -> None:
    one, many = version("v1", "val"), version("v2", "data/train", "data/val")
    assert compared(one, many) == {"val": ("val", "data/val")}
    assert compared(many, one) == {"data/val": ("data/val", "val")}


def test_two_single_splits_are_compared_whatever_their_names() -> None:
    assert compared(version("v1", "a"), version("v2", "b")) == {"a → b": ("a", "b")}
    assert compared(version("v1", "a"), version("v2", "a")) == {"a": ("a", "a")}


def test_a_single_split_that_has_no_twin() -> None:
    one, many = version("v1", "test"), version("v2", "train", "val")
    message = r"v1 is test, and v2 has only train, val: name one of those, as in train@REV"
    for both in ((one, many), (many, one)):
        with pytest.raises(UserError, match=message):
            pairs(*both)


def test_of_a_pair_those_are_present_that_are_there() -> None:
    split = OnDisk(Path("a"))
    assert Pair(split, None).present == Pair(None, split).present == [split]
    assert Pair(split, split).present == [split, split]


# What is told of revisions


def test_pictures_for_testing_that_came_are_added(ask: Ask) -> None:
    """What was an empty split before counts as none."""
    said = ask("diff", "v1", "v2", "--json")
    assert (said.code, said.err) == (0, "")
    added = {name: len(each["images"]["added"]) for name, each in said.json.items()}
    assert added == {"data/train": 1, "data/val": 0, "data/test": 3}
    assert said.json["data/test"]["document"] == "image_info"


def test_a_split_that_cannot_be_compared_is_a_line(ask: Ask) -> None:
    said = ask("diff", "v2", "data", "--document", "captions")
    assert said.code == 0
    assert "data/train" in said.out
    assert said.err.splitlines() == [
        f"cocopipe: data/{split} is not compared: there is no document captions in both versions,"
        f" only {only}"
        for split, only in (("test", "image_info"), ("val", "instances"))
    ]


def test_where_none_can_be_compared(ask: Ask) -> None:
    said = ask("diff", "v2", "data", "--document", "persons")
    assert (said.code, said.out) == (1, "")
    assert said.err.count("is not compared: there is no document persons") == 3
    assert said.err.count("\n") == 1
    said = ask("diff", "data/test@v2", "data/val@v2")
    assert said.code == 1
    assert "the two versions have no document in common: image_info and instances" in said.err


def test_pictures_of_documents_that_list_different_images(ask: Ask, tmp_path: Path) -> None:
    out = tmp_path / "sheets"
    said = ask("diff", "v1", "v2", "--pictures", str(out))
    assert (said.code, said.err) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == ["data_test.png", "data_train.png"]
