"""The web page is MLflow's own, of the store that runs go to; who cannot open it is told why."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from cocopipe.commands import ui
from cocopipe.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
COCOPIPE = Path(sys.executable).parent / "cocopipe"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / ".dvc").mkdir()
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at all of whose addresses something listens, as AirPlay does."""
    with socket.create_server(("", 0)) as listener:
        yield listener.getsockname()[1]


def opened(repository: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COCOPIPE, "ui", *arguments],
        cwd=repository,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).ok
    except requests.RequestException:
        return False


def test_the_address_of_a_server_is_said_without_the_password_and_nothing_started(
    repository: Path,
) -> None:
    page = opened(repository, MLFLOW_TRACKING_URI="https://who:secret@runs.example.org/mlflow")
    said, errors = page.communicate(timeout=60)
    assert (page.returncode, errors) == (0, "")
    assert said.startswith("Open https://runs.example.org/mlflow: MLFLOW_TRACKING_URI names")


def test_the_address_that_is_said_has_the_page(repository: Path, empty_store: Path) -> None:
    shutil.copy(empty_store, repository / "mlflow.db")
    page = opened(repository)
    try:
        assert page.stderr
        address = page.stderr.readline().split()[1]
        while not answers(address):
            assert page.poll() is None, page.communicate()
            time.sleep(0.25)
    finally:
        os.killpg(page.pid, signal.SIGTERM)
        page.communicate(timeout=60)


def test_where_the_usual_port_is_taken_the_next_is(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ui, "USUAL_PORT", taken)
    assert ui.free_port() > taken


def test_a_port_that_was_asked_for_and_is_taken_is_a_sentence(
    repository: Path, empty_store: Path, taken: int
) -> None:
    shutil.copy(empty_store, repository / "mlflow.db")
    page = opened(repository, "--port", str(taken))
    said, errors = page.communicate(timeout=60)
    assert (page.returncode, said) == (1, "")
    assert errors.startswith(f"cocopipe: something else answers at port {taken} of this machine")
    assert f"make ui PORT={taken + 1}" in errors


def test_without_runs_no_store_is_made(repository: Path) -> None:
    page = opened(repository)
    _, errors = page.communicate(timeout=60)
    assert page.returncode == 1
    assert "there are no runs yet" in errors
    assert not (repository / "mlflow.db").exists()


@pytest.mark.parametrize("store", ["databricks", "ftp://who:secret@runs.example.org/a"])
def test_another_kind_of_store_is_a_sentence_without_the_password(store: str) -> None:
    with pytest.raises(UserError, match="neither a server's address nor a database") as error:
        ui.check_store(store)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("store", ["postgresql://a/b", "mysql+pymysql://a/b"])
def test_a_database_has_a_page(store: str) -> None:
    ui.check_store(store)


def test_make_ui_hands_the_port_on() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "--old-file=.venv/.ready", "ui", "PORT=5050"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == ".venv/bin/cocopipe ui --port 5050"
