"""What git, the lock files and the store's database say, read with their own libraries alone.

Nothing of `lineage` is used here, neither its signatures nor its way from a lock to a run: what a
stage was given is compared as it stands there, command, hashes and params.
"""

import json
import posixpath
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlparse

import pygit2
from ruamel.yaml import YAML

Pair = tuple[str, str]
"""A path from the root of the repository, and a hash."""


def frozen(value: Any) -> str:
    """Equal exactly for equal values."""
    return json.dumps(value, sort_keys=True)


@dataclass(frozen=True)
class Given:
    """What a stage was given: all that determines what it does."""

    pipeline: str
    stage: str
    command: str
    deps: str
    params: str

    @property
    def seen_from_its_folder(self) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """What stays the same where the stage, or the folder of its pipeline, is renamed."""
        deps, params = json.loads(self.deps), json.loads(self.params)
        return self.command, self.inside(deps), self.inside(params)

    def inside(self, by_path: Mapping[str, Any]) -> dict[str, Any]:
        """The same by paths from the folder of the pipeline."""
        folder = PurePosixPath(self.pipeline).parent
        return {posixpath.relpath(path, folder): value for path, value in by_path.items()}


@dataclass(frozen=True)
class Entry:
    """An entry of a lock, whose stage its pipeline file has."""

    given: Given
    outs: str
    kinds: tuple[tuple[str, str], ...] = field(compare=False)
    labelled: tuple[str, ...] = field(compare=False)

    @property
    def read(self) -> dict[str, str]:
        return dict(json.loads(self.given.deps))

    @property
    def wrote(self) -> dict[str, str]:
        return dict(json.loads(self.outs))

    @property
    def subject(self) -> str:
        """As people call the stage."""
        is_plain = self.given.pipeline == "dvc.yaml"
        return self.given.stage if is_plain else f"{self.given.pipeline}:{self.given.stage}"


@dataclass(frozen=True)
class Revision:
    """What a commit, or the working tree, records.

    Attributes:
        id: Of the commit; empty for the working tree.
        time: When it was committed.
        names: Branches, tags and experiments.
        entries: Of its locks.
        added: What ``.dvc`` files track.
        stages: Pipeline file -> its stages.
    """

    id: str
    time: int
    names: frozenset[str]
    entries: tuple[Entry, ...]
    added: tuple[Pair, ...]
    stages: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def data(self) -> Iterator[tuple[str, str, str]]:
        """Path, hash and kind of all that DVC tracks."""
        for entry in self.entries:
            kinds = dict(entry.kinds)
            yield from ((path, digest, kinds[path]) for path, digest in entry.wrote.items())
        yield from ((path, digest, "dataset") for path, digest in self.added)

    def writer(self, pair: Pair) -> Entry | None:
        return next((each for each in self.entries if each.wrote.get(pair[0]) == pair[1]), None)


