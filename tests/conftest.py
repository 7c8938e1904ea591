"""Fixtures that more than one room's tests use."""

import gc
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests
from filelock import FileLock

from lineage import plugins

Once = Callable[[str, Callable[[Path], Any]], Any]


ROOMS_FIRST = ("stages", "stories", "examples")
"""Rooms whose files take longest: with them begun last, one process would work alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take long before the others; the order within a file stays.

    The rooms take turns: files of one room have fixtures in common, and who begins beside the
    one that makes them waits for them.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    rooms: dict[Path, dict[Path, int]] = {}
    for item in items:
        files = rooms.setdefault(item.path.parent, {})
        files.setdefault(item.path, len(files))

    def turn(item: pytest.Item) -> tuple[bool, bool, int]:
        room = item.path.parent
        return room.name not in ROOMS_FIRST, item.path not in slow, rooms[room][item.path]

    items.sort(key=turn)


@pytest.fixture(scope="session", autouse=True)
def _can_be_interrupted() -> None:
    """What runs in a shell's background, as CI may, inherits Ctrl-C as ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real COCO images, beside the project; a test that needs them skips where they are absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real COCO data at {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _no_store_of_the_user() -> None:
    """Runs of tests go nowhere but to stores of their own."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(autouse=True)
def _no_store_of_another_test() -> Iterator[None]:
    """MLflow puts the store that it was told into the environment.

    There the next test would find it, and the next file's fixtures before that.
    """
    yield
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(autouse=True)
def _no_plugins_of_another_project() -> Iterator[None]:
    """A process remembers the plugins that it found, and here it is that of many projects."""
    yield
    plugins._plugins.cache_clear()


@pytest.fixture(autouse=True)
def _no_settings_of_a_command() -> Iterator[None]:
    """A command sets its process up for a short life of its own.

    Without its collector of garbage all tests together would take gigabytes, with its limit of
    recursion one may pass after others that fails alone, and with its signal handler the tests
    cannot be stopped.
    """
    limit, handler = sys.getrecursionlimit(), signal.getsignal(signal.SIGTERM)
    yield
    gc.enable()
    sys.setrecursionlimit(limit)
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make something once for all the processes that share the work of a test run.

    ``once(name, make)`` gives what ``make(folder)`` returned to whoever asked first: a value that
    can be pickled, and that everybody must leave as it is.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def of(name: str, make: Callable[[Path], Any]) -> Any:
        made = shared / f"{name}.pickle"
        with FileLock(shared / f"{name}.lock"):
            if not made.exists():
                value = make(Path(tempfile.mkdtemp(prefix=f"{name}-", dir=shared)).resolve())
                made.write_bytes(pickle.dumps(value))
            return pickle.loads(made.read_bytes())

    return of


@pytest.fixture(scope="session", autouse=True)
def programs() -> Iterator[None]:
    """Those of this environment are found first, active or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        yield


@contextmanager
def using_store(uri: str) -> Iterator[None]:
    """Let MLflow's own functions ask this store, and afterwards what they asked before.

    What was set in this process, by any test before, counts more than the environment.
    """
    from mlflow.tracking._tracking_service import utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        with utils._use_tracking_uri(uri):
            yield


@pytest.fixture(scope="session")
def empty_store(once: Once) -> Path:
    """A fresh sqlite store; making one takes seconds, copying it does not."""

    def make(folder: Path) -> Path:
        import mlflow

        client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
        client.search_experiments()
        client.search_registered_models()
        return folder / "mlflow.db"

    return Path(once("store", make))


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[str]:
    """A real `mlflow server` on loopback, empty at first, for the tests of one file."""
    with served_by_mlflow(tmp_path_factory.mktemp("server"), empty_store) as uri:
        yield uri


@contextmanager
def served_by_mlflow(folder: Path, empty_store: Path) -> Iterator[str]:
    """A real `mlflow server` on loopback, whose store begins as a copy of an empty one."""
    shutil.copy(empty_store, folder / "mlflow.db")
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with served(command, environment, folder, f"{uri}/health"):
        yield uri


@dataclass(frozen=True)
class S3Remote:
    """A place for a DVC remote in a bucket of a real S3 API on loopback.

    Attributes:
        url: ``s3://bucket/prefix``; nothing is there yet.
        endpoint: The URL of the API.
        environment: The variables with which any process, DVC among them, reaches it.
    """

    url: str
    endpoint: str
    environment: Mapping[str, str]

    def new(self) -> "S3Remote":
        """Return another empty place in the same bucket."""
        return replace(self, url=f"{self.url.rpartition('/')[0]}/{uuid.uuid4().hex}")


@pytest.fixture(scope="session")
def s3_remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Remote]:
    """moto's S3 server with one bucket; take `S3Remote.new` for a place of your own."""
    folder = tmp_path_factory.mktemp("s3")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    nothing = folder / "nothing"
    nothing.touch()
    environment = {
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        # Nothing of the user who runs the tests: no profiles, no machine roles.
        "AWS_CONFIG_FILE": str(nothing),
        "AWS_SHARED_CREDENTIALS_FILE": str(nothing),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with served(command, {**os.environ, **environment}, folder, endpoint):
        requests.put(f"{endpoint}/lineage", timeout=30).raise_for_status()
        yield S3Remote(f"s3://lineage/{uuid.uuid4().hex}", endpoint, environment)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(
    command: list[str], environment: Mapping[str, str], folder: Path, url: str
) -> Iterator[None]:
    """Run a server in a process group of its own, from when ``url`` answers."""
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_for(url, server, folder / "log")
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        assert server.poll() is None, log.read_text()
        try:
            if requests.get(url, timeout=1).ok:
                return
        except (requests.ConnectionError, requests.Timeout):
            pass
        time.sleep(0.25)
    raise AssertionError(f"no server at {url}: {log.read_text()}")
