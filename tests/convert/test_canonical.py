"""What tools do to a name leaves the place of a picture as it is."""

import random

import pytest

from cocopipe.convert.canonical import LONGEST, are_uploaded, canonical, undecorated

HASH = "0123456789abcdef0123456789abcdef"

TOOLS = {
    "a folder": "images/train/{stem}.{suffix}",
    "Windows": "C:\\data\\{stem}.{suffix}",
    "Label Studio": "1a2b3c4d-{stem}.{suffix}",
    "Label Studio, twice": "deadbeef-1a2b3c4d-{stem}.{suffix}",
    "Roboflow": f"{{stem}}_{{suffix}}.rf.{HASH}.jpg",
    "Roboflow of later": "{stem}_{suffix}.rf.AbCdEfGhIjKlMnOpQrSt.jpg",
    "Roboflow, twice": f"{{stem}}_{{suffix}}-rf-{HASH}_jpg.rf.{HASH[::-1]}.jpg",
    "both": f"1a2b3c4d-{{stem}}_{{suffix}}.rf.{HASH}.jpg",
    "another suffix": "{stem}.png",
    "upper case": "{STEM}.JPG",
    "a URL": "https://files.org/{stem}.{suffix}?token=1",
}


@pytest.mark.parametrize("name", ["000000000139.jpg", "frame 12 (3).jpeg", "día_1.png", "a.b.jpg"])
@pytest.mark.parametrize("tool", TOOLS)
def test_what_tools_add_is_off(name: str, tool: str) -> None:
    stem, _, suffix = name.rpartition(".")
    written = TOOLS[tool].format(stem=stem, STEM=stem.upper(), suffix=suffix)
    assert canonical(written) == canonical(name)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("IMG 1.jpg", ["IMG_1.jpg", "IMG-1.jpg", "img (1).jpg", "IMG_0001.jpg"]),
        ("día.jpg", ["di\u0301a.jpg", "DÍA.JPG"]),
    ],
)
def test_what_tools_spell_otherwise_is_the_same(name: str, others: list[str]) -> None:
    assert {canonical(each) for each in others} == {canonical(name)}


def test_numbers_are_in_their_order() -> None:
    names = [f"img_{number}.jpg" for number in (1, 2, 9, 10, 99, 100, 5000, 10**13)]
    assert sorted(random.Random(1).sample(names, len(names)), key=canonical) == names


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("000000000139.jpg", "000000000139"),
        ("deadbeef-12345678.jpg", "000012345678"),
        ("550e8400-e29b-41d4-a716-446655440000.jpg", None),
        ("---.jpg", "-"),
        ("", "unnamed"),
        ("犬.jpg", "=72ac"),
        ("a" * 300 + ".jpg", "a" * LONGEST),
    ],
)
def test_names_of_their_own(name: str, place: str | None) -> None:
    found = canonical(name)
    assert place is None or found == place
    assert found.isascii()
    assert not {*found} & {*"/\\:*?+ "}


def test_a_uuid_is_kept_where_a_tool_puts_its_own_before_it() -> None:
    name = "550e8400-e29b-41d4-a716-446655440000.jpg"
    assert canonical(f"1a2b3c4d-{name}") == canonical(name)
    assert canonical(name) != canonical(name.replace("e29b", "e29c"))


def test_folders_and_letter_case_are_there_for_groups() -> None:
    assert undecorated(f"Scene 1/1a2b3c4d-Frame_jpg.rf.{HASH}.jpg") == "Scene 1/Frame"


def test_a_date_is_not_what_label_studio_puts_before_names() -> None:
    dates = [f"2023010{day}-0001.jpg" for day in range(1, 9)]
    assert not are_uploaded(dates)
    assert len({canonical(name) for name in dates}) == 8
    assert [undecorated(name) for name in dates] == [name[:-4] for name in dates]


def test_where_label_studio_wrote_the_names_eight_digits_are_its_too() -> None:
    uploaded = ["1a2b3c4d-cat.jpg", "deadbeef-20230101-7.jpg", "12345678-20230102-7.jpg"]
    assert are_uploaded(uploaded)
    assert [undecorated(name, is_uploaded=True) for name in uploaded] == [
        "cat",
        "20230101-7",
        "20230102-7",
    ]
    versions = [f"{name[:-4]}_jpg.rf.{HASH}.jpg" for name in uploaded]
    assert are_uploaded(versions)
    assert [canonical(name, is_uploaded=True) for name in versions] == [
        canonical(name, is_uploaded=True) for name in uploaded
    ]
