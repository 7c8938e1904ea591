"""The names by which a stage's script speaks of its paths."""

from pathlib import Path

import pytest

from lineage.errors import LineageError
from lineage.identity import Execution, StageId
from lineage.project import Project
from lineage.recording.stage_run import StageRun
from lineage.repository.code import CodeState
from lineage.repository.items import Item, Observed
from lineage.repository.workspace import Workspace

ROOT = Path("/there")
NAMED = "; a name is the last part of a path, without its suffix."


def stage(deps: dict[str, str], outs: list[str]) -> StageRun:
    """A run that reads these paths, each with its kind, and writes those."""
    items = tuple(Item(path, ROOT / path, "0" * 32, kind, (), 1, 1) for path, kind in deps.items())
    execution = Execution(StageId("dvc.yaml", "make"), "1" * 32, {}, {})
    observed = Observed(execution, "python make.py", {}, items, ())
    return StageRun(
        Project(Workspace(ROOT, ROOT, ROOT)),
        "a run",
        CodeState("", "", False, "", ""),
        observed,
        tuple(ROOT / path for path in outs),
        {},
        None,  # nothing is recorded
    )


MAKE = stage(
    {
        "kept/both.txt": "code",
        "kept/words.txt": "code",
        "raw.csv": "dataset",
        "both.csv": "dataset",
        "a/same.csv": "dataset",
        "b/same": "model",
    },
    ["out/made.txt", "out/twice.txt", "out/twice.csv"],
)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("raw", "raw.csv"),
        ("words", "kept/words.txt"),
        # Of two, what DVC keeps.
        ("both", "both.csv"),
    ],
)
def test_a_dependency_is_called_by_the_last_part_of_its_path(name: str, path: str) -> None:
    assert MAKE.dep(name).path == path


def test_an_output_is_called_by_the_last_part_of_its_path() -> None:
    assert MAKE.out("made") == ROOT / "out/made.txt"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "raw.csv",
            "no path named 'raw.csv' under deps: add it there, or say one of 'raw' (raw.csv),"
            " 'both' (both.csv), 'same' (a/same.csv), 'same' (b/same), 'both' (kept/both.txt),"
            f" 'words' (kept/words.txt){NAMED}",
        ),
        (
            "same",
            "2 paths named 'same' under deps, a/same.csv, b/same: rename all but one of them.",
        ),
    ],
)
def test_a_dependency_that_is_not_one_lists_those_there_are(name: str, said: str) -> None:
    with pytest.raises(LineageError) as error:
        MAKE.dep(name)
    assert str(error.value) == f"dvc.yaml: stage make declares {said}"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "mode",
            "no path named 'mode' under outs: add it there, or say one of 'made' (out/made.txt),"
            f" 'twice' (out/twice.txt), 'twice' (out/twice.csv){NAMED}",
        ),
        (
            "twice",
            "2 paths named 'twice' under outs, out/twice.txt, out/twice.csv: rename all but one of"
            " them.",
        ),
    ],
)
def test_an_output_that_is_not_one_lists_those_there_are(name: str, said: str) -> None:
    with pytest.raises(LineageError) as error:
        MAKE.out(name)
    assert str(error.value) == f"dvc.yaml: stage make declares {said}"


def test_where_nothing_is_declared_there_is_none() -> None:
    with pytest.raises(LineageError) as error:
        stage({}, []).dep("raw")
    assert str(error.value).endswith(f"under deps: add it there, or say one of none{NAMED}")


def test_what_git_keeps_is_no_dataset_version() -> None:
    with pytest.raises(LineageError) as error:
        MAKE.dataset("words")
    assert str(error.value) == (
        "kept/words.txt is kept by git, which makes it code and no dataset version: give it to"
        " `dvc add`, or read it with run.dep."
    )
