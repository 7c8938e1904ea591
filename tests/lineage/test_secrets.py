"""Secrets of URLs that a stage reads, or is told, stay out of the store and of every answer."""

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow.entities import Run

from lineage.cli import main
from lineage.join.graph import ExecutionNode
from lineage.project import Project as Asked
from lineage.tracking.producer import Status
from lineage.verbs.sync import sync
from lineage.verbs.trace import trace
from tests.lineage.conftest import Project, tag
from tests.lineage.graphs import runs_of

pytestmark = pytest.mark.slow

SECRETS = (
    *("bob:", "SECRETPW", "SECRETSIG", "SECRETGIT", "SECRETQ"),
    *("SECRETCMD", "SECRETTOKEN", "SECRETPARAM", "SECRETKEY"),
)


# Secrets.


class _OneFile(BaseHTTPRequestHandler):
    """Answers with the same bytes, and with the ETag by which DVC knows them."""

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(b"text")

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("ETag", '"0123456789abcdef"')
        self.send_header("Content-Length", "4")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """The URL of a file on this machine, with secrets in it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _OneFile) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        yield f"http://bob:SECRETPW@{address}/f.txt?X-Amz-Signature=SECRETSIG"
        server.shutdown()


@pytest.fixture(scope="module")
def secretive(new_project: Callable[[], Project], served: str) -> Project:
    """A stage ran that reads the URL, in a repository whose origin's URL has secrets too."""
    project = new_project()
    url = "https://me:SECRETGIT@example.org/r.git?private=SECRETQ"
    project.run("git", "remote", "add", "origin", url)
    project.write("raw.txt", "raw")
    source = "HTTPS://bob:SECRETPARAM@example.org/y?sig=SECRETKEY"
    project.write(
        "params.yaml",
        f"tracking: {{experiment: bridge}}\nsource: {{main: '{source}', more: ['{source}']}}\n",
    )
    project.write(
        "dvc.yaml",
        f"""
stages:
  fetch:
    cmd: python stage.py text 'ftp://bob:SECRETCMD@example.org/x?token=SECRETTOKEN'
    deps: [raw.txt, "{served}"]
    params: [source]
    outs: [out.txt: {{type: dataset}}]
""",
    )
    project.commit("code")
    project.run("dvc", "repro")
    project.commit("results")
    return project


