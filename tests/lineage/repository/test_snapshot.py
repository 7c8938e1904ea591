"""A malformed ``.dvc`` file of the past is told and passed over, one of today stops."""

import json

import pytest

from lineage.cli import main
from lineage.project import Project as Asked
from tests.lineage.by_dvc import locked_stages
from tests.lineage.conftest import Project, Said, hashes

MALFORMED = {
    "an output without a path": "outs:\n- md5: 0123\n",
    "outputs that are a word": "outs: foo\n",
    "an output that is a word": "outs:\n- foo\n",
    "a path that is a number": "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  path: 5\n",
    "a size that is a word": "outs:\n- md5: 0123\n  path: extra.txt\n  size: many\n",
    "a kind of hash that is none": (
        "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  hash: ../../x\n  path: extra.txt\n"
    ),
    "a source that is a word": "deps: foo\nouts:\n- md5: 0123\n  path: extra.txt\n",
}


# Malformed .dvc files.


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_file_of_the_past_is_told_and_passed_over(
    copied: Project, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    copied.write("extra.txt.dvc", text)
    broken = copied.commit("broken")
    copied.write("extra.txt.dvc", "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  path: x.txt\n")
    copied.commit("mended")
    made = hashes(copied.lock()["copy"]["outs"])["data/made.txt"]
    told = f"at commit {broken[:8]}, extra.txt.dvc is not as DVC writes it"
    for verb in ("log", "trace"):
        assert main([verb, "data/made.txt"]) == 0
        out, error = capsys.readouterr()
        assert made[:8] in out
        assert error.startswith(f"lineage: {told}")
        assert "Traceback" not in error
        assert main([verb, "data/made.txt", "--json"]) == 0
        out, error = capsys.readouterr()
        assert made in out
        (warning,) = json.loads(out)["warnings"]
        assert warning.startswith(told)


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_file_of_today_is_one_sentence(copied: Project, said: Said, text: str) -> None:
    copied.write("extra.txt.dvc", text)
    for words in (["log"], ["log", "data/made.txt"], ["trace", "data/made.txt"]):
        assert "extra.txt.dvc is not as DVC writes it" in said(*words)


def test_a_path_that_no_file_can_have_is_read_as_any_other(copied: Project) -> None:
    name = "data/" + "long" * 100
    lock = (copied.root / "dvc.lock").read_text()
    path = copied.lock()["copy"]["deps"][0]["path"]
    copied.write("dvc.lock", lock.replace(f"path: {path}\n", f"path: {name}\n"))
    asked = Asked.find(copied.root)
    present = asked.history.snapshot(asked.history.commits.present)
    assert name in {dep.path for stage in present.stages for dep in stage.deps}


# How many files.

EMPTY = "d751713988987e9331980363e24189ce.dir"


def test_an_empty_folder_has_no_files(copied: Project) -> None:
    copied.write("dvc.yaml", "stages:\n  make:\n    cmd: mkdir made\n    outs: [made]\n")
    copied.run("dvc", "repro", "--quiet")
    (copied.root / "added").mkdir()
    copied.run("dvc", "add", "--quiet", "added")
    assert copied.lock()["make"]["outs"][0]["nfiles"] == 0
    asked = Asked.find(copied.root)
    snapshot = asked.history.snapshot(asked.history.commits.present)
    assert {item.path: (item.hash, item.files) for item in snapshot.data} == {
        "made": (EMPTY, 0),
        "added": (EMPTY, 0),
    }
    (locked,) = locked_stages(asked.workspace)
    assert [item.files for item in locked.outs] == [0]
