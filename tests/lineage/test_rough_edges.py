"""What a stranger's review found at the edges: broken files and tags, shallow clones, secrets.

Expected is what git, the text of dvc.lock and the MLflow client say; what is wrong is told in
one sentence, and what is past is told and passed over.
"""

import hashlib
import json
import logging
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow.entities import Run

from lineage.cli import main
from lineage.errors import without_secrets
from lineage.join.graph import ExecutionNode, Graph
from lineage.project import Project as Asked
from lineage.tracking.producer import Status
from lineage.verbs.impact import impact
from lineage.verbs.sync import Synced, sync
from lineage.verbs.trace import trace
from lineage.verbs.verify import verify
from lineage.verbs.verify_break import Check
from tests.lineage.conftest import Project, hashes, tag

pytestmark = pytest.mark.slow

PIPELINE = """
stages:
  copy:
    cmd: mkdir -p data && cp raw.txt data/made.txt
    deps: [raw.txt]
    outs: [data/made.txt: {type: dataset}]
  train:
    cmd: cp data/made.txt weights.txt
    deps: [data/made.txt]
    outs: [weights.txt: {type: report}]
"""
RANDOM = """
stages:
  any:
    cmd: python stage.py text random
    deps: [raw.txt]
    outs: [any.txt: {type: dataset}]
"""
MALFORMED = {
    "an output without a path": "outs:\n- md5: 0123\n",
    "outputs that are a word": "outs: foo\n",
    "an output that is a word": "outs:\n- foo\n",
    "a path that is a number": "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  path: 5\n",
    "a size that is a word": "outs:\n- md5: 0123\n  path: extra.txt\n  size: many\n",
    "a source that is a word": "deps: foo\nouts:\n- md5: 0123\n  path: extra.txt\n",
}
SECRETS = ("bob:", "SECRETPW", "SECRETSIG", "SECRETGIT", "SECRETQ")


@pytest.fixture(scope="module")
def origin(new_project: Callable[[], Project]) -> Project:
    """A project whose stages no run is known of, with a revision that has no data, and two."""
    project = new_project()
    project.write("dvc.yaml", PIPELINE)
    project.write("raw.txt", "none")
    project.commit("code")
    project.run("git", "tag", "bare")
    for name in ("v1", "v2"):
        project.write("raw.txt", name)
        project.run("dvc", "repro", "--quiet")
        project.commit(name)
        project.run("git", "tag", name)
    return project


