"""The store that is asked, and the sentence where none answers."""

import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
    monkeypatch.setattr(connection, "PATIENCE_S", 3.0)
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


def test_the_store_is_in_the_repository_whatever_its_folder_is_called(
    blank: Project, tmp_path: Path
) -> None:
    name = "job%2Fx what? a#b c:d ünï☃"
    parent = tmp_path / "parent"
    parent.mkdir()
    project = with_stage(blank.copy(parent / name))
    project.run("dvc", "repro", "--quiet")
    done = project.run("lineage", "show", "out.txt", "--json")
    assert '"status": "recorded"' in done.stdout
    assert (project.root / "mlartifacts").is_dir()
    assert [each.name for each in parent.iterdir()] == [name]


def test_a_fresh_store_lands_in_the_repository_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "what? 100%25"
    (home / ".dvc" / "tmp").mkdir(parents=True)
    monkeypatch.chdir(home)
    connection.connect(Workspace(home, home, home))
    assert (home / "mlflow.db").stat().st_size > 0
    assert [each.name for each in tmp_path.iterdir()] == [home.name]
    assert sorted(each.name for each in home.iterdir()) == [".dvc", "mlflow.db"]


@pytest.mark.parametrize("name", ["job%2Fx", "what?"])
def test_an_address_that_leads_elsewhere_is_told_at_once(
    project: Project, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    started = time.monotonic()
    with pytest.raises(LineageError, match="write %25 for each % and %3F for each"):
        connection.connect(Workspace.find(project.root))
    assert time.monotonic() - started < 5
    assert sorted(tmp_path.rglob("*")) == before


# What answers, and is no MLflow.

ANSWERS = {
    "html": (b"200 OK", b"<html>Sign in</html>"),
    "half": (b"200 OK", b'{"experiments": [{"experiment_id": "0", "na'),
    "list": (b"200 OK", b"[]"),
    "text": (b"200 OK", b'"text"'),
    "other": (b"200 OK", b'{"experiments": 5}'),
    "garbage": (b"200 OK", b"\xff\xfe\x00"),
    "401": (b"401 Unauthorized", b"no credentials"),
    "403": (b"403 Forbidden", b'{"error_code": "PERMISSION_DENIED", "message": "not for you"}'),
    "404": (b"404 Not Found", b"<html>nothing here</html>"),
    "500": (b"500 Internal Server Error", b"\x00"),
}


@contextmanager
def answering(write: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that takes every question and writes the same."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def serve() -> None:
            server.settimeout(0.2)
            while not ended.is_set():
                try:
                    asked, _ = server.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=talk, args=(asked,), daemon=True).start()

        def talk(asked: socket.socket) -> None:
            with asked, suppress(OSError):
                asked.recv(65536)
                write(asked)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_is_no_mlflow_is_told(
    project: Project, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, body = ANSWERS[answer]

    def write(asked: socket.socket) -> None:
        length = str(len(body)).encode()
        asked.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: " + length)
        asked.sendall(b"\r\nConnection: close\r\n\r\n" + body)

    with answering(write) as uri:
        assert_told(project, uri, monkeypatch)


def test_a_server_that_dies_in_mid_answer_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(asked: socket.socket) -> None:
        asked.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")

    with answering(write) as uri:
        assert_told(project, uri, monkeypatch)


def test_a_server_that_never_ends_its_answer_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(asked: socket.socket) -> None:
        asked.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        for _ in range(60):
            time.sleep(0.25)
            asked.sendall(b" ")

    monkeypatch.setattr(connection, "PATIENCE_S", 3.0)
    with answering(write) as uri:
        assert_told(project, uri, monkeypatch)


@pytest.mark.parametrize("kind", ["garbage", "future", "folder"])
def test_a_file_that_is_no_store_of_this_mlflow_is_told(
    project: Project, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = project.root / "mlflow.db"
    match kind:
        case "garbage":
            store.write_bytes(b"no database at all" * 1000)
        case "future":
            with sqlite3.connect(store) as database:
                database.execute("UPDATE alembic_version SET version_num = 'of the year 3000'")
            database.close()
        case "folder":
            store.unlink()
            store.mkdir()
    assert_told(project, f"sqlite:///{store}", monkeypatch)


@pytest.mark.parametrize("uri", ["htp://127.0.0.1:9", "postgresql://127.0.0.1:9/x", "/a/folder"])
def test_another_kind_of_address_is_told(
    project: Project, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_told(project, uri, monkeypatch)


def assert_told(project: Project, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    started = time.monotonic()
    with pytest.raises(LineageError, match="no MLflow tracking store answers at") as error:
        connection.connect(Workspace.find(project.root))
    assert time.monotonic() - started < 12  # ten, and the imports of a busy machine
    assert "\n" not in str(error.value)
