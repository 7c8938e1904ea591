"""``cocopipe ui``: the project's runs in MLflow's web page."""

import argparse
import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from cocopipe.errors import UserError
from lineage.edge import Said
from lineage.errors import bare_url, told
from lineage.repository.workspace import Workspace
from lineage.tracking import connection

HOST = "127.0.0.1"

USUAL_PORT = 5000
"""MLflow's own; on macOS AirPlay has it."""

_PORTS_TRIED = 20


def run(options: argparse.Namespace) -> Said:
    """Say which address to open, and become MLflow's web page there, if no server is one."""
    store = connection.store_uri(Workspace.find())
    if store.startswith(("http://", "https://")):
        address = told(bare_url(store))
        return Said(f"Open {address}: MLFLOW_TRACKING_URI names this server, which has the runs.\n")
    check_store(store)
    port = options.port or free_port()
    if not _is_free(port):
        raise UserError(
            f"something else answers at port {port} of this machine: name another, as in"
            f" `make ui PORT={port + 1}`, or none, and a free one is taken."
        )
    sys.stderr.write(f"Open http://{HOST}:{port} in a few seconds; Ctrl-C ends it.\n")
    sys.stderr.flush()
    return _become(store, port)


def _become(store: str, port: int) -> NoReturn:
    """Be MLflow's web page from here on."""
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    # The store may have a password, which a command line would show to every user.
    environment["MLFLOW_BACKEND_STORE_URI"] = store
    program = [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", str(port)]
    program += ["--workers", "1"]  # of one user; four are there later
    os.execve(sys.executable, program, environment)  # noqa: S606 - our own interpreter


def check_store(store: str) -> None:
    """Refuse what the web page cannot be made of.

    Raises:
        UserError: There are no runs yet, or the store is no database.
    """
    scheme, _, path = store.partition("://")
    if scheme == "sqlite":
        if not Path(path.removeprefix("/")).exists():
            raise UserError(
                f"there are no runs yet in {path.removeprefix('/')}: run `make demo` or `dvc repro`"
                " first."
            )
    elif scheme.partition("+")[0] not in ("postgresql", "mysql", "mssql"):
        raise UserError(
            f"MLFLOW_TRACKING_URI is {bare_url(store)}, which is neither a server's address nor a"
            " database: open the web page of that service, or correct it."
        )


def free_port() -> int:
    """The usual port, or the first after it at which nothing answers.

    Raises:
        UserError: There is none among the first.
    """
    ports = range(USUAL_PORT, USUAL_PORT + _PORTS_TRIED)
    port = next(filter(_is_free, ports), None)
    if port is None:
        raise UserError(
            f"something answers at each of the ports {ports[0]} to {ports[-1]} of this machine:"
            " name a free one, as in `make ui PORT=8080`."
        )
    return port


def _is_free(port: int) -> bool:
    # Another may listen at all addresses, which does not keep one from taking this one.
    with socket.socket() as caller:
        caller.settimeout(1)
        if caller.connect_ex((HOST, port)) == 0:
            return False
    with socket.socket() as listener:
        # As the web page does: a port of a program that just ended is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
    return True