class Git:
    """Every revision of a repository."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repository = pygit2.Repository(str(root))
        self.revisions = list(self._revisions())
        self.present = self._present()
        self.by_id = {each.id: each for each in self.revisions}

    @property
    def all(self) -> list[Revision]:
        """Oldest first; the working tree last, where it records something of its own."""
        head = self.by_id[str(self.repository.head.target)]
        same = (self.present.entries, set(self.present.added)) == (head.entries, set(head.added))
        return self.revisions if same else [*self.revisions, self.present]

    def has(self, commit: str) -> bool:
        """Whether it is a commit of this repository."""
        return bool(commit) and commit in self.repository

    def is_before(self, one: str, other: str) -> bool:
        """Whether a commit is another one, or an ancestor of it."""
        if not one or not self.has(other):
            return False
        return one == other or bool(self.repository.descendant_of(other, one))

    def rev(self, name: str) -> Revision:
        return self.by_id[str(self.repository.revparse_single(name).peel(pygit2.Commit).id)]

    def _revisions(self) -> Iterator[Revision]:
        names: dict[str, set[str]] = {str(self.repository.head.target): set()}
        for reference in self.repository.references.iterator():
            at = str(reference.peel(pygit2.Commit).id)
            kind, _, rest = reference.name.removeprefix("refs/").partition("/")
            if kind in ("heads", "tags"):
                names.setdefault(at, set()).add(rest)
            elif kind == "exps" and rest.count("/") == 2:
                names.setdefault(at, set()).add(rest.rpartition("/")[2])
        walk = self.repository.walk(None)
        for at in names:
            walk.push(at)
        for commit in sorted(walk, key=lambda each: each.commit_time):
            texts = dict(_files(commit.tree))
            yield _revision(
                str(commit.id), commit.commit_time, names.get(str(commit.id), ()), texts
            )

    def _present(self) -> Revision:
        texts = {
            file.relative_to(self.root).as_posix(): file.read_bytes()
            for folder in (self.root, *(each for each in self.root.iterdir() if each.is_dir()))
            if folder.name not in (".git", ".dvc", "mlartifacts")
            for file in folder.iterdir()
            if file.is_file() and _is_dvc(file.name)
        }
        return _revision("", 1 << 40, (), texts)


def _files(tree: pygit2.Tree, above: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in tree:
        if isinstance(entry, pygit2.Tree):
            yield from _files(entry, f"{above}{entry.name}/")
        elif _is_dvc(entry.name or ""):
            yield f"{above}{entry.name}", entry.data


def _is_dvc(name: str) -> bool:
    return name in ("dvc.yaml", "dvc.lock") or (name.endswith(".dvc") and name != ".dvc")


_parsed: dict[bytes, Any] = {}


def _yaml(text: bytes) -> Any:
    if text not in _parsed:
        _parsed[text] = YAML(typ="safe").load(text.decode())
    return _parsed[text]


def _revision(commit: str, time: int, names: Any, texts: Mapping[str, bytes]) -> Revision:
    entries: list[Entry] = []
    added: list[Pair] = []
    defined: dict[str, tuple[str, ...]] = {}
    for path, text in texts.items():
        folder = PurePosixPath(path).parent
        if path.endswith(".dvc"):
            (out,) = _yaml(text)["outs"]
            added.append((str(folder / out["path"]), out["md5"]))
        elif path.endswith("dvc.yaml"):
            stages = _yaml(text)["stages"]
            defined[path] = tuple(stages)
            lock = texts.get(path.removesuffix("yaml") + "lock")
            locked = (_yaml(lock)["stages"] or {}) if lock else {}
            entries += [
                _entry(path, folder, name, stages[name], locked[name])
                for name in stages
                if name in locked
            ]
    return Revision(
        commit, time, frozenset(names), tuple(entries), tuple(added), tuple(defined.items())
    )


def _entry(
    pipeline: str,
    folder: PurePosixPath,
    name: str,
    stage: Mapping[str, Any],
    locked: Mapping[str, Any],
) -> Entry:
    def paths(side: str) -> str:
        return frozen({str(folder / each["path"]): each["md5"] for each in locked.get(side) or []})

    declared = {path: about for out in stage["outs"] for path, about in out.items()}
    params = {str(folder / file): values for file, values in (locked.get("params") or {}).items()}
    given = Given(pipeline, name, frozen(locked["cmd"]), paths("deps"), frozen(params))
    return Entry(
        given,
        paths("outs"),
        tuple((str(folder / path), about["type"]) for path, about in declared.items()),
        tuple(str(folder / path) for path, about in declared.items() if about.get("labels")),
    )


@dataclass(frozen=True)
class Run:
    """A run of a stage, as the database has it."""

    id: str
    status: str
    start: int
    artifacts: str
    tags: Mapping[str, str]

    @property
    def read(self) -> dict[str, str]:
        return dict(json.loads(self.tags["dvc.deps"]))

    @property
    def wrote(self) -> dict[str, str]:
        return dict(json.loads(self.tags.get("dvc.outs", "{}")))

    @property
    def is_backfilled(self) -> bool:
        return self.tags.get("lineage.backfilled") == "true"

    @property
    def is_sound(self) -> bool:
        return "dvc.changed" not in self.tags

    @cached_property
    def given(self) -> Given:
        """What its own record says; only of one that finished."""
        file = Path(unquote(urlparse(self.artifacts).path)) / "lineage.json"
        whole = json.loads(file.read_text())
        return Given(
            self.tags["dvc.pipeline"],
            self.tags["dvc.stage"],
            frozen(whole["command"]),
            frozen({each["path"]: each["hash"] for each in whole["deps"]}),
            frozen(whole["params"]),
        )

    @property
    def given_after(self) -> Given:
        """What DVC recorded of it, where something changed while it ran."""
        deps, params = json.loads(self.given.deps), json.loads(self.given.params)
        for name, (_, later) in json.loads(self.tags["dvc.changed"]).items():
            file, _, key = name.partition(":")
            if key:
                params[file][key] = later
            else:
                deps[name] = later
        given = self.given
        return Given(given.pipeline, given.stage, given.command, frozen(deps), frozen(params))


@dataclass(frozen=True)
class Version:
    """A version of a registered model."""

    name: str
    number: str
    tags: Mapping[str, str]
    aliases: frozenset[str]

    @property
    def id(self) -> str:
        return f"models:/{self.name}/{self.number}"


class Store:
    """The runs and versions of a database."""

    def __init__(self, file: Path) -> None:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as base:
            tags = _pairs(base.execute("SELECT run_uuid, key, value FROM tags"))
            rows = base.execute(
                "SELECT run_uuid, status, start_time, artifact_uri FROM runs"
                " WHERE lifecycle_stage = 'active' ORDER BY start_time, run_uuid"
            )
            self.runs = [Run(*row, tags.get(row[0], {})) for row in rows]
            tags = _pairs(
                base.execute("SELECT name || '/' || version, key, value FROM model_version_tags")
            )
            aliases = base.execute(
                "SELECT name || '/' || version, alias FROM registered_model_aliases"
            ).fetchall()
            rows = base.execute("SELECT name, version FROM model_versions ORDER BY version")
            self.versions = [
                Version(
                    name,
                    str(number),
                    tags.get(f"{name}/{number}", {}),
                    frozenset(alias for of, alias in aliases if of == f"{name}/{number}"),
                )
                for name, number in rows
            ]
        base.close()


def _pairs(rows: Any) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for of, key, value in rows:
        found.setdefault(of, {})[key] = value
    return found


class Truth:
    """What follows from both of them."""

    def __init__(self, git: Git, store: Store) -> None:
        self.git = git
        self.store = store

    def is_ours(self, tags: Mapping[str, str]) -> bool:
        return self.git.has(tags["git.root"])

    def resolve(self, entry: Entry) -> tuple[str, list[str]]:
        """Status of an entry, and the runs that it is of, the one that made it first."""
        its = [
            run
            for run in self.store.runs
            if run.status == "FINISHED"
            and (run.tags["dvc.pipeline"], run.tags["dvc.stage"])
            == (entry.given.pipeline, entry.given.stage)
            and self.is_ours(run.tags)
        ]
        came = [run for run in its if run.wrote == entry.wrote]
        same = [run for run in its if run.given == entry.given]
        sound = [run for run in came if run in same and run.is_sound]
        if sound:
            return "recorded", [run.id for run in sound]
        unsure = [run for run in came if run in same] or [
            run for run in came if not run.is_sound and run.given_after == entry.given
        ]
        earlier = [] if same else [run for run in self.store.runs if self._was(run, entry)]
        if earlier:
            return "recorded", [run.id for run in earlier]
        if unsure:
            return "changed while running", [run.id for run in unsure]
        if any(not run.is_backfilled for run in same):
            return "accepted", []
        late = [run for run in came if not run.is_backfilled and not self._left_a_lock(run)]
        if late:
            return "changed while running", [run.id for run in late]
        return "unrecorded", []

    def _was(self, run: Run, entry: Entry) -> bool:
        """Whether a run made it before its stage, or the folder of it, got another name."""
        if run.status != "FINISHED" or not run.is_sound or not self.is_ours(run.tags):
            return False
        of = run.given
        is_same = (of.seen_from_its_folder, of.inside(run.wrote)) == (
            entry.given.seen_from_its_folder,
            entry.given.inside(entry.wrote),
        )
        return is_same and not any(
            (each.given.pipeline, each.given.stage) == (of.pipeline, of.stage)
            for revision in self.git.all
            if any((one.given, one.outs) == (entry.given, entry.outs) for one in revision.entries)
            for each in revision.entries
        )

    def _left_a_lock(self, run: Run) -> bool:
        """Whether a revision after the run holds what it did."""
        commit = run.tags.get("git.commit", "")
        return any(
            entry.given == run.given and entry.wrote == run.wrote
            for revision in self.git.all
            if not self.git.is_before(revision.id, commit)
            for entry in revision.entries
        )

    def subjects_to_break(self, revision: Revision) -> set[tuple[str, str]]:
        """What `verify` has to say of stages."""
        found = set()
        for entry in revision.entries:
            status, _ = self.resolve(entry)
            if status != "recorded":
                found.add((status, entry.subject))
        locked = {(each.given.pipeline, each.given.stage): each for each in revision.entries}
        for pipeline, stages in revision.stages:
            missing = [stage for stage in stages if (pipeline, stage) not in locked]
            if len(missing) == len(stages):
                found.add(("not run", pipeline))
            else:
                prefix = "" if pipeline == "dvc.yaml" else f"{pipeline}:"
                found |= {("not run", f"{prefix}{stage}") for stage in missing}
        return found

    def dataset_versions(self) -> dict[Pair, tuple[str, frozenset[str], int]]:
        """(path, hash) of datasets -> first revision, names, and how many runs read them."""
        found: dict[Pair, tuple[str, frozenset[str]]] = {}
        for revision in self.git.all:
            for path, digest, kind in revision.data:
                if kind == "dataset":
                    first, names = found.get((path, digest), (revision.id, frozenset()))
                    found[path, digest] = first, names | revision.names
        return {
            pair: (*where, sum(pair[1] in run.read.values() for run in self.store.runs))
            for pair, where in found.items()
        }

    def executions(self) -> list[tuple[dict[str, str], dict[str, str], str]]:
        """What is known to have read and written what: locks and runs, with the run's id."""
        locked = {
            (entry.given, entry.outs): entry for each in self.git.all for entry in each.entries
        }
        return [(entry.read, entry.wrote, "") for entry in locked.values()] + [
            (run.read, run.wrote, run.id) for run in self.store.runs
        ]

    def reached(self, root: Pair) -> tuple[set[Pair], set[str], set[str]]:
        """Downstream of some bytes: data, runs and versions."""
        data, runs = {root}, set()
        size = -1
        while size != len(data):
            size = len(data)
            for read, wrote, run in self.executions():
                if any(
                    digest in read.values() and (wrote.get(path) != digest or path in read)
                    for path, digest in data
                ):
                    data |= set(wrote.items())
                    runs |= {run} - {""}
        hashes = {digest for _, digest in data}
        versions = {
            version.id
            for version in self.store.versions
            if version.tags["dvc.hash"] in hashes
            or hashes & set(json.loads(version.tags.get("dvc.data", "{}")).values())
        }
        return data, runs, versions