def leaks(project: Project, run: Run) -> dict[str, list[str]]:
    """Place -> secrets that stand there; only places with some."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    assert run.data.params["source.main"].startswith("HTTPS://example.org/y?")
    texts = {
        "tags": str(run.data.tags),
        "params": str(run.data.params),
        "inputs": str([each.to_dictionary() for each in inputs]),
        "info": str(dict(run.info)),
    }
    files = [each for each in (project.root / "mlartifacts").rglob("*") if each.is_file()]
    files += list(project.root.glob("mlflow.db*"))
    texts |= {str(each): each.read_bytes().decode(errors="replace") for each in files}
    found = {
        place: [secret for secret in SECRETS if secret in text] for place, text in texts.items()
    }
    return {place: secrets for place, secrets in found.items() if secrets}


def test_no_secret_of_a_url_reaches_the_store(secretive: Project) -> None:
    (run,) = secretive.runs("fetch")
    assert run.data.tags["git.repository"].startswith("https://example.org/r.git")
    read = tag(run, "dvc.deps")
    (address,) = [path for path in read if "://" in path]
    assert address.startswith("http://127.0.0.1:")
    assert "/f.txt" in address
    assert read[address]
    assert list((secretive.root / "mlartifacts").rglob("lineage.json"))
    assert leaks(secretive, run) == {}
    # DVC's own lock spells the whole address.
    entry = secretive.lock()["fetch"]
    deps = {
        dep["path"]: dep.get("md5") or dep.get("etag") or dep["checksum"] for dep in entry["deps"]
    }
    assert any("SECRETSIG" in path for path in deps)
    determinants = {"cmd": entry["cmd"], "deps": deps, "params": entry.get("params", {})}
    text = json.dumps(determinants, sort_keys=True, separators=(",", ":"))
    signature = hashlib.sha256(text.encode()).hexdigest()[:32]
    assert run.data.tags["dvc.signature"] == signature


def test_no_secret_of_a_url_is_printed_and_its_run_is_found(
    secretive: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(secretive.root)
    (run,) = secretive.runs("fetch")
    graph = trace(Asked.find(), "out.txt")
    (node,) = [node for node in graph.nodes.values() if isinstance(node, ExecutionNode)]
    assert node.status == Status.RECORDED
    assert "ftp://example.org/x?" in node.command
    assert runs_of(graph) == {run.info.run_id}
    formats = ("mermaid", "dot", "html", "openlineage")
    asked = [
        ["trace", "out.txt"],
        ["trace", "out.txt", "--json"],
        ["trace", run.info.run_id, "--json"],
        ["show", run.info.run_id],
        ["show", "out.txt", "--json"],
        ["diff", "HEAD~1", "HEAD"],
        ["diff", "HEAD~1", "HEAD", "--json"],
        ["log", "out.txt"],
        ["report"],
        *(["graph", "out.txt", "--format", name] for name in formats),
    ]
    for words in asked:
        assert main(words) == 0
        out, error = capsys.readouterr()
        assert out
        assert [secret for secret in SECRETS if secret in out + error] == [], words


def test_no_secret_of_a_url_is_written_down_later(
    secretive: Project, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = secretive.copy(tmp_path / "copy")
    monkeypatch.chdir(project.root)
    shutil.rmtree(project.root / "mlartifacts")
    shutil.copy(empty_store, project.root / "mlflow.db")
    assert sync(Asked.find()).runs == ("fetch",)
    (run,) = project.runs("fetch")
    assert leaks(project, run) == {}
    (node,) = [
        node
        for node in trace(Asked.find(), "out.txt").nodes.values()
        if isinstance(node, ExecutionNode)
    ]
    assert node.status == Status.RECORDED


def test_no_secret_is_printed_of_a_url_that_has_changed(
    secretive: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = secretive.copy(tmp_path / "copy")
    lock = (project.root / "dvc.lock").read_text()
    project.write("dvc.lock", lock.replace("0123456789abcdef", "fedcba9876543210"))
    project.write("params.yaml", "source: 1\n")
    monkeypatch.chdir(project.root)
    for words in (["verify"], ["verify", "--json"]):
        assert main(words) == 1
        out, error = capsys.readouterr()
        assert "/f.txt" in out
        assert [secret for secret in SECRETS if secret in out + error] == []


def test_no_password_of_the_store_is_printed(
    new_project: Callable[[], Project], mlflow_server: str
) -> None:
    project = new_project()
    project.write("dvc.yaml", f"stages: {{make: {{cmd: '{PRINTING}', outs: [out.txt]}}}}")
    project.write("params.yaml", "tracking: {experiment: secrets}\n")
    project.commit("code")
    project.environment["MLFLOW_TRACKING_URI"] = mlflow_server.replace("://", "://bob:SECRETPW@")
    said = [project.run("dvc", "repro"), project.run("lineage", "trace", "out.txt", "--json")]
    assert "printed by the stage" in said[0].stdout
    project.write("out.txt", "other")
    project.run("dvc", "commit", "--force")
    said += [project.run("lineage", "sync"), project.run("lineage", "report")]
    project.environment["MLFLOW_TRACKING_URI"] = "http://bob:SECRETPW@127.0.0.1:1"
    said += [project.run("dvc", "repro", "--force", ok=False)]
    assert "no MLflow tracking store answers at http://127.0.0.1:1" in said[-1].stderr
    texts = [done.stdout + done.stderr for done in said]
    assert [text for text in texts if "SECRETPW" in text or "bob" in text] == []


PRINTING = "python stage.py text && echo printed by the stage"
