"""Two repositories that share a tracking server, and what their stages do."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import lineage
from lineage.project import Project
from lineage.recording.stage_run import StageRun
from lineage.verbs.sync import Synced, sync
from tests.lineage.histories.oracle import Git, Revision, Store
from tests.lineage.histories.process import (
    TICK_S,
    Clock,
    FailedError,
    folder,
    in_one_process,
    md5,
)
from tests.lineage.histories.repository import Repository

EDITED = {"prepare": "raw.txt", "train": "train.code", "register": "decision.code"}
"""Which dependency of a stage is edited while it runs."""


@dataclass
class Happening:
    """A stage that ran: what it read and wrote, by md5 sums taken then.

    Attributes:
        repository: Where.
        kind: What the stage does.
        meddling: What happened to it.
        read: Path -> hash, as its block began.
        wrote: Path -> hash, as its block ended.
        run_id: Its run.
    """

    repository: Repository
    kind: str
    meddling: str
    read: dict[str, str]
    wrote: dict[str, str] = field(default_factory=dict)
    run_id: str = ""


@dataclass(frozen=True)
class Said:
    """A word on a model, and the moment of the history that it is of."""

    time: float
    order: int
    repository: str
    registration: dict[str, Any]


class World:
    """Where a history happens.

    Attributes:
        root: A folder of its own.
        repositories: Those that there are.
        here: The one that is worked on.
        luck: For stages that do not give the same bytes twice.
        meddling: Kind of stage -> what happens to it when it runs next.
        happened: The stages that ran in this step.
        said: All that was said of models on this server.
    """

    def __init__(self, root: Path, empty_store: Path, luck: Random) -> None:
        self.root = root
        self.clock = Clock()
        self.luck = luck
        self.repositories: list[Repository] = []
        self.meddling: dict[str, str] = {}
        self.happened: list[Happening] = []
        self.said: list[Said] = []
        self._empty_store = empty_store
        self._stores = 0

    @contextmanager
    def open(self, template: Path) -> Iterator[None]:
        """Begin with two repositories of the same files."""
        before = os.environ.get("MLFLOW_TRACKING_URI")
        with in_one_process(self.clock, self._do, self.root / "sites"):
            try:
                self.wipe()
                first = Repository("", template, self.clock)
                self.repositories = [first.copy(name, self.root / name) for name in ("one", "two")]
                self.here = self.repositories[0]
                yield
            finally:
                os.environ.pop("MLFLOW_TRACKING_URI", None)
                if before:
                    os.environ["MLFLOW_TRACKING_URI"] = before

    @property
    def other(self) -> Repository:
        return next(each for each in self.repositories if each is not self.here)

    # The server.

    @property
    def store_file(self) -> Path:
        return self.root / f"store{self._stores}.db"

    def wipe(self) -> None:
        """Put an empty server in the place of the one that was."""
        self._stores += 1
        shutil.copy(self._empty_store, self.store_file)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{self.store_file}"
        self.said = []

    def store(self) -> Store:
        return Store(self.store_file)

    def project(self) -> Project:
        """What questions are put to."""
        return Project.find(self.here.root)

    def sync(self, rev: str | None) -> Synced:
        """Let the server know of a revision, and note what that says of models."""
        with folder(self.here.root):
            done = sync(self.project(), rev)
        git = Git(self.here.root)
        revision = git.rev(rev) if rev else git.present
        for digest in _registrations(revision):
            self._note(self._time_of(git, revision, digest), self._bytes(digest))
        return done

    # What stages do.

    def _do(self, command: str, _began: float) -> None:
        kind = command.split()[0]
        meddling = self.meddling.pop(kind, "")
        stage = self.here.stages[self.here.stage_of(kind)]
        edited = self.here.path(EDITED[kind])
        if meddling == "before":
            self.edit(edited)
        names = [self.here.path(name) for name in stage["deps"]]
        if not all(each.exists() for each in names):
            with _sentences("which is not here"), lineage.stage():
                raise AssertionError("a stage ran without what it reads")
        at = Happening(self.here, kind, meddling, {self._name(each): md5(each) for each in names})
        self.happened.append(at)
        before = Path(edited).read_text()
        with _sentences(), lineage.stage() as run:
            at.run_id = run.run_id
            getattr(self, f"_{kind}")(run, before)
            at.wrote = {self._name(out): md5(out) for out in run.outs}
            if meddling == "inside":
                self.edit(edited)
            if meddling == "fails":
                raise lineage.LineageError("the sky fell: look up.")
            if meddling == "interrupted":
                raise KeyboardInterrupt
        if meddling == "after":
            self.edit(edited)
        if meddling == "writes on":
            self.wait()
            for out in run.outs:
                file = out / "rows.txt" if out.is_dir() else out
                file.write_text(f"{file.read_text()} ")

    def wait(self) -> None:
        """Until the times of files are later."""
        import time

        time.sleep(TICK_S)

    def edit(self, file: Path) -> None:
        """Give a file another content: one of a few, so that contents return."""
        self.wait()
        text = file.read_text().split()
        text[-1] = str((int(text[-1]) + self.luck.choice((1, 2, 3))) % 4)
        file.write_text(" ".join(text))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.here.root).as_posix()

    def _chance(self, section: str) -> str:
        return self.luck.choice("xy") if self.here.params[section]["luck"] else ""

    def _prepare(self, run: StageRun, raw: str) -> None:
        rows = (int(raw.split()[-1]) + self.here.params["prepare"]["shift"]) // 2
        out = run.out("data")
        out.mkdir(parents=True)
        (out / "rows.txt").write_text(f"{rows}{self._chance('prepare')}")
        (out / "labels.txt").write_text("cat")

    def _train(self, run: StageRun, code: str) -> None:
        rows = (run.dep("data").location / "rows.txt").read_text()
        trained = (int(code) + self.here.params["train"]["rate"]) // 2
        run.out("model").write_text(f"{rows[:1]} {trained}{self._chance('train')}")

    def _register(self, run: StageRun, decision: str) -> None:
        verdict, ap = decision.split()
        model, data = run.dep("model"), run.dep("data")
        registration = lineage.Registration(
            model_name="toy",
            model_path=model.path,
            model_digest=model.hash,
            evaluation_path=data.path,
            evaluation_digest=data.hash,
            metrics={"AP": float(ap)},
            thresholds={"AP": 0.5},
            verdict=verdict,
        )
        run.out("decision").write_text(json.dumps(registration.as_dict()))
        moment = self._moment(run.out("decision"))
        lineage.register(run.project, registration)
        self._note(moment, run.out("decision").read_bytes())

    # What is said.

    def _moment(self, file: Path) -> float:
        """When the word is of that a stage has just written: new, unless HEAD has it too."""
        git, digest = Git(self.here.root), md5(file)
        head = git.rev("HEAD")
        is_recorded = digest in _registrations(head) and any(git.present.entries)
        has_place = bool(_registrations(git.present))
        return self._time_of(git, head, digest) if is_recorded and has_place else self.clock()

    def _time_of(self, git: Git, revision: Revision, digest: str) -> float:
        """When a revision's word is of: the newest revision that has it."""
        if not revision.id:
            revision = git.rev("HEAD")
            if digest not in _registrations(revision):
                return self.clock()
        return max(each.time for each in git.revisions if digest in _registrations(each))

    def _note(self, moment: float, text: bytes) -> None:
        self.said.append(Said(moment, len(self.said), self.here.name, json.loads(text)))

    def _bytes(self, digest: str) -> bytes:
        cache = self.here.root / ".dvc/cache/files/md5"
        return (cache / digest[:2] / digest[2:]).read_bytes()


def _registrations(revision: Revision) -> set[str]:
    """The hashes of all that a revision says of models."""
    return {entry.wrote[path] for entry in revision.entries for path in entry.labelled}


@contextmanager
def _sentences(expected: str = "the sky fell") -> Iterator[None]:
    """A command that ends with this sentence has failed; any other is none that it may say."""
    try:
        yield
    except lineage.LineageError as error:
        if expected not in str(error):
            raise
        raise FailedError from error
