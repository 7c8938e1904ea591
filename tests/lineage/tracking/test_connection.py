"""The store that is asked, and the sentence where none answers."""

import socket
import time
from collections.abc import Iterator

import pytest

from lineage.errors import LineageError
from lineage.repository.workspace import Workspace
from lineage.tracking import connection
from tests.lineage.conftest import Project, with_stage


def test_no_server_is_told_within_ten_seconds_and_before_any_work(project: Project) -> None:
    with_stage(project)
    started = time.monotonic()
    done = project.run("dvc", "repro", ok=False, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    took_s = time.monotonic() - started
    assert "no MLflow tracking store answers at http://127.0.0.1:9" in done.stderr
    assert "Connection refused" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project.root / "out.txt").exists()
    # With dvc's own start and the imports, on a busy machine.
    assert took_s < 25


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    "uri",
    [
        "http://me:s3cr3t@127.0.0.1:{port}",
        "http://me:s3cr3t@127.0.0.1:9",
        "foo://me:s3cr3t@127.0.0.1",
        "127.0.0.1:5000",
        "postgresql://me:s3cr3t@127.0.0.1:9/mlflow",
    ],
)
def test_a_wrong_address_is_one_sentence_without_its_secrets(
    project: Project, silent_port: int, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(port=silent_port))
    started = time.monotonic()
    with pytest.raises(LineageError) as error:
        connection.connect(Workspace.find(project.root))
    assert time.monotonic() - started < 10
    assert "s3cr3t" not in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("no MLflow tracking store answers at ")


def test_a_relative_store_belongs_to_the_repository(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs.db")
    workspace = Workspace.find(project.root)
    assert connection.store_uri(workspace) == f"sqlite:///{project.root}/runs.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////srv/runs.db")
    assert connection.store_uri(workspace) == "sqlite:////srv/runs.db"


def test_two_stages_may_meet_a_store_that_is_not_there_yet(project: Project) -> None:
    (project.root / "mlflow.db").unlink()
    project.write(
        "dvc.yaml",
        "stages:\n  make:\n    foreach: [a, b]\n    do:\n"
        "      cmd: python stage.py ${item}\n      deps: [stage.py]\n"
        '      outs: ["${item}.txt"]\n',
    )
    project.commit("two stages")
    both = [project.start("dvc", "repro", f"make@{item}") for item in "ab"]
    for process in both:
        process.wait(timeout=200)
    # DVC allows one of them at a time at its own lock; neither breaks the store.
    project.run("dvc", "repro")
    assert [project.runs(f"make@{item}")[-1].info.status for item in "ab"] == ["FINISHED"] * 2
