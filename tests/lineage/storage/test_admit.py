"""What is let in never leads out, and what DVC writes is let in."""

import json
import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lineage.errors import LineageError
from lineage.storage.admit import (
    DEEPEST,
    admit_free,
    admit_hash,
    admit_listing,
    admit_names,
    admit_path,
    file_name,
    is_hash,
    why_not_inside,
)
from tests.lineage.storage.conftest import md5

HASH = md5("bytes")
LINE = "\n"

OUTSIDE = [
    "",
    ".",
    "..",
    "../x",
    "a/../../x",
    "a/..",
    "/etc/passwd",
    "//server/share",
    "a//b",
    "a/",
    "./a",
    "..\\x",
    "a\\..\\..\\x",
    "\\\\server\\share",
    "C:\\x",
    "c:x",
    "a\0b",
    "\ud800",
    ".git/hooks/post-checkout",
    "deep/.GIT/config",
    ".git",
    ".dvc/config.local",
    "x/.hg/hgrc",
    "a/" * DEEPEST + "a",
]


def listed(*names: object, digest: object = HASH) -> bytes:
    return json.dumps([{"md5": digest, "relpath": name} for name in names]).encode()


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_out_is_refused_wherever_it_stands(name: str) -> None:
    assert why_not_inside(name)
    with pytest.raises(LineageError, match=r"^the listing abc\.dir names .*: nothing of it is"):
        admit_listing(listed("sound.txt", name), "abc.dir")
    with pytest.raises(LineageError):
        admit_names(["sound.txt", name])


@pytest.mark.parametrize(
    "names",
    [
        ("a", "a"),
        ("a.txt", "A.TXT"),
        ("é", "e\u0301"),
        ("\u212b", "å"),
        ("\udcc3\udca9", "é"),
        ("straße", "STRASSE"),
        ("a", "a/b"),
        ("a/b/c", "A"),
        ("a\\b", "a/b"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_names_that_may_be_one_are_refused_together(names: tuple[str, ...], turned: bool) -> None:
    for name in names:
        assert admit_listing(listed(name), "abc.dir") == {name: HASH}
    both = names[::-1] if turned else names
    with pytest.raises(LineageError, match=r"names .* and .*which may be one|as a file, and"):
        admit_listing(listed(*both), "abc.dir")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no JSON",
        b"{}",
        b"null",
        b'"text"',
        b"[1]",
        b"[null]",
        b"[[]]",
        b'[[["md5", "a"], ["relpath", "b"]]]',
        b"[{}]",
        b'[{"relpath": "a"}]',
        f'[{{"md5": "{HASH}"}}]'.encode(),
        f'[{{"md5": "{HASH}", "relpath": "a", "relpath": "b"}}]'.encode(),
        f'[{{"md5": "{HASH}", "relpath": "a", "size": NaN}}]'.encode(),
        f'[{{"md5": "{HASH}", "relpath": "a", "size": {"9" * 5000}}}]'.encode(),
        b"\xff\xfe",
        json.dumps([]).encode("utf-16"),
        b"[" * 100_000,
        b'[{"a":' * 100_000,
        listed(1),
        listed(None),
        listed(["a"]),
        listed("a", digest=None),
        listed("a", digest=[HASH]),
        listed("a", digest="../../etc/passwd"),
        listed("a", digest=f"{HASH}.dir"),
        listed("a", digest=HASH.upper()),
        listed("a", digest=f"{HASH}\n"),
        listed("a", digest=""),
    ],
)
def test_what_is_no_listing_is_a_sentence(text: bytes) -> None:
    with pytest.raises(LineageError, match=r"^the listing abc\.dir ") as told:
        admit_listing(text, "abc.dir")
    assert str(told.value).endswith(".") and "\n" not in str(told.value)
    assert len(str(told.value)) < 400


def test_what_dvc_writes_beside_name_and_hash_is_passed_over() -> None:
    entry = {"md5": HASH, "relpath": "a", "size": 3, "isexec": True}
    assert admit_listing(json.dumps([entry]).encode(), "abc.dir") == {"a": HASH}
    assert admit_listing(b"[]", "d751713988987e9331980363e24189ce.dir") == {}


def test_only_hashes_of_dvc_are_hashes() -> None:
    for sound in (HASH, f"{HASH}.dir"):
        assert admit_hash(sound) == sound
    for other in ("", "../../etc/passwd", HASH[1:], f"{HASH}\n", HASH.upper(), f"{HASH}/x", "é"):
        assert not is_hash(other)
        with pytest.raises(LineageError, match="is no hash by which DVC keeps data"):
            admit_hash(other)
    assert not is_hash(None)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data/train", "train"),
        ("/data/coco", "coco"),
        ("s3://bucket/a.csv", "a.csv"),
        ("..", "data"),
        ("a/..", "data"),
        ("/", "data"),
        ("", "data"),
        ("x" * 300, "data"),
        ("..\\..\\x", "x"),
        (".git", "data"),
    ],
)
def test_the_name_of_a_copy_leads_nowhere(path: str, name: str) -> None:
    assert file_name(path) == name


