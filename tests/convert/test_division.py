"""Which side a picture falls on: by its bytes or its group alone, whatever else is there."""

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cocopipe.convert.division import Division, groups, share
from cocopipe.errors import UserError
from cocopipe.split.tables import documents, read_table
from tests.coco_files import instances, official, picture, write_files
from tests.converting import Converted, convert_into, ids

Convert = Callable[..., Converted]

ROLES = ("train", "val", "test")

HISTORIES = int(os.environ.get("HISTORIES", "25"))
"""How many random histories there are; `HISTORIES=1000 pytest tests/convert/test_division.py`."""


def sides(data: Path) -> dict[str, set[str]]:
    """SHA-256 -> the splits that it is in, by the tables alone."""
    found: dict[str, set[str]] = {}
    for role in ROLES:
        for name in documents(data / role):
            for each in read_table(data / role, name, ["sha256"])["sha256"].to_pylist():
                found.setdefault(each, set()).add(role)
    return found


@pytest.mark.parametrize(
    ("division", "expected"),
    [
        (Division("train", val=0.2), ["val", "train", "train", "train"]),
        (Division("train", val=0.2, test=0.1), ["val", "train", "train", "test"]),
        (Division("val"), ["val"] * 4),
    ],
)
def test_shares_fall_to_roles(division: Division, expected: list[str]) -> None:
    assert [division.role(each) for each in (0.1, 0.2, 0.85, 0.95)] == expected
    assert sum(division.parts.values()) == pytest.approx(1)


def test_a_share_is_what_it_always_was() -> None:
    assert share(b"a picture") == pytest.approx(0.912949534)
    shares = [share(bytes([one, other])) for one in range(100) for other in range(100)]
    assert 0.19 < sum(each < 0.2 for each in shares) / len(shares) < 0.21


def test_groups_are_what_the_pattern_finds() -> None:
    names = ["v1_001.jpg", "1a2b3c4d-v1_002.jpg", "b/v2_003.jpg", "other.jpg"]
    assert groups(names, r"v\d+") == ["v1", "v1", "v2", None]
    assert groups(names, r"^(?:.*/)?(v\d+)_") == ["v1", "v1", "v2", None]
    assert groups(names, None) == [None] * 4
    assert groups(names, r"^[0-9]*") == [None] * 4
    dates = ["20230101-0001.jpg", "20230102-0001.jpg"]
    assert groups(dates, r"^\d+") == ["20230101", "20230102"]
    with pytest.raises(UserError, match=r"convert.group is '\(', which is no regular expression"):
        groups(names, "(")


def test_a_split_is_divided_in_three(tmp_path: Path, converted: Convert) -> None:
    raw = write_files(tmp_path / "raw", official(range(200)))
    conversion, train, val = converted(raw, validation_fraction=0.2, test_fraction=0.2)
    test = train.parent / "test"
    assert sorted(ids(train) + ids(val) + ids(test)) == list(range(200))
    assert all(25 < len(ids(each)) < 55 for each in (val, test))
    assert conversion.splits["test"].sources == ("train",)
    # What goes to testing is taken from training alone.
    _, _, as_before = converted(raw, validation_fraction=0.2)
    assert ids(as_before) == ids(val)


def test_fractions_that_leave_nothing(tmp_path: Path, converted: Convert) -> None:
    raw = write_files(tmp_path / "raw", official(range(4)))
    with pytest.raises(UserError, match=r"are 0\.6 and 0\.4, which leaves nothing for training"):
        converted(raw, validation_fraction=0.6, test_fraction=0.4)


def test_only_what_is_missing_is_divided_off(tmp_path: Path, converted: Convert) -> None:
    files = official(range(50), "train") | official([90, 91], "val")
    raw = write_files(tmp_path / "raw", files)
    _, train, val = converted(raw, test_fraction=0.3)
    assert ids(val) == [90, 91]
    assert sorted(ids(train) + ids(train.parent / "test")) == list(range(50))
    assert ids(train.parent / "test")


