"""A small real project with store, cache and remote, made once and put back after each case."""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

PIPELINE = """
stages:
  prepare:
    cmd: mkdir -p data/train && cp raw/a.txt raw/deep/b.txt data/train
    deps: [raw]
    params: [limit]
    outs: [data/train: {type: dataset}]
  train:
    cmd: mkdir -p models && cat data/train/a.txt one.txt > models/m.safetensors
    deps: [data/train, one.txt]
    outs: [models/m.safetensors: {type: model, desc: Joined}]
  decide:
    cmd: sh decide.sh
    deps: [decide.sh, models/m.safetensors, data/train/a.txt]
    outs: [decision.json: {type: report, labels: [registration]}]
    metrics: [scores.json: {cache: false}]
"""
TEMPLATES = """
vars: [names.yaml]
stages:
  make:
    foreach: ${names}
    do:
      cmd: echo ${item} > ${item}.txt
      outs: ["${item}.txt"]
"""
DECIDE = """
echo '{"score": 0.5}' > scores.json
digest=$(md5sum models/m.safetensors | cut -d ' ' -f 1)
data=$(md5sum data/train/a.txt | cut -d ' ' -f 1)
cat > decision.json << END
{"model_name": "toy", "model_path": "models/m.safetensors", "model_digest": "$digest",
 "evaluation_path": "data/train/a.txt", "evaluation_digest": "$data",
 "metrics": {"score": 0.5}, "thresholds": {"score": 0.25}, "verdict": "accepted", "reasons": []}
END
"""

STRAY = "models:/odd/1"
"""A version that others wrote, of a run that others wrote; only these are spoilt in the store."""


@dataclass(frozen=True)
class Playground:
    """A folder that holds nothing but what a case may touch, and what it must not.

    Attributes:
        base: The folder.
        stray: The id of the run that others wrote.
    """

    base: Path
    stray: str

    @property
    def root(self) -> Path:
        """The project."""
        return self.base / "live" / "project"

    @property
    def live(self) -> Path:
        """What is looked at after every command: the project, and what lies around it."""
        return self.base / "live"

    @property
    def out(self) -> Path:
        """Where data are asked for."""
        return self.live / "out"

    @property
    def store(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def remote(self) -> Path:
        return self.live / "remote"

    @property
    def cache(self) -> Path:
        return self.root / ".dvc" / "cache"

    def place(self, digest: str, *, far: bool = False) -> Path:
        """Where the cache, or the remote, keeps an object."""
        top = self.remote if far else self.cache
        return top / "files" / "md5" / digest[:2] / digest[2:]

    def holding(self, digest: str) -> bytes | None:
        """The bytes of an object in the cache, else in the remote."""
        for far in (False, True):
            path = self.place(digest, far=far)
            if path.is_file():
                return path.read_bytes()
        return None

    def put(self, text: bytes, *, far: bool = False, ending: str = "") -> str:
        """Add an object; returns its hash."""
        digest = hashlib.md5(text).hexdigest() + ending
        path = self.place(digest, far=far)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.chmod(0o644)
        path.write_bytes(text)
        path.chmod(0o444)
        return digest

    def sql(self, statement: str, *values: object) -> list[tuple]:
        with closing(sqlite3.connect(self.store)) as database, database:
            return list(database.execute(statement, values))

    def stamps(self) -> dict[str, tuple]:
        """Path -> what changes with a file, of all that is there."""
        return dict(_stamps(str(self.live), len(str(self.live)) + 1))

    def pristine(self) -> "Pristine":
        """Keep it as it is now."""
        kept = self.base / "kept"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.live, kept, symlinks=True)
        return Pristine(self, kept, self.stamps())


class Pristine:
    """A playground as it was, to put back."""

    def __init__(self, playground: Playground, kept: Path, stamps: Mapping[str, tuple]) -> None:
        self._playground = playground
        self._kept = kept
        self._stamps = dict(stamps)

    def put_back(self) -> None:
        live = self._playground.live
        now = self._playground.stamps()
        for name in sorted(now.keys() - self._stamps.keys(), reverse=True):
            remove(live / name)
        wrong = [name for name in self._stamps if now.get(name) != self._stamps[name]]
        for name in sorted(wrong):
            source, target = self._kept / name, live / name
            if source.is_dir() and not source.is_symlink():
                if not target.is_dir() or target.is_symlink():
                    remove(target)
                target.mkdir(exist_ok=True)
                shutil.copystat(source, target)
            else:
                remove(target)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        for name in sorted(wrong):
            self._stamps[name] = _stamp(os.lstat(live / name))


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def _stamps(folder: str, cut: int) -> Iterator[tuple[str, tuple]]:
    with os.scandir(folder) as found:
        for entry in found:
            name = entry.path[cut:]
            stamp = _stamp(entry.stat(follow_symlinks=False))
            yield name, stamp
            if entry.is_dir(follow_symlinks=False):
                yield from _stamps(entry.path, cut)


