"""Tags that somebody edited are told, and answers come all the same."""

import logging
from pathlib import Path

import pytest

from lineage.cli import main
from tests.lineage.conftest import Project


@pytest.fixture
def edited(
    registered: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Project, str]:
    """A copy where somebody edited tags of the version and of a run; and the run's id."""
    project = registered.copy(tmp_path / "edited")
    monkeypatch.chdir(project.root)
    (run,) = project.runs("copy")
    project.client.set_model_version_tag("x", "1", "dvc.data", "not json")
    project.client.set_tag(run.info.run_id, "dvc.deps", "not json")
    return project, run.info.run_id


# Edited tags.


@pytest.mark.parametrize(
    ("words", "is_of_run", "is_of_version"),
    [
        (["log", "data/made.txt"], True, False),
        (["impact", "raw.txt"], True, True),
        (["impact", "data/made.txt"], True, True),
        (["show", "models:/x/1"], False, True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_tag_that_was_edited_is_told(
    edited: tuple[Project, str],
    caplog: pytest.LogCaptureFixture,
    words: list[str],
    is_of_run: bool,
    is_of_version: bool,
) -> None:
    _, run_id = edited
    with caplog.at_level(logging.WARNING, logger="lineage"):
        assert main(words) == 0
    told = "\n".join(each.getMessage() for each in caplog.records if each.name == "lineage")
    assert not is_of_run or f"the tag dvc.deps of the run {run_id} is no JSON object" in told
    assert not is_of_version or "the tag dvc.data of models:/x/1 is no JSON object" in told


def test_who_asks_in_a_shell_is_told_of_it_too(edited: tuple[Project, str]) -> None:
    project, _ = edited
    done = project.run("lineage", "show", "models:/x/1")
    assert "the tag dvc.data of models:/x/1 is no JSON object" in done.stderr
    assert "Traceback" not in done.stderr
