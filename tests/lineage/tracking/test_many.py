"""However many dependencies a run has, a tracking server is asked a few times."""

from collections.abc import Iterator

import pytest
import requests

from lineage.project import Project as Asked
from lineage.verbs.impact import impact
from lineage.verbs.show import show
from lineage.verbs.sync import sync
from lineage.verbs.trace import trace
from tests.lineage.conftest import Project

FILES = 40
STAGES = """
stages:
  part:
    foreach: {listed}
    do:
      cmd: cp raw.txt made-${{item}}.txt && echo ${{item}} >> made-${{item}}.txt
      deps: [raw.txt]
      outs: ["made-${{item}}.txt"]
  train:
    cmd: cat *.txt > model.bin
    deps: {deps}
    outs: [model.bin: {{type: model}}]
"""


@pytest.fixture(scope="module")
def many(blank: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A stage that reads what `dvc add` added, and what other stages wrote."""
    project = blank.copy(tmp_path_factory.mktemp("many") / "project")
    added = [f"added-{number:02}.txt" for number in range(FILES)]
    for name in added:
        project.write(name, name)
    project.write("raw.txt", "raw")
    listed = [str(number) for number in range(4)]
    made = [f"made-{number}.txt" for number in listed]
    project.write("dvc.yaml", STAGES.format(listed=listed, deps=[*added, *made]))
    project.run("dvc", "add", "--quiet", *added)
    project.run("dvc", "repro", "--quiet")
    project.release("v1")
    return project


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What servers are asked."""
    questions: list[str] = []
    request = requests.Session.request

    def counted(session: requests.Session, method: str, url: str, **more: object) -> object:
        questions.append(url.rpartition("/mlflow/")[2])
        return request(session, method, url, **more)

    monkeypatch.setattr(requests.Session, "request", counted)
    yield questions


def test_a_server_is_asked_in_bulk_and_answers_as_a_database_does(
    many: Project, mlflow_server: str, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(many.root)
    sync(Asked.find())
    here = {verb: verb(Asked.find(), "HEAD") for verb in (trace, impact)}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    sync(Asked.find())
    for verb, graph in here.items():
        asked.clear()
        there = verb(Asked.find(), "HEAD")
        assert len(asked) < FILES
        assert there.nodes.keys() == graph.nodes.keys()
        assert set(there.edges) == set(graph.edges)
    for ref in ("HEAD", there.nodes[there.roots[0]].run_id):
        asked.clear()
        show(Asked.find(), ref)
        assert len(asked) < FILES
