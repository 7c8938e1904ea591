"""Servers on loopback that misbehave on request, and remember what they were asked."""

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Fault:
    """What is wrong with one answer.

    Attributes:
        cut: Close the connection at this part of the whole file.
        stall: Send nothing more from this part of the whole file on, until the server stops.
        status: Answer with this instead of the file.
        headers: Further headers, which replace those of the same name.
        ignore_range: Send the whole file where a part was asked for.
        no_length: Don't say how long the answer is.
    """

    cut: float | None = None
    stall: float | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    ignore_range: bool = False
    no_length: bool = False


FINE = Fault()


@dataclass(frozen=True)
class Request:
    """What a client asked, and what it was told."""

    method: str
    path: str
    range: str | None
    if_range: str | None
    status: int


class Server:
    """Serves files from 127.0.0.1 while the ``with`` block runs.

    >>> with Server({"/a.zip": b"..."}) as server:
    ...     server.fail("/a.zip", Fault(cut=0.3), Fault(status=503))
    ...     # the first GET of a.zip is cut, the second refused, further ones succeed
    ...     server.requests

    Files are ``{path: bytes}``, or whatever lies below a folder.
    """

    def __init__(self, files: Mapping[str, bytes] | Path, *, validators: bool = True) -> None:
        self.files = files
        self.validators = validators
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def fail(self, path: str, *faults: Fault) -> None:
        """Answer the next GETs of ``path`` with these faults, one each."""
        self._faults[path] += faults

    def gets(self, path: str) -> list[Request]:
        """Return the GETs of ``path`` so far."""
        return [r for r in self.requests if r.method == "GET" and r.path == path]

    def content(self, path: str) -> bytes | None:
        """Return the file at ``path``, or None."""
        if isinstance(self.files, Path):
            file = self.files / path.lstrip("/")
            return file.read_bytes() if file.is_file() else None
        return self.files.get(path)

    def next_fault(self, path: str) -> Fault:
        with self._lock:
            return self._faults[path].pop(0) if self._faults[path] else FINE

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return type("Handler", (FileHandler,), {"served": self})

    def __enter__(self) -> Self:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self._http.daemon_threads = False
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class FileHandler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for files, ranges included."""

    served: Server

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        fault = self.served.next_fault(path) if self.command == "GET" else FINE
        body = self.served.content(path)
        if fault.status is not None:
            self.reply(fault.status, b"", dict(fault.headers))
        elif body is None:
            self.reply(404, b"", {})
        else:
            self.send_file(body, fault)

    def send_file(
        self, body: bytes, fault: Fault, headers: Mapping[str, str] | None = None
    ) -> None:
        tag = f'"{hashlib.md5(body).hexdigest()}"'
        headers = dict(headers or {})
        if self.served.validators:
            headers.setdefault("ETag", tag)
        start = 0
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if asked and not fault.ignore_range and condition in (None, tag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(body) > 0:
            self.reply(416, b"", {"Content-Range": f"bytes */{len(body)}"})
            return
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        headers |= fault.headers
        self.reply(206 if start else 200, body[start:], headers, fault, start, len(body))

    def reply(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str],
        fault: Fault = FINE,
        start: int = 0,
        whole: int = 0,
    ) -> None:
        self.served.requests.append(
            Request(
                self.command,
                unquote(urlsplit(self.path).path),
                self.headers.get("Range"),
                self.headers.get("If-Range"),
                status,
            )
        )
        ends = [int(part * whole) for part in (fault.cut, fault.stall) if part is not None]
        end = max(0, min(ends, default=start + len(body)) - start)
        try:
            self.send_response(status)
            if not fault.no_length:
                self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            self.wfile.write(body[:end])
            self.wfile.flush()
            if fault.stall is not None:
                self.served.stopping.wait()
        except ConnectionError:
            pass  # the client was killed, or had enough
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


class Hub(Server):
    """The part of the Hugging Face Hub's API that fetching a dataset takes.

    ``files`` are those of one dataset, at one commit that is also the branch ``main``;
    ``damaged`` are sent in their place, under the same name and checksum.
    """

    def __init__(self, repo: str, commit: str, files: Mapping[str, bytes]) -> None:
        super().__init__(files)
        self.repo = repo
        self.commit = commit
        self.damaged: dict[str, bytes] = {}

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return type("Handler", (HubHandler,), {"served": self})


class HubHandler(FileHandler):
    served: Hub

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        hub = self.served
        api, files = f"/api/datasets/{hub.repo}/", f"/datasets/{hub.repo}/resolve/"
        fault = hub.next_fault(path) if self.command == "GET" else FINE
        if fault.status is not None:
            self.reply(fault.status, b"", dict(fault.headers))
        elif path.startswith(api):
            kind, _, revision = path.removeprefix(api).partition("/")
            if revision.partition("/")[0] not in (hub.commit, "main"):
                self.reply(404, b"", {"X-Error-Code": "RevisionNotFound"})
            elif kind == "revision":
                self.reply_json({"id": hub.repo, "sha": hub.commit, "siblings": [], "tags": []})
            else:
                self.reply_json([self.entry(name) for name in hub.files])
        elif path.startswith(files):
            name = path.removeprefix(files).partition("/")[2]
            digest = hashlib.sha256(hub.files[name]).hexdigest()
            body = hub.damaged.get(name, hub.files[name])
            self.send_file(body, fault, {"ETag": f'"{digest}"', "X-Repo-Commit": hub.commit})
        else:
            self.reply(404, b"", {"X-Error-Code": "RepoNotFound"})

    def entry(self, name: str) -> dict[str, Any]:
        body = self.served.files[name]
        entry = {"type": "file", "path": name, "size": len(body), "oid": "0" * 40}
        if name.endswith(".parquet"):
            digest = hashlib.sha256(body).hexdigest()
            entry["lfs"] = {"oid": digest, "size": len(body), "pointerSize": 134}
        return entry

    def reply_json(self, value: Any) -> None:
        self.reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})