@pytest.fixture
def copied(origin: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The test's own copy of it, with the empty store, in whose folder the test works."""
    return copy_of(origin, tmp_path / "copy", monkeypatch)


@pytest.fixture(scope="module")
def registered(origin: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy with backfilled runs and a version of a model."""
    with pytest.MonkeyPatch.context() as patch:
        project = copy_of(origin, tmp_path_factory.mktemp("registered") / "copy", patch)
        sync(Asked.find())
        (run,) = project.runs("train")
        client = project.client
        client.create_registered_model("x")
        outs = hashes(project.lock()["train"]["outs"])
        tags = {
            "dvc.hash": outs["weights.txt"],
            "dvc.run": run.info.run_id,
            "dvc.data": json.dumps(hashes(project.lock()["train"]["deps"])),
        }
        client.create_model_version("x", "/nowhere", run_id=run.info.run_id, tags=tags)
    return project


@pytest.fixture
def edited(
    registered: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Project, str]:
    """A copy where somebody edited tags of the version and of a run; and the run's id."""
    project = copy_of(registered, tmp_path / "edited", monkeypatch)
    (run,) = project.runs("copy")
    project.client.set_model_version_tag("x", "1", "dvc.data", "not json")
    project.client.set_tag(run.info.run_id, "dvc.deps", "not json")
    return project, run.info.run_id


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a verb that must fail; returns its sentence."""

    def run(*words: str) -> str:
        assert main(list(words)) == 1
        return sentence_of(capsys.readouterr().err)

    return run


def copy_of(project: Project, root: Path, patch: pytest.MonkeyPatch) -> Project:
    shutil.copytree(project.root, root, symlinks=True)
    patch.chdir(root)
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Project(root.resolve(), project.environment)


def sentence_of(error: str) -> str:
    """What stands on the error stream, which must be one sentence."""
    sentence = error.strip()
    assert sentence.startswith("lineage: ")
    assert "Traceback" not in sentence
    assert "\n" not in sentence
    return sentence


def runs_of(graph: Graph) -> set[str]:
    nodes = [node for node in graph.nodes.values() if isinstance(node, ExecutionNode)]
    return {run.id for node in nodes for run in (node.run, *node.confirmations) if run}


# Malformed .dvc files.


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_file_of_the_past_is_told_and_passed_over(
    copied: Project, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    copied.write("extra.txt.dvc", text)
    broken = copied.commit("broken")
    copied.write("extra.txt.dvc", "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  path: x.txt\n")
    copied.commit("mended")
    made = hashes(copied.lock()["copy"]["outs"])["data/made.txt"]
    told = f"at commit {broken[:8]}, extra.txt.dvc is not as DVC writes it"
    for verb in ("log", "trace"):
        assert main([verb, "data/made.txt"]) == 0
        out, error = capsys.readouterr()
        assert made[:8] in out
        assert error.startswith(f"lineage: {told}")
        assert "Traceback" not in error
        assert main([verb, "data/made.txt", "--json"]) == 0
        out, error = capsys.readouterr()
        assert made in out
        (warning,) = json.loads(out)["warnings"]
        assert warning.startswith(told)


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_file_of_today_is_one_sentence(
    copied: Project, said: Callable[..., str], text: str
) -> None:
    copied.write("extra.txt.dvc", text)
    for words in (["log"], ["log", "data/made.txt"], ["trace", "data/made.txt"]):
        assert "extra.txt.dvc is not as DVC writes it" in said(*words)


# Edited tags.


@pytest.mark.parametrize(
    ("words", "is_of_run", "is_of_version"),
    [
        (["log", "data/made.txt"], True, False),
        (["impact", "raw.txt"], True, True),
        (["impact", "data/made.txt"], True, True),
        (["show", "models:/x/1"], False, True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_tag_that_was_edited_is_told(
    edited: tuple[Project, str],
    caplog: pytest.LogCaptureFixture,
    words: list[str],
    is_of_run: bool,
    is_of_version: bool,
) -> None:
    _, run_id = edited
    with caplog.at_level(logging.WARNING, logger="lineage"):
        assert main(words) == 0
    told = "\n".join(each.getMessage() for each in caplog.records if each.name == "lineage")
    assert not is_of_run or f"the tag dvc.deps of the run {run_id} is no JSON object" in told
    assert not is_of_version or "the tag dvc.data of models:/x/1 is no JSON object" in told


def test_who_asks_in_a_shell_is_told_of_it_too(edited: tuple[Project, str]) -> None:
    project, _ = edited
    done = project.run("lineage", "show", "models:/x/1")
    assert "the tag dvc.data of models:/x/1 is no JSON object" in done.stderr
    assert "Traceback" not in done.stderr


# Words and places.


def test_a_folder_that_was_deleted(copied: Project) -> None:
    done = copied.run("sh", "-c", "mkdir x; cd x; rmdir ../x; lineage log", ok=False)
    assert done.returncode == 1
    assert "the current folder is not there any more" in sentence_of(done.stderr)


@pytest.mark.parametrize("verb", ["show", "trace", "impact"])
def test_a_version_that_no_database_can_count(
    registered: Project, said: Callable[..., str], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.chdir(registered.root)
    sentence = said(verb, "models:/x/99999999999999999999")
    assert "x has no such version or alias; it has 1." in sentence


def test_a_revision_without_data_says_so(
    registered: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(registered.root)
    assert main(["trace", "bare"]) == 0
    assert "lineage: bare records no data" in capsys.readouterr().err


def test_impact_of_a_file_that_git_keeps_reaches_who_read_it(
    registered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(registered.root)
    (copy,), (train,) = registered.runs("copy"), registered.runs("train")
    assert tag(copy, "dvc.deps").keys() == {"raw.txt"}
    assert runs_of(impact(Asked.find(), "raw.txt")) == {copy.info.run_id, train.info.run_id}


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("show", "data/made.txt"),
        ("show", "data/made.txt@v1"),
        ("trace", "data/made.txt"),
        ("trace", "weights.txt@v2"),
        ("impact", "raw.txt"),
        ("impact", "raw.txt@v2"),
        ("log", "data/made.txt"),
    ],
)
def test_paths_are_relative_to_the_folder_one_is_in(
    registered: Project,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    path: str,
) -> None:
    (registered.root / "sub").mkdir(exist_ok=True)
    answers = []
    for folder, ref in ((".", path), ("sub", f"../{path}")):
        monkeypatch.chdir(registered.root / folder)
        assert main([verb, ref, "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out.replace(f'"{ref}"', f'"{path}"')))
    assert answers[0] == answers[1]


# Sync.


def test_a_shallow_clone_names_no_commit(
    origin: Project, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = copy_of(origin, tmp_path / "full", monkeypatch)
    for name in ("once more", "and again"):
        full.commit(name)
    clone = Project(tmp_path / "clone", full.environment)
    full.run("git", "clone", "--quiet", "--depth", "1", full.root.as_uri(), str(clone.root))
    shutil.copy(empty_store, clone.root / "mlflow.db")
    done = {}
    for project in (clone, full):
        monkeypatch.chdir(project.root)
        done[project.root] = sync(Asked.find())
        assert set(done[project.root].runs) == {"copy", "train"}
    cut = done[clone.root].warnings
    assert len(cut) == 2
    for stage, warning in zip(("copy", "train"), cut, strict=True):
        assert f"the commit that {stage} ran for is not written down" in warning
        assert "`git fetch --unshallow`" in warning
    assert done[full.root].warnings == ()
    first = full.run("git", "rev-parse", "v2").stdout.strip()
    for stage in ("copy", "train"):
        (run,) = clone.runs(stage)
        assert "git.commit" not in run.data.tags
        assert tag(run, "dvc.outs") == hashes(clone.lock()[stage]["outs"])
        (run,) = full.runs(stage)
        assert run.data.tags["git.commit"] == first


def test_two_syncs_at_once_make_one_run_each(copied: Project) -> None:
    # While one writes to the store others can read it: without that both would not look
    # before either has written. MLflow waits for 5 s and more.
    writer = sqlite3.connect(copied.root / "mlflow.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    both = [
        subprocess.Popen(
            ["lineage", "sync"],
            cwd=copied.root,
            env=copied.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    time.sleep(4.5)
    writer.execute("ROLLBACK")
    writer.close()
    said = [each.communicate(timeout=120) for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert len(copied.runs("copy")) == 1
    assert len(copied.runs("train")) == 1


def test_what_was_written_down_later_accepts_nothing(
    new_project: Callable[[], Project],
    empty_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = new_project()
    monkeypatch.chdir(project.root)
    project.write("dvc.yaml", RANDOM)
    project.write("raw.txt", "raw")
    shutil.copy(empty_store, tmp_path / "other.db")
    other = f"sqlite:///{tmp_path / 'other.db'}"

    def checked() -> set[Check]:
        return {each.check for each in verify(Asked.find()).breaks}

    outs = []
    for _ in range(2):
        project.run("dvc", "repro", "--quiet", "--force", MLFLOW_TRACKING_URI=other)
        project.commit("again")
        assert checked() == {Check.UNRECORDED}
        done: Synced = sync(Asked.find())
        assert (done.runs, done.accepted) == (("any",), ())
        assert checked() == set()
        outs.append(hashes(project.lock()["any"]["outs"]))
    assert outs[0] != outs[1]
    made = project.runs("any")
    assert len({run.data.tags["dvc.signature"] for run in made}) == 1
    assert sorted(map(str, outs)) == sorted(str(tag(run, "dvc.outs")) for run in made)
    # Who has seen it run needs nothing.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", other)
    assert checked() == set()
    assert sync(Asked.find()).runs == ()


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
    project.write(
        "dvc.yaml",
        f"""
stages:
  fetch:
    cmd: python stage.py text
    deps: [raw.txt, "{served}"]
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
    assert runs_of(graph) == {run.info.run_id}
    formats = ("mermaid", "dot", "html", "openlineage")
    asked = [
        ["trace", "out.txt"],
        ["trace", "out.txt", "--json"],
        ["trace", run.info.run_id, "--json"],
        ["show", run.info.run_id],
        ["show", "out.txt", "--json"],
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
    project = copy_of(secretive, tmp_path / "copy", monkeypatch)
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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://h.org/x", "http://h.org/x"),
        ("http://u@h.org/x", "http://h.org/x"),
        ("http://u:pw@h.org:80/x", "http://h.org:80/x"),
        ("http://u:p@ss@h.org/x", "http://h.org/x"),
        ("http://u:p@s:s@@h.org/x", "http://h.org/x"),
        ("http://u:p?w@h.org/x", "http://h.org/x"),
        ("http://u:pw@h.org", "http://h.org"),
        ("ssh://git@h.org/r.git", "ssh://h.org/r.git"),
        ("s3://bucket/key?versionId=1", "s3://bucket/key"),
        ("http://h.org/x?sig=1&to=a@b.org", "http://h.org/x"),
        ("http://u:pw@h.org/x?sig=1", "http://h.org/x"),
        ("http://h.org?sig=1", "http://h.org"),
        ("http://h.org/a@b/x", "http://h.org/a@b/x"),
        ("sqlite:////tmp/mlflow.db", "sqlite:////tmp/mlflow.db"),
        ("postgresql://u:pw@h.org/db", "postgresql://h.org/db"),
        ("no http://u:pw@h.org/x?s=1 there", "no http://h.org/x there"),
        ("a http://u:pw@h/x and b://v:pw@h/y?s=1 too", "a http://h/x and b://h/y too"),
        ("http://u:pw@h/x\nhttp://v:pw@h/y?s=1\n", "http://h/x\nhttp://h/y\n"),
        ("GET 'http://u:pw@h/x?s=1' failed", "GET 'http://h/x' failed"),
        ('{"a": "http://u:pw@h/x?s=1", "b": 1}', '{"a": "http://h/x", "b": 1}'),
        ("http://u:pw@h/x,http://v:pw@h/y", "http://h/x,http://h/y"),
        ("is a@b.org there? no // yes: 1", "is a@b.org there? no // yes: 1"),
        ("", ""),
    ],
)
def test_secrets_of_urls_are_taken_out_of_a_text(text: str, expected: str) -> None:
    assert without_secrets(text) == expected
    assert without_secrets(expected) == expected


# Signals.


def test_who_is_terminated_ends_as_for_ctrl_c(copied: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            ["lineage", "trace", "0" * 32],
            cwd=copied.root,
            env={**copied.environment, "MLFLOW_TRACKING_URI": uri},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            connection, _ = silent.accept()
            with connection:
                os.kill(process.pid, signal.SIGTERM)
                out, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in error