def test_groups_stay_together(tmp_path: Path, converted: Convert) -> None:
    document = instances(range(120))
    files: dict[str, Any] = {"annotations/instances_train.json": document}
    for image in document["images"]:
        image["file_name"] = f"scene{image['id'] // 10}/{image['id']}.jpg"
        files[f"train/{image['file_name']}"] = picture(image["id"])
    files["train/alone.jpg"] = picture(999)
    document["images"].append({"id": 999, "file_name": "alone.jpg"})
    conversion, train, val = converted(
        write_files(tmp_path / "raw", files), group=r"(scene\d+)/", validation_fraction=0.4
    )
    scenes = [{number // 10 for number in ids(split) if number != 999} for split in (train, val)]
    assert not scenes[0] & scenes[1]
    assert scenes[0] | scenes[1] == set(range(12))
    assert conversion.ungrouped == 1


def test_a_picture_of_two_groups_is_on_one_side(tmp_path: Path, converted: Convert) -> None:
    document = instances(range(40))
    files: dict[str, Any] = {"annotations/instances_train.json": document}
    for image in document["images"]:
        image["file_name"] = f"g{image['id']}.jpg"
        # Each picture is there twice, under two groups.
        files[f"train/g{image['id']}.jpg"] = picture(image["id"] // 2)
    conversion, train, val = converted(
        write_files(tmp_path / "raw", files), group=r"g\d+", validation_fraction=0.5
    )
    found = sides(train.parent)
    assert len(found) == 20
    assert all(len(each) == 1 for each in found.values())
    assert sorted(ids(train) + ids(val)) == list(range(40))
    assert 0 < conversion.in_several_groups < 20


@dataclass(frozen=True)
class State:
    """A dataset at one time: file name -> the number of its picture; and what draws its ids."""

    names: Mapping[str, int] = field(default_factory=dict)
    ids: int = 0

    def files(self) -> dict[str, Any]:
        order = sorted(self.names)
        random.Random(self.ids).shuffle(order)
        first = self.ids % 5
        images = [
            {"id": first + place, "file_name": name, "width": 8, "height": 8}
            for place, name in enumerate(order)
        ]
        return {
            "annotations/instances_train.json": instances([]) | {"images": images},
            **{f"train/{name}": PICTURES[number] for name, number in self.names.items()},
        }


PICTURES = [picture(seed, (8, 8)) for seed in range(60)]
GROUPS = 12


def _name(number: int, copy: int, tool: int) -> str:
    """A name of a picture: its group is told by it, and by no tool changed."""
    name = f"g{number % GROUPS}_{number}-{copy}"
    return (
        f"{name}.jpg",
        f"{tool:08x}-{name}.jpg",
        f"{name}_jpg.rf.{tool:032x}.jpg",
        f"folder{tool % 3}/{name}.jpg",
        f"sub/{tool:08x}-{name}_jpg.rf.{tool:032x}.jpg",
    )[tool % 5]


@st.composite
def histories(draw: st.DrawFn) -> list[State]:
    numbers = draw(st.lists(st.integers(0, 59), min_size=25, max_size=40, unique=True))
    state = State({_name(number, 0, 0): number for number in numbers})
    found = [state]
    for _ in range(draw(st.integers(1, 4))):
        names = dict(state.names)
        tool = draw(st.integers(0, 999))
        match draw(st.sampled_from(["add", "copy", "remove", "rename", "renumber"])):
            case "add":
                for number in draw(st.lists(st.integers(0, 59), max_size=10, unique=True)):
                    names[_name(number, tool, tool)] = number
            case "copy":
                for number in draw(st.lists(st.sampled_from(sorted(names.values())), max_size=5)):
                    names[_name(number, tool + 1000, tool)] = number
            case "remove":
                for name in draw(st.lists(st.sampled_from(sorted(names)), max_size=8, unique=True)):
                    del names[name]
            case "rename":
                names = {
                    _name(number, place + 2000, tool + place): number
                    for place, number in enumerate(names.values())
                }
            case "renumber":
                state = replace(state, ids=tool)
        state = replace(state, names=names)
        found.append(state)
    return found


@settings(
    max_examples=HISTORIES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    history=histories(),
    test_fraction=st.sampled_from([0.0, 0.2]),
    group=st.sampled_from([None, r"g\d+_"]),
)
def test_no_picture_is_on_two_sides_or_changes_its_own(
    history: list[State], test_fraction: float, group: str | None
) -> None:
    known: dict[str, set[str]] = {}
    for state in history:
        with TemporaryDirectory() as folder:
            raw = write_files(Path(folder) / "raw", state.files())
            try:
                convert_into(raw, Path(folder), test_fraction=test_fraction, group=group)
            except UserError as error:
                assert "falls to" in str(error)  # as few pictures as this may all be on one side
                continue
            found = sides(Path(folder))
        assert found.keys() == {
            sha256(PICTURES[number]).hexdigest() for number in state.names.values()
        }
        for digest, roles in found.items():
            assert len(roles) == 1
            assert known.setdefault(digest, roles) == roles
