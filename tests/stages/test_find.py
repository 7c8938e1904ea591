"""`cocopipe find` in a real project: by hash, file, name and id, here and in any revision."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.stages.conftest import Clone

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pictures(two_versions: Clone, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The images of the second version by their names, as `cocopipe export` writes them."""
    out = tmp_path_factory.mktemp("exported") / "coco"
    two_versions.run("cocopipe", "export", str(out), "--rev", "data-v2")
    return {path.name: path for path in out.rglob("*.jpg")}


def found(clone: Clone, *arguments: str) -> list[dict[str, Any]]:
    places: list[dict[str, Any]] = json.loads(
        clone.run("cocopipe", "find", *arguments, "--json").stdout
    )
    return places


def test_by_hash_file_name_and_id(two_versions: Clone, pictures: dict[str, Path]) -> None:
    name, path = sorted(pictures.items())[3]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (place,) = found(two_versions, digest)
    assert place["sha256"] == digest
    assert place["file_name"] == name
    assert place["split"] in ("data/train", "data/val")
    assert place["version"] == "workspace"
    number = str(int(path.stem))
    for what in (digest[:12].upper(), str(path), name, path.stem, f"1a2b3c4d-{name}", number):
        assert found(two_versions, what) == [place]
    assert found(two_versions, name, "--rev", "data-v2")[0]["version"] == "data-v2"


def test_in_every_revision(two_versions: Clone, pictures: dict[str, Path]) -> None:
    old, new = sorted(pictures)[0], sorted(pictures)[-1]
    (only,) = found(two_versions, new, "--all")
    assert "data-v2" in only["names"]
    assert "data-v1" not in only["names"]
    seen = found(two_versions, old, "--all")
    assert {name for place in seen for name in place["names"]} >= {"data-v1", "data-v2"}
    assert len({place["sha256"] for place in seen}) == 1
    assert new not in two_versions.run("cocopipe", "find", old, "--all").stdout


def test_what_is_nowhere(two_versions: Clone) -> None:
    done = two_versions.run("cocopipe", "find", "nothing.jpg", "--rev", "data-v1", ok=False)
    assert done.returncode == 1
    assert done.stderr == (
        "cocopipe: nothing.jpg is no picture of data/test, data/train, data/val at data-v1: name"
        " its SHA-256, a file of it, its name or its id, or look in --all\n"
    )
