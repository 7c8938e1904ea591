"""An `mlflow server` that dies, hangs, answers 500s, and comes back."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

BROKEN = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Broken(BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Broken).serve_forever()
"""

PATIENCE_S = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """One in a folder of its own, always at the same address.

    Attributes:
        folder: With its database and artifacts.
        port: Of loopback.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        self._begin(command)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with suppress(requests.RequestException):
                if requests.get(f"{self.uri}/health", timeout=1).ok:
                    return
            time.sleep(0.1)
        raise TimeoutError((self.folder / "log").read_text())

    def kill(self) -> None:
        """End it at once, with all that it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let it take connections and answer none."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    @contextmanager
    def broken(self) -> Iterator[None]:
        """Let another be in its place, which answers whatever it is asked with 500."""
        self.kill()
        self._begin([sys.executable, "-c", BROKEN, str(self.port)])
        try:
            yield
        finally:
            self.kill()
            self.start()

    def _begin(self, command: list[str]) -> None:
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        with (self.folder / "log").open("a") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ask(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """Rows of its database, read without MLflow."""
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as store:
            return store.execute(query, values).fetchall()
