"""Tags that somebody edited are told, and answers come all the same."""

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
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    is_of_run: bool,
    is_of_version: bool,
) -> None:
    _, run_id = edited
    assert main(words) == 0
    told = capsys.readouterr().err
    of_run = told.count(f"the run {run_id}: its tag dvc.deps is passed over")
    of_version = told.count("models:/x/1: its tag dvc.data is passed over")
    assert int(is_of_run) <= of_run <= 1
    assert int(is_of_version) <= of_version <= 1


def test_who_asks_in_a_shell_is_told_of_it_too(edited: tuple[Project, str]) -> None:
    project, _ = edited
    done = project.run("lineage", "show", "models:/x/1")
    assert "models:/x/1: its tag dvc.data is passed over" in done.stderr
    assert "Traceback" not in done.stderr