def test_what_never_ends_or_lies_outside_is_not_opened(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "file").write_text("text")
    (inside / "endless").symlink_to("/dev/zero")
    os.mkfifo(inside / "pipe")
    (tmp_path / "secret").write_text("text")
    assert admit_path(inside, "file") == inside / "file"
    for name in ("endless", "pipe", "../secret", str(tmp_path / "secret"), "/dev/zero", "no", ""):
        assert admit_path(inside, name) is None


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/tmp")
    (tmp_path / "file").write_text("mine")
    admit_free(tmp_path, ["folder/new", "new/deep/file"])
    for name in ("link/x", "link/deep/x", "file/x", "link", "file", "folder"):
        with pytest.raises(LineageError, match=f"^{name} cannot be written"):
            admit_free(tmp_path, [name])


# Names of any kind, on the file system that there is.

ODD = st.sampled_from(
    ["..", ".", "", "/", "\\", "C:", "~", ".git", ".dvc", "a", "A", " ", "é", "e\u0301"]
)
LETTERS = st.characters(exclude_categories=["Cs"])
ANY_NAMES = st.lists(
    st.lists(ODD | st.text(LETTERS | st.just("\udcff"), max_size=3), max_size=4).map("/".join),
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(names=ANY_NAMES)
@example(names=["a", "a"])
def test_what_is_let_in_lies_apart_in_the_folder(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        taken = admit_listing(listed(*names), "abc.dir")
    except LineageError:
        return
    root = tmp_path_factory.mktemp("apart")
    for name in taken:
        place = root / name
        assert Path(os.path.realpath(place)).is_relative_to(root) and place != root
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("x") as file:
            file.write(name.encode("utf-8", "surrogateescape").hex())
    files = [path for path in root.rglob("*") if path.is_file()]
    assert len(files) == len(names)


PART = st.text(LETTERS.filter(lambda letter: letter not in "/\\\0"), min_size=1, max_size=60)
LEGAL = st.builds(
    lambda before, part: before + part,
    st.sampled_from(["", ".", "...", " ", "-", "~", LINE]),
    PART.filter(lambda part: part.strip(". ") != "" and part[1:2] != ":"),
).filter(lambda part: part.casefold().rstrip(". ") not in (".git", ".dvc", ".hg"))


@settings(max_examples=100)
@given(name=st.lists(LEGAL, min_size=1, max_size=5).map("/".join))
@example(name="a..b/c.d.")
@example(name=".hidden/.gitignore")
@example(name="line\nbreak")
@example(name="x" * 255)
@example(name="\udcff")
@example(name="data.dvc/.dvcignore")
@example(name="e\u0301/ﬁ.jpg")
def test_every_legal_name_is_let_in(name: str) -> None:
    if name[1:2] == ":":
        return
    assert PurePosixPath(name).as_posix() == name
    assert admit_listing(listed(name), "abc.dir") == {name: HASH}
