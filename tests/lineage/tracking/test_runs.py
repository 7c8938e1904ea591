"""Runs of several repositories in one store."""

from collections.abc import Callable

import mlflow
import pytest

from lineage.verbs.trace import trace
from lineage.verbs.verify import verify
from tests.lineage.conftest import Ask, Project
from tests.lineage.graphs import ids, shown
from tests.lineage.trained import begin

pytestmark = pytest.mark.slow

# Two repositories, one store.

PIPELINE = """
stages:
  train:
    cmd: python stage.py model
    deps: [raw.txt]
    outs: [models/m: {type: model}]
"""


@pytest.fixture(scope="module")
def sharing(new_project: Callable[[], Project]) -> tuple[Project, Project]:
    """The same stages ran in two repositories, and their runs are in one store."""
    projects = []
    for name in "ab":
        project = begin(new_project(), PIPELINE)
        project.run("git", "remote", "add", "origin", f"https://example.org/{name}.git")
        projects.append(project)
        project.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{projects[0].root / 'mlflow.db'}"
        project.run("dvc", "repro")
        project.release("v1")
    first, second = projects
    assert first.lock() == second.lock()
    return first, second


@pytest.mark.parametrize("which", [0, 1])
def test_a_store_of_two_repositories_gives_each_its_own_run(
    sharing: tuple[Project, Project], ask: Ask, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    project = sharing[which]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.environment["MLFLOW_TRACKING_URI"])
    runs = mlflow.MlflowClient(project.environment["MLFLOW_TRACKING_URI"]).search_runs(
        [each.experiment_id for each in sharing[0].client.search_experiments()]
    )
    assert len(runs) == 2
    name = "ab"[which]
    (own,) = [run for run in runs if f"example.org/{name}" in run.data.tags["git.repository"]]
    asked = ask(project)
    for ref in ("models/m", "models/m@v1"):
        assert shown(trace(asked, ref), "train") == ids(own)
    assert verify(asked).breaks == ()