def _stamp(found: os.stat_result) -> tuple:
    if (found.st_mode & 0o170000) == 0o040000:
        return ("folder", found.st_mode)
    return (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ino)


def prepare_process(base: Path) -> None:
    """Keep everything that this process does inside the folder."""
    for name in [*os.environ]:
        if name.startswith(("DVC_", "MLFLOW_", "GIT_")):
            del os.environ[name]
    for folder in ("home", "site", "live/tmp"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "HOME": str(base / "home"),
        "TMPDIR": str(base / "live/tmp"),
        "DVC_SITE_CACHE_DIR": str(base / "site"),
        "DVC_GLOBAL_CONFIG_DIR": str(base / "home"),
        "DVC_SYSTEM_CONFIG_DIR": str(base / "home"),
        "DVC_NO_ANALYTICS": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_AUTHOR_NAME": "Who",
        "GIT_AUTHOR_EMAIL": "who@example.org",
        "GIT_COMMITTER_NAME": "Who",
        "GIT_COMMITTER_EMAIL": "who@example.org",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    import tempfile

    tempfile.tempdir = None


def make(base: Path, store: Path | None = None) -> Playground:
    """Make the project, two versions of it, their runs and a registered model.

    Args:
        base: A folder for it, in which this process is to stay.
        store: An empty store to copy, which making one takes seconds.
    """
    from dvc.cli import main as dvc

    from lineage.project import Project
    from lineage.repository.git import git
    from lineage.verbs.sync import sync

    prepare_process(base)
    live = base / "live"
    root = live / "project"
    root.mkdir(parents=True)
    (live / "out").mkdir()
    (live / "secret.txt").write_text("not for you")
    (live / "victim").mkdir()
    (live / "victim" / "kept.txt").write_text("as it was")
    os.chdir(root)
    git(root, "init", "--quiet", "--initial-branch", "main")
    assert dvc(["init", "--quiet"]) == 0
    assert dvc(["remote", "add", "--default", "--quiet", "store", str(live / "remote")]) == 0
    if store is not None:
        shutil.copy(store, root / "mlflow.db")
    texts = {
        "dvc.yaml": PIPELINE,
        "sub/dvc.yaml": TEMPLATES,
        "sub/names.yaml": "names: [one, two]\n",
        "decide.sh": DECIDE,
        "params.yaml": "limit: 3\ntracking: {experiment: fuzz}\n",
        ".gitignore": "/mlflow.db*\n/mlartifacts/\n",
        "raw/deep/b.txt": "same",
        "one.txt": "1",
    }
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for name in ("v1", "v2"):
        (root / "raw/a.txt").write_text(f"bytes of {name}")
        assert dvc(["add", "--quiet", "raw", "one.txt"]) == 0
        assert dvc(["repro", "--quiet", "--all-pipelines"]) == 0
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message", name)
        git(root, "tag", name)
        sync(Project.find(root))
    assert dvc(["push", "--quiet", "--all-commits"]) == 0
    return Playground(base, _stray(root))


def _stray(root: Path) -> str:
    """Write the run and the version of others; returns the run's id."""
    import mlflow

    from lineage.project import Project

    project = Project.find(root)
    client = project.client
    (train,) = [
        run
        for run in client.search_runs([client.get_experiment_by_name("fuzz").experiment_id])
        if run.data.tags.get("dvc.stage") == "train"
        and run.data.tags.get("git.commit") == project.history.commits.head
    ]
    tags = {name: value for name, value in train.data.tags.items() if "mlflow." not in name}
    elsewhere = client.create_experiment("others", (root / "mlartifacts").as_uri())
    run = client.create_run(elsewhere, run_name="stray", tags={**tags, "dvc.stage": "stray"})
    run_id = str(run.info.run_id)
    outs = json.loads(tags["dvc.deps"])
    for path, digest in outs.items():
        source = {"repository": "", "path": path, "digest": digest}
        client.log_inputs(run_id, [_dataset(path, digest, source)])
    origin = {"name": "raw", "url": "https://example.org/raw.zip", "size_bytes": 3, "checksum": "x"}
    client.log_dict(run_id, {"origins": [origin]}, "origins.json")
    record = {side: [{"path": p, "hash": h} for p, h in outs.items()] for side in ("deps", "outs")}
    client.log_dict(run_id, {**record, "stage": "stray"}, "lineage.json")
    client.log_metric(run_id, "score", 0.5)
    client.set_terminated(run_id)
    client.create_registered_model("odd")
    (version,) = client.search_model_versions("name = 'toy'", order_by=["version_number DESC"])[:1]
    assert isinstance(mlflow.MlflowClient, type)
    client.create_model_version("odd", version.source, run_id, tags=dict(version.tags))
    return run_id


def _dataset(path: str, digest: str, source: Mapping[str, str]) -> object:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile = json.dumps({"files": 1, "rows": 3})
    dataset = Dataset(f"stray {path}", digest, "dvc", json.dumps(source), "", profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
